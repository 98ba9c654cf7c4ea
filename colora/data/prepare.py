"""Preparing an image, the same way for every source: grey, centre-crop to the short edge, antialiased bicubic resize.

This is MedMNIST's rule. On wide B-scans it keeps the fovea's proportions, where squashing would not.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from colora.errors import UserError

RULE = "grey, centre-crop to the short edge, antialiased bicubic resize"
# A B-scan has some megapixels; a file that claims more than this is damaged or hostile.
Image.MAX_IMAGE_PIXELS = 100_000_000


def prepare(image: Image.Image, image_size: int) -> np.ndarray:
    """(image_size, image_size) uint8 from a PIL image of any mode; 16-bit ones are scaled to their own range."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        low, high = values.min(), values.max()
        image = Image.fromarray(((values - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8))
    grey = image.convert("L")
    side = min(grey.size)
    left, top = (grey.width - side) // 2, (grey.height - side) // 2
    square = grey.crop((left, top, left + side, top + side))
    if side != image_size:
        square = square.resize((image_size, image_size), Image.Resampling.BICUBIC)
    return np.asarray(square)


def prepare_array(images: np.ndarray, image_size: int) -> np.ndarray:
    """(N, image_size, image_size) uint8 from uint8 (N, H, W) or (N, H, W, 3); no copy where nothing changes."""
    if images.ndim == 3 and images.shape[1:] == (image_size, image_size):
        return images
    out = np.empty((len(images), image_size, image_size), dtype=np.uint8)
    for i, image in enumerate(images):
        out[i] = prepare(Image.fromarray(image), image_size)
    return out


def prepare_file(path: Path, image_size: int) -> np.ndarray:
    """(image_size, image_size) uint8 from an image file. Raises UserError where it does not open."""
    try:
        with Image.open(path) as image:
            return prepare(ImageOps.exif_transpose(image), image_size)
    except FileNotFoundError as error:
        raise UserError(f"There is no image {path}.") from error
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} does not open as an image ({error}).") from error
