"""From predictions to metrics: pure functions of labels (N,) and probabilities (N, C).

One-vs-rest throughout, as in the paper (section 4.3), but with specificity as TN / (TN + FP) where TN counts every
image that is neither in the class nor called so; the paper's eq. 23 leaves the confusions among the other classes out.
"""

import math
from typing import Any

import numpy as np

from colora.metrics.figures import against_rest


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Shannon entropy in nats, (N,) in [0, ln C], of probabilities (N, C) whose rows sum to 1 (paper, eq. 24)."""
    p = np.asarray(probabilities, dtype=np.float64)
    return -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=1)


def accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Share of images whose most probable class is the label."""
    return float(np.mean(np.argmax(probabilities, axis=1) == labels))


def cross_entropy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean negative log-likelihood in nats; probabilities are kept above 1e-12."""
    picked = np.asarray(probabilities, dtype=np.float64)[np.arange(len(labels)), labels]
    return float(-np.mean(np.log(np.clip(picked, 1e-12, None))))


Counts = tuple[np.ndarray, np.ndarray]
"""(false, true) positives of one class against the rest, as `_at_thresholds` has them."""


def _at_thresholds(member: np.ndarray, scores: np.ndarray) -> Counts | None:
    """(false, true) positives when images scored at least t are called positive, for every score t from the highest on.

    Both (T + 1,), from 0 to all negatives and all positives. None where one of the two does not occur. It is what
    scikit-learn's curves begin with; ten seeds ask for dozens of them, and its checks would take most of the time.
    """
    if not 0 < member.sum() < len(member):
        return None
    order = np.argsort(-scores)  # not stable, which takes four times as long: all of an equal score count at once
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of the images with the same score
    true = np.cumsum(member[order])[last]
    return np.append(0, last + 1 - true), np.append(0, true)


def class_counts(labels: np.ndarray, probabilities: np.ndarray) -> list[Counts | None]:
    """What each class's curves and areas are made of, length C; None for a class with no image in it, or with all of
    them. Sorting the images is most of the work: whoever needs several of the four counts once."""
    return [_at_thresholds(labels == c, probabilities[:, c]) for c in range(probabilities.shape[1])]


def roc_area(counts: Counts) -> float:
    false, true = counts
    return float(np.trapezoid(true, false) / (true[-1] * false[-1]))


def average_precision(counts: Counts) -> float:
    """Area under the precision-recall steps."""
    false, true = (count[1:] for count in counts)
    return float(np.sum(np.diff(true, prepend=0) * true / (true + false)) / true[-1])


def class_auc(labels: np.ndarray, probabilities: np.ndarray) -> list[float | None]:
    """Area under each class's one-vs-rest ROC, length C; None for a class with no image in it, or with all of them."""
    return [counts and roc_area(counts) for counts in class_counts(labels, probabilities)]


def macro_auc(labels: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Unweighted mean of the classes' AUC where it is defined; None if it is for none."""
    return _mean(class_auc(labels, probabilities))


def _mean(areas: list[float | None]) -> float | None:
    defined = [area for area in areas if area is not None]
    return float(np.mean(defined)) if defined else None


def micro_auc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Area under the ROC of all classes pooled: each image gives C yes-or-no questions, each with its probability."""
    asked = labels[:, None] == np.arange(probabilities.shape[1])  # (N, C)
    counts = _at_thresholds(asked.ravel(), probabilities.ravel())
    assert counts is not None  # each image is in one class and not in the others
    return roc_area(counts)


def confusion_matrix(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(C, C) int counts: rows are true classes, columns predicted ones."""
    classes = probabilities.shape[1]
    cells = labels.astype(np.int64) * classes + np.argmax(probabilities, axis=1)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def per_class(matrix: np.ndarray) -> list[dict[str, float | int | None]]:
    """For each class of a confusion matrix: n, recall (sensitivity), precision, specificity, in [0, 1].

    None where nothing can be said: recall and precision of a class without images (whatever is called so is wrong, with
    any model), precision of one that was never predicted. Specificity is also of a class without images: the share of
    the others that are not called so.
    """

    found = against_rest(np.asarray(matrix, dtype=np.float64)[None])
    columns = {"recall": "sensitivity", "precision": "ppv", "specificity": "specificity"}
    rows: list[dict[str, float | int | None]] = []
    for c in range(len(matrix)):
        own = {name: float(found[figure][0, c]) for name, figure in columns.items()}
        known = {name: None if math.isnan(value) else value for name, value in own.items()}
        rows.append({"n": int(matrix[c].sum()), **known})
    return rows


def report(
    labels: np.ndarray, probabilities: np.ndarray, class_names: list[str], counts: list[Counts | None] | None = None
) -> dict[str, Any]:
    """Everything that is said about one model on one split, ready for JSON; `counts` are its `class_counts`, where they
    are known."""
    matrix = confusion_matrix(labels, probabilities)
    known = class_counts(labels, probabilities) if counts is None else counts
    areas = [each and roc_area(each) for each in known]
    rows = [
        row | {"average_precision": each and average_precision(each)}
        for row, each in zip(per_class(matrix), known, strict=True)
    ]
    return {
        "n": len(labels),
        "accuracy": accuracy(labels, probabilities),
        "auc": _mean(areas),
        "auc_micro": micro_auc(labels, probabilities),
        "loss": cross_entropy(labels, probabilities),
        "per_class": {name: {"auc": area, **row} for name, area, row in zip(class_names, areas, rows, strict=True)},
        "confusion_matrix": matrix.tolist(),
    }


def roc(counts: Counts) -> tuple[np.ndarray, np.ndarray]:
    """(1 - specificity, recall) of a class against the rest, both ascending from 0 to 1, without points amid a line."""
    false, true = counts
    corner = np.append(np.append(True, (np.diff(false, 2) != 0) | (np.diff(true, 2) != 0)), True)
    return false[corner] / false[-1], true[corner] / true[-1]


def precision_recall(counts: Counts) -> tuple[np.ndarray, np.ndarray]:
    """(recall, precision) of a class against the rest at every threshold, recall ascending to 1.

    Precision is a step function of recall: between two points the later one holds.
    """
    false, true = (count[1:] for count in counts)
    return true / true[-1], true / (true + false)
