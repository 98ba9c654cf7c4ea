"""A group's answer to a yes-or-no question: a threshold that validation chooses, and its worth on other images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from colora.metrics.estimates import Estimate
from colora.metrics.operating_point import NOBODY, Choice, at_prevalence, judged, scores, threshold
from colora.metrics.over_seeds import Spread, ensemble
from colora.results import judged as predictions
from colora.system.errors import UserError

URGENT = ("cnv", "dme", "choroidal neovascularization", "diabetic macular edema")  # treated within days
HEALTHY = ("normal", "healthy", "control")


@dataclass(frozen=True)
class Question:
    """Is the image of one of `positives` (class names)? `choice` says how the threshold is chosen; `prevalence`, in
    (0, 1), how common they are where the model is used, None as in the images themselves."""

    positives: tuple[str, ...]
    choice: Choice
    prevalence: float | None = None

    def classes(self, class_names: Sequence[str]) -> list[int]:
        """Positions of the positives. Raises UserError where they are no classes, none or all of them."""
        if unknown := sorted(set(self.positives) - set(class_names)):
            raise UserError(f"No class is called {', '.join(unknown)}: there are {', '.join(class_names)}.")
        if not 0 < len(set(self.positives)) < len(class_names):
            raise UserError(f"Choose at least one of the {len(class_names)} classes, and not all of them.")
        return [c for c, name in enumerate(class_names) if name in self.positives]


def usual_positives(class_names: Sequence[str]) -> list[str]:
    """What is first asked: urgent (CNV, DME) against the rest where there are such classes, else all that are not
    healthy, else the first class."""
    for kinds, wanted in ((URGENT, True), (HEALTHY, False)):
        found = [name for name in class_names if (name.casefold() in kinds) is wanted]
        if 0 < len(found) < len(class_names):
            return found
    return list(class_names[:1])


@dataclass(frozen=True)
class OperatingPoint:
    """One model's `threshold`, or None with the `reason`; at it {"sensitivity", "specificity", "ppv", "npv"} on
    validation, which chose it, and on the images judged; {"ppv", "npv"} at the question's prevalence."""

    threshold: float | None
    on_validation: dict[str, Estimate]
    judged: dict[str, Estimate]
    at_prevalence: dict[str, Estimate]
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        parts = {"on_validation": self.on_validation, "judged": self.judged, "at_prevalence": self.at_prevalence}
        told = {part: {name: each.as_dict() for name, each in table.items()} for part, table in parts.items()}
        return {"threshold": self.threshold, **told, **({"reason": self.reason} if self.reason else {})}


def operating_point(
    labels: np.ndarray,
    probabilities: np.ndarray,
    patients: np.ndarray | None,
    validation: tuple[np.ndarray, np.ndarray, np.ndarray | None],
    positives: Sequence[int],
    question: Question,
    kept: float | None = None,
) -> OperatingPoint:
    """Of one model; `validation` has the same three of validation. `kept` is a threshold that was chosen before."""
    own_labels, own_probabilities, own_patients = validation
    own_member, own_score = np.isin(own_labels, positives), scores(own_probabilities, positives)
    at = threshold(own_member, own_score, question.choice) if kept is None else kept
    if at is None:
        nobody = NOBODY["sensitivity" if not own_member.any() else "specificity"]
        return OperatingPoint(None, {}, {}, {}, f"no threshold can be chosen: in validation {nobody}")
    member, score = np.isin(labels, positives), scores(probabilities, positives)
    return OperatingPoint(
        at,
        judged(own_member, own_score, at, own_patients),
        judged(member, score, at, patients),
        {} if question.prevalence is None else at_prevalence(member, score, at, question.prevalence, patients),
    )


def points(
    seen: predictions.Judged, validation: predictions.Judged, question: Question
) -> tuple[list[OperatingPoint], OperatingPoint | None]:
    """Of each seed at its own threshold, and of the ensemble at its own where there are several."""
    positives = question.classes(seen.class_names)
    models = list(zip(seen.probabilities, validation.probabilities, strict=True))
    if len(models) > 1:
        models.append((ensemble(seen.probabilities), ensemble(validation.probabilities)))
    found = [
        operating_point(
            seen.labels, p, seen.patients, (validation.labels, own, validation.patients), positives, question
        )
        for p, own in models
    ]
    return (found[:-1], found[-1]) if len(seen.runs) > 1 else (found, None)


def group_operating_point(
    seen: predictions.Judged, validation: predictions.Judged, question: Question
) -> dict[str, Any]:
    """Ready for JSON."""
    seeds, joint = points(seen, validation, question)
    spreads = {name: Spread.of(own.judged[name].value for own in seeds) for name in seeds[0].judged}
    return {
        "positives": [seen.class_names[c] for c in question.classes(seen.class_names)],
        "chosen_on": "val",
        "rule": question.choice.rule,
        "says": question.choice.says(),
        "prevalence": question.prevalence,
        "seeds": [{"seed": seed, **own.as_dict()} for seed, own in zip(seen.seeds, seeds, strict=True)],
        "ensemble": joint.as_dict() if joint else None,
        "over_seeds": {name: spread.as_dict() if spread else None for name, spread in spreads.items()},
    }
