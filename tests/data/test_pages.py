"""Files of several pages or frames, as a volume comes in one: how many there are, and each as the network reads it."""

import io
import struct
import time

import numpy as np
import pytest
from PIL import Image
from queueing import busy

from colora.data import prepare as module
from colora.data.prepare import ImageError, Upload, count_pages, prepare_array, read_image, read_pages, read_whole

PAGES = np.stack([np.add.outer(np.arange(24), np.arange(36)) * k % 256 for k in (1, 2, 3, 5)]).astype(np.uint8)
DEEP = PAGES.astype(np.uint16) * 200 + 1000


def several(pages: np.ndarray, kind: str, **how) -> Upload:
    """(F, H, W) or (F, H, W, 3) as a file in memory."""
    first, *others = map(Image.fromarray, pages)
    file = io.BytesIO()
    first.save(file, kind, save_all=True, append_images=others, **how)
    return Upload(f"volume.{kind.lower()}", file.getvalue())


WAYS = [
    (PAGES, "TIFF", {}, ()),
    (PAGES, "TIFF", {"compression": "tiff_lzw"}, ()),
    (DEEP, "TIFF", {}, ("deep",)),
    (PAGES, "GIF", {}, ()),
    (PAGES, "WEBP", {"lossless": True}, ()),
    (PAGES, "PNG", {}, ()),
]


@pytest.mark.parametrize(("pages", "kind", "how", "kinds"), WAYS)
def test_each_page_is_read_as_a_file_of_its_own(pages, kind, how, kinds):
    volume = several(pages, kind, **how)
    found = read_pages(volume, 16, 0, 9)
    assert count_pages(volume) == len(found) == 4
    assert np.array_equal(np.stack([page.prepared for page in found]), prepare_array(pages, 16))
    for page, whole in enumerate(found):
        assert whole.kinds == kinds
        pixels = whole.pixels if whole.pixels.ndim == 2 else whole.pixels[..., 0]
        assert pixels.dtype == pages.dtype and np.array_equal(pixels, pages[page])
    (third,) = read_pages(volume, 16, 2, 1)
    assert np.array_equal(third.prepared, found[2].prepared) and len(read_pages(volume, 16, 3, 5)) == 1
    assert read_pages(volume, 16, 4, 1) == read_pages(volume, 16, 10**9, 1) == read_pages(volume, 16, -1, 1) == []


def test_a_single_image_has_one_page_and_of_several_the_first_is_the_file(tmp_path):
    Image.fromarray(PAGES[2]).save(tmp_path / "a.jpg", quality=95)
    assert count_pages(tmp_path / "a.jpg") == 1 and read_pages(tmp_path / "a.jpg", 16, 1, 1) == []
    (page,), whole = read_pages(tmp_path / "a.jpg", 16, 0, 7), read_whole(tmp_path / "a.jpg", 16)
    assert np.array_equal(page.prepared, whole.prepared) and np.array_equal(page.pixels, whole.pixels)
    volume = several(PAGES, "TIFF")
    assert read_image(volume, 16)[1] == read_whole(volume, 16).kinds == ("pages",)
    assert np.array_equal(read_whole(volume, 16).prepared, prepare_array(PAGES, 16)[0])


@pytest.mark.filterwarnings("ignore")  # Pillow's own, about metadata
def test_an_upload_is_read_as_the_file_and_named_in_sentences(tmp_path):
    (tmp_path / "a.tif").write_bytes(several(DEEP, "TIFF").data)
    same = Upload("scan of a person.tif", several(DEEP, "TIFF").data)
    for a, b in zip(read_pages(tmp_path / "a.tif", 16, 0, 4), read_pages(same, 16, 0, 4), strict=True):
        assert np.array_equal(a.prepared, b.prepared) and a.kinds == b.kinds
    assert "II*" not in repr(same)  # the bytes stand in no log
    for data, reason in ((b"", "the file is empty"), (b"no image", "it is no PNG, JPEG"), (same.data[:60], "")):
        with pytest.raises(ImageError, match=rf"^scan of a person\.tif does not open as an image \(.*{reason}"):
            read_pages(Upload("scan of a person.tif", data), 16, 0, 1)


def test_colour_of_one_page_is_said_of_that_page():
    pages = np.repeat(PAGES[..., None], 3, axis=3)
    pages[1, ..., 2] = 255 - pages[1, ..., 2]
    found = read_pages(several(pages, "TIFF"), 16, 0, 4)
    assert [page.kinds for page in found] == [(), ("colour",), (), ()]


def test_a_damaged_page_is_an_image_error_and_those_before_it_are_read():
    volume = several(PAGES, "TIFF", compression="tiff_lzw")
    with Image.open(io.BytesIO(volume.data)) as file:
        file.seek(1)
        (at,), (length,) = file.tag_v2[273], file.tag_v2[279]
    torn = Upload("torn.tif", volume.data[:at] + b"\xff" * length + volume.data[at + length :])
    assert count_pages(torn) == 4 and len(read_pages(torn, 16, 0, 1)) == len(read_pages(torn, 16, 2, 9)) - 1 == 1
    with pytest.raises(ImageError, match=r"torn\.tif does not open as an image"):
        read_pages(torn, 16, 0, 4)


def test_a_page_that_claims_too_many_pixels(monkeypatch):
    first, large = Image.fromarray(PAGES[0]), Image.new("L", (50, 50))
    file = io.BytesIO()
    first.save(file, "TIFF", save_all=True, append_images=[large])
    monkeypatch.setattr(module, "MAX_PIXELS", 1000)
    assert len(read_pages(Upload("a.tif", file.getvalue()), 16, 0, 1)) == 1
    with pytest.raises(ImageError, match="it claims 50 x 50 pixels"):
        read_pages(Upload("a.tif", file.getvalue()), 16, 0, 2)


def many_pages(count: int, circle: bool = False) -> Upload:
    """A TIFF of pages of 8 x 8 pixels that share their pixels, 106 bytes each; in a `circle` the last leads to the
    first."""
    tags = {256: (4, 8), 257: (4, 8), 258: (3, 8), 259: (3, 1), 262: (3, 1), 273: (4, 8), 278: (4, 8), 279: (4, 64)}
    page = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", t, kind, 1, v) for t, (kind, v) in tags.items())
    content = bytearray(b"II*\0" + struct.pack("<I", 72) + bytes(range(64)))
    for left in range(count - 1, -1, -1):
        content += page + struct.pack("<I", len(content) + len(page) + 4 if left else 72 * circle)
    return Upload("many.tif", bytes(content))


def test_more_pages_than_are_taken_are_a_sentence_and_soon():
    most = module.MOST_PAGES
    assert count_pages(many_pages(most)) == most and count_pages(many_pages(5, circle=True)) == 5
    begin = time.monotonic()
    for volume in (many_pages(most + 1), many_pages(50_000)):
        with pytest.raises(ImageError, match=r"many\.tif does not open as an image \(it has more than 1,024 pages\)"):
            count_pages(volume)
        assert read_pages(volume, 8, 10**9, 1) == []
    assert time.monotonic() - begin < 2 * busy()


def test_so_are_more_frames():
    file = io.BytesIO()
    Image.new("L", (4, 4), 3).save(file, "GIF")
    whole = file.getvalue()
    frame = whole[whole.index(b",", 13) : -1]
    with pytest.raises(ImageError, match=r"it has more than 1,024 pages"):
        count_pages(Upload("a.gif", whole[:-1] + frame * module.MOST_PAGES + b";"))
