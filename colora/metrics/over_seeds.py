"""What several seeds' models say together: each figure as median, quartiles and range over the seeds, and as one model.

That one model is their ensemble, the mean of their probabilities: whole numbers that have to add up, and the images
behind them, can only be of one model (a median of each cell of a confusion matrix is the matrix of none).

Quartiles are linear interpolations between the seeds' values, as everywhere here. A value that a seed does not have is
NaN and counts for nothing; where no seed has one, the spread is NaN too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from colora.metrics import classification

GRID = 201  # points of an averaged curve: every half per cent
SPREAD = ("median", "q1", "q3", "low", "high")
Predictions = list[tuple[np.ndarray, np.ndarray]]
"""(labels (N,), probabilities (N, C)) of each seed, on the same images."""


def spreads(values: np.ndarray) -> dict[str, np.ndarray]:
    """{"n", "median", "q1", "q3", "low", "high"}, each (...), of values (S, ...) over the S seeds."""
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=0)  # NaN last
    n = np.isfinite(ordered).sum(axis=0)

    def quantile(share: float) -> np.ndarray:
        place = share * np.maximum(n - 1, 0)
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, np.maximum(n - 1, 0))
        low, high = (np.take_along_axis(ordered, index[None], axis=0)[0] for index in (below, above))
        return low + (high - low) * (place - below)

    found = zip(SPREAD, map(quantile, (0.5, 0.25, 0.75, 0.0, 1.0)), strict=True)
    return {"n": n, **dict(found)}


@dataclass(frozen=True)
class Spread:
    """How a figure varies over seeds: median, quartiles (linear interpolation) and range of n values."""

    n: int
    median: float
    q1: float
    q3: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Any) -> "Spread | None":
        """None if there is no value that is a number."""
        v = np.asarray([x for x in values if x is not None and np.isfinite(x)], dtype=np.float64)
        if not len(v):
            return None
        found = spreads(v)
        return cls(len(v), *(float(found[name]) for name in SPREAD))

    def as_dict(self) -> dict[str, float]:
        return {"n": self.n, "median": self.median, "iqr": [self.q1, self.q3], "range": [self.low, self.high]}


def ensemble(probabilities: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """(N, C) float64, rows sum to 1: the mean of S seeds' probabilities, each (N, C) of the same images."""
    total = np.zeros(probabilities[0].shape)
    for each in probabilities:
        total += each
    return total / len(probabilities)


def one_model(probabilities: Sequence[np.ndarray] | np.ndarray, one: int | None = None) -> np.ndarray:
    """(N, C) of the model whose whole numbers stand for S seeds: that of the seed at position `one`, else the ensemble;
    of a single seed its own."""
    if len(probabilities) == 1:
        return probabilities[0]
    return ensemble(probabilities) if one is None else probabilities[one]


@dataclass(frozen=True)
class Outcome:
    """Everything that is said about the models of S seeds on one split.

    matrix (C, C) int counts of `one_model`, rows true classes; joint: its accuracy and auc (macro) where it is the
    ensemble, else None; matrices (S, C, C) as `matrix`, of each seed; figures: one row a class and seed (class, seed
    position, n, auc, average_precision, recall, precision, specificity); whole: one row a seed (accuracy, auc,
    auc_micro, loss); roc and precision_recall: one table a class with a column x and the columns of `spreads`, None
    where it is not defined.
    """

    images: int
    matrix: np.ndarray
    joint: dict[str, float | None] | None
    matrices: np.ndarray
    figures: pd.DataFrame
    whole: pd.DataFrame
    roc: list[pd.DataFrame | None]
    precision_recall: list[pd.DataFrame | None]


def outcome(predictions: Predictions, class_names: list[str], one: int | None = None) -> Outcome:
    """Of at least one seed; the seeds' images are the same. `one` as in `one_model`."""
    labels, joint = predictions[0][0], None
    model = one_model([p for _, p in predictions], one)
    if len(predictions) > 1 and one is None:
        joint = {"accuracy": classification.accuracy(labels, model), "auc": classification.macro_auc(labels, model)}
    counts = [classification.class_counts(labels, p) for labels, p in predictions]
    reports = [
        classification.report(*seed, class_names, known) for seed, known in zip(predictions, counts, strict=True)
    ]
    rows: list[dict[str, Any]] = [
        {"class": name, "seed": s, **figures}
        for s, report in enumerate(reports)
        for name, figures in report["per_class"].items()
    ]
    numbers = ["auc", "average_precision", "recall", "precision", "specificity"]
    return Outcome(
        images=reports[0]["n"],
        matrix=classification.confusion_matrix(labels, model),
        joint=joint,
        matrices=np.array([report["confusion_matrix"] for report in reports]),
        figures=pd.DataFrame(rows).astype(dict.fromkeys(numbers, float)),
        whole=pd.DataFrame([{k: r[k] for k in ("accuracy", "auc", "auc_micro", "loss")} for r in reports], dtype=float),
        roc=[roc_band(seeds) for seeds in zip(*counts, strict=True)],
        precision_recall=[precision_recall_band(seeds) for seeds in zip(*counts, strict=True)],
    )


def row_shares(matrices: np.ndarray) -> np.ndarray:
    """(..., C, C) in [0, 1]: each cell's share of its true class; NaN in the row of a class without images."""
    counts = np.asarray(matrices, dtype=np.float64)
    totals = counts.sum(axis=-1, keepdims=True)
    return np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)


def roc_band(seeds: Sequence[classification.Counts | None]) -> pd.DataFrame | None:
    """Recall of a class over 1 - specificity (x): of one seed at its own thresholds, of several on a common grid; None
    where it is not defined.

    Between two thresholds a seed's curve is a straight line (Fawcett 2006, vertical averaging).
    """
    curves = [classification.roc(counts) for counts in seeds if counts]
    if not curves:
        return None
    if len(curves) == 1:
        x, recall = curves[0]
        return _table(x, recall[None])
    grid = np.linspace(0, 1, GRID)
    recalls = np.stack([np.interp(grid, x, recall) for x, recall in curves])  # (S, GRID)
    table = _table(grid, recalls)
    start = pd.DataFrame([{"x": 0.0, "n": len(curves), **dict.fromkeys(SPREAD, 0.0)}])
    return pd.concat([start, table], ignore_index=True)


def precision_recall_band(seeds: Sequence[classification.Counts | None]) -> pd.DataFrame | None:
    """Precision of a class over recall (x), as in `roc_band`; between two thresholds a step, as average precision has
    it."""
    curves = [classification.precision_recall(counts) for counts in seeds if counts]
    if not curves:
        return None
    grid = np.linspace(0, 1, GRID)
    # A recall of 0.1 is at least the grid's 0.1, whatever their last bits; at 0 the first image that is found counts.
    reached = np.maximum(grid - 1e-9, 1e-9)
    precisions = np.stack([precision[np.searchsorted(recall, reached)] for recall, precision in curves])  # (S, GRID)
    return _table(grid, precisions)


def _table(x: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    """`values` (S, len(x))."""
    return pd.DataFrame({"x": x, **spreads(values)})
