"""How sure an area under a ROC curve is, and whether two differ: DeLong, DeLong & Clarke-Pearson 1988, in closed form.

An area is the mean over pairs of a positive and a negative image, so each image has a part in it, its influence: how
much its own pairs lie above the mean. The variance of the area is that of the sum of the influences; that of a
difference is that of the sum of the differences of the influences. Placements by ranks: Sun & Xu 2014. Where a patient
has several images the influences of each patient's are summed first: Obuchowski 1997.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from colora.metrics.bootstrap import Sample


@dataclass(frozen=True, eq=False)
class Area:
    """`value` in [0, 1] and the images' `influence` (N,), whose sums over the positives and the negatives are 0."""

    value: float
    influence: np.ndarray


def area(member: np.ndarray, scores: np.ndarray) -> Area | None:
    """Of a class against the rest: member (N,) bool, scores (N,). None where one of the two does not occur."""
    positives = int(member.sum())
    negatives = len(member) - positives
    if not positives or not negatives:
        return None
    ranks = rankdata(scores)  # of equal scores their mean
    beaten = ranks[member] - rankdata(scores[member])  # negatives below each positive, equal ones half
    beating = positives - (ranks[~member] - rankdata(scores[~member]))
    value = float(beaten.sum() / (positives * negatives))
    influence = np.empty(len(member))
    influence[member] = (beaten / negatives - value) / positives
    influence[~member] = (beating / positives - value) / negatives
    return Area(value, influence)


def class_areas(labels: np.ndarray, probabilities: np.ndarray) -> list[Area | None]:
    """`area` of each class, length C."""
    return [area(labels == c, probabilities[:, c]) for c in range(probabilities.shape[1])]


def macro(areas: list[Area | None]) -> Area | None:
    """The unweighted mean of those that are defined."""
    known = [each for each in areas if each]
    if not known:
        return None
    return Area(float(np.mean([a.value for a in known])), np.mean([a.influence for a in known], axis=0))


def variance(influence: np.ndarray, strata: np.ndarray, sample: Sample) -> float | None:
    """Of a sum of influences (N,), whose images are of `strata` (N,) from 0: positive or negative, or the class.

    None where a stratum is one image, or of one patient: nothing is known of how others vary.
    """
    _, strata, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    centred = influence - (np.bincount(strata, influence) / sizes)[strata]
    if not sample.clustered:
        if sizes.min() < 2:
            return None
        return float((np.bincount(strata, centred**2) * sizes / (sizes - 1)).sum())
    count = len(sizes)
    places = sample.unit * count + strata
    sums = np.bincount(places, centred, minlength=sample.units * count).reshape(-1, count)  # (units, strata)
    occurs = np.bincount(places, minlength=sample.units * count).reshape(-1, count) > 0
    units = occurs.sum(0)
    if units.min() < 2:
        return None
    factors = np.full((count, count), sample.units / (sample.units - 1))
    np.fill_diagonal(factors, units / (units - 1))
    return max(0.0, float((factors * (sums.T @ sums)).sum()))
