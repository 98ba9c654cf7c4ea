"""Data sources: what they read, how they split, and the sentence for each kind of bad input."""

import numpy as np
import pytest
from conftest import striped_images, write_folder, write_npz
from PIL import Image

from colora.config import RunConfig
from colora.data import SPLITS, check_dataset, load_dataset, load_outside, used_index
from colora.data.dataset import balanced_index
from colora.data.prepare import prepare, prepare_array, prepare_file
from colora.errors import UserError


def load(spec, **settings):
    return load_dataset(RunConfig(dataset=spec, **{"image_size": 32, **settings}))


def test_npz(tiny_npz):
    data = load(f"npz:{tiny_npz}")
    with np.load(tiny_npz) as file:
        assert np.array_equal(data.splits["val"].images, file["val_images"])
        assert np.array_equal(data.splits["val"].labels, file["val_labels"].ravel())
    assert data.class_names == ("ONE", "TWO", "THREE")
    assert data.counts("train") == [12, 10, 8]
    assert data.splits["test"].patient_ids[0] == "200"
    assert data.splits["train"].image_ids[3] == "train/000003"
    assert len(data.checksum()) == 64
    assert data.checksum() == load(f"npz:{tiny_npz}").checksum() != load(f"npz:{tiny_npz}", image_size=16).checksum()


def test_npz_without_names_counts_the_classes(tmp_path):
    path = write_npz(tmp_path / "a.npz", named=False)
    data = load(f"npz:{path}")
    assert data.class_names == ("0", "1", "2")
    assert not data.class_names_given
    named = load(f"npz:{path}", class_names=["A", "B", "C"])
    assert named.class_names == ("A", "B", "C")
    assert named.class_names_given
    with pytest.raises(UserError, match=r"2 class names were given .* but .* has 3 classes"):
        load(f"npz:{path}", class_names=["A", "B"])


def test_colour_npz_becomes_grey(tmp_path):
    labels = np.array([0, 1] * 4)
    grey = striped_images(labels, 32, 0)
    colour = np.repeat(grey[..., None], 3, axis=3)
    replaced = {"images": colour, "labels": labels, "patients": None}
    path = write_npz(
        tmp_path / "a.npz", counts=(4, 4), **{f"{s}_{key}": value for s in SPLITS for key, value in replaced.items()}
    )
    data = load(f"npz:{path}")
    assert np.array_equal(data.splits["train"].images, grey)
    assert data.splits["train"].patient_ids is None
    assert "may share patients" in data.split_rule


BAD_NPZ = [
    ({"val_labels": None}, r"lacks val_labels \(it has .*MedMNIST's format has"),
    ({"train_images": np.zeros((30, 32, 32), np.float32)}, r"train_images is float32 \(30, 32, 32\); expected uint8"),
    ({"train_images": np.zeros((5, 32, 32), np.uint8)}, "5 train_images, but 30 train_labels"),
    ({"test_labels": np.full((30, 1), 7)}, "names 3 classes but has labels up to 7"),
    ({"test_labels": np.full((30, 1), -1)}, "test_labels holds -1; labels count from 0"),
    ({"test_labels": np.zeros((30, 1), float)}, "test_labels is float64"),
    (
        {"test_labels": np.zeros((0, 1), int), "test_images": np.zeros((0, 32, 32), np.uint8)},
        "no image in its test split",
    ),
    ({"train_labels": np.zeros((30, 1), int)}, "(fewer than two classes|only one class) to train on"),
    ({"train_patients": np.zeros(4)}, "train_patients has 4 entries for 30 images"),
]


@pytest.mark.parametrize(("replaced", "sentence"), BAD_NPZ)
def test_bad_npz(tmp_path, replaced, sentence):
    path = write_npz(tmp_path / "bad.npz", **replaced)
    with pytest.raises(UserError, match=sentence):
        load(f"npz:{path}")


@pytest.mark.parametrize("part", [100, 5000])
def test_truncated_npz(tmp_path, part):
    path = write_npz(tmp_path / "bad.npz")
    path.write_bytes(path.read_bytes()[:-part])
    with pytest.raises(UserError, match=r"cannot be read as an \.npz file"):
        load(f"npz:{path}")


def test_pickled_npz_is_not_opened(tmp_path):
    path = tmp_path / "bad.npz"
    np.savez(path, **{f"{s}_{k}": np.array([{"a": 1}], dtype=object) for s in SPLITS for k in ("images", "labels")})
    with pytest.raises(UserError, match="cannot be read"):
        load(f"npz:{path}")


def test_missing_file_and_plain_array(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        load(f"npz:{tmp_path / 'no.npz'}")
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(UserError, match="single array"):
        load(f"npz:{tmp_path / 'array.npy'}")


def test_folder_splits_by_patient(tiny_folder):
    data = load(f"folder:{tiny_folder}")
    assert data.class_names == ("ONE", "THREE", "TWO")  # sorted
    assert sum(len(data.splits[s]) for s in SPLITS) == 72
    patients = [set(data.splits[s].patient_ids) for s in SPLITS]
    assert not (patients[0] & patients[1] or patients[0] & patients[2] or patients[1] & patients[2])
    assert all(abs(len(data.splits[s]) - share * 72) <= 3 for s, share in zip(SPLITS, (0.7, 0.15, 0.15), strict=True))
    assert all(min(data.counts(s)) >= 2 for s in SPLITS)
    assert data.warnings == ()
    assert data.checksum() == load(f"folder:{tiny_folder}").checksum()
    assert data.checksum() != load(f"folder:{tiny_folder}", split_seed=1).checksum()
    assert all(i.split("/")[0] in data.class_names for i in data.splits["train"].image_ids)


def test_folder_without_patients_splits_by_image_and_says_so(tmp_path):
    root = write_folder(tmp_path / "oct", patients=5, scans=2)
    for path in list(root.rglob("*.png")):
        path.rename(path.with_name(path.name.replace("-", "ä ")))
    data = load(f"folder:{root}")
    assert data.splits["train"].patient_ids is None
    assert "by image" in data.split_rule
    assert "better than they are" in data.warnings[0]
    assert data.counts("val") == [2, 2, 2]
    with_pattern = load(f"folder:{root}", patient_pattern=r"ä (?P<patient>\d+)ä")
    assert with_pattern.splits["train"].patient_ids is not None
    assert with_pattern.warnings == ()


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [("(", "is no regular expression"), (r"(\d+)", "has no group"), (r"x(?P<patient>\d+)", "finds no patient in")],
)
def test_wrong_patient_patterns(tiny_folder, pattern, sentence):
    with pytest.raises(UserError, match=sentence):
        load(f"folder:{tiny_folder}", patient_pattern=pattern)


def test_folder_leaves_out_images_that_do_not_open(tmp_path):
    root = write_folder(tmp_path / "oct")
    (root / "ONE" / "ONE-999-1.png").write_text("no image")
    data = load(f"folder:{root}")
    assert "1 of 73 images did not open and were left out: ONE-999-1.png" in data.warnings[0]
    for n in range(5):
        (root / "ONE" / f"ONE-999-{n}.png").write_text("no image")
    with pytest.raises(UserError, match=r"5 of 77 images .* do not open"):
        load(f"folder:{root}")


def test_folder_does_not_follow_links_out(tmp_path):
    root = write_folder(tmp_path / "oct")
    outside = write_folder(tmp_path / "outside", patients=1)
    (root / "LINKED").symlink_to(outside / "ONE")
    (root / "ONE" / "ONE-5000-1.png").symlink_to(outside / "ONE" / "ONE-0-1.png")
    data = load(f"folder:{root}")
    assert sum(len(data.splits[s]) for s in SPLITS) == 72
    assert "LINKED" not in data.class_names


def test_bad_folders(tmp_path):
    with pytest.raises(UserError, match="There is no folder"):
        load(f"folder:{tmp_path / 'no'}")
    (tmp_path / "empty" / "A").mkdir(parents=True)
    with pytest.raises(UserError, match="no sub-folder with images"):
        load(f"folder:{tmp_path / 'empty'}")
    root = write_folder(tmp_path / "oct")
    for name in ("TWO", "THREE"):
        (root / name).rename(tmp_path / name)
    with pytest.raises(UserError, match=r"one class only \(ONE\)"):
        check_dataset(RunConfig(dataset=f"folder:{root}"))


def test_phantom_is_synthetic_and_says_so():
    data = load("phantom")
    assert data.synthetic
    assert "synthetic" in data.warnings[0]
    assert data.class_names == ("CNV", "DME", "DRUSEN", "NORMAL")
    assert len(set(data.counts("test"))) == 1


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
    with pytest.raises(UserError, match="does not open as an image"):
        (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
        prepare_file(tmp_path / "b.png", 24)
    with pytest.raises(UserError, match="There is no image"):
        prepare_file(tmp_path / "c.png", 24)


def test_balanced_takes_the_first_of_each_class(tiny_npz):
    labels = np.array([0, 0, 1, 0, 1, 1, 0])
    assert balanced_index(labels, 2, 2).tolist() == [0, 1, 2, 4]
    assert balanced_index(labels, 2, None).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(UserError, match="Class 1 has 3 training images, fewer than per_class 4: at most 3 work"):
        balanced_index(labels, 2, 4)
    config = RunConfig(dataset=f"npz:{tiny_npz}", image_size=32, train_set="balanced")
    used = used_index(load_dataset(config), config)
    assert len(used) == 24


def test_outside_data_take_every_image_of_a_folder_and_one_split_of_a_file(tiny_folder, tiny_npz):
    data, split = load_outside(f"folder:{tiny_folder}", 32, "test")
    assert (split, len(data.splits[split])) == ("all", 72)
    data, split = load_outside(f"npz:{tiny_npz}", 32, "val")
    assert (split, len(data.splits[split])) == ("val", 30)


def test_real_folder_and_npz_hold_the_same_eyes(shared):
    from_file = load(f"npz:{shared / 'data' / 'oct2017-sample_224.npz'}", image_size=224)
    from_folder, _ = load_outside(f"folder:{shared / 'data' / 'oct2017-sample'}", 224, "test")
    assert from_file.class_names == from_folder.class_names == ("CNV", "DME", "DRUSEN", "NORMAL")
    assert [len(from_file.splits[s]) for s in SPLITS] == [482, 102, 116]
    every = from_folder.splits["all"]
    assert every.images.shape == (700, 224, 224)
    assert len(set(every.patient_ids)) == 439
    known = {image.tobytes() for image in every.images}
    same = sum(image.tobytes() in known for s in SPLITS for image in from_file.splits[s].images)
    assert same == 700  # both were prepared by the same rule
