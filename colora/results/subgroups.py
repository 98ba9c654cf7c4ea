"""How good the one model of a group is on each part of the images: by device, sex, age, site, whatever a table tells.

A figure over all images can hide that one part of the patients is served badly. Every part has its images, its patients
and its intervals. A figure of few images says little, and takes no part in the largest gap.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, pairwise
from typing import Any

import numpy as np
import pandas as pd

from colora.metrics.bootstrap import Sample
from colora.metrics.estimates import Estimate
from colora.metrics.figures import Predicted
from colora.metrics.gaps import Gap, largest_gap, pairs_of
from colora.metrics.operating_point import judged as at_threshold
from colora.metrics.operating_point import scores
from colora.metrics.over_seeds import one_model
from colora.metrics.statistics import headlines
from colora.results.judged import Judged, judged
from colora.results.operating_point import Question, points
from colora.results.question import frozen, question_of, usual_question, worded
from colora.runs.documents import question_file
from colora.runs.metadata import MISSING, read_metadata
from colora.system.errors import UserError
from colora.system.typed import shortened

SMALL = 20  # images, or patients where they are known, that a figure is of: fewer say little
MOST_PARTS = 12  # of a column; of more the most common stay
QUARTERS = (0.25, 0.5, 0.75)
UNKNOWN, OTHER = "not known", "all others"


@dataclass(frozen=True)
class Part:
    """One part of the images: figures {name: Estimate}; `few` those of fewer than SMALL of what is drawn, `known`
    whether it is told what these images are."""

    value: str
    images: int
    patients: int | None
    figures: dict[str, Estimate]
    few: frozenset[str]
    known: bool

    @property
    def small(self) -> bool:
        """As a whole."""
        return "accuracy" in self.few

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        told = {name: each.as_dict() | {"small": name in self.few} for name, each in self.figures.items()}
        return {"value": self.value, "n": self.images, "patients": self.patients, "small": self.small, "figures": told}


@dataclass(frozen=True)
class Subgroups:
    """The parts by one `column`. `asked`: what sensitivity and specificity are of, or None with the reason why they
    are not there."""

    column: str
    parts: list[Part]
    asked: str | None
    why_not: str | None = None

    @cached_property
    def compared(self) -> dict[str, dict[str, Estimate]]:
        """{figure: {part: its value}} of those that take part in a gap."""
        known = [part for part in self.parts if part.known]
        names = self.parts[0].figures if self.parts else ()
        return {name: {part.value: part.figures[name] for part in known if name not in part.few} for name in names}

    @cached_property
    def comparisons(self) -> int:
        """Pairs of parts, of all figures together: among so many the largest gap is looked for."""
        return sum(len(pairs_of(found)) for found in self.compared.values())

    @cached_property
    def gaps(self) -> dict[str, Gap | None]:
        """The largest gap of each figure."""
        return {name: largest_gap(found, self.comparisons) for name, found in self.compared.items()}

    @property
    def widest(self) -> tuple[str, Gap] | None:
        """(figure, gap): the one that is surest to be one; None where no two parts can be compared."""
        found = [(name, gap) for name, gap in self.gaps.items() if gap is not None]
        return max(found, key=lambda pair: pair[1].rank) if found else None

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "column": self.column,
            "small_below": SMALL,
            "parts": [part.as_dict() for part in self.parts],
            "comparisons": self.comparisons,
            "gaps": {name: gap and gap.as_dict() for name, gap in self.gaps.items()},
            "question": self.asked,
            "reason": self.why_not,
        }


@dataclass(frozen=True, eq=False)
class Column:
    """How one thing that is known of N images divides them: part (N,) int, -1 where it is not known; labels: what each
    part is called, no two alike."""

    part: np.ndarray
    labels: list[str]

    @classmethod
    def of(cls, texts: pd.Series) -> "Column":
        """Of what stands there for each image. Numbers of many values become quarters, as equal as equal values allow;
        of many texts the most common stay."""
        values = plain(texts)
        numbers = pd.to_numeric(values, errors="coerce")
        if values.notna().any() and np.isfinite(numbers[values.notna()].to_numpy(dtype=float)).all():
            return cls._of_numbers(numbers.to_numpy(dtype=float))
        codes, names = pd.factorize(values)  # -1 of what is missing
        by_size = np.argsort(-np.bincount(codes[codes >= 0], minlength=len(names)), kind="stable")
        place = np.empty(len(names) + 1, dtype=np.int64)
        place[by_size], place[-1] = np.arange(len(names)), -1
        part, labels = place[codes], [shortened(str(names[i])) for i in by_size]
        if len(labels) > MOST_PARTS:
            part = np.minimum(part, MOST_PARTS - 1)
            labels = [*labels[: MOST_PARTS - 1], OTHER]
        return cls(part, list(_distinct(labels)))

    @classmethod
    def _of_numbers(cls, numbers: np.ndarray) -> "Column":
        known = ~np.isnan(numbers)
        values = np.unique(numbers[known])
        if len(values) <= MOST_PARTS:
            part = np.where(known, np.searchsorted(values, numbers), -1)
            return cls(part, [_written(value) for value in values])
        lowest, highest = values[0], values[-1]
        cuts = np.unique(np.quantile(numbers[known], QUARTERS, method="lower"))
        cuts = cuts[cuts < highest]
        part = np.where(known, np.searchsorted(cuts, numbers, side="left"), -1)
        first = _written(lowest) if cuts[0] == lowest else f"{_written(lowest)} to {_written(cuts[0])}"
        ends = [*cuts, highest]
        later = [f"above {_written(a)} to {_written(b)}" for a, b in pairwise(ends)]
        return cls(part, [first, *later])


def plain(texts: pd.Series) -> pd.Series:
    """Without blanks around them; missing where nothing, or a word for that, stands there."""
    values = texts.str.strip()
    return values.where(~values.str.casefold().isin(MISSING))


def _written(number: float) -> str:
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e15 else repr(float(number))


def _distinct(labels: Sequence[str]) -> Iterator[str]:
    """Each once: of two that are alike, such as when they were shortened, the second has a number."""
    taken: Counter[str] = Counter([UNKNOWN])
    for label in labels:
        names = (label if n == 1 else f"{label} ({n})" for n in count(1))
        name = next(name for name in names if name not in taken)
        taken[name] += 1
        yield name


def columns_of(seen: Judged) -> dict[str, pd.Series]:
    """What stands for each image in each column that divides the images. Raises UserError where metadata.parquet is
    damaged."""
    table = read_metadata(seen.group, seen.split)
    if table is None:
        return {}
    known = table.reindex(seen.table["image_id"]).fillna("")
    return {name: known[name] for name in known.columns if plain(known[name]).nunique() > 1}


def subgroups(seen: Judged, name: str) -> Subgroups:
    """Of the one model that stands for the group, on the parts of `seen` by the column of this name.

    Accuracy and AUC (mean one-vs-rest; of a part without images of some class that the others have it is another
    figure, and not given), and sensitivity and specificity of the frozen question, or the usual one. Raises UserError
    where no such column divides the images, where they are those that the models learnt from, or a file is damaged.
    """
    if seen.split == "train":
        raise UserError("Images that models learnt from say nothing of other ones: take test.", field="split")
    known = columns_of(seen)
    if name not in known:
        there = f"there are {', '.join(map(shortened, known))}" if known else "nothing is known that does"
        raise UserError(f"No column '{shortened(name)}' divides these images: {there}.", field="by")
    column, p = Column.of(known[name]), one_model(seen.probabilities, seen.one)
    why_not, asked, answer = None, None, None
    try:
        asked, *answer = _question(seen)
    except UserError as error:  # that question alone cannot be answered
        why_not = str(error)
    rows = [(label, column.part == i, True) for i, label in enumerate(column.labels)]
    if (column.part < 0).any():
        rows.append((UNKNOWN, column.part < 0, False))
    return Subgroups(name, [_part(seen, p, *row, answer) for row in rows], asked, why_not)


def _question(seen: Judged) -> tuple[str, Question, float]:
    """(in words, the question, the threshold): the frozen one, or the usual one; at another epoch than the selected
    ones validation chooses a threshold there."""
    validation = judged(seen.group, "val", seen.runs, seen.epoch)
    if seen.epoch is None:
        found = frozen(seen.group, seen, validation)
        return found.says(), found.question, found.threshold
    kept = question_file(seen.group.path)
    question = question_of(kept) if kept else usual_question(seen.class_names)
    seeds, joint = points(seen, validation, question)
    point = joint or seeds[0]
    if point.threshold is None:
        raise UserError(f"It is not estimable: {point.reason}.")
    return worded(question, point.threshold), question, point.threshold


def _part(
    seen: Judged, p: np.ndarray, value: str, own: np.ndarray, known: bool, answer: tuple[Question, float] | None
) -> Part:
    labels, patients = seen.labels[own], None if seen.patients is None else seen.patients[own]
    every = np.ones(len(labels), dtype=bool)
    figures = dict(headlines(Predicted(labels, p[own]), Sample.of(labels, patients)))
    asked = {"accuracy": every, "auc": every}
    lacking = [seen.class_names[c] for c in np.unique(seen.labels) if c not in labels]
    if lacking:
        why = f"no image is of {', '.join(lacking)}, so that its mean would be over other classes"
        figures["auc"] = Estimate(None, reason=why)
    if answer is not None:
        question, threshold = answer
        positives = question.classes(seen.class_names)
        member = np.isin(labels, positives)
        at = at_threshold(member, scores(p[own], positives), threshold, patients)
        figures |= {name: at[name] for name in ("sensitivity", "specificity")}
        asked |= {"sensitivity": member, "specificity": ~member}
    few = frozenset(name for name, of in asked.items() if _drawn(of, patients) < SMALL)
    return Part(value, len(labels), None if patients is None else len(np.unique(patients)), figures, few, known)


def _drawn(asked: np.ndarray, patients: np.ndarray | None) -> int:
    """Images that a figure is of, or their patients."""
    return int(asked.sum()) if patients is None else len(np.unique(patients[asked]))
