"""From predictions to metrics: pure functions of labels (N,) and probabilities (N, C).

One-vs-rest throughout, as in the paper (section 4.3), but with specificity as TN / (TN + FP) where TN counts
every image
that is neither in the class nor called so; the paper's eq. 23 leaves the confusions among the other classes out.
"""

from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix as _confusion_matrix
from sklearn.metrics import roc_auc_score, roc_curve


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


def class_auc(labels: np.ndarray, probabilities: np.ndarray) -> list[float | None]:
    """Area under each class's one-vs-rest ROC, length C; None for a class with no image in it, or with all of them."""
    areas: list[float | None] = []
    for c in range(probabilities.shape[1]):
        member = labels == c
        defined = 0 < member.sum() < len(member)
        areas.append(float(roc_auc_score(member, probabilities[:, c])) if defined else None)
    return areas


def macro_auc(labels: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Unweighted mean of the classes' AUC where it is defined; None if it is for none."""
    areas = [a for a in class_auc(labels, probabilities) if a is not None]
    return float(np.mean(areas)) if areas else None


def confusion_matrix(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(C, C) int counts: rows are true classes, columns predicted ones."""
    classes = probabilities.shape[1]
    return _confusion_matrix(labels, np.argmax(probabilities, axis=1), labels=np.arange(classes))


def per_class(matrix: np.ndarray) -> list[dict[str, float | int | None]]:
    """For each class of a confusion matrix: n, recall (sensitivity), precision, specificity, in [0, 1].

    None where the denominator is zero: recall of a class without images, precision of one that was never predicted.
    """

    def share(part: float, whole: float) -> float | None:
        return float(part / whole) if whole else None

    total, rows = matrix.sum(), []
    for c in range(len(matrix)):
        true_positive = matrix[c, c]
        false_negative = matrix[c].sum() - true_positive
        false_positive = matrix[:, c].sum() - true_positive
        true_negative = total - true_positive - false_negative - false_positive
        rows.append(
            {
                "n": int(matrix[c].sum()),
                "recall": share(true_positive, true_positive + false_negative),
                "precision": share(true_positive, true_positive + false_positive),
                "specificity": share(true_negative, true_negative + false_positive),
            }
        )
    return rows


def report(labels: np.ndarray, probabilities: np.ndarray, class_names: list[str]) -> dict[str, Any]:
    """Everything that is said about one model on one split, ready for JSON."""
    matrix = confusion_matrix(labels, probabilities)
    areas = class_auc(labels, probabilities)
    rows = per_class(matrix)
    return {
        "n": len(labels),
        "accuracy": accuracy(labels, probabilities),
        "auc": macro_auc(labels, probabilities),
        "loss": cross_entropy(labels, probabilities),
        "per_class": {name: {"auc": area, **row} for name, area, row in zip(class_names, areas, rows, strict=True)},
        "confusion_matrix": matrix.tolist(),
    }


def roc(labels: np.ndarray, probabilities: np.ndarray, c: int) -> tuple[np.ndarray, np.ndarray]:
    """(1 - specificity, recall) of class c against the rest, both ascending from 0 to 1.

    Raises ValueError where the class has no image, or all of them: the curve is not defined.
    """
    member = labels == c
    if not 0 < member.sum() < len(member):
        raise ValueError(f"class {c} has {member.sum()} of {len(member)} images: its ROC curve is not defined")
    false_positive_rate, recall, _ = roc_curve(member, probabilities[:, c])
    return false_positive_rate, recall
