"""How well a map of where a model looks meets a place that is known."""

import numpy as np
from scipy.stats import spearmanr

TOLERANCE = 15 / 224  # of the side: 15 pixels of 224, as Zhang et al. 2018 have it (doi:10.1007/s11263-017-1059-x)


def pointing_hit(values: np.ndarray, there: np.ndarray) -> bool:
    """The pointing game: whether the largest of values (S, S) lies in `there` (S, S) bool, or within TOLERANCE of it.
    Raises ValueError where nothing is there."""
    if not there.any():
        raise ValueError("there is no place to point at")
    from scipy.ndimage import distance_transform_edt

    away = distance_transform_edt(~there)
    return bool(away[np.unravel_index(np.argmax(values), values.shape)] <= TOLERANCE * len(values))


def intersection_over_union(values: np.ndarray, there: np.ndarray) -> float:
    """Of `there` (S, S) bool and as many of the largest values (S, S), in 0..1: no threshold is chosen. Raises
    ValueError where nothing is there."""
    count = int(there.sum())
    if not count:
        raise ValueError("there is no place to meet")
    marked = np.zeros(values.size, bool)
    marked[np.argsort(-values, axis=None, kind="stable")[:count]] = True
    both = int((marked.reshape(there.shape) & there).sum())
    return both / (2 * count - both)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Spearman's, of two maps of one shape, in -1..1; None where one of them is the same everywhere."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b, axis=None).statistic)
