"""A few training images of each class to look at, and what is known of the patients; opens no more than it shows."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from colora.data.folder import patients_of
from colora.data.listing import list_folder
from colora.data.medmnist import SPLIT_RULE, on_disk
from colora.data.phantom import CLASS_NAMES, class_labels, draw
from colora.data.prepare import read_image
from colora.data.unpack import opened
from colora.errors import UserError
from colora.medmnist_info import SIZES, info

EACH = 4
SIDE = 128  # pixels; of a set at several sizes the nearest is taken


@dataclass(frozen=True)
class Samples:
    """`images[c]` are some of class c, each (H, W) uint8; `which` and `patients` are for a person to read."""

    class_names: tuple[str, ...]
    images: list[list[np.ndarray]]
    which: str
    patients: str


def medmnist_samples(name: str, data_dir: str | None = None, each: int = EACH) -> Samples | None:
    """The first training images of each class; None until the set is unpacked at some size. Raises UserError where its
    files are damaged."""
    here = [size for size in SIZES if on_disk(name, size, data_dir).state == "unpacked"]
    if not here:
        return None
    size = min(here, key=lambda size: abs(size - SIDE))
    images, labels = opened(on_disk(name, size, data_dir).folder)["train"]
    names = info(name).class_names
    chosen = [np.flatnonzero(labels == c)[:each] for c in range(len(names))]
    shown = [[np.asarray(images[i]) for i in some] for some in chosen]
    return Samples(names, shown, f"The first training images of each class, at {size} px.", f"{SPLIT_RULE}.")


def phantom_samples(each: int = EACH) -> Samples:
    """Drawn for the page, as training would draw them."""
    labels = class_labels("train")
    chosen = [np.flatnonzero(labels == c)[:each].tolist() for c in range(len(CLASS_NAMES))]
    images = [[draw("train", i, SIDE) for i in some] for some in chosen]
    patients = "Each generated patient has one to three scans, and none is in two splits."
    return Samples(CLASS_NAMES, images, "SYNTHETIC: the first generated training images of each class.", patients)


def folder_samples(root: Path, pattern: str | None = None, each: int = EACH) -> Samples:
    """Images spread evenly over each class's files, prepared as for training; one that does not open is left out.

    Raises UserError as `list_folder` does, and for a pattern that is wrong.
    """
    listing = list_folder(root)
    images = []
    for c in range(len(listing.class_names)):
        own = np.flatnonzero(listing.labels == c)
        spread = own[np.unique(np.linspace(0, len(own) - 1, each).astype(int))]
        images.append([image for i in spread if (image := _opened(listing.root, listing.paths[i])) is not None])
    ids = patients_of(listing.paths, pattern)
    if ids is None:
        patients = "The file names do not tell the patient: the split would be by image."
    else:
        patients = f"{len(np.unique(ids)):,} patients by the file names: the split is by patient."
    return Samples(listing.class_names, images, "Spread evenly over each class's files.", patients)


def _opened(root: str, path: str) -> np.ndarray | None:
    try:
        return read_image(os.path.join(root, path), SIDE)[0]
    except UserError:
        return None  # a launch says which do not open, and why
