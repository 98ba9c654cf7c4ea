"""How far an image lies from all that a model was trained on, and from where on that is too far.

Mahalanobis's distance to the nearest class's mean with one covariance for all classes (Lee et al. 2018), of features
brought to length 1: those of the network's last map, averaged over its places. benchmarks/foreign compares it with
others. The covariance is shrunk by Ledoit and Wolf's rule (2004), so that fewer images than features will do. The limit
is that of split conformal prediction (Vovk et al. 2005; Bates et al. 2023): validation's images, which no weight was
fitted to, say how far a proper scan may lie.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

ROWS = 1024  # at a time: beside their features, 100,000 images of 512 then take 20 MB
SHARE = 0.95
FLOOR = 1e-6  # of the mean variance: what a direction has at least, in which no training image differs


@dataclass(frozen=True, eq=False)
class Familiar:
    """The training images as the distance needs them: small, whatever their number.

    means (C, D) of the classes that have images, after `whitening` (D, D), in which the shared covariance is 1; both
    float64.
    """

    means: np.ndarray
    whitening: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray) -> "Familiar":
        """From features (N, D) and labels (N,) int of training images; a class may lack images.

        Raises ValueError where there is no image, and for values that are no numbers.
        """
        labels = np.asarray(labels)
        if np.ndim(features) != 2 or not len(labels) or len(features) != len(labels):
            raise ValueError(f"features (N, D) of N labelled images, got {np.shape(features)} and {len(labels)} labels")
        classes, of_class = np.unique(labels, return_inverse=True)
        width = features.shape[1]
        sums = np.zeros((len(classes), width))
        for rows, x in _units(features):
            sums += np.eye(len(classes))[of_class[rows]].T @ x  # (C, D)
        means = sums / np.bincount(of_class)[:, None]
        covariance, fourth = np.zeros((width, width)), 0.0
        for rows, x in _units(features):
            x = x - means[of_class[rows]]
            covariance += x.T @ x
            fourth += float(((x**2).sum(1) ** 2).sum())
        values, vectors = np.linalg.eigh(_shrunk(covariance / len(labels), fourth, len(labels)))
        least = max(FLOOR * float(values.mean()), 1e-12)
        whitening = vectors / np.sqrt(np.maximum(values, least))
        return cls(means @ whitening, whitening)

    def distance(self, features: np.ndarray) -> np.ndarray:
        """(M, D) -> (M,), at least 0: the distance to the nearest class. Raises ValueError for other features."""
        if np.ndim(features) != 2 or features.shape[1] != len(self.whitening):
            raise ValueError(f"{len(self.whitening)} features an image, got {np.shape(features)}")
        found = np.empty(len(features))
        for rows, x in _units(features):
            white = x @ self.whitening  # (rows, D)
            found[rows] = np.min([((white - mean) ** 2).sum(1) for mean in self.means], axis=0)
        return np.sqrt(found)


def _units(features: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """ROWS at a time, float64, of length 1; one of zeros, as of a black image, stays."""
    for start in range(0, len(features), ROWS):
        rows = slice(start, start + ROWS)
        x = np.asarray(features[rows], dtype=np.float64)
        if not np.isfinite(x).all():
            raise ValueError("the features hold values that are no numbers")
        yield rows, x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _shrunk(covariance: np.ndarray, fourth: float, images: int) -> np.ndarray:
    """(D, D) nearer to its mean variance on the diagonal, by Ledoit and Wolf's share in [0, 1].

    `fourth`: the sum over the centred images of their length to the fourth. As sklearn.covariance.LedoitWolf, which
    wants all images at once.
    """
    width = len(covariance)
    mean = float(np.trace(covariance)) / width
    squares = float((covariance**2).sum())
    spread = squares - width * mean**2  # how far from the mean variance
    error = (fourth / images - squares) / images  # of this, what so few images make by chance
    share = min(max(error / spread, 0.0), 1.0) if spread > 0 else 1.0
    return (1 - share) * covariance + share * mean * np.eye(width)


def limit(validation: np.ndarray, share: float = SHARE) -> float:
    """The score above which an image counts as foreign, from validation's scores (V,).

    Of images like validation's at most 1 - `share`, in (0, 1), lie above it on average. Where so few images cannot say
    that (below 19 of a share of 0.95) it is the largest of them. Raises ValueError where there is none.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share lies between 0 and 1, got {share}")
    if not len(validation):
        raise ValueError("a limit needs validation images, and there are none")
    place = min(math.ceil((len(validation) + 1) * share - 1e-9), len(validation))
    return float(np.sort(validation)[place - 1])


def share_below(ascending: np.ndarray, value: float) -> float:
    """The share in [0, 1] of a sorted sample (V,) that is smaller; 0 of none."""
    return float(np.searchsorted(ascending, value, side="left") / max(len(ascending), 1))


@dataclass(frozen=True, eq=False)
class Scales:
    """Of S seeds, on whose scales 0 is validation's median and 1 its limit, since seeds' features are not of one
    spread: `middle` and `width`, (S, 1) each; `known` (V,) ascending are validation's own joint distances, and `limit`
    is theirs."""

    middle: np.ndarray
    width: np.ndarray
    known: np.ndarray
    limit: float

    @classmethod
    def of(cls, validation: np.ndarray, share: float = SHARE) -> "Scales":
        """From the seeds' distances of the validation images, (S, V)."""
        known = np.asarray(validation, dtype=np.float64)
        middle = np.median(known, axis=1, keepdims=True)
        ends = np.array([[limit(seed, share)] for seed in known])
        width = np.maximum(ends - middle, 1e-12)
        joint = np.sort(((known - middle) / width).mean(axis=0))
        return cls(middle, width, joint, limit(joint, share))

    def joint(self, distances: np.ndarray) -> np.ndarray:
        """(M,): the mean over the seeds of their distances (S, M), each on its scale."""
        return ((distances - self.middle) / self.width).mean(axis=0)
