"""Measures of how foreign a picture is, all of one form: fitted to training images, then larger the more foreign.

Distances in feature space (Mahalanobis: Lee et al. 2018; relative: Ren et al. 2021; nearest neighbours: Sun et al.
2022) beside what the probabilities tell (Hendrycks & Gimpel 2017; mutual information over seeds).
"""

from collections.abc import Callable

import numpy as np
from sklearn.covariance import LedoitWolf

from colora.metrics.classification import entropy
from colora.metrics.novelty import Familiar
from colora.metrics.uncertainty import mutual_information

NEIGHBOURS = (1, 5, 10)
Score = Callable[[np.ndarray], np.ndarray]
"""(M, D) features -> (M,), or (S, M, C) probabilities -> (M,)."""


def unit(x: np.ndarray) -> np.ndarray:
    """(N, D) rows of length 1; a row of zeros stays."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def distances(features: np.ndarray, labels: np.ndarray) -> dict[str, Score]:
    """Every distance to training features (N, D) with labels (N,), raw and brought to length 1."""
    raw, ones = features.astype(np.float64), unit(features.astype(np.float64))
    found = {f"{name}, raw": score for name, score in _fitted(raw, labels).items()}
    found |= {f"{name}, unit": _of_units(score) for name, score in _fitted(ones, labels).items()}
    return found | {"Mahalanobis, unit": Familiar.of(features, labels).distance}  # the one that the app has


def _of_units(score: Score) -> Score:
    return lambda x: score(unit(x.astype(np.float64)))


def _fitted(x: np.ndarray, labels: np.ndarray) -> dict[str, Score]:
    classes = np.unique(labels)
    means = np.stack([x[labels == c].mean(0) for c in classes])  # (C, D)
    shared, whole = _white(x - means[np.searchsorted(classes, labels)]), _white(x - x.mean(0))

    def to(white: np.ndarray, centres: np.ndarray) -> Score:
        def score(y: np.ndarray) -> np.ndarray:
            return np.min([(((y - centre) @ white) ** 2).sum(1) for centre in centres], axis=0)

        return score

    def nearest(k: int) -> Score:
        def score(y: np.ndarray) -> np.ndarray:
            squares = (y**2).sum(1)[:, None] + (x**2).sum(1) - 2 * y @ x.T
            return np.sqrt(np.partition(squares, k - 1, axis=1)[:, k - 1].clip(0))

        return score

    mahalanobis, background = to(shared, means), to(whole, x.mean(0)[None])
    return {
        "Mahalanobis": lambda y: np.sqrt(mahalanobis(y)),
        "Mahalanobis of one class": lambda y: np.sqrt(background(y)),
        "relative Mahalanobis": lambda y: mahalanobis(y) - background(y),
        "cosine to a class's mean": lambda y: 1 - (unit(y) @ unit(means).T).max(1),
        **{f"neighbour {k}": nearest(k) for k in NEIGHBOURS},
    }


def _white(centred: np.ndarray) -> np.ndarray:
    """(D, D): what brings the shrunk covariance to 1."""
    values, vectors = np.linalg.eigh(LedoitWolf(assume_centered=True).fit(centred).covariance_)
    return vectors / np.sqrt(np.maximum(values, 1e-12))


PROBABILITIES: dict[str, Score] = {
    "1 - maximum softmax": lambda p: 1 - p.mean(0).max(1),
    "entropy": lambda p: entropy(p.mean(0)),
    "mutual information": mutual_information,
}
"""Of the mean over seeds, and between them."""
