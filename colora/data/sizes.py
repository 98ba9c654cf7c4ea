"""How many images a run will train on and look at, from file names and labels alone, before anything is read."""

from dataclasses import dataclass

import numpy as np

from colora.config import RunConfig
from colora.data.counts import source_counts
from colora.data.dataset import SPLITS
from colora.data.folder import SHARES
from colora.data.listing import list_folder
from colora.medmnist_info import info
from colora.typed import typed_path


@dataclass(frozen=True)
class Sizes:
    """Images by split, those of train that are trained on, and classes."""

    images: dict[str, int]
    used: int
    classes: int

    @property
    def all_images(self) -> int:
        return sum(self.images.values())


def dataset_sizes(config: RunConfig) -> Sizes | None:
    """None where only the file itself would tell. Raises UserError for bad input.

    Of a folder the shares are those that the split aims at.
    """
    kind, _, place = config.dataset.partition(":")
    if kind == "folder":
        listing = list_folder(typed_path(place, "dataset"))
        each = np.bincount(listing.labels, minlength=len(listing.class_names))
        images = {split: round(share * len(listing.paths)) for split, share in SHARES.items()}
        return Sizes(images, _used(config, SHARES["train"] * each, images["train"]), len(each))
    found = source_counts(config.dataset, config.image_size, config.data_dir)
    if found is not None:
        images = {split: found.total(split) for split in SPLITS}
        used = sum(found.used(config.train_set, config.per_class))
        return Sizes(images, used, len(found.class_names))
    if config.train_set == "balanced" and config.per_class is None:
        return None
    facts = info(kind)
    classes = len(facts.class_names)
    used = facts.images["train"] if config.train_set == "complete" else classes * config.per_class
    return Sizes(facts.images, used, classes)


def _used(config: RunConfig, each: np.ndarray, train: int) -> int:
    """Images trained on, of a train split with about `each` (C,) in its classes."""
    if config.train_set == "complete":
        return train
    return round(int(np.count_nonzero(each)) * float(config.per_class or each[each > 0].min()))
