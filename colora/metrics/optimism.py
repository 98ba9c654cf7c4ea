"""What it is worth to choose the best of many models on the images that judge it: the paper's rule, measured.

Of K models (every epoch of every seed) the highest accuracy on test is higher than that model's accuracy on new images,
even where all are equally good: a maximum of K noisy figures lies above their mean. The draw below says by how much: in
each draw of the test images every model's accuracy moves away from its own, and the largest move is what the choice
would have gained by chance (bootstrap of the maximum; White 2000).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from colora.metrics import bootstrap
from colora.metrics.bootstrap import DRAWS, Sample


@dataclass(frozen=True)
class Optimism:
    """`candidates` K; `best` the highest accuracy on test; `chosen` that of the model which validation chooses;
    `optimism` best minus chosen; `by_chance` the mean gain of choosing among K equally good models, and `low`, `high`
    95 % of its draws."""

    candidates: int
    best: float
    chosen: float
    optimism: float
    by_chance: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def optimism(
    right: np.ndarray, chosen: int, labels: np.ndarray, patients: np.ndarray | None = None,
    draws: int = DRAWS, seed: int = 0,
) -> Optimism:  # fmt: skip
    """Of `right` (K, N) bool, which of N test images each of K > 0 models has right, and the place of the `chosen`
    one; labels and patients (N,) as in `bootstrap.Sample.of`."""
    right = np.asarray(right, dtype=np.float32)
    own = right.mean(1, dtype=np.float64)
    gains = []
    for weights in bootstrap.weightings(Sample.of(labels, patients), draws, seed):
        drawn = (weights @ right.T).astype(np.float64) / weights.sum(1, dtype=np.float64)[:, None]
        gains.append((drawn - own).max(1))
    gain = np.concatenate(gains)
    low, high = (float(end) for end in bootstrap.percentiles(gain))
    best = float(own.max())
    return Optimism(len(right), best, float(own[chosen]), best - float(own[chosen]), float(gain.mean()), low, high)
