"""How far ROC and precision-recall curves would lie apart on other images: pointwise 95 % bands around one model's.

At each 1 - specificity the percentiles of the recalls in the draws of a bootstrap (vertical averaging, Fawcett 2006),
at each recall those of the precisions; by patient where patients are known. The draws of a chunk lie one after another
in one ascending array, in which every grid point of every draw is looked up at once.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from colora.metrics import bootstrap
from colora.metrics.bootstrap import DRAWS, Sample
from colora.metrics.figures import Predicted
from colora.metrics.over_seeds import GRID


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
    for weights in bootstrap.weightings(sample, draws, seed) if sample.units > 1 else ():
        for c in there:
            drawn[c].append(_curves(model, c, weights, grid))
    return [
        ClassBands(*(_band(grid, np.concatenate(part)) for part in zip(*drawn[c], strict=True)))
        if drawn.get(c)
        else ClassBands(None, None)
        for c in range(model.classes)
    ]


def _curves(model: Predicted, c: int, weights: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(D, GRID) recall over 1 - specificity, and (D, GRID) precision over recall, in the draws `weights` (D, N)."""
    order, last = model.rankings[c]
    w = weights[:, order].astype(np.float64)
    true = np.cumsum(w * model.members[order, c], axis=1)[:, last]
    every = np.cumsum(w, axis=1)[:, last]
    false = every - true
    start = np.zeros((len(w), 1))
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw without a positive or a negative has no curve: NaN
        recall = np.hstack([start, true / true[:, -1:]])
        alarms = np.hstack([start, false / false[:, -1:]])
        precision = np.hstack([start, true / every])
    has = np.isfinite(recall[:, -1]) & np.isfinite(alarms[:, -1])
    roc, precisions = np.full((2, len(w), len(grid)), np.nan)
    if has.any():
        roc[has] = _interpolated(alarms[has], recall[has], grid)
        # A recall of 0.1 is at least the grid's 0.1, whatever their last bits; at 0 the first image found counts.
        reached = _places(recall[has], np.maximum(grid - 1e-9, 1e-9), "left")
        precisions[has] = np.take_along_axis(precision[has], reached, axis=1)
    return roc, precisions


def _interpolated(x: np.ndarray, y: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """(D, GRID) of curves (D, T) that ascend: on straight lines between their points, at a step its upper end."""
    above = np.minimum(_places(x, grid, "right"), x.shape[1] - 1)
    below = np.maximum(above - 1, 0)
    x0, x1, y0, y1 = (np.take_along_axis(a, at, axis=1) for a in (x, y) for at in (below, above))
    width = x1 - x0
    share = np.divide(grid - x0, width, out=np.ones_like(width), where=width > 0)
    return y0 + (y1 - y0) * np.clip(share, 0, 1)


def _places(rows: np.ndarray, values: np.ndarray, side: str) -> np.ndarray:
    """(D, V): where `values` (V,) would stand in each ascending row of `rows` (D, T), all in [0, 1]."""
    offsets = 2.0 * np.arange(len(rows))[:, None]
    found = np.searchsorted((rows + offsets).ravel(), (values + offsets).ravel(), side=side)
    return found.reshape(len(rows), -1) - rows.shape[1] * np.arange(len(rows))[:, None]


def _band(grid: np.ndarray, drawn: np.ndarray) -> pd.DataFrame | None:
    low, high = bootstrap.percentiles(drawn)
    if not np.isfinite(low).all() or np.array_equal(low, high):
        return None
    return pd.DataFrame({"x": grid, "low": low, "high": high})
