"""How many images a run will train on and look at, from file names and labels alone, before anything is read."""

from dataclasses import dataclass

import numpy as np

from colora.data.counts import ClassCounts, source_counts
from colora.data.dataset import SPLITS
from colora.data.folder import SHARES
from colora.data.listing import list_folder
from colora.data.prepared import MAPPED_FROM
from colora.runs.access import named_place
from colora.settings.config import RunConfig
from colora.settings.medmnist_info import info, known, stored_size


@dataclass(frozen=True)
class Sizes:
    """Images by split, those of train that are trained on, and classes."""

    images: dict[str, int]
    used: int
    classes: int

    @property
    def all_images(self) -> int:
        return sum(self.images.values())


def dataset_sizes(config: RunConfig, cut_images: int | None = None) -> Sizes | None:
    """None where only the file itself would tell. `cut_images`: how many a cut trains on. Raises UserError for bad
    input."""
    kind, _, place = config.dataset.partition(":")
    if kind == "folder":  # counted whatever its size
        listing = list_folder(named_place(place, "dataset"))
        each = np.bincount(listing.labels, minlength=len(listing.class_names))
        return sizes_of(ClassCounts(listing.class_names, {"all": tuple(each.tolist())}, ""), config, cut_images)
    found = source_counts(config.dataset, config.image_size, config.data_dir)
    if found is not None:
        return sizes_of(found, config, cut_images)
    facts = info(kind)
    classes = len(facts.class_names)
    if cut_images is None and config.train_set == "balanced" and config.per_class is None:
        return None
    used = facts.images["train"] if config.train_set == "complete" else classes * config.per_class
    return Sizes(facts.images, used if cut_images is None else cut_images, classes)


def sizes_of(found: ClassCounts, config: RunConfig, cut_images: int | None = None) -> Sizes:
    """From the images of each class; of a folder, which is split later, the shares are those that the split aims at.

    Raises UserError where a class has fewer than `per_class`.
    """
    classes = len(found.class_names)
    if "all" not in found.counts:
        used = sum(found.used(config.train_set, config.per_class)) if cut_images is None else cut_images
        return Sizes({split: found.total(split) for split in SPLITS}, used, classes)
    images = {split: round(share * found.total("all")) for split, share in SHARES.items()}
    used = _used(config, SHARES["train"] * np.array(found.counts["all"]), images["train"])
    return Sizes(images, used if cut_images is None else cut_images, classes)


def held_bytes(config: RunConfig, sizes: Sizes) -> int:
    """Of the images that a run reads into its memory; 0 where they are mapped from a file, whose pages the system takes
    back when it needs them."""
    kind, count = config.dataset.partition(":")[0], sizes.all_images
    mapped = (known(kind) and stored_size(config.image_size) == config.image_size) or (
        kind == "folder" and count >= MAPPED_FROM
    )
    return 0 if mapped else count * config.image_size**2


def _used(config: RunConfig, each: np.ndarray, train: int) -> int:
    """Images trained on, of a train split with about `each` (C,) in its classes."""
    if config.train_set == "complete":
        return train
    return round(int(np.count_nonzero(each)) * float(config.per_class or each[each > 0].min()))
