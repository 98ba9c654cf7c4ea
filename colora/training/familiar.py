"""What a selected model sees in the images of its run, kept for those that it will be asked about: `runs.features`."""

from collections.abc import Mapping

import numpy as np

from colora.metrics.evenly import evenly
from colora.metrics.novelty import Familiar
from colora.runs.features import MOST_MAPS, Kept
from colora.training.images import Outputs


def maps_at(images: Mapping[str, int], used: np.ndarray) -> dict[str, np.ndarray]:
    """The positions in each split, which has so many `images`, of those whose maps tell what is familiar: of the train
    split those at `used` (n,), ascending, that were trained on."""
    every = {split: used if split == "train" else np.arange(count) for split, count in images.items()}
    return {split: evenly(rows, MOST_MAPS) for split, rows in every.items()}


def kept_of(seen: Mapping[str, Outputs], labels: np.ndarray) -> Kept:
    """Of one model: `seen` by split, with maps `maps_at`; labels (M,) of those of the train split, as it was trained
    with."""
    familiar = Familiar.of(seen["train"].maps, labels)
    distances = {split: familiar.distance(seen[split].maps) for split in ("val", "test")}
    return Kept({split: own.features for split, own in seen.items()}, familiar, distances)
