"""Which images a model finds alike: those whose features point the same way (cosine)."""

import numpy as np


def of_length_one(features: np.ndarray) -> np.ndarray:
    """(N, D) -> (N, D), each row of length 1; one of zeros stays."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def highest(cosines: np.ndarray, count: int) -> np.ndarray:
    """Positions of the `count` highest of (N,), or of all where there are fewer: the highest first, of equal ones the
    earlier."""
    least = np.partition(cosines, -count)[-count] if len(cosines) > count else -np.inf
    rows = np.flatnonzero(cosines >= least)  # far fewer to sort
    return rows[np.argsort(-cosines[rows], kind="stable")][:count]
