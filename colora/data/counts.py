"""How many images of each class a data source has, from its labels or file names alone: no pixel is read."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from colora.data.dataset import SPLITS, balanced_index
from colora.data.listing import list_folder
from colora.data.medmnist import class_counts, on_disk
from colora.data.npz import FORMAT, check_npz, checked
from colora.data.npz_file import open_npz
from colora.data.phantom import CLASS_NAMES, class_labels
from colora.runs.access import named_place
from colora.settings.medmnist_info import SIZES, info, stored_size
from colora.system.errors import UserError
from colora.system.typed import is_dir

FOLDER_LIMIT = 20_000  # directory entries; more take too long to count while someone waits
PUBLISHED = {
    "octmnist": {
        "train": (33_484, 10_213, 7_754, 46_026),
        "val": (3_721, 1_135, 862, 5_114),
        "test": (250, 250, 250, 250),
    }
}
NOTES = {"octmnist": "The paper's table 1 prints 2,708 images for each class of validation; that is 10,832 / 4."}


@dataclass(frozen=True)
class ClassCounts:
    """Images of each class, by split; a folder that is not split yet has the one split "all"."""

    class_names: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    source: str  # a sentence: where the counts come from
    synthetic: bool = False

    def total(self, split: str) -> int:
        return sum(self.counts[split])

    def used(self, train_set: str, per_class: int | None = None) -> tuple[int, ...]:
        """Images of each class that are trained on. Raises UserError where a class has fewer than `per_class`."""
        labels = np.repeat(np.arange(len(self.class_names)), self.counts["train"])
        if train_set == "balanced":
            labels = labels[balanced_index(labels, len(self.class_names), per_class)]
        return tuple(np.bincount(labels, minlength=len(self.class_names)).tolist())


def phantom_counts() -> ClassCounts:
    """Of the generated images; the labels follow from the settings, so nothing is drawn."""
    return ClassCounts(
        CLASS_NAMES,
        {split: _count(class_labels(split), len(CLASS_NAMES)) for split in SPLITS},
        "SYNTHETIC: the images are generated, in these numbers.",
        synthetic=True,
    )


def npz_counts(path: Path) -> ClassCounts:
    """Raises UserError for a file that is not in MedMNIST's format."""
    check_npz(path)
    return _from_labels(*_labels(path), path)


def medmnist_counts(name: str, size: int | None = None, data_dir: str | None = None) -> ClassCounts | None:
    """Of a MedMNIST set: from its files here (of `size` if given, else of any: all have the same images), else as
    published; None where neither is known."""
    facts = info(name)
    for stored in (size,) if size else SIZES:
        found = on_disk(name, stored, data_dir)
        if found.state == "unpacked":
            counts = class_counts(name, stored, data_dir) or {}
            by_split = {split: tuple(counts[split]) for split in SPLITS}
            return ClassCounts(facts.class_names, by_split, f"Counted from the labels in {found.folder}.")
        if found.state == "downloaded":
            try:
                return _from_labels(_labels(found.npz)[0], facts.class_names, found.npz)
            except UserError:
                continue  # the file's own card, or the launch, says what is wrong with it
    published = PUBLISHED.get(name)
    if published and {split: sum(counts) for split, counts in published.items()} == facts.images:
        return ClassCounts(facts.class_names, published, "As published: MedMNIST's files.")
    return None


def folder_counts(root: Path) -> ClassCounts | None:
    """Of a folder with a sub-folder a class; None where it is too large to count at once.

    Raises UserError as `list_folder` does.
    """
    if is_dir(root) and _larger_than(root, FOLDER_LIMIT):
        return None
    listing = list_folder(root)
    counts = {"all": _count(listing.labels, len(listing.class_names))}
    return ClassCounts(listing.class_names, counts, f"Counted from the file names in {root}.")


def source_counts(dataset: str, image_size: int, data_dir: str | None = None) -> ClassCounts | None:
    """Of a config's data source; None where that is not known quickly. Raises UserError for bad input."""
    kind, _, place = dataset.partition(":")
    if kind == "phantom":
        return phantom_counts()
    if kind == "npz":
        return npz_counts(named_place(place, "dataset"))
    if kind == "folder":
        return folder_counts(named_place(place, "dataset"))
    return medmnist_counts(kind, stored_size(image_size), data_dir)


def _labels(path: Path) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The labels of each split of an .npz, (N,), and the class names, which are counted where it has none."""
    with open_npz(path, FORMAT) as file:
        return checked(file)


def _from_labels(labels: dict[str, np.ndarray], names: tuple[str, ...], path: Path) -> ClassCounts:
    for split, values in labels.items():
        if not values.size or values.min() < 0 or values.max() >= len(names):
            raise UserError(f"{path}: {split}_labels do not count {len(names)} classes from 0.", field="dataset")
    counts = {split: _count(values, len(names)) for split, values in labels.items()}
    return ClassCounts(names, counts, f"Counted from the labels in {path}.")


def _count(labels: np.ndarray, classes: int) -> tuple[int, ...]:
    return tuple(np.bincount(labels, minlength=classes).tolist())


def _larger_than(root: Path, limit: int) -> bool:
    entries = 0
    for _, folders, files in os.walk(root):
        entries += len(folders) + len(files)
        if entries > limit:
            return True
    return False
