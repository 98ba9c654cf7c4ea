"""How far ROC and precision-recall curves would lie apart on other images: pointwise 95 % bands around one model's.

At each 1 - specificity the percentiles of the recalls in the draws of a bootstrap (vertical averaging, Fawcett 2006),
at each recall those of the precisions; by patient where patients are known. The counts of a chunk's draws lie one after
another in one ascending array, in which every grid point of every draw is looked up at once.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from colora.metrics import bootstrap
from colora.metrics.bootstrap import DRAWS, Sample
from colora.metrics.figures import Predicted
from colora.metrics.over_seeds import GRID

NEARLY = 1e-6  # of an image: a tenth of 30 is 3, whatever its last bits


@dataclass(frozen=True, eq=False)
class ClassBands:
    """Of one class: tables with the columns x (its GRID points), low and high; None where the class has no curve, or no
    draw changes it, which says nothing of other images."""

    roc: pd.DataFrame | None
    precision_recall: pd.DataFrame | None


def class_bands(model: Predicted, sample: Sample, draws: int = DRAWS, seed: int = 0) -> list[ClassBands]:
    """Of each class, length C. The draws are those of `statistics`."""
    grid = np.linspace(0, 1, GRID)
    there = [c for c in range(model.classes) if 0 < model.members[:, c].sum() < len(model.labels)]
    drawn: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {c: [] for c in there}
    for weights in bootstrap.weightings(sample, draws, seed):
        for c in there:
            drawn[c].append(_curves(model, c, weights, grid))
    return [
        ClassBands(*(_band(grid, np.concatenate(part)) for part in zip(*drawn[c], strict=True)))
        if c in drawn
        else ClassBands(None, None)
        for c in range(model.classes)
    ]


def _curves(model: Predicted, c: int, weights: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(D, GRID) recall over 1 - specificity, and (D, GRID) precision over recall, in the draws `weights` (D, N); NaN of
    a draw without a positive or a negative."""
    true, false = _found(model, c, weights)
    positives, negatives = (counts[:, -1:].astype(np.float64) for counts in (true, false))
    last = true.shape[1] - 1
    alarms = grid * negatives
    above = np.minimum(_places(false, np.floor(alarms + NEARLY), "right"), last)
    below = np.maximum(above - 1, 0)
    f0, f1, t0, t1 = (np.take_along_axis(counts, at, axis=1) for counts in (false, true) for at in (below, above))
    width = f1 - f0
    share = np.divide(alarms - f0, width, out=np.ones_like(alarms), where=width > 0)  # at a step its upper end
    reached = np.minimum(_places(true, np.maximum(np.ceil(grid * positives - NEARLY), 1), "left"), last)
    hits, misses = (np.take_along_axis(counts, reached, axis=1) for counts in (true, false))
    with np.errstate(invalid="ignore"):
        recalls = (t0 + (t1 - t0) * np.clip(share, 0, 1)) / positives
        precisions = hits / np.add(hits, misses, dtype=np.float64)
    return tuple(np.where((positives > 0) & (negatives > 0), each, np.nan) for each in (recalls, precisions))


def _found(model: Predicted, c: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(D, T + 1) true and false positives of a class from none to all, at each of its T scores; whole numbers, which
    float32 has exactly up to 16 million."""
    order, last = model.rankings[c]
    true, false = np.zeros((2, len(weights), len(order) + 1), dtype=weights.dtype)
    w, member = weights[:, order], model.members[order, c]
    np.cumsum(w * member, axis=1, out=true[:, 1:])
    np.cumsum(w * ~member, axis=1, out=false[:, 1:])
    if len(last) == len(order):
        return true, false
    at = np.append(0, last + 1)
    return true[:, at], false[:, at]


def _places(counts: np.ndarray, wanted: np.ndarray, side: str) -> np.ndarray:
    """(D, V): where whole numbers (D, V), none above the last count, would stand in each ascending row (D, T)."""
    offsets = (counts.max() + 1.0) * np.arange(len(counts))[:, None]
    found = np.searchsorted((counts + offsets).ravel(), (wanted + offsets).ravel(), side=side)
    return found.reshape(wanted.shape) - counts.shape[1] * np.arange(len(counts))[:, None]


def _band(grid: np.ndarray, drawn: np.ndarray) -> pd.DataFrame | None:
    low, high = bootstrap.percentiles(drawn)
    if not np.isfinite(low).all() or np.array_equal(low, high):
        return None
    return pd.DataFrame({"x": grid, "low": low, "high": high})
