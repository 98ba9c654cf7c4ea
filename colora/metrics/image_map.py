"""A map of images: the two directions in which a model's features of its training images differ most.

Principal components of features brought to length 1, since nearness is the angle between them elsewhere too
(`prediction.known`). They are of the training images alone, so that every split lies on the same axes, and an image
stays where it is when others come. benchmarks/image_map.py compares them with t-SNE and UMAP.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import eigsh

from colora.metrics.likeness import highest, of_length_one

ROWS = 4096  # at a time: of 2,048 features 34 MB
SMALL = 16  # features, up to which all eigenvectors are as quick
HALVINGS = 20  # of the tolerance of an outline
DECIMALS = 3  # of a corner: on a map some 6 wide, less than a pixel


@dataclass(frozen=True, eq=False)
class Axes:
    """mean (D,) and directions (D, 2) float64, on which the training images' standard deviation along the first is 1;
    `shares` (2,): of all that their features differ, what lies along each, in [0, 1], the larger one first."""

    mean: np.ndarray
    directions: np.ndarray
    shares: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> "Axes":
        """From features (N, D) of training images. Raises ValueError where there is none."""
        if np.ndim(features) != 2 or not np.size(features):
            raise ValueError(f"features (N, D) of at least one image, got {np.shape(features)}")
        count, width = features.shape
        mean = np.sum([x.sum(0, dtype=np.float64) for _, x in _units(features)], axis=0) / count
        covariance = np.zeros((width, width))
        for _, x in _units(features):
            x = x - mean.astype(np.float32)
            covariance += x.T @ x / count
        spread, vectors = _largest_two(covariance)
        length = np.sqrt(spread[0]) if spread[0] > 0 else 1.0  # of images that are all the same
        return cls(mean, vectors / length, spread / max(float(np.trace(covariance)), 1e-30))

    def places(self, features: np.ndarray) -> np.ndarray:
        """(M, D) -> (M, 2) float32. Raises ValueError for features of another length."""
        if np.ndim(features) != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"{len(self.mean)} features an image, got {np.shape(features)}")
        found = np.empty((len(features), 2), dtype=np.float32)
        for rows, x in _units(features):
            found[rows] = (x - self.mean) @ self.directions
        return found


def _largest_two(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance (2,) along the two directions of most, and these (D, 2), each one way round whoever asks; zeros where
    there is no second. Of 2,048 features all eigenvectors would take ten seconds, and the first two take a tenth."""
    width = len(covariance)
    if width > SMALL and covariance.any():
        start = np.random.default_rng(0).normal(size=width)  # or other bits each time
        values, vectors = eigsh(covariance, k=2, v0=start)
    else:
        values, vectors = np.linalg.eigh(covariance)
    variances, directions = np.zeros(2), np.zeros((width, 2))
    for axis, column in enumerate(np.argsort(-values)[:2]):
        along = vectors[:, column]
        directions[:, axis] = along * np.sign(along[np.argmax(np.abs(along))])
        variances[axis] = max(values[column], 0.0)
    return variances, directions


def nearest(features: np.ndarray, row: int, count: int) -> np.ndarray:
    """Positions of the `count` images whose features (N, D) have the smallest angle to those of `row`, itself among
    them and first."""
    own = next(x for _, x in _units(features[row : row + 1]))[0]
    cosines = np.concatenate([x @ own for _, x in _units(features)])  # (N,)
    cosines[row] = np.inf
    return highest(cosines, count)


def inside(places: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(N,) bool: which of the places (N, 2) lie within an outline of corners (K, 2), by the even-odd rule."""
    x, y = np.asarray(places, dtype=np.float64).T
    found = np.zeros(len(x), dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            crosses = (y0 > y) != (y1 > y)
            found ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return found


def simplified(corners: np.ndarray, most: int) -> np.ndarray:
    """An outline (K, 2), of which a hand draws hundreds of corners, as exactly as `most` of them, rounded, can."""
    corners = np.asarray(corners, dtype=np.float64)
    low, high = 0.0, 2 * float(np.ptp(corners, axis=0).max()) + 1e-9
    found = _fewer(corners, low)
    if len(found) > most:
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if len(_fewer(corners, middle)) > most else (low, middle)
        found = _fewer(corners, high)
    return np.round(found, DECIMALS)


def _fewer(corners: np.ndarray, tolerance: float) -> np.ndarray:
    """Douglas and Peucker's rule (1973): corners that lie within `tolerance` of a line between others go."""
    keep = np.zeros(len(corners), dtype=bool)
    keep[[0, -1]] = True
    parts = [(0, len(corners) - 1)]
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        (x0, y0), (x1, y1) = corners[first], corners[last]
        x, y = corners[first + 1 : last].T
        length = np.hypot(x1 - x0, y1 - y0)
        away = np.abs((x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0)) / length if length else np.hypot(x - x0, y - y0)
        farthest = first + 1 + int(np.argmax(away))
        if away.max() > tolerance:
            keep[farthest] = True
            parts += [(first, farthest), (farthest, last)]
    return corners[keep]


def _units(features: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """ROWS at a time, float32, of length 1."""
    for start in range(0, len(features), ROWS):
        rows = slice(start, start + ROWS)
        yield rows, of_length_one(np.asarray(features[rows], dtype=np.float32))
