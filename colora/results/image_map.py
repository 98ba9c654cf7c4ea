"""The images of a split on the map of one seed's features, and those that its model finds most alike."""

from dataclasses import dataclass

import numpy as np

from colora.metrics.evenly import evenly
from colora.metrics.image_map import Axes, nearest
from colora.runs.features import SPLITS, damaged, has_features, read_features
from colora.runs.folder import Run
from colora.runs.names import is_external

MOST_FITTED = 10_000  # training images that the axes are of; with all of 100,000 of 2,048 features they take 10 s


@dataclass(frozen=True, eq=False)
class ImageMap:
    """places (N, 2) float32, in the split's order; shares (2,) as `metrics.image_map.Axes`; `fitted`: the number of
    training images, out of `trained_on`, that the axes are of."""

    places: np.ndarray
    shares: np.ndarray
    fitted: int
    trained_on: int


def without_map(run: Run, split: str) -> str | None:
    """Why a seed has no map of a split, in a sentence; None where it has one."""
    if is_external(split):
        return (
            "A map is made of what the model sees in the group's own images; of other data only their distance is kept."
        )
    if not has_features(run):
        return f"Seed {run.seed} was trained before it was kept what a model sees in its images; a map is made of that."
    return None


def image_map(run: Run, learned: np.ndarray, split: str, images: int) -> ImageMap:
    """`learned` (N,) bool: from which of the train split the seed has learned; `images`: the length of `split`. Raises
    UserError where the file of features is damaged."""
    assert split in SPLITS
    kept = read_features(run, {"train": len(learned)} | {split: images})
    trained_on = np.flatnonzero(learned)
    if not len(trained_on):
        raise damaged(run, "no image is one that was trained on")
    fitted = evenly(trained_on, MOST_FITTED)
    axes = Axes.of(kept["train"][fitted])
    return ImageMap(axes.places(kept[split]), axes.shares, len(fitted), len(trained_on))


def most_alike(run: Run, split: str, images: int, row: int, count: int) -> np.ndarray:
    """As `metrics.image_map.nearest`, among a split's `images`. Raises UserError as `image_map`."""
    return nearest(read_features(run, {split: images})[split], row, count)
