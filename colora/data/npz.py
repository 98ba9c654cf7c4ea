"""`npz:FILE`: MedMNIST's file format, {train,val,test}_{images,labels}, uint8.

Optional keys: `class_names` (C,) and `{split}_patients` (N,). Nothing in the file is unpickled.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from colora.data.dataset import SPLITS, Dataset, Split
from colora.data.prepare import prepare_array
from colora.errors import UserError

FORMAT = "MedMNIST's format has train_images, train_labels, val_images, val_labels, test_images and test_labels"


def read_npz(path: Path, image_size: int) -> Dataset:
    """Raises UserError that says what is wrong with the file and what was expected."""
    with _opened(path) as archive:
        labels, names = _labels(archive, path)
        splits = {name: _split(archive, name, labels[name], path, image_size) for name in SPLITS}
        given = "class_names" in archive
    known = splits["train"].patient_ids is not None
    return Dataset(
        splits,
        names,
        class_names_given=given,
        source=f"npz:{path.name}",
        split_rule="the file's own splits" + ("" if known else "; it holds no patient ids, so they may share patients"),
    )


def check_npz(path: Path) -> None:
    """Raises what `read_npz` would say of keys and labels, without reading the pixels."""
    with _opened(path) as archive:
        labels, names = _labels(archive, path)
        present = np.unique(labels["train"])
        if len(present) < 2:
            what = names[present[0]] if len(present) else "none"
            raise UserError(f"{path} has fewer than two classes to train on ({what}).", field="dataset")


@contextmanager
def _opened(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    if not path.is_file():
        raise UserError(f"There is no file {path}.", field="dataset")
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise UserError(f"{path} is a single array, not an .npz archive: {FORMAT}.", field="dataset")
        with archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as an .npz file ({error}): is the copy complete?", field="dataset"
        ) from error


def _labels(archive: np.lib.npyio.NpzFile, path: Path) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Labels (N,) int64 of each split, and the class names, checked."""
    missing = [f"{s}_{kind}" for s in SPLITS for kind in ("images", "labels") if f"{s}_{kind}" not in archive]
    if missing:
        raise UserError(
            f"{path} lacks {', '.join(missing)} (it has {', '.join(archive.files) or 'nothing'}): {FORMAT}.",
            field="dataset",
        )
    labels = {name: archive[f"{name}_labels"] for name in SPLITS}
    for name, values in labels.items():
        if values.dtype.kind not in "iu" or values.size != len(values):
            raise UserError(
                f"{path}: {name}_labels is {values.dtype} {values.shape}; expected one whole number an image.",
                field="dataset",
            )
        if values.size == 0:
            raise UserError(f"{path} has no image in its {name} split; every split needs some.", field="dataset")
        if values.min() < 0:
            raise UserError(f"{path}: {name}_labels holds {values.min()}; labels count from 0.", field="dataset")
    flat = {name: values.reshape(-1).astype(np.int64) for name, values in labels.items()}
    highest = max(int(values.max()) for values in flat.values())
    if "class_names" not in archive:
        return flat, tuple(str(c) for c in range(highest + 1))
    names = tuple(str(n) for n in archive["class_names"].ravel())
    if highest >= len(names):
        raise UserError(f"{path} names {len(names)} classes but has labels up to {highest}.", field="dataset")
    return flat, names


def _split(archive: np.lib.npyio.NpzFile, name: str, labels: np.ndarray, path: Path, image_size: int) -> Split:
    images = archive[f"{name}_images"]
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
        raise UserError(
            f"{path}: {name}_images is {images.dtype} {images.shape}; expected uint8 (N, H, W) or (N, H, W, 3).",
            field="dataset",
        )
    if len(images) != len(labels):
        raise UserError(f"{path}: {len(images)} {name}_images, but {len(labels)} {name}_labels.", field="dataset")
    patients = archive[f"{name}_patients"].astype(str).ravel() if f"{name}_patients" in archive else None
    if patients is not None and len(patients) != len(labels):
        raise UserError(
            f"{path}: {name}_patients has {len(patients)} entries for {len(labels)} images.", field="dataset"
        )
    ids = np.array([f"{name}/{i:06d}" for i in range(len(labels))], dtype=str)
    return Split(prepare_array(images, image_size), labels, ids, patients)
