"""What a selected model sees in the images of its run, kept for those that it will be asked about: `runs.features`."""

from collections.abc import Mapping

import numpy as np

from colora.metrics.novelty import Familiar
from colora.runs.features import Kept, write_features
from colora.runs.folder import Run
from colora.training.images import Outputs

MOST_MAPS = 20_000  # images of a split: of 2,048 channels 160 MB


def maps_of(images: int) -> int:
    """Every how many of so many images of a split tell what is familiar."""
    return max(1, -(-images // MOST_MAPS))


def keep(run: Run, seen: Mapping[str, Outputs], labels: np.ndarray, used: np.ndarray, epoch: int | None) -> None:
    """Of the model of `epoch`: `seen` by split; labels (N,) of the whole train split as it was trained with, of which
    the images at `used` (n,) were trained on."""
    places = np.arange(0, len(labels), maps_of(len(labels)))
    trained = np.isin(places, used)
    if not trained.any():  # a handful of images among very many
        trained[:] = True
    familiar = Familiar.of(seen["train"].maps[trained], labels[places[trained]])
    distances = {split: familiar.distance(seen[split].maps) for split in ("val", "test")}
    kept = Kept({split: own.features for split, own in seen.items()}, familiar, distances)
    write_features(run, kept, epoch)
