"""`npz:FILE`: what is read, and the sentence for content that is not of its format."""


import numpy as np
import pytest
from small_data import check, load, refused, striped_images, write_npz

from colora.data import npz_file
from colora.data.sources import SPLITS, load_dataset, outline
from colora.settings.config import RunConfig
from colora.system.errors import UserError


def test_npz(tiny_npz):
    check(tiny_npz)
    data = load(f"npz:{tiny_npz}")
    with np.load(tiny_npz) as file:
        assert np.array_equal(data.splits["val"].images, file["val_images"])
        assert np.array_equal(data.splits["val"].labels, file["val_labels"].ravel())
    assert data.class_names == ("ONE", "TWO", "THREE")
    assert data.counts("train") == [12, 10, 8]
    assert data.splits["test"].patient_ids[0] == "200"
    assert data.splits["train"].image_ids[3] == "train/000003"
    assert data.warnings == ()
    assert len(data.checksum()) == 64
    assert data.checksum() == load(f"npz:{tiny_npz}").checksum() != load(f"npz:{tiny_npz}", image_size=16).checksum()


def test_names_are_given_or_counted(tmp_path):
    path = write_npz(tmp_path / "a.npz", named=False)
    data = load(f"npz:{path}")
    assert data.class_names == ("0", "1", "2")
    assert not data.class_names_given
    named = load(f"npz:{path}", class_names=["A", "B", "C"])
    assert named.class_names == ("A", "B", "C")
    assert named.class_names_given
    with pytest.raises(UserError, match=r"2 class names were given .* but .* has 3 classes"):
        load(f"npz:{path}", class_names=["A", "B"])
    in_bytes = write_npz(tmp_path / "b.npz", class_names=np.array([b"CNV", "Ödem".encode(), b"X"]))
    assert load(f"npz:{in_bytes}").class_names == ("CNV", "Ödem", "X")


def every_split(images=None, labels=None, patients=None):
    """Replacements for `write_npz`: the same images and labels in each split."""
    given = {"images": images, "labels": labels, "patients": patients}
    return {f"{split}_{key}": value for split in SPLITS for key, value in given.items()}


def test_grey_in_three_channels_is_grey_and_colour_is_said(tmp_path):
    labels = np.array([0, 1] * 4)
    grey = striped_images(labels, 32, 0)
    colour = np.repeat(grey[..., None], 3, axis=3)
    data = load(f"npz:{write_npz(tmp_path / 'a.npz', counts=(4, 4), **every_split(colour, labels))}")
    assert np.array_equal(data.splits["train"].images, grey)
    assert data.splits["train"].patient_ids is None
    assert "may share patients" in data.split_rule
    assert data.warnings == ()

    colour[5:, :, :, 0] = 255
    data = load(f"npz:{write_npz(tmp_path / 'b.npz', counts=(4, 4), **every_split(colour, labels))}")
    assert data.warnings == ("In colour, made grey: 9 of 24 images; the first: train/000005.",)
    assert np.array_equal(data.splits["val"].images[:5], grey[:5])
    assert data.splits["val"].images[5].mean() > grey[5].mean()


def test_one_channel_is_grey(tmp_path):
    labels = np.array([0, 1] * 4)
    grey = striped_images(labels, 32, 0)
    data = load(f"npz:{write_npz(tmp_path / 'a.npz', counts=(4, 4), **every_split(grey[..., None], labels))}")
    assert np.array_equal(data.splits["test"].images, grey)
    assert data.warnings == ()


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_images_are_scaled_each_over_its_range_and_said(tmp_path, order):
    labels = np.array([0, 1] * 4)
    deep = (striped_images(labels, 32, 0).astype(f"{order}u2") + 7) * 100
    data = load(f"npz:{write_npz(tmp_path / 'a.npz', counts=(4, 4), **every_split(deep, labels))}")
    images = data.splits["train"].images
    assert images.min((1, 2)).tolist() == [0] * 8
    assert images.max((1, 2)).tolist() == [255] * 8
    assert data.warnings == (
        "More than 8 bits a pixel, brought to 8 (grey over each image's own range): 24 of 24 images; the first: "
        "train/000000.",
    )


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_colour_is_what_it_would_be_from_an_image_file_and_said(tmp_path, order):
    labels = np.array([0, 1] * 4)
    colour = np.repeat(striped_images(labels, 32, 0)[..., None], 3, axis=3)
    colour[5:, :, :, 0] = 255
    low = np.random.default_rng(0).integers(0, 256, colour.shape)  # Pillow reads the upper 8 bits of a file's 16
    deep = (colour.astype(np.int64) * 256 + low).astype(f"{order}u2")
    path = write_npz(tmp_path / "a.npz", counts=(4, 4), **every_split(deep, labels))
    outline(RunConfig(dataset=f"npz:{path}"))
    data = load(f"npz:{path}")
    eight = load(f"npz:{write_npz(tmp_path / 'b.npz', counts=(4, 4), **every_split(colour, labels))}")
    assert data.checksum() == eight.checksum()
    assert data.warnings == (
        "In colour, made grey: 9 of 24 images; the first: train/000005.",
        "More than 8 bits a pixel, brought to 8 (grey over each image's own range): 24 of 24 images; the first: "
        "train/000000.",
    )


def test_arrays_stored_by_columns_are_the_same_images(tmp_path, tiny_npz):
    with np.load(tiny_npz) as file:
        by_column = np.asfortranarray(file["train_images"])
    data = load(f"npz:{write_npz(tmp_path / 'a.npz', train_images=by_column)}")
    assert data.checksum() == load(f"npz:{tiny_npz}").checksum()


def test_images_are_read_some_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(npz_file, "CHUNK_ROWS", 7)
    path = write_npz(tmp_path / "a.npz", size=24)
    told = []
    data = load_dataset(RunConfig(dataset=f"npz:{path}", image_size=16), lambda *done: told.append(done))
    assert told == [(30 * s + n, 90) for s in range(3) for n in (0, 7, 14, 21, 28)] + [(90, 90)]
    monkeypatch.undo()
    assert data.checksum() == load(f"npz:{path}", image_size=16).checksum()


ONE_HOT = np.eye(3, dtype=np.uint8)[np.arange(30) % 3]
BAD = [
    ({"val_labels": None}, r"lacks val_labels \(it has .*MedMNIST's format has"),
    ({f"{s}_{k}": None for s in SPLITS for k in ("images", "labels", "patients")}, r"\(it has class_names\)"),
    (
        {"train_images": np.zeros((30, 32, 32), np.float32)},
        r"train_images is float32 \(30, 32, 32\); expected uint8 .* Scale the values to 0 \.\.\. 255",
    ),
    ({"train_images": np.zeros((30, 32, 32), np.int64)}, r"train_images is int64 .*astype\('uint8'\)"),
    ({"train_images": np.zeros((30, 32, 32, 3), np.uint32)}, r"train_images is uint32 \(30, 32, 32, 3\); expected"),
    ({"train_images": np.zeros((30, 32, 32, 4), np.uint8)}, r"train_images is uint8 \(30, 32, 32, 4\); expected"),
    ({"train_images": np.zeros((30, 3, 32, 32), np.uint8)}, "Put the channels last, with numpy.moveaxis"),
    ({"train_images": np.zeros((30, 1024), np.uint8)}, r"train_images is uint8 \(30, 1024\); expected"),
    ({"train_images": np.zeros((30, 0, 32), np.uint8)}, r"train_images is uint8 \(30, 0, 32\); expected"),
    ({"train_images": np.uint8(3)}, r"train_images is uint8 \(\); expected"),
    ({"train_images": np.zeros((5, 32, 32), np.uint8)}, "5 train_images, but 30 train_labels"),
    ({"test_labels": np.full((30, 1), 3)}, "names 3 classes but has labels up to 3; labels count from 0"),
    ({"test_labels": np.full((30, 1), -1)}, "test_labels holds -1; labels count from 0"),
    ({"test_labels": np.full(30, 2**64 - 1, np.uint64)}, "test_labels holds 18446744073709551615, which is no class"),
    ({"test_labels": np.zeros((30, 1), float)}, "test_labels is float64 .* expected one whole number an image"),
    ({"test_labels": np.zeros(30, bool)}, "test_labels is bool .* expected one whole number an image"),
    ({"test_labels": np.uint8(1)}, r"test_labels is uint8 \(\); expected one whole number"),
    ({"test_labels": ONE_HOT}, r"test_labels is uint8 \(30, 3\), one-hot: save test_labels.argmax\(1\) instead"),
    ({"test_labels": ONE_HOT.astype(np.float32)}, r"float32 \(30, 3\), one-hot: save test_labels.argmax\(1\)"),
    ({"test_labels": np.ones((30, 3), int)}, r"test_labels is int64 \(30, 3\); expected one whole number"),
    (
        {"test_labels": np.zeros((0, 1), int), "test_images": np.zeros((0, 32, 32), np.uint8)},
        "no image in its test split",
    ),
    ({"train_labels": np.zeros((30, 1), int)}, r"only one class to train on \(ONE\); at least two are needed"),
    ({"class_names": np.array(["A", "B", "A"])}, "class_names holds an empty name or one twice"),
]


@pytest.mark.parametrize(("replaced", "sentence"), BAD)
def test_bad_content(tmp_path, replaced, sentence):
    refused(write_npz(tmp_path / "bad.npz", **replaced), sentence)


def test_wrong_number_of_patients(tmp_path):
    path = write_npz(tmp_path / "bad.npz", train_patients=np.zeros(4))
    refused(path, r"train_patients is float64 \(4,\); expected one number or text for each of the 30 images")


def test_patients_of_an_odd_type(tmp_path):
    """A record is a sentence, before the launch too; bytes that are no text are written as codes."""
    records = np.zeros(30, dtype=[("id", "i4", (2,))])
    refused(write_npz(tmp_path / "records.npz", val_patients=records), r"val_patients is .*; expected one number or")
    names = {f"{split}_patients": np.array([b"\xe4%d" % n for n in range(30)]) for split in SPLITS}
    data = load(f"npz:{write_npz(tmp_path / 'bytes.npz', **names)}")
    assert data.splits["test"].patient_ids[3] == "\\xe43"


@pytest.mark.parametrize("highest", [8, 10**9])
def test_labels_that_are_no_class_numbers_make_no_giant_list(tmp_path, highest):
    labels = np.array([0, 1, highest] * 10)
    path = write_npz(tmp_path / "bad.npz", named=False, train_labels=labels)
    refused(path, rf"has labels up to {highest:,}, but only 4 different ones: number the classes 0, 1, 2 and so on")


def test_a_class_that_is_missing_somewhere_is_said(tmp_path):
    path = write_npz(
        tmp_path / "a.npz",
        named=False,
        train_labels=np.array([0, 2, 3] * 10),
        val_labels=np.array([0, 1] * 15),
        test_labels=np.array([0, 1, 2, 3, 3] * 6),
    )
    check(path)
    data = load(f"npz:{path}")
    assert data.class_names == ("0", "1", "2", "3")
    assert data.warnings == (
        "The train split has no image of class 1, so the models cannot learn to know it.",
        "The val split has no image of class 2, 3, so its sensitivity and AUC are not defined there, and the mean AUC "
        "is over the others.",
    )


def test_more_classes_than_any_data_have_are_refused(tmp_path):
    named = write_npz(tmp_path / "a.npz", class_names=np.array([f"c{i}" for i in range(10_001)]))
    refused(named, r"a\.npz has 10,001 classes; there can be up to 10,000")
    labels = np.arange(10_001)
    images = np.zeros((10_001, 2, 2), np.uint8)
    several = {f"{split}_{key}": value for split in SPLITS for key, value in (("images", images), ("labels", labels))}
    none = {f"{split}_patients": None for split in SPLITS}
    refused(write_npz(tmp_path / "b.npz", named=False, **several, **none), r"b\.npz has 10,001 classes")


def test_an_image_larger_than_any_scan(tmp_path):
    huge = np.zeros((1, 10_001, 10_000), np.uint8)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **every_split(huge, np.zeros(1, int), np.zeros(1)))
    refused(path, "train_images claims 10,001 x 10,000 pixels an image, which no scan has")
