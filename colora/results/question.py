"""The yes-or-no question that a group answers: the one that a person has frozen (question.json), or else the usual one.

Frozen is a number: the threshold that validation chose for the model which stood for the group at that time. It is kept
when more seeds finish or one is trained anew; what it is worth is reckoned for the models that are there now, and where
they are others than chose it, that is told. The model is the ensemble of the finished seeds that were trained alike, of
a single seed its own, and with the paper's rule the one that it takes (`summary.taken_run`).
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from colora.metrics.estimates import Estimate
from colora.metrics.operating_point import Choice
from colora.metrics.over_seeds import one_model
from colora.results.judged import Judged, judged
from colora.results.operating_point import OperatingPoint, Question, operating_point, usual_positives
from colora.runs.access import check_group
from colora.runs.audit import acting_user, record, this_moment
from colora.runs.documents import QUESTION, contained, question_file
from colora.runs.folder import Group, same_group
from colora.runs.lock import editing
from colora.runs.names import ELSEWHERE
from colora.runs.siblings import seeds_text
from colora.settings.catalog import THRESHOLD_RULES
from colora.system.errors import UserError
from colora.system.files import write_json
from colora.system.storage import disk_errors

OF_WHOM = ("frozen", "frozen_by")  # all else in the document says what was frozen


@dataclass(frozen=True)
class Frozen:
    """What a group answers with: yes from `threshold` on, of the sum of the positives' probabilities
    (`metrics.operating_point.scores`) of the model of these `seeds`: their ensemble, or the one seed.

    on_validation, judged: {"sensitivity", "specificity", "ppv", "npv"} at this threshold, of that model, on the
    validation images and on those that judge it, by default test's. kept: the document that a person froze; None of the
    usual question, whose threshold validation chooses now. changed: the model that chose the kept threshold was another
    one.
    """

    question: Question
    threshold: float
    seeds: list[int]
    on_validation: dict[str, Estimate]
    judged: dict[str, Estimate]
    kept: dict[str, Any] | None
    changed: bool

    def says(self) -> str:
        """`CNV, DME against the rest, sensitivity of at least ..., from 0.312 on; by eve, 2026-11-29`."""
        if self.kept:
            return says(self.kept)
        return f"{worded(self.question, self.threshold)}; the usual question, which nobody has frozen"

    def says_changed(self) -> str | None:
        """A sentence on the models that are others than chose the threshold; None where they are the same."""
        if not self.changed or not self.kept:
            return None
        before, now = seeds_text(self.kept["seeds"]), seeds_text(self.seeds)
        if before == now:
            return f"The predictions of {now} are others now than those that chose this threshold."
        return f"The model was that of {before} when this threshold was chosen, and is that of {now} now."

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        parts = {"on_validation": self.on_validation, "judged": self.judged}
        return {
            "positives": list(self.question.positives),
            "rule": self.question.choice.rule,
            "value": self.question.choice.value,
            "threshold": self.threshold,
            "seeds": self.seeds,
            "kept": self.kept,
            "changed": self.changed,
            "says": self.says(),
            "says_changed": self.says_changed(),
            **{part: {name: each.as_dict() for name, each in table.items()} for part, table in parts.items()},
        }


def question_of(kept: dict[str, Any]) -> Question:
    """What a document of `documents.question_file` asks."""
    return Question(tuple(kept["positives"]), Choice(kept["rule"], kept["value"]))


def says(kept: dict[str, Any]) -> str:
    """The same of a document."""
    day = datetime.fromisoformat(kept["frozen"]).date().isoformat()
    return f"{worded(question_of(kept), kept['threshold'])}; by {kept['frozen_by']}, {day}"


def worded(question: Question, threshold: float) -> str:
    return f"{', '.join(question.positives)} against the rest, {question.choice.says()}, from {threshold:.3f} on"


def frozen(group: Group, seen: Judged | None = None, validation: Judged | None = None) -> Frozen:
    """The frozen question of a group, or the usual one where nobody has frozen any, judged on `seen`, by default on
    test; `validation` spares reading its predictions again. Raises UserError while no seed is finished, where a file is
    damaged, and where validation can choose no threshold for the usual question."""
    with contained(group.path):
        kept = question_file(group.path)
        seen = seen or judged(group, "test")
        validation = validation or judged(group, "val", seen.runs)
        question = question_of(kept) if kept else usual_question(seen.class_names)
        seeds, point = _point(seen, validation, question, kept["threshold"] if kept else None)
        if point.threshold is None:
            raise UserError(f"{group.name} cannot answer its usual question: {point.reason}.")
        changed = kept is not None and (kept["seeds"], kept["checksum"]) != (seeds, _checksum(validation))
        return Frozen(question, point.threshold, seeds, point.on_validation, point.judged, kept, changed)


def usual_question(class_names: list[str]) -> Question:
    """What is asked where nobody has chosen anything."""
    return Question(tuple(usual_positives(class_names)), Choice("sensitivity", THRESHOLD_RULES["sensitivity"]))


def freeze(
    group: Group, question: Question, replace: bool = False, instead_of: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Keep a question (without its prevalence) and the threshold that validation chooses now; returns the document.

    What is frozen in the same way already stays as it is. Raises UserError where it is no question to these classes, no
    seed is finished, no threshold can be chosen, or another question is frozen and `replace` is False, or that is not
    the one that is to be replaced: `instead_of` is its document, None for whichever it is. A damaged one is replaced.
    """
    check_group("freeze", group)
    runs_dir, path, identity = group.path.parent, group.path / QUESTION, group.identity
    with contained(group.path):
        validation = judged(group, "val")
        positives = question.classes(validation.class_names)
        seeds, point = _point(validation, validation, question)
    if point.threshold is None:
        raise UserError(f"This question cannot be frozen: {point.reason}. Ask for other classes.", field="positives")
    found = {
        "positives": [validation.class_names[c] for c in positives],
        "rule": question.choice.rule,
        "value": 0.0 if question.choice.rule == "youden" else float(question.choice.value),  # which takes none
        "threshold": point.threshold,
        "seeds": seeds,
        "checksum": _checksum(validation),
        "frozen": this_moment(),
        "frozen_by": acting_user(),
    }
    with editing(runs_dir), disk_errors(path, ELSEWHERE):
        same_group(group.path, identity)
        before = _there(group, validation.class_names)
        if before and _what(before) == _what(found):
            return before
        if before and not replace:
            raise UserError(
                f"{group.name} has a frozen question already: {says(before)}. Leave it, or replace it (on the "
                "command line with --replace)."
            )
        if before and instead_of not in (None, before):
            raise UserError(f"Another question of {group.name} was frozen elsewhere meanwhile; nothing was done.")
        write_json(path, found)
    detail = {name: value for name, value in _what(found).items() if name != "seeds"}
    record(runs_dir, "freeze", group.name, seeds, **detail, replaced=before)
    return found


def _there(group: Group, class_names: list[str]) -> dict[str, Any] | None:
    """The document that stands there; None of none, and of one that can answer nothing: there is nothing to lose."""
    try:
        kept = question_file(group.path)
        if kept:
            question_of(kept).classes(class_names)
    except UserError:
        return None
    return kept


def _what(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in OF_WHOM}


def _point(
    seen: Judged, validation: Judged, question: Question, kept: float | None = None
) -> tuple[list[int], OperatingPoint]:
    """(seeds of the model that stands for the group, its operating point: at `kept`, or as validation chooses)."""
    seeds, p = _model(seen)
    own = validation.labels, _model(validation)[1], validation.patients
    positives = question.classes(seen.class_names)
    return seeds, operating_point(seen.labels, p, seen.patients, own, positives, question, kept)


def _model(found: Judged) -> tuple[list[int], np.ndarray]:
    """(seeds, probabilities (N, C)) of the one model."""
    seeds = found.seeds if found.one is None else [found.seeds[found.one]]
    return seeds, one_model(found.probabilities, found.one)


def _checksum(validation: Judged) -> str:
    """SHA-256 of the labels and of the one model's probabilities, which a seed that is trained anew changes."""
    labels, p = validation.labels.astype("<i8"), np.ascontiguousarray(_model(validation)[1], dtype="<f8")
    return hashlib.sha256(labels.tobytes() + p.tobytes()).hexdigest()
