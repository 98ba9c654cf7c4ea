"""How much a figure differs between two parts of a set, and which of many parts differ most.

The difference's interval is put together of the two figures' own, whatever kind they are: MOVER (Zou & Donner 2008),
which of two shares is Newcombe's method 10 (1998). It takes the parts as independent: where they share patients it is
wide. Who looks for the largest of many differences finds one by chance, so its interval is widened until all of them
hold at once in 95 % of studies (Bonferroni).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import Any

from colora.metrics.bootstrap import LEVEL
from colora.metrics.estimates import Estimate, Z

MOVER = "MOVER"


@dataclass(frozen=True)
class Gap:
    """The difference of a figure between two parts, `higher` minus `lower`, at least 0, with its interval for so many
    `comparisons` at once."""

    higher: str
    lower: str
    difference: Estimate
    comparisons: int

    @property
    def by_chance(self) -> bool:
        """Whether the interval holds zero."""
        return self.difference.low is not None and self.difference.low <= 0

    @property
    def rank(self) -> tuple[float, float]:
        """The higher, the surer to be one: by the lower end where that is above zero, else by its size."""
        low = self.difference.low or 0.0
        return max(low, 0.0), self.difference.value or 0.0

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "higher": self.higher,
            "lower": self.lower,
            "difference": self.difference.as_dict(),
            "comparisons": self.comparisons,
            "more_than_chance": not self.by_chance,
        }


def difference(a: Estimate, b: Estimate, comparisons: int = 1) -> Estimate:
    """a minus b, each a figure with its 95 % interval on images of its own; the interval holds for so many comparisons
    at once. Raises ValueError where one has no interval."""
    ends = (a.value, a.low, a.high, b.value, b.low, b.high)
    if None in ends or comparisons < 1:
        raise ValueError(f"two figures with intervals and at least one comparison, got {a}, {b}, {comparisons}")
    wider = NormalDist().inv_cdf(1 - (1 - LEVEL) / (2 * comparisons)) / Z
    below = wider * math.hypot(a.value - a.low, b.high - b.value)
    above = wider * math.hypot(a.high - a.value, b.value - b.low)
    found = a.value - b.value
    how = MOVER if comparisons == 1 else f"{MOVER}, {comparisons} at once"
    return Estimate(found, found - below, found + above, how)


def pairs_of(found: Mapping[str, Estimate]) -> list[tuple[str, str]]:
    """Of parts {name: the figure} each two that have an interval, the one with the higher figure first."""
    known = [name for name, each in found.items() if each.low is not None]
    return [(a, b) if found[a].value >= found[b].value else (b, a) for a, b in combinations(known, 2)]


def largest_gap(found: Mapping[str, Estimate], comparisons: int | None = None) -> Gap | None:
    """Among parts {name: the figure}, of those that have an interval, the gap of highest `rank`, as one of so many
    comparisons, by default of these parts' own; None where fewer than two have one."""
    pairs = pairs_of(found)
    at_once = len(pairs) if comparisons is None else comparisons
    gaps = [Gap(a, b, difference(found[a], found[b], at_once), at_once) for a, b in pairs]
    return max(gaps, key=lambda gap: gap.rank) if gaps else None
