"""A few training images of each class to look at, and what is known of the patients; opens no more than it shows."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from colora.data.dataset import SPLITS
from colora.data.files import catalogue_of
from colora.data.medmnist import SPLIT_RULE, on_disk
from colora.data.npz import FORMAT, OWN_SPLITS, UNKNOWN_PATIENTS, checked, patients, prepared
from colora.data.npz_file import NpzFile, open_npz
from colora.data.phantom import CLASS_NAMES, class_labels, draw
from colora.data.prepare import Converted, read_image
from colora.data.unpack import opened
from colora.settings.config import RunConfig
from colora.settings.medmnist_info import SIZES, info
from colora.system.errors import UserError

EACH = 4
SIDE = 128  # pixels; of a set at several sizes the nearest is taken
READ_BYTES = 256 << 20  # of an .npz at most, which has to be read from its beginning


@dataclass(frozen=True)
class Samples:
    """`images[c]` are some of class c, each (H, W) uint8; `which` and `patients` are for a person to read; `size` is
    what the source takes on the disk, in bytes, where it is one's own."""

    class_names: tuple[str, ...]
    images: list[list[np.ndarray]]
    which: str
    patients: str
    size: int | None = None


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


def file_samples(config: RunConfig, each: int = EACH) -> Samples:
    """Of a folder or table: images spread evenly over each class's files, prepared as for training; one that does not
    open is left out. Raises UserError as `catalogue_of` does."""
    found = catalogue_of(config)
    images = []
    for c in range(len(found.class_names)):
        own = np.flatnonzero(found.labels == c)
        spread = own[np.unique(np.linspace(0, len(own) - 1, each).astype(int))]
        images.append([image for i in spread if (image := _opened(found.root, found.paths[i])) is not None])
    ids = found.patients.ids
    if ids is None:
        told = "Nothing tells the patients: what is not split yet would be split by image."
    else:
        told = f"{len(np.unique(ids)):,} patients, by {found.patients.told_by}."
    size = sum(os.path.getsize(os.path.join(found.root, path)) for path in found.paths)
    names = tuple(config.class_names or found.class_names)
    return Samples(names, images, "Spread evenly over each class's files.", told, size)


def npz_samples(path: Path, each: int = EACH) -> Samples:
    """The first training images of each class of a file in MedMNIST's format, prepared as for training.

    Raises UserError for a file of another format.
    """
    with open_npz(path, FORMAT) as file:
        labels, names = checked(file)
        wanted = np.minimum(np.bincount(labels["train"], minlength=len(names)), each)
        images: list[list[np.ndarray]] = [[] for _ in names]
        seen = size = 0
        for part in file.rows("train_images"):
            for i, label in enumerate(labels["train"][seen : seen + len(part)]):
                if len(images[label]) < each:
                    images[label].append(prepared(part[i : i + 1], SIDE, Converted(), "", 0)[0])
            seen, size = seen + len(part), size + part.nbytes
            if size > READ_BYTES or all(len(own) == count for own, count in zip(images, wanted, strict=True)):
                break
        among = "" if seen == len(labels["train"]) else f", among the first {seen:,}"
        told = _patients_of_file(file)
    which = f"The first training images of each class{among}."
    return Samples(names, images, which, told, path.stat().st_size)


def _patients_of_file(file: NpzFile) -> str:
    """How many patients the file knows, and whether one is in two of its splits."""
    known = [patients(file, split) for split in SPLITS]
    if any(ids is None for ids in known):
        return f"{OWN_SPLITS[0].upper()}{OWN_SPLITS[1:]}{UNKNOWN_PATIENTS}."
    own = [np.unique(ids) for ids in known]
    everyone, times = np.unique(np.concatenate(own), return_counts=True)
    shared = int((times > 1).sum())
    says = (
        f"{shared:,} of them in more than one split: figures may be better than on new patients"
        if shared
        else ("none of them is in two splits")
    )
    return f"{len(everyone):,} patients, {says}."


def _opened(root: str, path: str) -> np.ndarray | None:
    try:
        return read_image(os.path.join(root, path), SIDE)[0]
    except UserError:
        return None  # a launch says which do not open, and why
