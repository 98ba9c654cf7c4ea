"""A yes-or-no question to a model: a threshold chosen on validation, frozen, and judged on test.

The question is "one of these classes, or none of them" (urgent: CNV, DME), the score the sum of their probabilities,
the answer yes from the threshold on. What a positive answer is worth depends on how common the disease is where the
model is used, not on the share of it in a test set: `at_prevalence` (Bayes; intervals Mercaldo, Lau & Zhou 2007).
Decision curves: Vickers & Elkin 2006.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from colora.metrics import bootstrap
from colora.metrics.bootstrap import DRAWS, Sample
from colora.metrics.estimates import Estimate, Z, independent, of_share
from colora.metrics.figures import SHARES

Rule = Literal["sensitivity", "youden", "cost"]
NOBODY = {
    "sensitivity": "no image is positive",
    "specificity": "no image is negative",
    "ppv": "no image was called positive",
    "npv": "no image was called negative",
}


def scores(probabilities: np.ndarray, positives: Sequence[int]) -> np.ndarray:
    """(N,) in [0, 1]: the probability of being in one of the `positives`, at least one class and not all."""
    classes = np.shape(probabilities)[1]
    if not 0 < len(set(positives)) < classes:
        raise ValueError(f"between 1 and {classes - 1} of the {classes} classes, got {sorted(set(positives))}")
    return np.asarray(probabilities, dtype=np.float64)[:, sorted(set(positives))].sum(1)


@dataclass(frozen=True)
class Choice:
    """How a threshold is chosen.

    `sensitivity`: at least `value`, with as high a specificity as that leaves; `youden`: highest sensitivity +
    specificity - 1; `cost`: least cost where a missed positive costs `value` times a false alarm.
    """

    rule: Rule
    value: float = 0.95

    def __post_init__(self) -> None:
        if self.rule == "sensitivity" and not 0 < self.value <= 1:
            raise ValueError(f"a sensitivity is above 0 and at most 1, got {self.value}")
        if self.rule == "cost" and not 0 < self.value < math.inf:
            raise ValueError(f"a ratio of costs is above 0 and finite, got {self.value}")

    def says(self) -> str:
        if self.rule == "youden":
            return "highest sensitivity plus specificity on validation (Youden)"
        if self.rule == "cost":
            return f"least cost on validation where a missed one costs {self.value:g} times a false alarm"
        return f"sensitivity of at least {self.value:.3g} on validation, with the highest specificity that leaves"


def threshold(member: np.ndarray, score: np.ndarray, choice: Choice) -> float | None:
    """The score from which on the answer is yes, chosen on these images (validation's): member (N,) bool, score (N,).

    The middle between two scores that occur, so that neither lies on it. None where one of the two kinds does not
    occur.
    """
    positives, negatives = int(member.sum()), int((~member).sum())
    if not positives or not negatives:
        return None
    order = np.argsort(-score)
    ranked = score[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    true = np.cumsum(member[order])[last]
    false = last + 1 - true
    if choice.rule == "sensitivity":
        best = int(np.flatnonzero(true >= choice.value * positives - 1e-9)[0])
    elif choice.rule == "youden":
        best = int(np.argmax(true / positives - false / negatives))
    else:
        best = int(np.argmin(choice.value * (positives - true) + false))
        if choice.value * positives <= choice.value * (positives - true[best]) + false[best]:
            return _between(ranked[0], max(1.0, np.nextafter(ranked[0], np.inf)))  # to call nobody costs no more
    lowest = ranked[last[best]]
    below = ranked[last[best] + 1] if last[best] + 1 < len(ranked) else 0.0
    return _between(below, lowest)


def _between(below: float, above: float) -> float:
    """Their middle, or what is above where rounding leaves nothing between: a sure score of 1, sums of equal shares."""
    middle = (float(below) + float(above)) / 2
    return middle if middle > below else float(above)


def judged(member: np.ndarray, score: np.ndarray, at: float, patients: np.ndarray | None = None) -> dict[str, Estimate]:
    """{"sensitivity", "specificity", "ppv", "npv"} of a frozen threshold on images that did not choose it.

    Intervals as `estimates.of_share` has them. PPV and NPV are those at this test set's own share of positives.
    """
    member, called = np.asarray(member, dtype=bool), score >= at
    sample = Sample.of(member.astype(np.int64), patients)
    asked = {"sensitivity": member, "specificity": ~member, "ppv": called, "npv": ~called}
    right = member == called
    return {name: of_share(right, asked[name], sample, NOBODY[name]) for name in SHARES}


def at_prevalence(
    member: np.ndarray, score: np.ndarray, at: float, prevalence: float, patients: np.ndarray | None = None
) -> dict[str, Estimate]:
    """{"ppv", "npv"} where a share `prevalence`, in (0, 1), of those examined are positive.

    Intervals on the logit scale from the numbers of positives and negatives, of patients' images as many as are
    independent; where sensitivity or specificity is 0 or 1 with both adjusted by z^2 / 2 (Mercaldo's adjusted logit).
    """
    if not 0 < prevalence < 1:
        raise ValueError(f"a prevalence lies between 0 and 1, got {prevalence}")
    member, called = np.asarray(member, dtype=bool), score >= at
    if member.all() or not member.any():
        missing = Estimate(None, reason=NOBODY["specificity" if member.all() else "sensitivity"])
        return {"ppv": missing, "npv": missing}
    sample = Sample.of(member.astype(np.int64), patients)
    n1, n0 = (independent(member == called, kind, sample) for kind in (member, ~member))
    sensitivity, specificity = float(called[member].mean()), float((~called)[~member].mean())
    odds = prevalence / (1 - prevalence)
    found = {}
    for name, hit, miss, ratio in (
        ("ppv", sensitivity, 1 - specificity, odds),
        ("npv", specificity, 1 - sensitivity, 1 / odds),
    ):
        if not hit + miss:
            found[name] = Estimate(None, reason=NOBODY[name])
            continue
        value = hit * ratio / (hit * ratio + miss)
        n_hit, n_miss = (n1, n0) if name == "ppv" else (n0, n1)
        if min(hit, miss) == 0 or max(hit, miss) == 1:
            hit, miss = ((share * n + Z**2 / 2) / (n + Z**2) for share, n in ((hit, n_hit), (miss, n_miss)))
            n_hit, n_miss = n_hit + Z**2, n_miss + Z**2
        logit = math.log(hit * ratio / miss)
        half = Z * math.sqrt((1 - hit) / (hit * n_hit) + (1 - miss) / (miss * n_miss))
        low, high = (1 / (1 + math.exp(-end)) for end in (logit - half, logit + half))
        found[name] = Estimate(value, min(low, value), max(high, value), "logit (Mercaldo)")
    return found


def decision_curve(
    member: np.ndarray,
    score: np.ndarray,
    thresholds: np.ndarray,
    patients: np.ndarray | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """Net benefit a patient examined, a row for each of the `thresholds` (T,) in (0, 1), the probability from which on
    somebody would treat: threshold, model, low, high (bootstrap), treat_all; to treat none has 0.

    A false alarm counts threshold / (1 - threshold) of a found one.
    """
    member, at = np.asarray(member, dtype=bool), np.asarray(thresholds, dtype=np.float64)
    if not len(at) or at.min() <= 0 or at.max() >= 1:
        raise ValueError("thresholds lie between 0 and 1")
    price = at / (1 - at)
    called = score[:, None] >= at  # (N, T)
    worth = np.where(member[:, None], 1.0, -price) * called

    def benefit(weights: np.ndarray) -> np.ndarray:
        return (weights @ worth.astype(weights.dtype)) / weights.sum(1, keepdims=True)

    model = benefit(np.ones((1, len(member))))[0]
    sample = Sample.of(member.astype(np.int64), patients)
    low, high = bootstrap.percentiles(np.concatenate([benefit(w) for w in bootstrap.weightings(sample, draws, seed)]))
    share = float(member.mean())
    return pd.DataFrame(
        {"threshold": at, "model": model, "low": low, "high": high, "treat_all": share - (1 - share) * price}
    )
