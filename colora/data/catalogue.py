"""What a source of image files holds, known from names and tables alone: which files, of which class, in which split,
of which patient, and what lies beside them that is no image of the set.

`layout` makes it of a folder, `table` of a table. Whoever splits, reads, counts or checks begins here, so that a folder
and a table that hold the same images mean the same training. No pixel is read.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

NUMBER = re.compile(r"[+-]?\d{1,18}\.?", re.ASCII)  # as in a list, "1."
WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
MOST_EXAMPLES = 5  # files that are told by name, of each reason


def in_order(names: Iterable[str]) -> list[str]:
    """Class names as they are numbered: sorted, and where all are whole numbers by these."""
    names = sorted(names)
    numbers = all(map(NUMBER.fullmatch, names))
    return sorted(names, key=lambda name: int(name.rstrip("."))) if numbers else names


@dataclass
class NotRead:
    """Files that are no images of the set, by reason: an ending such as ".dcm", or a word such as "thumbnail"."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # {reason: {class name, or "" in none: files}}
    examples: dict[str, list[str]] = field(default_factory=dict)  # {reason: the first files' paths}

    def add(self, reason: str, class_name: str, paths: Iterable[str]) -> None:
        if paths := list(paths):
            self.merge(reason, class_name, len(paths), paths)

    def merge(self, reason: str, class_name: str, count: int, examples: Iterable[str]) -> None:
        """So many files at once, of which these are the first."""
        own = self.counts.setdefault(reason, {})
        own[class_name] = own.get(class_name, 0) + count
        first = self.examples.setdefault(reason, [])
        first += list(examples)[: MOST_EXAMPLES - len(first)]

    def copy(self) -> "NotRead":
        return NotRead(
            {reason: dict(own) for reason, own in self.counts.items()},
            {reason: list(some) for reason, some in self.examples.items()},
        )

    @property
    def by_reason(self) -> dict[str, int]:
        return {reason: sum(own.values()) for reason, own in sorted(self.counts.items())}

    @property
    def total(self) -> int:
        return sum(self.by_reason.values())


@dataclass(frozen=True)
class Patients:
    """Whose images they are. ids (N,) str, one an image; None where nothing tells.

    told_by: where they stand, such as "file name CLASS-PATIENT-N", for a person to read; alone: paths of images whose
    name tells none beside the others', each of which counts as a patient of its own.
    """

    ids: np.ndarray | None = None
    told_by: str = ""
    alone: tuple[str, ...] = ()


class Doubt(NamedTuple):
    """What may not be meant so, in a sentence; the folder below the source that may be meant instead, or "", and the
    setting `patient_pattern` with which it is meant, or "".

    A person is asked about it before a launch; a command says it among its warnings, with the flag.
    """

    said: str
    instead: str = ""
    patient_pattern: str = ""

    @property
    def warning(self) -> str:
        """`said`, with what a command line can answer."""
        more = f"; if they are patients, give --patient-pattern '{self.patient_pattern}'."
        return self.said.removesuffix(".") + more if self.patient_pattern else self.said


@dataclass(frozen=True)
class Catalogue:
    """The image files of one source, ordered by class and then by path.

    root: real path of the folder that `paths` (N) start from; labels (N,) int64 in [0, classes); given (N,) int64, the
    place in `dataset.SPLITS` of each image's own split, None where the source has no splits; given_by: who says so,
    such as "the folders train, test"; metadata: N rows of whatever else a table tells, as text.
    """

    root: str
    paths: list[str]
    class_names: tuple[str, ...]
    labels: np.ndarray
    patients: Patients = Patients()
    given: np.ndarray | None = None
    given_by: str = ""
    not_read: NotRead = field(default_factory=NotRead)
    warnings: tuple[str, ...] = ()
    metadata: pd.DataFrame | None = None
    doubts: tuple[Doubt, ...] = ()  # each of which is among the warnings too
