"""How many images a run will train on and look at, from file names and labels alone, before anything is read."""

from dataclasses import dataclass

from colora.data.counts import ClassCounts, counted, medmnist_counts
from colora.data.dataset import SPLITS, Dataset
from colora.data.prepared import MAPPED_FROM
from colora.data.sources import outline
from colora.settings.config import FILES, SOURCES, RunConfig
from colora.settings.medmnist_info import info, known, stored_size


@dataclass(frozen=True)
class Sizes:
    """Images by split, those of train that a seed trains on, and classes."""

    images: dict[str, int]
    used: int
    classes: int

    @property
    def all_images(self) -> int:
        return sum(self.images.values())


def dataset_sizes(config: RunConfig, cut_images: int | None = None, data: Dataset | None = None) -> Sizes | None:
    """None where only the file itself would tell. `cut_images`: how many a cut trains on; `data`: their outline, where
    it is known already. Raises UserError for bad input."""
    kind = config.dataset.partition(":")[0]
    if data is not None or kind in SOURCES:
        return sizes_of(counted(data or outline(config), ""), config, cut_images)
    if found := medmnist_counts(kind, stored_size(config.image_size), config.data_dir):
        return sizes_of(found, config, cut_images)
    facts = info(kind)
    classes = len(facts.class_names)
    if cut_images is None and config.train_set == "balanced" and config.per_class is None:
        return None
    used = facts.images["train"] if config.train_set == "complete" else classes * config.per_class
    return Sizes(facts.images, _of_a_seed(used if cut_images is None else cut_images, config), classes)


def sizes_of(found: ClassCounts, config: RunConfig, cut_images: int | None = None) -> Sizes:
    """From the images of each class. Raises UserError where one has fewer than `per_class`."""
    used = sum(found.used(config.train_set, config.per_class)) if cut_images is None else cut_images
    return Sizes({split: found.total(split) for split in SPLITS}, _of_a_seed(used, config), len(found.class_names))


def _of_a_seed(used: int, config: RunConfig) -> int:
    """About so many of the group's training images as one seed trains on; parts by patient differ a little."""
    return used - used // config.folds if config.folds else used


def held_bytes(config: RunConfig, sizes: Sizes) -> int:
    """Of the images that a run reads into its memory; 0 where they are mapped from a file, whose pages the system takes
    back when it needs them."""
    kind, count = config.dataset.partition(":")[0], sizes.all_images
    mapped = (known(kind) and stored_size(config.image_size) == config.image_size) or (
        kind in FILES and count >= MAPPED_FROM
    )
    return 0 if mapped else count * config.image_size**2
