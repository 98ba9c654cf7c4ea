"""A run's images by their place in its data: a page of them at a time, without torch and without the set in memory.

Whatever can be read where it lies is: 25 images of an array file take a fraction of a millisecond, and no copy would be
faster (benchmarks/README.md):

    MedMNIST            the unpacked .npy files
    npz, not compressed the file itself, inside the archive
    npz, compressed     a copy of the array, made once and mapped (npz_images)
    folder, table       each image file, as the network reads it
    phantom             drawn, and kept for a while: 25 of 224 pixels take 0.4 s
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from colora.data import phantom
from colora.data.dataset import SPLITS
from colora.data.encoded import eight_bit
from colora.data.files import allowed_places
from colora.data.listing import inside, list_tree, plain
from colora.data.medmnist import on_disk, read_medmnist
from colora.data.npz_images import npz_images
from colora.data.prepare import (
    Progress,
    image_checksum,
    prepare_array,
    quiet,
    read_image,
    read_whole,
    upper_bits,
)
from colora.data.rows import unmapped
from colora.data.unpack import opened
from colora.runs.access import named_place
from colora.settings.config import FILES, RunConfig
from colora.settings.medmnist_info import SIZES, stored_size
from colora.system.errors import UserError
from colora.system.process import cpu_count
from colora.system.typed import is_dir

KEPT_DRAWN = 256  # generated images; of 224 pixels 13 MB


@dataclass(frozen=True)
class Place:
    """Where an image stands: its split, its position there, and its id in the data."""

    split: str
    index: int
    image_id: str


class Pictures(Protocol):
    """The images of one data source, prepared as a run's network reads them."""

    checksum: str | None  # Dataset.checksum() of the data where it is known without reading them

    def read(self, places: Sequence[Place]) -> list[np.ndarray | UserError]:
        """(S, S) uint8 each, or why one cannot be shown. Raises UserError where the whole source cannot be read."""

    def large(self, place: Place) -> tuple[np.ndarray, np.ndarray | None]:
        """One image (S, S) uint8, and (H, W) or (H, W, 3) uint8 as the source has it, or None where the first is all
        there is; both from one reading. Raises UserError where it cannot be shown."""


class Predicted:
    """The images of a source as they were predicted: what stands there now is compared, image by image and only when it
    is shown, with the checksums (N,) of each split that were kept with the predictions."""

    def __init__(self, source: Pictures, checksums: dict[str, np.ndarray]):
        self.source, self.checksum, self.checksums = source, source.checksum, checksums

    def read(self, places: Sequence[Place]) -> list[np.ndarray | UserError]:
        return [
            image if isinstance(image, UserError) else self._other(place, image) or image
            for place, image in zip(places, self.source.read(places), strict=True)
        ]

    def large(self, place: Place) -> tuple[np.ndarray, np.ndarray | None]:
        image, original = self.source.large(place)
        if other := self._other(place, image):
            raise other
        return image, original

    def _other(self, place: Place, image: np.ndarray) -> UserError | None:
        """Why an image cannot be shown under its prediction."""
        kept = self.checksums[place.split]
        if 0 <= place.index < len(kept) and image_checksum(image) == kept[place.index]:
            return None
        return UserError(
            f"{place.image_id} is not the picture that was predicted: it was changed or replaced since. Put the old "
            "one back to see it."
        )


def open_pictures(config: RunConfig, splits: Sequence[str] = SPLITS, on_progress: Progress = quiet) -> Pictures:
    """The images of `splits` that `config` names. Raises UserError where they are not on this computer.

    `on_progress` follows what has to be unpacked first, in images.
    """
    kind, _, place = config.dataset.partition(":")
    path = named_place(place, "dataset")
    if kind == "phantom":
        return Drawn(config.image_size)
    if kind in FILES:
        return Files(path if kind == "folder" else path.parent, config.image_size, allowed_places(config))
    if kind == "npz":
        return Mapped({split: npz_images(path, split, on_progress) for split in splits}, config.image_size)
    return _medmnist(kind, config.image_size, config.data_dir, on_progress)


def check_source(source: Pictures, data_checksum: str | None) -> None:
    """Raises UserError where the source is known, by its own checksum, to hold other images than these models saw."""
    if source.checksum not in (None, data_checksum):
        raise UserError("The data have changed since these models were trained, so that other images stand there.")


class Mapped:
    """Arrays of a file (N, H, W), (N, H, W, 1) or (N, H, W, 3), one a split; `larger` are the same images in more
    pixels."""

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        image_size: int,
        larger: dict[str, np.ndarray] | None = None,
        checksum: str | None = None,
    ):
        self.arrays = {split: unmapped(array) for split, array in arrays.items()}
        self.larger = {split: unmapped(array) for split, array in larger.items()} if larger else None
        self.image_size, self.checksum = image_size, checksum

    def read(self, places: Sequence[Place]) -> list[np.ndarray | UserError]:
        return [self._read(place) for place in places]

    def _read(self, place: Place) -> np.ndarray | UserError:
        images = self.arrays[place.split]
        if not 0 <= place.index < len(images):
            return UserError(f"The data have {len(images):,} images in this split now; number {place.index} is gone.")
        try:
            return prepare_array(_plain_array(images[place.index])[None], self.image_size)[0]
        except OSError as error:
            return UserError(f"{place.image_id} cannot be read ({error}): the data have changed since.")

    def large(self, place: Place) -> tuple[np.ndarray, np.ndarray | None]:
        image, images = self._read(place), (self.larger or self.arrays)[place.split]
        if isinstance(image, UserError):
            raise image
        if place.index >= len(images) or images.shape[1:] == image.shape:
            return image, None
        try:
            return image, eight_bit(_plain_array(images[place.index]))
        except OSError as error:
            raise UserError(f"{place.image_id} cannot be read ({error}): the data have changed since.") from error


class Files:
    """A folder of image files, named by their paths below it."""

    checksum = None

    def __init__(self, root: Path, image_size: int, allowed: Sequence[str] = ()):
        """`allowed` as `listing.list_tree` has it."""
        if not is_dir(root):
            raise UserError(f"There is no folder {root}.", field="dataset")
        self.root, self.image_size, self.allowed = os.path.realpath(root), image_size, tuple(allowed)

    def read(self, places: Sequence[Place]) -> list[np.ndarray | UserError]:
        with ThreadPoolExecutor(cpu_count()) as pool:  # decoding releases the interpreter's lock
            return list(pool.map(self._read, places))

    def _read(self, place: Place) -> np.ndarray | UserError:
        try:
            return read_image(self.path(place.image_id), self.image_size)[0]
        except UserError as error:
            return error

    def path(self, image_id: str) -> str:
        """The file of an image. Raises UserError for one that is not, or not any more, in the folder or where its links
        may lead."""
        path = os.path.normpath(os.path.join(self.root, image_id))
        if "\\x" in image_id and not os.path.exists(path):  # a name that is no UTF-8, as `plain` writes it
            path = self._listed().get(image_id, path)
        places = (self.root, *self.allowed)
        if not inside(path, places) or not inside(os.path.realpath(path), places):
            raise UserError(f"{image_id} is no image file in {self.root}.")
        return path

    def _listed(self) -> dict[str, str]:
        paths = list_tree(Path(self.root), self.allowed).top.paths()
        return {plain(path): os.path.join(self.root, path) for path in paths}

    def large(self, place: Place) -> tuple[np.ndarray, np.ndarray | None]:
        found = read_whole(self.path(place.image_id), self.image_size)
        original = eight_bit(found.pixels)
        return found.prepared, None if original.shape == found.prepared.shape else original


class Drawn:
    """The generated images."""

    checksum = None

    def __init__(self, image_size: int):
        self.image_size = image_size

    def read(self, places: Sequence[Place]) -> list[np.ndarray | UserError]:
        return [self._read(place) for place in places]

    def _read(self, place: Place) -> np.ndarray | UserError:
        try:
            return _drawn(place.split, place.index, self.image_size)
        except IndexError:
            return UserError(f"There is no generated image {place.image_id}.")

    def large(self, place: Place) -> tuple[np.ndarray, np.ndarray | None]:
        image = self._read(place)
        if isinstance(image, UserError):
            raise image
        return image, None


@lru_cache(maxsize=KEPT_DRAWN)
def _drawn(split: str, index: int, image_size: int) -> np.ndarray:
    """Read-only: one array for all who ask."""
    image = phantom.draw(split, index, image_size)
    image.flags.writeable = False
    return image


def _plain_array(image: np.ndarray) -> np.ndarray:
    """(H, W) uint8 or uint16, or (H, W, 3) uint8, in this machine's byte order."""
    image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    if image.dtype == np.uint8:
        return image
    return image.astype(np.uint16) if image.ndim == 2 else upper_bits(image)


def _medmnist(name: str, image_size: int, data_dir: str | None, on_progress: Progress) -> Mapped:
    size = stored_size(image_size)

    def in_images(state: str, done: int, total: int | None) -> None:
        on_progress(done // size**2, (total or done) // size**2)

    found = read_medmnist(name, size, data_dir, in_images)
    larger = [on_disk(name, other, data_dir) for other in SIZES if other > size]
    unpacked = [other.folder for other in larger if other.state == "unpacked"]
    arrays = {split: images for split, (images, _) in opened(unpacked[-1]).items()} if unpacked else None
    return Mapped(
        {split: held.images for split, held in found.splits.items()},
        image_size,
        arrays,
        found.known_checksum if size == image_size else None,
    )
