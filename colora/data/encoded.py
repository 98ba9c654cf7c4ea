"""Images as files that a browser shows: small for a grid, or with every pixel as it is."""

import base64
import io

import numpy as np
from PIL import Image

from colora.data.prepare import coloured

TILE_SIDE = 224  # pixels; a larger image is scaled down to it for a tile
JPEG_QUALITY = 88


def tile(image: np.ndarray) -> str:
    """A data URI of an (S, S) image for a grid: JPEG, at most TILE_SIDE pixels a side."""
    picture = Image.fromarray(image)
    if max(picture.size) > TILE_SIDE:
        picture.thumbnail((TILE_SIDE, TILE_SIDE), Image.Resampling.BICUBIC)
    return _data_uri(_file(picture, "jpeg", quality=JPEG_QUALITY), "jpeg")


def lossless(image: np.ndarray) -> str:
    """A data URI of an (H, W) or (H, W, 3) image with every pixel as it is: PNG."""
    return _data_uri(png(image), "png")


def png(image: np.ndarray) -> bytes:
    """The file of an (H, W) or (H, W, 3) uint8 image."""
    return _file(Image.fromarray(image), "png", compress_level=1)


def _file(picture: Image.Image, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def _data_uri(file: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"


def eight_bit(image: np.ndarray) -> np.ndarray:
    """Deep grey over the image's own range, as `prepare` does it; colour channels that are alike become one."""
    if image.ndim == 3:
        return image if coloured(image) else np.ascontiguousarray(image[..., 0])
    if image.dtype == np.uint8:
        return image
    values = image.astype(np.float64)
    low, high = values.min(), values.max()
    return ((values - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8)
