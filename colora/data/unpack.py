"""An .npz in MedMNIST's format, unpacked once into a folder of .npy files that can be memory-mapped.

    octmnist_224/train_images.npy   (N, H, W) uint8, grey       train_labels.npy   (N,) int64; the same for val and test
                 set.json           where it came from, counts, and Dataset.checksum() of the images as stored

An .npz is a zip, and numpy maps no zip. Each member is streamed through, so no split is ever whole in memory. The
folder is complete or absent: it is written under another name and renamed.
"""

import json
import os
import shutil
import socket
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from colora.data.dataset import SPLITS, Dataset, Split
from colora.data.prepare import prepare_array
from colora.system.download import Progress, quiet
from colora.system.errors import Cancelled, UserError
from colora.system.file_rights import like_its_folder
from colora.system.storage import Stop, check_room, disk_errors, file_size, made_folder, never
from colora.system.typed import is_file

CHUNK_BYTES = 1 << 24
FACTS = "set.json"
ARRAYS = tuple(f"{split}_{kind}" for split in SPLITS for kind in ("images", "labels"))


def is_unpacked(folder: Path) -> bool:
    return is_file(folder / FACTS)


def bytes_in(folder: Path) -> int:
    """Of an unpacked set; 0 where there is none."""
    return sum(file_size(folder / f"{array}.npy") for array in ARRAYS) if is_unpacked(folder) else 0


def facts(folder: Path) -> dict[str, Any]:
    """set.json: {"source", "source_checksum", "colour", "counts", "checksum"}. UserError if it is damaged."""
    try:
        found = json.loads((folder / FACTS).read_text())
        return {key: found[key] for key in ("source", "source_checksum", "colour", "counts", "checksum")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / FACTS} cannot be read ({error}): {_again(folder)}", field="dataset") from error


def opened(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Each split's images, memory-mapped read-only, and labels. UserError where a file is missing or cut short."""
    arrays = {}
    for name in SPLITS:
        try:
            images = np.load(folder / f"{name}_images.npy", mmap_mode="r", allow_pickle=False)
            arrays[name] = images, np.load(folder / f"{name}_labels.npy", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{folder} is not complete ({name}: {error}): {_again(folder)}", field="dataset") from error
    return arrays


def read_splits(folder: Path) -> dict[str, Split]:
    """Raises UserError as `opened` does."""
    splits = {}
    for name, (images, labels) in opened(folder).items():
        ids = np.array([f"{name}/{i:06d}" for i in range(len(labels))], dtype=str)
        splits[name] = Split(images, labels, ids)
    return splits


def _again(folder: Path) -> str:
    return f"delete the folder {folder} and get the set again."


def checksum(folder: Path) -> str:
    """Dataset.checksum() of what the folder holds now: reads every byte of it."""
    return Dataset(read_splits(folder), (), False, "", "").checksum()


def unpack(
    npz: Path, folder: Path, classes: int, npz_checksum: str, on_progress: Progress = quiet, should_stop: Stop = never
) -> None:
    """Write `folder` from the checked file `npz`; the caller holds the lock. Nothing is left of a try that fails.

    Raises UserError for another format or a failing disk, Cancelled where `should_stop` says so.
    """
    if folder.exists():
        raise UserError(f"{folder} is in the way and holds no unpacked set: rename or delete it.", field="data_dir")
    made_folder(folder.parent)
    mine = f".{folder.name}.{socket.gethostname()}."
    for left in folder.parent.glob(f"{mine}*.tmp"):  # of a process that was killed; the lock says that none lives
        shutil.rmtree(left)
    beside = folder.with_name(f"{mine}{uuid.uuid4().hex[:8]}.tmp")
    try:
        with disk_errors(folder):
            beside.mkdir()
            like_its_folder(beside)
            content = _unpack_into(beside, npz, classes, on_progress, should_stop)
            known = {"source": npz.name, "source_checksum": npz_checksum, **content, "checksum": checksum(beside)}
            with _synced(beside / FACTS) as out:
                out.write((json.dumps(known, indent=1) + "\n").encode())
            _rename(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)  # gone already where it was renamed


def _rename(beside: Path, folder: Path) -> None:
    try:
        os.rename(beside, folder)
    except OSError:
        if not is_unpacked(folder):  # else another host of a shared folder was first, with the same content
            raise


def _unpack_into(folder: Path, npz: Path, classes: int, on_progress: Progress, should_stop: Stop) -> dict[str, Any]:
    """The six .npy files; {"colour", "counts"} of them."""
    counts = {}
    try:
        with zipfile.ZipFile(npz) as archive:
            shapes = _shapes(archive, npz)
            room = sum(n * side * side + 8 * n for n, side, *_ in shapes.values())
            check_room(folder, room, f"Unpacking {npz.name}")
            done, total = 0, sum(int(np.prod(shape)) for shape in shapes.values())
            for name in SPLITS:
                with closing(_copy_images(archive, name, folder)) as parts:
                    for count in parts:
                        done += count
                        on_progress("unpacking", done, total)
                        if should_stop():
                            raise Cancelled(f"Cancelled while {npz.name} was unpacked; the file itself is kept.")
                counts[name] = _copy_labels(archive, name, folder, classes, shapes[name][0], npz)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise UserError(f"{npz} cannot be unpacked ({error}): delete it and get it again.", field="dataset") from error
    return {"colour": any(len(shape) == 4 for shape in shapes.values()), "counts": counts}


def _shapes(archive: zipfile.ZipFile, npz: Path) -> dict[str, tuple[int, ...]]:
    """Shape of each split's images, (N, S, S) or (N, S, S, 3); from the headers alone."""
    missing = [array for array in ARRAYS if f"{array}.npy" not in archive.namelist()]
    if missing:
        raise UserError(f"{npz} lacks {', '.join(missing)}: it is no file of MedMNIST's.", field="dataset")
    shapes = {}
    for name in SPLITS:
        with archive.open(f"{name}_images.npy") as member:
            shape, fortran, dtype = _header(member)
        square = len(shape) in (3, 4) and shape[1] == shape[2] and shape[3:] in ((), (3,))
        if dtype != np.uint8 or fortran or not square:
            raise UserError(
                f"{npz}: {name}_images is {dtype} {shape}; expected uint8 (N, S, S) or (N, S, S, 3).", field="dataset"
            )
        shapes[name] = shape
    return shapes


def _header(member: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """(shape, Fortran order, dtype) of a .npy stream, which then stands at its first value."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(member)


def _copy_images(archive: zipfile.ZipFile, name: str, folder: Path) -> Iterator[int]:
    """One split's images as a grey .npy, some megabytes at a time; yields how many source bytes each time."""
    with archive.open(f"{name}_images.npy") as member, _synced(folder / f"{name}_images.npy") as out:
        shape, _, _ = _header(member)  # (N, S, S) or (N, S, S, 3)
        np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape[:3]})
        row = int(np.prod(shape[1:]))
        step = max(1, CHUNK_BYTES // row)
        for first in range(0, shape[0], step):
            count = min(step, shape[0] - first)
            values = member.read(count * row)
            if len(values) < count * row:
                raise EOFError(f"{name}_images ends early")
            images = np.frombuffer(values, np.uint8).reshape(count, *shape[1:])
            out.write(np.ascontiguousarray(prepare_array(images, shape[1])))  # colour becomes grey, grey stays
            yield len(values)
        member.read()  # to the end, where zipfile compares the CRC


def _copy_labels(archive: zipfile.ZipFile, name: str, folder: Path, classes: int, images: int, npz: Path) -> list[int]:
    """One split's labels as (N,) int64; returns the images of each class."""
    with archive.open(f"{name}_labels.npy") as member:
        labels = np.lib.format.read_array(member, allow_pickle=False)
    if labels.dtype.kind not in "iu" or labels.size != images or labels.min() < 0 or labels.max() >= classes:
        raise UserError(
            f"{npz}: {name}_labels is {labels.dtype} {labels.shape}; expected one label from 0 to {classes - 1} for "
            f"each of {images} images.",
            field="dataset",
        )
    flat = labels.reshape(-1).astype(np.int64)
    with _synced(folder / f"{name}_labels.npy") as out:
        np.save(out, flat)
    return np.bincount(flat, minlength=classes).tolist()


@contextmanager
def _synced(path: Path) -> Iterator[BinaryIO]:
    with open(path, "wb") as out:
        like_its_folder(path)
        yield out
        out.flush()
        os.fsync(out.fileno())
