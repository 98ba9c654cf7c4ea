"""How many images of each class a data source has, from its labels or file names alone: no pixel is read."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from colora.data.dataset import SPLITS, Dataset, balanced_index
from colora.data.medmnist import class_counts, on_disk
from colora.data.npz import labels_of
from colora.data.phantom import CLASS_NAMES, class_labels
from colora.runs.access import named_place
from colora.settings.config import RunConfig
from colora.settings.medmnist_info import SIZES, info
from colora.system.errors import UserError
from colora.system.typed import is_dir, is_file

FOLDER_LIMIT = 20_000  # directory entries; more take too long to count while someone waits
TABLE_LIMIT = 4 << 20  # bytes of a table, for the same reason: some 50,000 lines
COUNTED_FROM = {"folder": "file names in", "table": "lines of", "npz": "labels in"}
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
    """Images of each class, by split."""

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
                return _from_labels(labels_of(found.npz), facts.class_names, found.npz)
            except UserError:
                continue  # the file's own card, or the launch, says what is wrong with it
    published = PUBLISHED.get(name)
    if published and {split: sum(counts) for split, counts in published.items()} == facts.images:
        return ClassCounts(facts.class_names, published, "As published: MedMNIST's files.")
    return None


def too_large(config: RunConfig) -> bool:
    """Whether a folder or table holds more than can be looked at while someone waits. Raises UserError for a place that
    may not be named."""
    kind, _, place = config.dataset.partition(":")
    path = named_place(place, "dataset")
    if kind == "folder":
        return is_dir(path) and _larger_than(path, FOLDER_LIMIT)
    return kind == "table" and is_file(path) and path.stat().st_size > TABLE_LIMIT


def found_counts(found: dict[str, Any], config: RunConfig) -> ClassCounts:
    """Of a folder, table or file that was looked at (`check.look`, `check.check`)."""
    kind, _, place = config.dataset.partition(":")
    counts = {split: tuple(found["counts"][split].values()) for split in SPLITS}
    source = f"Counted from the {COUNTED_FROM[kind]} {named_place(place, 'dataset')}."
    return ClassCounts(tuple(found["classes"]), counts, source)


def counted(data: Dataset, source: str) -> ClassCounts:
    """Of a data set, with or without its pixels; `source` says where the counts come from."""
    return ClassCounts(data.class_names, {split: tuple(data.counts(split)) for split in SPLITS}, source)


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
