"""Whether one model, or one method over several seeds, is really ahead of another, and what these images could tell.

On the same images, two models (two groups' ensembles, or two seeds):
    accuracy   interval: paired bootstrap; p: exact McNemar test of the images that one alone has right, or, where
               patients have several images, the share of the bootstrap's draws beyond zero
    AUC        DeLong's test for the macro area, by patient as Obuchowski 1997
    the rest   paired bootstrap, and its p
Over seeds that both groups have: Wilcoxon's signed-rank test, with the Hodges-Lehmann difference (the median of the
means of all pairs of differences) and its interval (Hollander & Wolfe 1999, section 3.2 and 3.3). It says what other
seeds would give on these same images, not what other images would.

p of several comparisons: Holm 1979. A verdict is that of the interval.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from scipy.stats import PermutationMethod, binomtest, norm, wilcoxon

from colora.metrics import bootstrap, delong, figures
from colora.metrics.bootstrap import DRAWS, LEVEL, Sample
from colora.metrics.estimates import Z
from colora.metrics.figures import Predicted

POWER = 0.8
MCNEMAR, PAIRED, DELONG, WILCOXON = "exact McNemar", "paired bootstrap", "DeLong", "Wilcoxon signed-rank"
DISAGREEMENT = 0.1  # one of two is right: on real scans 0.07 (ResNet-18) and 0.09 (SqueezeNet) in the median of pairs
FEWEST_PAIRS = 6  # with five no interval of 95 % exists: 1 of 32 lies on each side


@dataclass(frozen=True)
class Difference:
    """a minus b, from `low` to `high`; `p` two-sided, of `test`; `smallest`: the difference that these images would
    have shown in four of five such studies. What cannot be said is None, with the `reason`."""

    difference: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    test: str | None = None
    smallest: float | None = None
    reason: str | None = None

    @property
    def beyond_chance(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; with `reason` only where there is one."""
        return {k: v for k, v in asdict(self).items() if k != "reason" or v}


@dataclass(frozen=True, eq=False)
class Drawn:
    """One model on some images: its figures over all classes, `values` {figure: float}, and in each draw, `draws`
    {figure: (D,)}; `area` the macro AUC, None where all images are of one class."""

    model: Predicted
    values: dict[str, float]
    draws: dict[str, np.ndarray]
    area: delong.Area | None

    @classmethod
    def of(
        cls, labels: np.ndarray, probabilities: np.ndarray, sample: Sample, draws: int = DRAWS, seed: int = 0
    ) -> "Drawn":
        """Models that are held against each other have the same sample, draws and seed."""
        model = Predicted(np.asarray(labels, dtype=np.int64), np.asarray(probabilities))
        values = model.under(np.ones((1, len(labels)))).overall
        return cls(
            model,
            {name: float(value[0]) for name, value in values.items()},
            bootstrap.drawn_figures([model], sample, draws, seed)[0].overall,
            delong.macro(delong.class_areas(model.labels, model.probabilities)),
        )


def on_images(
    labels: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    patients: np.ndarray | None = None,
    ordinal: bool = False,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Difference]:
    """{figure: Difference} over all classes, of probabilities `a` and `b` (N, C) of the same images."""
    sample = Sample.of(labels, patients)
    return between(*(Drawn.of(labels, p, sample, draws, seed) for p in (a, b)), sample, ordinal)


def between(a: Drawn, b: Drawn, sample: Sample, ordinal: bool = False) -> dict[str, Difference]:
    """`on_images` of models whose draws are made, as where several are held against each other."""
    found = {
        name: _by_draws(a.values[name] - b.values[name], a.draws[name] - b.draws[name], sample)
        for name in figures.names(ordinal)
    }
    found["accuracy"] = _of_accuracy(found["accuracy"], (a.model, b.model), sample)
    if a.area is None or b.area is None:
        found["auc"] = Difference(None, reason="all images are of one class")
    else:
        found["auc"] = of_areas(a.area, b.area, a.model.labels, sample)
    return found


def _by_draws(difference: float, drawn: np.ndarray, sample: Sample) -> Difference:
    if not math.isfinite(difference):
        return Difference(None, reason="not defined for both")
    low, high = (float(end) for end in bootstrap.percentiles(drawn))
    if reason := bootstrap.why_no_interval(low, high, sample):
        return Difference(difference, reason=reason)
    smallest = (Z + norm.ppf(POWER)) * float(np.nanstd(drawn))
    return Difference(difference, low, high, bootstrap.two_sided(drawn), f"{PAIRED} of {sample.drawn}", smallest)


def _of_accuracy(found: Difference, models: tuple[Predicted, Predicted], sample: Sample) -> Difference:
    right_a, right_b = (m.called == m.labels for m in models)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    if not only_a + only_b:
        return replace(found, reason="both are right on the same images")
    if sample.clustered or found.low is None:
        return found
    return replace(found, p=mcnemar(only_a, only_b), test=MCNEMAR)


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided p of as many images that a alone has right, and b alone, at least one of them."""
    return float(binomtest(min(only_a, only_b), only_a + only_b, 0.5).pvalue)


def of_areas(a: delong.Area, b: delong.Area, strata: np.ndarray, sample: Sample) -> Difference:
    """Two areas of the same images; `strata` as in `delong.variance`."""
    difference = a.value - b.value
    spread = delong.variance(a.influence - b.influence, strata, sample)
    if spread is None:
        return Difference(difference, reason=f"one of the classes has a single {sample.drawn[:-1]}")
    if not spread:
        alike = "both rank all images alike" if not difference else "every image has the same part in it"
        return Difference(difference, reason=alike)
    error = math.sqrt(spread)
    p = float(2 * norm.sf(abs(difference) / error))
    test = f"{DELONG} by patient" if sample.clustered else DELONG
    smallest = float((Z + norm.ppf(POWER)) * error)
    return Difference(difference, difference - Z * error, difference + Z * error, p, test, smallest)


def over_seeds(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Of S pairs of a figure, seed by seed: the Hodges-Lehmann difference with its interval, at least 95 %."""
    d = np.round(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64), 12)  # 0.95 - 0.94 ties 0.93 - 0.92
    if not len(d) or not np.isfinite(d).all():
        return Difference(None, reason="no seed that both have" if not len(d) else "not defined for every seed")
    if len(d) < 2:
        return Difference(float(d[0]), reason="one pair of seeds says nothing of how others vary")
    if not d.any():
        return Difference(0.0, reason="every pair of seeds is level")
    walsh = np.sort([(d[i] + d[j]) / 2 for i, j in combinations_with_replacement(range(len(d)), 2)])
    centre = float(np.median(walsh))
    sizes = np.abs(d[d != 0])
    plain = len(sizes) == len(d) and len(np.unique(sizes)) == len(d)
    p = float(wilcoxon(d, method="exact" if plain else PermutationMethod(n_resamples=2**13, rng=0)).pvalue)
    if len(d) < FEWEST_PAIRS:
        reason = f"{len(d)} pairs of seeds allow no interval of 95 %: {FEWEST_PAIRS} do"
        return Difference(centre, p=p, test=WILCOXON, reason=reason)
    outside = signed_rank_quantile(len(d))
    return Difference(centre, float(walsh[outside]), float(walsh[-1 - outside]), p, WILCOXON)


def signed_rank_quantile(n: int, level: float = LEVEL) -> int:
    """How many of the ordered means of pairs lie outside the interval on each side: the largest k with
    P(T <= k) <= (1 - level) / 2, of Wilcoxon's T of n pairs under no difference; -1 where there is none."""
    ways = np.zeros(n * (n + 1) // 2 + 1)
    ways[0] = 1
    for rank in range(1, n + 1):
        ways[rank:] = ways[rank:] + ways[:-rank]
    below = np.cumsum(ways) / 2.0**n  # P(T <= k)
    return int(np.searchsorted(below, (1 - level) / 2, side="right")) - 1


def holm(p: Sequence[float | None]) -> list[float | None]:
    """The same p for as many comparisons, in the same order (Holm 1979); None stays None and counts for none."""
    known = sorted((value, place) for place, value in enumerate(p) if value is not None)
    found: list[float | None] = [None] * len(p)
    largest = 0.0
    for rank, (value, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        found[place] = largest
    return found


def resolves(images: int, disagreement: float = DISAGREEMENT) -> float:
    """The smallest difference in accuracy that `images` > 0 independent images show in four of five studies, where two
    models answer differently, one of them rightly, on that share of them (Connor 1987, small differences)."""
    return min(1.0, float(Z + norm.ppf(POWER)) * math.sqrt(disagreement / images))


def says(name_a: str, name_b: str, found: Difference, images: int, patients: int | None) -> str:
    """The verdict on the accuracy in a sentence."""
    on = f"{images:,} images" + (f" of {patients:,} patients" if patients else "")
    if found.difference is None or found.low is None or found.high is None:
        told = "" if found.difference is None else f", {_points(abs(found.difference))} apart,"
        return f"{name_a} and {name_b}{told} cannot be told apart on {on}: {found.reason}."
    a_leads = found.difference >= 0
    ahead, behind = (name_a, name_b) if a_leads else (name_b, name_a)
    low, high = (found.low, found.high) if a_leads else (-found.high, -found.low)
    interval = f"[{100 * low:z.1f}, {100 * high:z.1f}]"
    gap = f"{_points(abs(found.difference))} {interval} on {on}"
    if found.beyond_chance:
        return f"{ahead} is ahead of {behind} by {gap}: more than chance."
    limit = f": {images:,} images cannot tell less than {_points(found.smallest)} apart" if found.smallest else ""
    return f"{ahead} and {behind} are {gap} apart, which is within noise{limit}."


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"
