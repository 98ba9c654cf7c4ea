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
    """The largest difference of a figure among parts: `higher` minus `lower`, with its interval for so many
    `comparisons` at once."""

    higher: str
    lower: str
    difference: Estimate
    comparisons: int

    @property
    def by_chance(self) -> bool:
        """Whether the interval holds zero."""
        return self.difference.low is not None and self.difference.low <= 0

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


def largest_gap(found: Mapping[str, Estimate]) -> Gap | None:
    """Among parts {name: the figure}, of those that have an interval; None where fewer than two have."""
    known = {name: each for name, each in found.items() if each.low is not None}
    pairs = list(combinations(known, 2))
    if not pairs:
        return None
    one, other = max(pairs, key=lambda pair: abs(known[pair[0]].value - known[pair[1]].value))
    higher, lower = (one, other) if known[one].value >= known[other].value else (other, one)
    return Gap(higher, lower, difference(known[higher], known[lower], len(pairs)), len(pairs))
