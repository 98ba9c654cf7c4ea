"""How one image becomes the network's input, and what is said of images that were not 8-bit grey."""

import hashlib
import io
import os
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from small_data import striped_images

from colora.data import prepare as module
from colora.data.prepare import (
    Converted,
    ImageError,
    image_checksum,
    prepare,
    prepare_array,
    prepare_file,
    read_image,
)
from colora.system.errors import UserError

GREY = Image.fromarray((np.arange(48 * 32) % 251).reshape(32, 48).astype(np.uint8))
COLOUR = Image.merge("RGB", [GREY, GREY.transpose(Image.Transpose.FLIP_LEFT_RIGHT), GREY])
DEEP = Image.fromarray(np.arange(48 * 32).reshape(32, 48).astype(np.uint16) * 40)


def test_preparation_is_medmnists_rule():
    wide = np.zeros((40, 100), np.uint8)
    wide[:, 30:70] = 200  # exactly what the centre-crop keeps
    assert prepare(Image.fromarray(wide), 40).min() == 200
    assert prepare(Image.fromarray(wide), 20).shape == (20, 20)
    colour = Image.merge("RGB", [Image.new("L", (8, 8), v) for v in (255, 0, 0)])
    assert prepare(colour, 8)[0, 0] == 76  # ITU-R 601 luma
    deep = Image.fromarray(np.linspace(0, 40_000, 64).reshape(8, 8).astype(np.uint16))
    assert (prepare(deep, 8).min(), prepare(deep, 8).max()) == (0, 255)


def test_file_and_array_are_prepared_alike(tmp_path):
    image = striped_images(np.array([1]), 64, 0)
    Image.fromarray(image[0]).save(tmp_path / "a.png")
    assert np.array_equal(prepare_file(tmp_path / "a.png", 24), prepare_array(image, 24)[0])
    assert prepare_array(image, 64) is image  # nothing to change, nothing copied


PALETTE = COLOUR.quantize(16)
CLEAR = Image.merge("LA", [GREY, Image.new("L", GREY.size, 100)])
OPAQUE = Image.merge("LA", [GREY, Image.new("L", GREY.size, 255)])
KINDS = [
    (GREY, "png", ()),
    (GREY, "jpg", ()),
    (GREY, "gif", ()),
    (GREY.convert("1"), "png", ()),
    (GREY.convert("RGB"), "png", ()),
    (GREY.convert("RGB"), "jpg", ()),
    (GREY.convert("RGBA"), "webp", ()),
    (OPAQUE, "png", ()),
    (CLEAR, "png", ("transparent",)),
    (COLOUR, "png", ("colour",)),
    (COLOUR, "bmp", ("colour",)),
    (COLOUR.convert("CMYK"), "jpg", ("colour",)),
    (PALETTE, "png", ("colour",)),
    (DEEP, "png", ("deep",)),
    (DEEP, "tif", ("deep",)),
    (Image.fromarray(np.asarray(DEEP).astype(np.float32)), "tif", ("deep",)),
    (Image.fromarray(np.asarray(DEEP).astype(np.int32)), "tif", ("deep",)),
]


@pytest.mark.parametrize(("image", "suffix", "kinds"), KINDS, ids=lambda x: getattr(x, "mode", None))
def test_what_is_said_of_a_file(tmp_path, image, suffix, kinds):
    path = tmp_path / f"a.{suffix}"
    image.save(path)
    pixels, said = read_image(path, 24)
    assert said == kinds
    assert (pixels.shape, pixels.dtype) == ((24, 24), np.uint8)
    assert pixels.std() > 20


def test_16_bit_colour_is_said_though_pillow_hides_it(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + struct.pack(">3H", 60_000, 1_000, 300) * 20 for _ in range(20))
    head = struct.pack(">2I5B", 20, 20, 16, 2, 0, 0, 0)  # 16 bits, RGB
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    assert read_image(tmp_path / "a.png", 20)[1] == ("deep", "colour")


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp"])
def test_of_several_pages_or_frames_the_first_is_taken(tmp_path, suffix):
    first, second = Image.new("L", (24, 24), 40), Image.new("L", (24, 24), 220)
    first.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[second])
    pixels, kinds = read_image(tmp_path / f"a.{suffix}", 24)
    assert kinds == ("pages",)
    assert pixels.max() < 60


def test_conversions_are_counted():
    converted = Converted()
    for image_id, kinds in (("a", ()), ("b", ("colour",)), ("c", ("deep", "colour"))):
        converted.add(kinds, image_id)
    assert converted.sentences(1200) == [
        "In colour, made grey: 2 of 1,200 images; the first: b.",
        "More than 8 bits a pixel, brought to 8 (grey over each image's own range): 1 of 1,200 images; the first: c.",
    ]


def saved(image: Image.Image, kind: str, **how) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


NAN = Image.fromarray(np.full((20, 20), np.nan, np.float32))
BAD = [
    (b"", r"the file is empty"),
    (b"no image", r"it is no PNG, JPEG, TIFF, BMP, GIF or WEBP"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", r"it is no PNG"),  # Pillow would start Ghostscript
    (saved(GREY, "PNG")[:130], r"truncated"),
    (saved(GREY, "JPEG")[:-100], r"truncated"),
    (saved(GREY, "TIFF")[:800], r""),
    (saved(NAN, "TIFF"), r"it holds values that are no numbers"),
]


@pytest.mark.parametrize(("content", "reason"), BAD)
def test_files_that_do_not_open(tmp_path, content, reason):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{path} does not open as an image \(.*{reason}.*\)\.") as error:
        prepare_file(path, 24)
    assert str(path) not in error.value.reason


def test_a_file_that_claims_too_many_pixels(tmp_path, monkeypatch):
    GREY.save(tmp_path / "a.png")
    monkeypatch.setattr(module, "MAX_PIXELS", 1000)
    with pytest.raises(ImageError, match="it claims 48 x 32 pixels"):
        read_image(tmp_path / "a.png", 24)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(UserError, match=r"There is no image .*c\.png"):
        prepare_file(tmp_path / "c.png", 24)
    with pytest.raises(UserError, match=r"does not open as an image \(.*it is a folder"):
        prepare_file(tmp_path, 24)


@pytest.mark.filterwarnings("ignore")  # Pillow's own, about metadata
@pytest.mark.parametrize("kind", module.FORMATS)
def test_damage_anywhere_is_an_image_error(tmp_path, kind):
    """Bytes changed at random: each file gives an image or an ImageError, nothing else."""
    whole, draw, opened = saved(GREY, kind), random.Random(kind), 0
    path = tmp_path / "a"
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(draw.choice([1, 2, 5])):
            content[draw.randrange(draw.choice([40, 200, len(content)])) % len(content)] = draw.randrange(256)
        path.write_bytes(content[: draw.choice([len(content), draw.randrange(1, len(content))])])
        try:
            assert read_image(path, 16)[0].shape == (16, 16)
            opened += 1
        except ImageError as error:
            assert error.reason
    assert 0 < opened < 150


def test_a_pipe_in_place_of_an_image_is_a_sentence_and_no_wait_for_ever(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png does not open as an image \(it is no regular file"):
        read_image(tmp_path / "a.png", 32)


def test_a_checksum_is_of_the_pixels_and_of_nothing_else():
    image = np.random.default_rng(2).integers(0, 256, (12, 12), dtype=np.uint8)
    first = hashlib.sha256(image.tobytes()).digest()[:8]
    assert image_checksum(image) == sum(byte << (8 * place) for place, byte in enumerate(first))
    assert image_checksum(np.asfortranarray(image)) == image_checksum(np.stack([image, image], -1)[..., 1])
    assert image_checksum(np.asfortranarray(image)) == image_checksum(image)
    other = image.copy()
    other[11, 11] ^= 1
    assert image_checksum(other) != image_checksum(image) != image_checksum(image.T)
