"""How good the one model of a group is on each part of the images: by device, sex, age, site, whatever a table tells.

A figure over all images can hide that one part of the patients is served badly. Every part has its images, its patients
and its intervals; one of few images is called small, and takes no part in the largest gap.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from colora.metrics.bootstrap import Sample
from colora.metrics.estimates import Estimate
from colora.metrics.figures import Predicted
from colora.metrics.gaps import Gap, largest_gap
from colora.metrics.operating_point import judged as at_threshold
from colora.metrics.operating_point import scores
from colora.metrics.over_seeds import one_model
from colora.metrics.statistics import headlines
from colora.results.judged import Judged, judged
from colora.results.question import Frozen, frozen
from colora.results.summary import taken_run
from colora.runs.metadata import read_metadata
from colora.system.errors import UserError
from colora.system.typed import shortened

SMALL = 20  # images, or patients where they are known: below, an interval is wider than 0.4 whatever is found
MOST_VALUES = 12  # parts of a column; of more the most common stay
QUARTERS = 4
UNKNOWN, OTHER = "not known", "all others"


@dataclass(frozen=True)
class Part:
    """One part of the images: figures {name: Estimate}; `small` where there are fewer than SMALL of what is drawn."""

    value: str
    images: int
    patients: int | None
    figures: dict[str, Estimate]

    @property
    def small(self) -> bool:
        return (self.images if self.patients is None else self.patients) < SMALL

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        told = {name: each.as_dict() for name, each in self.figures.items()}
        return {"value": self.value, "n": self.images, "patients": self.patients, "small": self.small, "figures": told}


@dataclass(frozen=True)
class Subgroups:
    """The parts by one `column`; `question` is what sensitivity and specificity are of, or None with the reason."""

    column: str
    parts: list[Part]
    question: Frozen | None
    why_not: str | None = None

    @cached_property
    def gaps(self) -> dict[str, Gap | None]:
        """The largest gap of each figure, of parts that are not small and whose value is known."""
        known = [part for part in self.parts if not part.small and part.value != UNKNOWN]
        names = self.parts[0].figures if self.parts else ()
        return {name: largest_gap({part.value: part.figures[name] for part in known}) for name in names}

    @property
    def widest(self) -> tuple[str, Gap] | None:
        """(figure, gap) of the largest one among those that are more than chance, else among all."""
        found = [(name, gap) for name, gap in self.gaps.items() if gap is not None]
        found.sort(key=lambda pair: (not pair[1].by_chance, pair[1].difference.value))
        return found[-1] if found else None

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "column": self.column,
            "small_below": SMALL,
            "parts": [part.as_dict() for part in self.parts],
            "gaps": {name: gap and gap.as_dict() for name, gap in self.gaps.items()},
            "question": self.question and self.question.says(),
            "reason": self.why_not,
        }


@dataclass(frozen=True, eq=False)
class Column:
    """How one thing that is known of N images divides them: values (N,) str, the part of each; order: the parts as they
    are shown, what is not known last."""

    values: np.ndarray
    order: list[str]

    @classmethod
    def of(cls, texts: pd.Series) -> "Column":
        """Of what stands there for each image, "" where nothing does. Numbers of many values become quarters of equal
        size; of other texts the MOST_VALUES most common stay."""
        values = texts.str.strip().to_numpy(dtype=str)
        known = values != ""
        numbers = pd.to_numeric(pd.Series(values).where(known), errors="coerce").to_numpy(dtype=float)
        if known.any() and np.isfinite(numbers[known]).all() and len(np.unique(numbers[known])) > MOST_VALUES:
            return cls._quarters(numbers, known)
        names, counts = np.unique(values[known], return_counts=True)
        order = names[np.argsort(-counts, kind="stable")].tolist()
        if len(order) > MOST_VALUES:
            values = np.where(np.isin(values, order[MOST_VALUES - 1 :]), OTHER, values)
            order = [*order[: MOST_VALUES - 1], OTHER]
        return cls(np.where(known, values, UNKNOWN), [*order, *([] if known.all() else [UNKNOWN])])

    @classmethod
    def _quarters(cls, numbers: np.ndarray, known: np.ndarray) -> "Column":
        """`18 to 45`, `above 45 to 61`, ...: ends that occur."""
        ends = np.unique(np.quantile(numbers[known], np.linspace(0, 1, QUARTERS + 1), method="higher"))
        values, order = np.full(len(numbers), UNKNOWN, dtype=object), []
        for i, (low, high) in enumerate(pairwise(ends)):
            inside = known & (numbers <= high) & ((numbers > low) | (i == 0))
            order.append(f"{low:g} to {high:g}" if i == 0 else f"above {low:g} to {high:g}")
            values[inside] = order[-1]
        return cls(values.astype(str), [*order, *([] if known.all() else [UNKNOWN])])

    @property
    def divides(self) -> bool:
        """Whether there are at least two parts that are known."""
        return len(set(self.order) - {UNKNOWN}) > 1


def columns_of(seen: Judged) -> dict[str, Column]:
    """What is known of the images and divides them, by its name. Raises UserError where metadata.parquet is damaged."""
    table = read_metadata(seen.group, seen.split)
    if table is None:
        return {}
    known = table.reindex(seen.table["image_id"]).fillna("")
    return {name: column for name in known.columns if (column := Column.of(known[name])).divides}


def subgroups(seen: Judged, name: str) -> Subgroups:
    """Of the one model that stands for the group, on the parts of `seen` by the column of this name.

    Accuracy and AUC (mean one-vs-rest), and sensitivity and specificity of the frozen question, or the usual one.
    Raises UserError where no such column divides the images, or a file is damaged.
    """
    known = columns_of(seen)
    if name not in known:
        there = f"there are {', '.join(known)}" if known else "nothing is known of these images but their labels"
        raise UserError(f"No column '{shortened(name)}' divides these images: {there}.", field="by")
    column = known[name]
    taken = taken_run(seen.group, list(seen.runs))
    p = one_model(seen.probabilities, None if taken is None else seen.seeds.index(taken.seed))
    question, why_not = _question(seen)
    found = [_part(seen, p, value, column.values == value, question) for value in column.order]
    return Subgroups(name, found, question, why_not)


def _question(seen: Judged) -> tuple[Frozen | None, str | None]:
    try:
        return frozen(seen.group, seen, judged(seen.group, "val", seen.runs)), None
    except UserError as error:  # that question alone cannot be answered
        return None, str(error)


def _part(seen: Judged, p: np.ndarray, value: str, own: np.ndarray, question: Frozen | None) -> Part:
    labels, patients = seen.labels[own], None if seen.patients is None else seen.patients[own]
    figures = dict(headlines(Predicted(labels, p[own]), Sample.of(labels, patients)))
    if question is not None:
        positives = question.question.classes(seen.class_names)
        at = at_threshold(np.isin(labels, positives), scores(p[own], positives), question.threshold, patients)
        figures |= {name: at[name] for name in ("sensitivity", "specificity")}
    return Part(value, int(own.sum()), None if patients is None else len(np.unique(patients)), figures)
