"""Draws of images with replacement: by class, and whole patients where patients are known.

Efron & Tibshirani 1993. What is drawn is a patient with all its images (Field & Welsh 2007), since images of one
patient are alike; without patients each image is its own. The draw is stratified: every class keeps its number of
patients, where a patient of several classes counts for the one that most of its images have, so that a rare class is in
every draw. Seeded: the same numbers on every machine. Models that are compared get the same draws.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from colora.metrics.figures import Figures, Predicted

DRAWS = 2000
ELEMENTS = 2**18  # images times draws at hand at a time: 1 MB of weights, which stays in the cache (2.9 s become 1.9)
LEVEL = 0.95
FEWEST = 0.9  # of the draws in which a figure has to be defined


@dataclass(frozen=True, eq=False)
class Sample:
    """Images that are drawn together: `unit` (N,) says which, from 0; `stratum` (U,) which class each of the U counts
    for."""

    unit: np.ndarray
    stratum: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, patients: np.ndarray | None = None) -> "Sample":
        """Of labels (N,) from 0, and patients (N,) of any kind of name, None where they are unknown."""
        labels = np.asarray(labels, dtype=np.int64)
        images = cls(np.arange(len(labels)), labels)
        if patients is None:
            return images
        names, unit = np.unique(np.asarray(patients), return_inverse=True)
        if len(names) == len(labels):
            return images  # one image each: in the images' order, not in that of the patients' names
        classes = int(labels.max()) + 1
        counts = np.bincount(unit * classes + labels, minlength=(int(unit.max()) + 1) * classes)
        return cls(unit, counts.reshape(-1, classes).argmax(1))

    @property
    def units(self) -> int:
        return len(self.stratum)

    @property
    def clustered(self) -> bool:
        """Whether a unit has more than one image."""
        return self.units < len(self.unit)

    @property
    def drawn(self) -> str:
        return "patients" if self.clustered else "images"


def weightings(sample: Sample, draws: int = DRAWS, seed: int = 0) -> Iterator[np.ndarray]:
    """How often each draw has each image: (D', N) float32, whose D' sum to `draws`.

    Each stratum is drawn by a generator of its own, so that the draws are the same however many are made at a time.
    """
    members = [np.flatnonzero(sample.stratum == s) for s in np.unique(sample.stratum)]
    generators = np.random.default_rng(seed).spawn(len(members))
    at_once = max(1, ELEMENTS // len(sample.unit))
    for start in range(0, draws, at_once):
        count = min(at_once, draws - start)
        units = np.empty((count, sample.units), dtype=np.float32)
        rows = np.arange(count)[:, None]
        for own, generator in zip(members, generators, strict=True):
            picked = generator.integers(len(own), size=(count, len(own)), dtype=np.int32) + rows * len(own)
            units[:, own] = np.bincount(picked.ravel(), minlength=count * len(own)).reshape(count, -1)
        yield units[:, sample.unit] if sample.clustered else units


def percentiles(values: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), each (...), of draws (D, ...); NaN where a figure is defined in fewer than nine of ten draws."""
    table = values.reshape(len(values), -1)
    enough = np.isfinite(table).mean(0) >= FEWEST
    ends = np.full((2, table.shape[1]), np.nan)
    quantile = np.quantile if np.isfinite(table).all() else np.nanquantile  # which goes from column to column
    ends[:, enough] = quantile(table[:, enough], [(1 - level) / 2, (1 + level) / 2], axis=0)
    low, high = ends.reshape(2, *values.shape[1:])
    return low, high


def why_no_interval(low: float, high: float, sample: Sample) -> str | None:
    """Why percentiles of a sample's draws say nothing; None where they are an interval."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "in more than one of ten draws it is not defined"
    if sample.units < 2:
        return f"one {sample.drawn[:-1]} says nothing of how others vary"
    if low == high:
        return f"no draw of these {sample.drawn} changes it, which says nothing of others"
    return None


def drawn_figures(
    models: Sequence[Predicted],
    sample: Sample,
    draws: int = DRAWS,
    seed: int = 0,
    under: Callable[[Predicted, np.ndarray], Figures] = Predicted.under,
) -> list[Figures]:
    """Each model's figures in the same draws, (D,) and (D, C) each; `under` may be `Predicted.sums_under`."""
    parts = [[under(model, weights) for model in models] for weights in weightings(sample, draws, seed)]
    return [
        Figures(
            {name: np.concatenate([part[m].overall[name] for part in parts]) for name in parts[0][m].overall},
            {name: np.concatenate([part[m].per_class[name] for part in parts]) for name in parts[0][m].per_class},
        )
        for m in range(len(models))
    ]


def two_sided(values: np.ndarray) -> float:
    """p of a difference's draws (D,): twice the smaller share of draws on one side of zero, of D + 1 with what was
    seen (Davison & Hinkley 1997, section 4.2)."""
    known = values[np.isfinite(values)]
    side = min((known <= 0).sum(), (known >= 0).sum())
    return float(min(1.0, 2 * (side + 1) / (len(known) + 1)))
