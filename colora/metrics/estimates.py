"""A figure with its 95 % interval over test images, or the reason why there is none.

The interval says what other images of the same kind could have given with the same model; how much seeds differ is
another question (`over_seeds`), and the two are never mixed but in the mean over seeds, whose interval holds both.

    accuracy, sensitivity, specificity, PPV, NPV    Wilson 1927; where patients have several images, of as many
                independent ones as tell as much (Rao & Scott 1992): percentiles of draws of patients lie too high near
                1, and hold a share of 0.97 in 90 % of simulated sets of 100 patients, where these do in 93 %
    AUC         DeLong 1988, by patient Obuchowski 1997; on the logit scale, which keeps it in [0, 1] (Qin & Hotilovac
                2008)
    the rest    percentiles of the bootstrap
    the mean over seeds    both variances, over images and over seeds, in one interval by Student's t
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.stats import t as student

from colora.metrics.bootstrap import LEVEL, Sample, percentiles, why_no_interval
from colora.metrics.delong import Area, variance

Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
LARGEST = 600.0  # of logarithms of odds: what lies beyond is the end itself
WILSON, DELONG, BOOTSTRAP = "Wilson", "DeLong", "bootstrap"


@dataclass(frozen=True)
class Estimate:
    """`value` with the interval from `low` to `high` and the `method` that gave it.

    What cannot be said is None, and `reason` says why in a sentence: of the value, or of the interval alone.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    method: str | None = None
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; with `reason` only where there is one."""
        return {k: v for k, v in asdict(self).items() if k != "reason" or v}


def wilson(right: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Confidence interval of a share, `right` of `n` > 0 independent images (Wilson's score interval)."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre, half = right + z**2 / 2, z * math.sqrt(right * (n - right) / n + z**2 / 4)
    low, high = (centre - half) / (n + z**2), (centre + half) / (n + z**2)
    return (low if right > 0 else 0.0), (high if right < n else 1.0)  # which rounding would miss


def of_share(right: np.ndarray, asked: np.ndarray, sample: Sample, nobody: str = "no image") -> Estimate:
    """The share of the images `asked` (N,) bool that are `right` (N,) bool; `nobody` is the reason where no image is
    asked."""
    n, hits = int(asked.sum()), int((right & asked).sum())
    if not n:
        return Estimate(None, reason=nobody)
    value = hits / n
    if not sample.clustered:
        return Estimate(value, *wilson(hits, n), WILSON)
    if value not in (0.0, 1.0) and len(np.unique(sample.unit[asked])) < 2:
        return Estimate(value, reason="one patient says nothing of how others vary")
    alone = independent(right, asked, sample)
    how = "over patients" if value in (0.0, 1.0) else "by patient"
    return Estimate(value, *wilson(value * alone, alone), f"{WILSON} {how}")


def independent(right: np.ndarray, asked: np.ndarray, sample: Sample) -> float:
    """How many independent images would tell as much of that share, of at least one image asked (Rao & Scott 1992).

    As many as there are where each is of a patient of its own; where all are right, or none, as many as patients.
    """
    n = int(asked.sum())
    if not sample.clustered:
        return n
    unit = np.unique(sample.unit[asked], return_inverse=True)[1]
    units, value = int(unit.max()) + 1, float(right[asked].mean())
    if value in (0.0, 1.0) or units < 2:
        return units
    strays = np.bincount(unit, right[asked] - value)  # how many more of each patient's are right than of all
    spread = units / (units - 1) * float((strays**2).sum()) / n**2
    return min(n, value * (1 - value) / spread) if spread else n  # never more than independent ones


def of_area(found: Area, strata: np.ndarray, sample: Sample, images: Sample | None = None) -> Estimate:
    """An AUC; `strata` as in `delong.variance`. Where the sample's are several questions of each image, `images` is
    that of the images themselves."""
    spread, images = variance(found.influence, strata, sample), images or sample
    if spread is None:
        return Estimate(found.value, reason=f"one of the classes has a single {images.drawn[:-1]}")
    if found.value in (0.0, 1.0):
        return Estimate(found.value, reason="the classes are perfectly separated here, which says nothing of others")
    if spread == 0:
        return Estimate(found.value, reason="every image has the same part in it, which says nothing of others")
    logit = math.log(found.value / (1 - found.value))
    half = Z * math.sqrt(spread) / (found.value * (1 - found.value))
    low, high = (1 / (1 + math.exp(-end)) for end in (logit - half, logit + half))
    return Estimate(found.value, low, high, f"{DELONG} by patient" if images.clustered else DELONG)


def of_draws(value: float, drawn: np.ndarray, sample: Sample) -> Estimate:
    """A defined figure with the percentiles of its draws (D,)."""
    low, high = (float(end) for end in percentiles(drawn))
    reason = why_no_interval(low, high, sample)
    if reason:
        return Estimate(value, reason=reason)
    return Estimate(value, low, high, f"{BOOTSTRAP} of {sample.drawn}")


def of_seeds(
    values: Sequence[float], drawn: np.ndarray, sample: Sample, span: tuple[float, float] = (0.0, 1.0)
) -> Estimate:
    """The mean of S > 1 seeds' values with both kinds of chance in one interval; `drawn` (D,) are the seeds' means in
    the sample's draws, `span` the ends between which a value lies.

    Two variances are added: that of the draws, over images, and that of the seeds' values divided by S. The interval is
    Student's t with Satterthwaite's degrees of freedom (1946), on the logit scale, which keeps it in the span, or on
    the plain one where the span has no upper end. To draw seeds anew as images are (Davison & Hinkley 1997, 3.8) holds
    the truth of three seeds that differ by four points in 86 % of simulated studies, this in 94 %. A seed's luck with
    single images is in both variances: with few seeds that are alike the interval is a little wide.
    """
    mean = float(np.mean(values))
    reason = why_no_interval(*map(float, percentiles(drawn)), sample)
    start, end = span
    if reason is None and mean in span:
        reason = "it is at an end of where it can lie, which says nothing of others"
    if reason:
        return Estimate(mean, reason=reason)
    seeds = float(np.var(values, ddof=1)) / len(values)
    whole = float(np.nanvar(drawn)) + seeds
    degrees = whole**2 / (seeds**2 / (len(values) - 1)) if seeds else math.inf
    half = float(student.ppf((1 + LEVEL) / 2, degrees)) * math.sqrt(whole)
    if math.isinf(end):
        low, high = max(start, mean - half), mean + half
    else:
        odds = (mean - start) / (end - mean)
        factor = math.exp(min(LARGEST, half * (1 / (mean - start) + 1 / (end - mean))))
        low, high = (start + (end - start) * o / (1 + o) for o in (odds / factor, odds * factor))
    return Estimate(mean, low, high, f"{BOOTSTRAP} of {sample.drawn}, t over seeds")
