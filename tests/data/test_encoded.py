"""Images as a browser gets them, decoded again: small for a grid, or with every pixel as it is."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from colora.data.encoded import TILE_SIDE, eight_bit, lossless, png, tile
from colora.data.phantom import draw
from colora.data.prepare import TINT

RNG = np.random.default_rng(7)


def decoded(uri: str, kind: str) -> np.ndarray:
    head, _, content = uri.partition(",")
    assert head == f"data:image/{kind};base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content, validate=True))))


def test_a_tile_is_small_and_the_large_picture_has_every_pixel():
    image = draw("test", 3, 256)
    small = decoded(tile(image), "jpeg")
    assert small.shape == (TILE_SIDE, TILE_SIDE)
    closest = np.asarray(Image.fromarray(image).resize((TILE_SIDE, TILE_SIDE), Image.Resampling.BICUBIC), dtype=int)
    assert np.abs(small - closest).mean() < 4
    assert np.array_equal(decoded(lossless(image), "png"), image)
    assert decoded(tile(image[:28, :28]), "jpeg").shape == (28, 28)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5, 3)])
def test_a_file_and_its_uri_have_the_same_pixels(shape):
    image = RNG.integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(image)))), image)
    assert np.array_equal(decoded(lossless(image), "png"), image)
    assert base64.b64decode(lossless(image).partition(",")[2]) == png(image)


@pytest.mark.parametrize("dtype", ["u2", ">u2", "i4", "f4"])
def test_deep_grey_is_spread_over_its_own_range(dtype):
    image = np.array([[1000, 1255], [3000, 5000]], dtype)
    assert eight_bit(image).tolist() == [[0, 16], [128, 255]]  # 255 * 255 / 4000 = 16.3; 2000 is half: 127.5 to even
    flat = eight_bit(np.full((3, 4), 700, dtype))
    assert flat.dtype == np.uint8 and flat.shape == (3, 4) and not flat.any()


def test_eight_bits_stay_and_channels_that_are_alike_become_one():
    grey = RNG.integers(0, 256 - TINT - 1, (6, 8), dtype=np.uint8)
    assert eight_bit(grey) is grey
    tinted = np.stack([grey, grey + TINT, grey], axis=-1)  # as a lossy file tints grey
    assert np.array_equal(eight_bit(tinted), grey)
    coloured = tinted.copy()
    coloured[2, 3, 1] += 1
    assert np.array_equal(eight_bit(coloured), coloured)
