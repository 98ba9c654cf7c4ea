"""Preparing an image, the same way for every source: grey, centre-crop to the short edge, antialiased bicubic resize.

This is MedMNIST's rule. On wide B-scans it keeps the fovea's proportions, where squashing would not. Nothing of it is
silent: an image that was not 8-bit grey to begin with is counted in `Converted`, which becomes a warning.
"""

import hashlib
import io
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from colora.system.errors import UserError
from colora.system.files import regular

RULE = "grey, centre-crop to the short edge, antialiased bicubic resize"
RULE_VERSION = 1  # counts up when the same file would give other pixels, so that kept ones are made anew
# A B-scan has some megapixels; a file that claims more than this is damaged or hostile.
MAX_PIXELS = 100_000_000
MOST_PAGES = 1_024  # of a volume in one file
TINT = 8  # grey levels between the channels of a picture that people see as grey
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")  # Pillow knows others, some of which start programs
# What Pillow raises on damaged files, found by damaging files of each format at random.
DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, struct.error, zlib.error)

CONVERSIONS = {
    "deep": "More than 8 bits a pixel, brought to 8 (grey over each image's own range)",
    "colour": "In colour, made grey",
    "transparent": "Transparent in places, which was ignored",
    "pages": "Several pages or frames, the first was taken",
}

Progress = Callable[[int, int], None]
"""(images done, images in all); in all is 0 while they are still being counted."""


def quiet(done: int, total: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Upload:
    """An image file that lies in memory, as a browser has sent it; its `name` stands in sentences."""

    name: str
    data: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name


Source = str | Path | Upload


class Mask(UserError):
    """An image file that holds two grey values only, as segmentation masks do and scans never."""


class ImageError(UserError):
    """An image file that does not open; `reason` is why, without the file's name."""

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


@dataclass
class Converted:
    """Images that were not 8-bit grey: {kind of CONVERSIONS: [how many, the first one's id]}."""

    found: dict[str, list] = field(default_factory=dict)

    def add(self, kinds: Iterable[str], image_id: str) -> None:
        for kind in kinds:
            self.found.setdefault(kind, [0, image_id])[0] += 1

    def sentences(self, total: int) -> list[str]:
        """A warning for each kind."""
        return [
            f"{CONVERSIONS[kind]}: {count:,} of {total:,} images; the first: {first}."
            for kind, (count, first) in sorted(self.found.items())
        ]


def square_of(width: int, height: int) -> tuple[int, int, int]:
    """(left, top, side) of what a network sees of a picture: the largest square, in its middle."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side


def prepare(image: Image.Image, image_size: int) -> np.ndarray:
    """(image_size, image_size) uint8 from a PIL image of any mode; 16-bit ones are scaled to their own range.

    Raises ValueError for an image that holds values which are no numbers.
    """
    if _is_deep(image):
        values = np.asarray(image, dtype=np.float64)
        low, high = values.min(), values.max()
        if not np.isfinite(high - low):
            raise ValueError("it holds values that are no numbers")
        image = Image.fromarray(((values - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8))
    grey = image.convert("L")
    left, top, side = square_of(*grey.size)
    square = grey.crop((left, top, left + side, top + side))
    if side != image_size:
        square = square.resize((image_size, image_size), Image.Resampling.BICUBIC)
    return np.asarray(square)


def image_checksum(image: np.ndarray) -> int:
    """The first 64 bits of SHA-256 over one image's prepared pixels (S, S) uint8: kept with each prediction, so that
    another picture is never taken for the one that was predicted."""
    return int.from_bytes(hashlib.sha256(np.ascontiguousarray(image)).digest()[:8], "little")


def prepare_array(images: np.ndarray, image_size: int) -> np.ndarray:
    """(N, image_size, image_size) uint8 from (N, H, W) uint8 or uint16, or (N, H, W, 3) uint8; no copy where nothing
    changes."""
    if images.dtype == np.uint8 and images.shape[1:] == (image_size, image_size):
        return images
    out = np.empty((len(images), image_size, image_size), dtype=np.uint8)
    for i, image in enumerate(images):
        out[i] = prepare(Image.fromarray(image), image_size)
    return out


def upper_bits(images: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 from 16-bit colour, as Pillow reads it from a file: not over each image's own range, which would
    change the colours' balance."""
    return (images >> 8).astype(np.uint8)


def coloured(images: np.ndarray) -> np.ndarray:
    """(...) bool of (..., H, W, 3) uint8: whether there is colour in it; lossy files tint grey a little."""
    red, green, blue = np.moveaxis(images, -1, 0)
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return spread.max((-2, -1)) > TINT


def read_image(path: Source, image_size: int, masks: bool = True) -> tuple[np.ndarray, tuple[str, ...]]:
    """(image_size, image_size) uint8 from an image file, and the kinds of CONVERSIONS it took.

    Raises ImageError where it does not open, and Mask, unless `masks` are taken too, where it is one.
    """
    with opened(path) as image:
        if not masks and two_valued(image):
            raise Mask(f"{path} holds two grey values only, as masks do.")
        kinds = _conversions(image)
        return prepare(ImageOps.exif_transpose(image), image_size), kinds


def two_valued(image: Image.Image) -> bool:
    """Whether an opened image has exactly two values: a scan tells at once, by its third, that it has more."""
    return not _is_deep(image) and len(image.getcolors(2) or ()) == 2


class Whole(NamedTuple):
    """An image as the network reads it, (S, S) uint8, in all its pixels, (H, W) of its own depth or (H, W, 3) uint8,
    and the kinds of CONVERSIONS it took."""

    prepared: np.ndarray
    pixels: np.ndarray
    kinds: tuple[str, ...]


def read_whole(path: Source, image_size: int) -> Whole:
    """All from one reading, since the file may be replaced between two. Raises ImageError."""
    with opened(path) as file:
        return _whole(file, image_size)


def _whole(file: Image.Image, image_size: int) -> Whole:
    """Of the page that the opened file stands at."""
    kinds = _conversions(file)
    image = ImageOps.exif_transpose(file)
    return Whole(prepare(image, image_size), np.asarray(image if _is_deep(image) else image.convert("RGB")), kinds)


def count_pages(path: Source) -> int:
    """How many pages or frames an image file has: of a TIFF, GIF or WebP, an animated PNG or several JPEGs in one file
    (MPO) as many as there are, of any other 1. Raises ImageError, also for more than MOST_PAGES."""
    with opened(path) as file:
        # Pillow's own count of a TIFF's pages takes hours where a hostile file of some megabytes has very many.
        pages = _walked(file) if file.format == "TIFF" else getattr(file, "n_frames", 1)
        if pages > MOST_PAGES:
            raise ValueError(f"it has more than {MOST_PAGES:,} pages")
        return pages


def _walked(file: Image.Image) -> int:
    """The number of pages, counted by going there, no further than one behind MOST_PAGES."""
    for page in range(1, MOST_PAGES + 1):
        try:
            file.seek(page)
        except EOFError:
            return page
    return MOST_PAGES + 1


def read_pages(path: Source, image_size: int, first: int, count: int) -> list[Whole]:
    """`each_page`, all at once in memory."""
    return list(each_page(path, image_size, first, count))


def read_page(path: Source, image_size: int, page: int) -> Whole:
    """One page, counted from 0. Raises UserError where there is none such, and ImageError."""
    found = read_pages(path, image_size, page, 1)
    if not found:
        raise UserError(f"{path} has no page {page + 1}.")
    return found[0]


def each_page(path: Source, image_size: int, first: int, count: int) -> Iterator[Whole]:
    """`count` pages, or as many as there are, from the `first` (0) on. Raises ImageError."""
    with opened(path) as file:
        for page in range(first, min(first + count, MOST_PAGES)):
            try:
                file.seek(page)
            except EOFError:  # there are no more
                break
            _check_size(file)
            read = _whole(file, image_size)
            yield read._replace(kinds=tuple(kind for kind in read.kinds if kind != "pages"))


@contextmanager
def opened(path: Source) -> Iterator[Image.Image]:
    """An image file of a known format and a possible size. Raises ImageError, also for damage found in the block."""
    try:
        with _bytes_of(path) as file, Image.open(file, formats=FORMATS) as image:
            _check_size(image)
            yield image
    except FileNotFoundError as error:
        raise ImageError(f"There is no image {path}.", "it is gone") from error
    except (Image.DecompressionBombError, *DAMAGE) as error:
        reason = _reason(error, path)
        raise ImageError(f"{path} does not open as an image ({reason}).", reason) from error


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"it claims {image.width} x {image.height} pixels")


def _bytes_of(path: Source) -> BinaryIO:
    return io.BytesIO(path.data) if isinstance(path, Upload) else open(regular(path), "rb")


def prepare_file(path: Path, image_size: int) -> np.ndarray:
    """(image_size, image_size) uint8 from an image file. Raises UserError where it does not open."""
    return read_image(path, image_size)[0]


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def _conversions(image: Image.Image) -> tuple[str, ...]:
    """Kinds of CONVERSIONS of an opened image; a grey picture stored in colour channels is none."""
    kinds = []
    # Pillow reads 16-bit colour as 8-bit; only the decoder's arguments still tell.
    if _is_deep(image) or any("16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        kinds.append("deep")
    if getattr(image, "is_animated", False):
        kinds.append("pages")
    if not _is_deep(image) and image.mode not in ("1", "L", "LA"):
        rgb = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))  # (H, W, 3)
        if coloured(rgb):
            kinds.append("colour")
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        kinds.append("transparent")
    return tuple(kinds)


def _reason(error: Exception, path: Source) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, UnidentifiedImageError):
        if (len(path.data) if isinstance(path, Upload) else os.path.getsize(path)) == 0:
            return "the file is empty"
        return f"it is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    return str(error).strip() or type(error).__name__
