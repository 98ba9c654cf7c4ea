"""Every figure of a classifier, for many weightings of its images at once.

A weighting (N,) says how often each image counts: once each for the figures themselves, as often as it was drawn in a
draw of a bootstrap. So a figure and its draws are the same lines of code, and two thousand draws are a few products of
matrices. All but the two areas are made of sums over images; those of ranks are made of cumulative sums.

A class is held against the rest: called so where it is the most probable one, scored by its probability. Over all
classes accuracy, kappa, MCC, Brier, log loss and ECE are those of the whole table, the others the unweighted mean over
the classes that have images (macro).

    kappa              Cohen 1960; quadratic weights: Cohen 1968, for classes that are in order
    mcc                Matthews 1975; of several classes Gorodkin 2004
    average_precision  the sum of precisions at the steps of recall, without interpolation
    brier              Brier 1950, the sum over classes of (p - y)^2, in [0, 2]; of one class its own part, in [0, 1]
    log_loss           nats; probabilities are kept above 1e-12
    ece                mean |confidence - share right| over bins of equal numbers of images, by confidence (Naeini et
                       al. 2015; Nixon et al. 2019); of one class: of its probability and its share

A figure that is not defined (a class without images, nobody called so, one class alone) is NaN here and a sentence in
`estimates`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

BINS = 10  # of the calibration error
SHARES = ("sensitivity", "specificity", "ppv", "npv")  # each one part of a whole number of images
PER_CLASS = (*SHARES, "f1", "balanced_accuracy", "kappa", "mcc", "auc", "average_precision", "brier", "log_loss", "ece")
OVERALL = ("accuracy", *PER_CLASS)
QUADRATIC = "kappa_quadratic"  # overall, where the classes are in order
TITLES = {  # as people write them
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "kappa": "kappa",
    "kappa_quadratic": "kappa, quadratic",
    "mcc": "MCC",
    "auc": "AUC",
    "auc_micro": "AUC, pooled",
    "average_precision": "average precision",
    "brier": "Brier",
    "log_loss": "log loss",
    "ece": "ECE",
}
SPANS = {  # between which a figure lies; the others between 0 and 1
    "kappa": (-1.0, 1.0),
    "kappa_quadratic": (-1.0, 1.0),
    "mcc": (-1.0, 1.0),
    "brier": (0.0, 2.0),
    "log_loss": (0.0, math.inf),
}
TINY = 1e-12


@dataclass(frozen=True)
class Figures:
    """`overall` {name: (D,)} and `per_class` {name: (D, C)} of D weightings, NaN where a figure is not defined."""

    overall: dict[str, np.ndarray]
    per_class: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Predicted:
    """One model's probabilities (N, C) of images with labels (N,), as what its figures are made of.

    Raises ValueError where there is no image, shapes do not fit, a label is no class or a probability no number in
    [0, 1].
    """

    labels: np.ndarray
    probabilities: np.ndarray

    def __post_init__(self) -> None:
        labels, p = np.asarray(self.labels), np.asarray(self.probabilities)
        if p.ndim != 2 or labels.shape != p.shape[:1] or not len(labels):
            raise ValueError(f"labels (N,) and probabilities (N, C) of N > 0 images, got {labels.shape} and {p.shape}")
        if labels.min() < 0 or labels.max() >= p.shape[1]:
            raise ValueError(f"labels from 0 to {p.shape[1] - 1}, got {labels.min()} to {labels.max()}")
        if not (np.isfinite(p).all() and p.min() >= 0 and p.max() <= 1 + 1e-6):
            raise ValueError("probabilities in [0, 1]")

    @property
    def classes(self) -> int:
        return self.probabilities.shape[1]

    @cached_property
    def called(self) -> np.ndarray:
        """(N,) the most probable class; of equal ones the first."""
        return np.argmax(self.probabilities, axis=1)

    @cached_property
    def members(self) -> np.ndarray:
        """(N, C) bool: which class an image is of."""
        return self.labels[:, None] == np.arange(self.classes)

    @cached_property
    def sums(self) -> np.ndarray:
        """(N, K) float64: what is summed over images. C^2 cells of the confusion matrix, the C + 1 Brier scores and log
        losses (over all first), and the C + 1 times BINS gaps between confidence and truth."""
        p = np.asarray(self.probabilities, dtype=np.float64)
        n, classes = p.shape
        cells = np.zeros((n, classes**2))
        cells[np.arange(n), self.labels.astype(np.int64) * classes + self.called] = 1
        errors = (p - self.members) ** 2
        misses = -np.log(np.clip(np.where(self.members, p, 1 - p), TINY, None))
        own = misses[np.arange(n), self.labels]
        losses = np.column_stack([errors.sum(1), errors, own, misses])
        confidence = np.column_stack([p.max(1), p])
        gaps = confidence - np.column_stack([self.called == self.labels, self.members])
        binned = [by_bin(confidence[:, k], gaps[:, k]) for k in range(classes + 1)]
        return np.concatenate([cells, losses, *binned], axis=1)

    @cached_property
    def _float32_sums(self) -> np.ndarray:
        return self.sums.astype(np.float32)

    @cached_property
    def rankings(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each class (order, last): images by falling score, and the places of the last one of each score."""
        found = []
        for scores in np.asarray(self.probabilities).T:
            order = np.argsort(-scores)
            found.append((order, np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)))
        return found

    @cached_property
    def _ranked_members(self) -> list[np.ndarray]:
        return [self.members[order, c] for c, (order, _) in enumerate(self.rankings)]

    def under(self, weights: np.ndarray) -> Figures:
        """The figures of each weighting of `weights` (D, N): float64 to the last digits, float32 to six."""
        found = self.sums_under(weights)
        present = np.isfinite(found.per_class["sensitivity"])
        areas = [self._areas(c, weights) for c in range(self.classes)]
        for name, each in zip(("auc", "average_precision"), zip(*areas, strict=True), strict=True):
            found.per_class[name] = np.stack(each, 1)
            found.overall[name] = _macro(found.per_class[name], present)
        return found

    def sums_under(self, weights: np.ndarray) -> Figures:
        """All but AUC and average precision, which take nine tenths of the time because images are ranked for them."""
        sums = self.sums if weights.dtype == np.float64 else self._float32_sums
        totals = (weights @ sums).astype(np.float64)
        classes = self.classes
        cells, losses, gaps = np.split(totals, np.cumsum([classes**2, 2 * (classes + 1)]), axis=1)
        matrices = cells.reshape(-1, classes, classes)
        n = matrices.sum((1, 2))
        per_class = against_rest(matrices)
        brier, log_loss = np.split(losses / n[:, None], 2, axis=1)
        ece = np.abs(gaps).reshape(len(n), classes + 1, BINS).sum(2) / n[:, None]
        present = matrices.sum(2) > 0
        overall = whole_table(matrices)
        overall |= {name: _macro(values, present) for name, values in per_class.items() if name not in overall}
        for name, values in (("brier", brier), ("log_loss", log_loss), ("ece", ece)):
            overall[name], per_class[name] = values[:, 0], values[:, 1:]
        return Figures(overall, per_class)

    def _areas(self, c: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(D,) AUC and (D,) average precision of a class against the rest."""
        order, last = self.rankings[c]
        w = weights[:, order]  # whole numbers, whose sums float32 has exactly, too, up to 16 million
        every = np.cumsum(w, axis=1)
        w *= self._ranked_members[c]
        true = np.cumsum(w, axis=1)
        if len(last) < len(order):
            every, true = every[:, last], true[:, last]
        false = every - true
        positives, negatives = true[:, -1].astype(np.float64), false[:, -1].astype(np.float64)
        steps = np.diff(true, prepend=0)
        precision = np.divide(true, every, out=np.zeros_like(true), where=every > 0)
        average = np.einsum("dt,dt->d", steps, precision, dtype=np.float64)
        true -= steps / 2  # between two thresholds the mean of both
        auc = np.einsum("dt,dt->d", np.diff(false, prepend=0), true, dtype=np.float64)
        return _ratio(auc, positives * negatives), _ratio(average, positives)


def by_bin(confidence: np.ndarray, values: np.ndarray, bins: int = BINS) -> np.ndarray:
    """(N, bins): each image's value in its bin's column, zero elsewhere. Bins hold equal numbers of images, those of
    equal confidence together, as scikit-learn's calibration curve has them."""
    edges = np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1])
    found = np.zeros((len(values), bins))
    found[np.arange(len(values)), np.searchsorted(edges, confidence)] = values
    return found


def against_rest(matrices: np.ndarray) -> dict[str, np.ndarray]:
    """{figure: (D, C)} of each class against the rest, of confusion matrices (D, C, C), rows true classes."""
    total = matrices.sum((1, 2))[:, None]
    tp = np.diagonal(matrices, axis1=1, axis2=2)
    actual, called = matrices.sum(2), matrices.sum(1)
    fn, fp = actual - tp, called - tp
    tn = total - actual - fp
    sensitivity, specificity = _ratio(tp, actual), _ratio(tn, total - actual)
    chance = (actual * called + (total - actual) * (total - called)) / total**2
    margins = actual * (total - actual) * called * (total - called)
    found = {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": _ratio(tp, called),
        "npv": _ratio(tn, total - called),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "kappa": _ratio((tp + tn) / total - chance, 1 - chance),
        "mcc": _ratio(tp * tn - fp * fn, np.sqrt(margins)),
    }
    absent = actual == 0  # whatever is called so is wrong, with any model
    return {name: np.where(absent & (name != "specificity"), np.nan, values) for name, values in found.items()}


def whole_table(matrices: np.ndarray) -> dict[str, np.ndarray]:
    """{figure: (D,)} of whole confusion matrices (D, C, C): accuracy, balanced_accuracy, mcc and both kappas."""
    total = matrices.sum((1, 2))
    right = np.trace(matrices, axis1=1, axis2=2)
    actual, called = matrices.sum(2), matrices.sum(1)
    classes = matrices.shape[1]
    expected = actual[:, :, None] * called[:, None, :] / total[:, None, None]
    agreed = (actual * called).sum(1)
    found = {
        "accuracy": right / total,
        "balanced_accuracy": _macro(_ratio(np.diagonal(matrices, axis1=1, axis2=2), actual), actual > 0),
        "mcc": _ratio(
            right * total - agreed, np.sqrt((total**2 - (actual**2).sum(1)) * (total**2 - (called**2).sum(1)))
        ),
    }
    apart = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes)))
    for name, cost in (("kappa", apart > 0), (QUADRATIC, apart**2)):
        found[name] = 1 - _ratio((matrices * cost).sum((1, 2)), (expected * cost).sum((1, 2)))
    return found


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where whole is zero."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _macro(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(D,) unweighted means of (D, C) over the classes that are present; NaN where one of those is not defined."""
    return _ratio(np.where(present, values, 0).sum(1), present.sum(1))


def once(labels: np.ndarray, probabilities: np.ndarray) -> Figures:
    """The figures themselves: every image counts once; (1,) and (1, C) each."""
    return Predicted(labels, probabilities).under(np.ones((1, len(labels))))


def names(ordinal: bool) -> Iterator[str]:
    """Of the overall figures; quadratic kappa has a meaning only where the classes are in order."""
    for name in OVERALL:
        yield name
        if name == "kappa" and ordinal:
            yield QUADRATIC
