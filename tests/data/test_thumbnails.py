"""Single images of every kind of source: the pixels that the network reads, without the set and without torch."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from small_data import load, write_folder, write_npz

from colora.data.medmnist import get
from colora.data.phantom import generate
from colora.data.prepare import prepare_array
from colora.data.rows import Rows
from colora.data.thumbnails import Place, Predicted, open_pictures
from colora.settings.config import RunConfig
from colora.system.errors import UserError

SIZE = 32


def places(dataset, split: str, index: list[int]) -> list[Place]:
    return [Place(split, i, str(dataset.splits[split].image_ids[i])) for i in index]


def opened(spec: str, splits=("train", "val", "test"), size: int = SIZE, **settings):
    return open_pictures(RunConfig(dataset=spec, image_size=size, **settings), splits)


@pytest.mark.parametrize("compressed", [True, False])
def test_an_npz_gives_what_the_network_reads_from_the_file(tmp_path, own_folders, compressed):
    file = write_npz(tmp_path / "mine.npz", size=48)
    if compressed:
        with np.load(file) as content:
            np.savez_compressed(file, **content)
    dataset = load(f"npz:{file}", image_size=SIZE)
    source = opened(f"npz:{file}")
    for split in ("train", "val", "test"):
        wanted = [0, 7, len(dataset.splits[split]) - 1]
        for image, i in zip(source.read(places(dataset, split, wanted)), wanted, strict=True):
            np.testing.assert_array_equal(image, dataset.splits[split].images[i])
    assert all(isinstance(array, Rows) for array in source.arrays.values())
    copies = list(own_folders.glob("prepared/*/images.npy"))
    assert len(copies) == (3 if compressed else 0)  # what is not compressed is read where it lies
    times = [copy.stat().st_mtime_ns for copy in copies]
    opened(f"npz:{file}")
    assert [copy.stat().st_mtime_ns for copy in copies] == times


def test_only_the_splits_that_are_asked_for_are_unpacked_and_progress_is_told(tmp_path, own_folders):
    file = write_npz(tmp_path / "mine.npz")
    with np.load(file) as content:
        np.savez_compressed(file, **content)
    told = []
    open_pictures(RunConfig(dataset=f"npz:{file}"), ("val",), lambda done, total: told.append((done, total)))
    assert len(list(own_folders.glob("prepared/*"))) == 2  # the copy and its README
    assert told[-1] == (30, 30)
    folder = next(path for path in own_folders.glob("prepared/*") if path.is_dir())
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_changed_npz_is_copied_anew(tmp_path, own_folders):
    file = write_npz(tmp_path / "mine.npz")
    for shade in (10, 200):
        with np.load(file) as content:
            grey = np.full_like(content["val_images"], shade)
            np.savez_compressed(file, **{**content, "val_images": grey})
        assert (opened(f"npz:{file}", ("val",)).read([Place("val", 3, "")])[0] == shade).all()


def test_an_npz_in_larger_pixels_keeps_its_original(tmp_path):
    file = write_npz(tmp_path / "mine.npz", size=48)
    source = opened(f"npz:{file}")
    with np.load(file) as content:
        seen, original = source.large(Place("train", 4, ""))
        np.testing.assert_array_equal(original, content["train_images"][4])
        np.testing.assert_array_equal(seen, source.read([Place("train", 4, "")])[0])
    assert opened(f"npz:{file}", size=48).large(Place("train", 4, ""))[1] is None


def test_deep_grey_and_colour_are_shown_as_they_are_prepared(tmp_path):
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 60_000, (30, 40, 40)).astype(">u2")
    colour = rng.integers(0, 255, (30, 40, 40, 3), dtype=np.uint8)
    file = write_npz(tmp_path / "mine.npz", train_images=deep, val_images=colour, test_images=colour[..., :1])
    source, dataset = opened(f"npz:{file}"), load(f"npz:{file}", image_size=SIZE)
    for split in ("train", "val", "test"):
        np.testing.assert_array_equal(source.read([Place(split, 5, "")])[0], dataset.splits[split].images[5])
    original = source.large(Place("train", 5, ""))[1]
    assert original.dtype == np.uint8 and (original.min(), original.max()) == (0, 255)
    np.testing.assert_array_equal(source.large(Place("val", 5, ""))[1], colour[5])
    deep_colour = write_npz(tmp_path / "deep.npz", val_images=colour.astype(">u2") * 256 + 7)
    np.testing.assert_array_equal(opened(f"npz:{deep_colour}").large(Place("val", 5, ""))[1], colour[5])


@pytest.mark.parametrize("index", [-1, 30, 10**9])
def test_an_image_that_is_not_there_is_a_sentence_and_the_others_are_shown(tmp_path, index):
    source = opened(f"npz:{write_npz(tmp_path / 'mine.npz')}")
    gone, there = source.read([Place("train", index, ""), Place("train", 0, "")])
    assert "have 30 images in this split now" in str(gone) and there.shape == (SIZE, SIZE)
    with pytest.raises(UserError, match="have 30 images in this split now"):
        source.large(Place("train", index, ""))


def test_a_damaged_or_missing_npz_is_a_sentence(tmp_path, own_folders):
    with pytest.raises(UserError, match="There is no file"):
        opened(f"npz:{tmp_path / 'none.npz'}")
    file = write_npz(tmp_path / "mine.npz")
    with np.load(file) as content:
        np.savez_compressed(file, **content)
    with open(file, "r+b") as damaged:
        damaged.seek(2000)
        damaged.write(bytes(200))
    with pytest.raises(UserError, match="is the copy complete"):
        opened(f"npz:{file}")
    assert not [path for path in own_folders.glob("prepared/*") if path.is_dir()]


def test_medmnist_is_read_where_it_lies_and_the_largest_size_here_is_the_original(medmnist):
    get("octmnist", 28)
    dataset = load("octmnist", image_size=28)
    small = opened("octmnist", size=28)
    np.testing.assert_array_equal(small.read([Place("val", 9, "")])[0], dataset.splits["val"].images[9])
    assert isinstance(small.arrays["train"], Rows) and small.large(Place("val", 9, ""))[1] is None
    assert small.checksum == dataset.checksum()
    get("octmnist", 64)
    large = load("octmnist", image_size=64)
    np.testing.assert_array_equal(
        opened("octmnist", size=28).large(Place("val", 9, ""))[1], large.splits["val"].images[9]
    )
    between = opened("octmnist", size=40)
    np.testing.assert_array_equal(
        between.read([Place("val", 9, "")])[0], prepare_array(large.splits["val"].images[9:10], 40)[0]
    )
    assert between.checksum is None


def test_a_medmnist_set_that_is_not_here_says_how_to_get_it(medmnist):
    with pytest.raises(UserError, match="colora data get octmnist --size 28"):
        opened("octmnist", size=28)


def test_a_folder_gives_each_file_and_its_original(tiny_folder):
    dataset, source = load(f"folder:{tiny_folder}", image_size=SIZE), opened(f"folder:{tiny_folder}")
    wanted = places(dataset, "test", [0, 3, 5])
    for image, i in zip(source.read(wanted), [0, 3, 5], strict=True):
        np.testing.assert_array_equal(image, dataset.splits["test"].images[i])
    seen, original = source.large(wanted[0])
    np.testing.assert_array_equal(seen, dataset.splits["test"].images[0])
    assert original.shape == (32, 48)
    np.testing.assert_array_equal(original, np.asarray(Image.open(tiny_folder / wanted[0].image_id)))


def test_a_picture_that_was_exchanged_is_not_shown_as_the_one_that_was_predicted(tmp_path):
    root = write_folder(tmp_path / "oct", patients=4)
    dataset = load(f"folder:{root}", image_size=SIZE)
    source = Predicted(opened(f"folder:{root}"), {"test": dataset.splits["test"].checksums()})
    wanted = places(dataset, "test", [0, 1, 2])
    for image, i in zip(source.read(wanted), range(3), strict=True):
        np.testing.assert_array_equal(image, dataset.splits["test"].images[i])
    (root / wanted[1].image_id).write_bytes((root / wanted[2].image_id).read_bytes())
    first, exchanged, other = source.read(wanted)
    assert wanted[1].image_id in str(exchanged) and "is not the picture that was predicted" in str(exchanged)
    assert first.shape == other.shape == (SIZE, SIZE)
    with pytest.raises(UserError, match="is not the picture that was predicted"):
        source.large(wanted[1])
    np.testing.assert_array_equal(source.large(wanted[2])[0], other)
    beyond = Place("test", len(dataset.splits["test"]), wanted[0].image_id)
    assert "is not the picture" in str(source.read([beyond])[0]), "an image that was not there then is none of them"


def test_a_file_that_is_gone_or_damaged_is_a_sentence_in_its_place(tmp_path):
    root = write_folder(tmp_path / "oct", patients=2)
    (root / "ONE" / "ONE-0-1.png").unlink()
    (root / "ONE" / "ONE-0-2.png").write_bytes(b"no image")
    names = ["ONE/ONE-0-1.png", "ONE/ONE-0-2.png", "TWO/TWO-100-1.png"]
    gone, damaged, there = opened(f"folder:{root}").read([Place("train", 0, name) for name in names])
    assert "There is no image" in str(gone) and "does not open" in str(damaged) and there.shape == (SIZE, SIZE)
    with pytest.raises(UserError, match="does not open"):
        opened(f"folder:{root}").large(Place("train", 0, names[1]))


@pytest.mark.parametrize("image_id", ["../secret.png", "ONE/../../secret.png", "/etc/passwd", "", "ONE/link.png"])
def test_no_image_id_leads_out_of_the_folder(tmp_path, image_id):
    root = write_folder(tmp_path / "oct", patients=2)
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "secret.png")
    (root / "ONE" / "link.png").symlink_to(tmp_path / "secret.png")
    source = opened(f"folder:{root}")
    refused = source.read([Place("train", 0, image_id)])[0]
    assert isinstance(refused, UserError)
    with pytest.raises(UserError):
        source.large(Place("train", 0, image_id))


def test_a_name_that_is_no_text_is_found(tmp_path):
    root = write_folder(tmp_path / "oct", patients=2)
    (root / "ONE" / "ONE-0-1.png").rename(f"{root}/ONE/ONE-0-\udcff1.png")
    image = opened(f"folder:{root}").read([Place("train", 0, "ONE/ONE-0-\\xff1.png")])[0]
    assert image.shape == (SIZE, SIZE)


def test_generated_images_are_drawn_one_by_one():
    drawn, source = generate("test", 64), opened("phantom", size=64)
    for i in (0, 17, 239):
        np.testing.assert_array_equal(source.read([Place("test", i, "")])[0], drawn.images[i])
    assert isinstance(source.read([Place("test", 240, "")])[0], UserError)
    assert isinstance(source.read([Place("test", -1, "")])[0], UserError)


def test_nothing_of_it_needs_torch():
    code = "import sys, colora.data.thumbnails, colora.results.timeline, colora.plots\n"
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


CUT_SHORT = """
import os, sys
from colora.data.thumbnails import Place, open_pictures
from colora.settings.config import make_config
from colora.system.errors import UserError

first, path = Place("test", 0, "first"), sys.argv[1]
source = open_pictures(make_config({"dataset": f"npz:{path}", "image_size": 28}))
assert source.read([first])[0].shape == (28, 28)
os.truncate(path, 100)
print(source.read([first])[0])
try:
    source.large(first)
except UserError as error:
    print(error)
"""


def test_a_file_cut_short_in_place_is_a_sentence_and_ends_no_server(tmp_path):
    """As `cp` over an .npz leaves it: whoever has the old one mapped would be killed."""
    path = write_npz(tmp_path / "tiny.npz")
    done = subprocess.run([sys.executable, "-c", CUT_SHORT, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    assert len(said) == 2 and all(line.startswith("first cannot be read") for line in said)
