"""What every source shares: the synthetic source, balancing, and data to meet a finished model with."""

import numpy as np
import pytest
from small_data import load, write_npz

from colora.data.dataset import SPLITS, balanced_index
from colora.data.sources import load_dataset, load_outside, used_index
from colora.settings.config import RunConfig
from colora.system.errors import UserError


def test_phantom_is_synthetic_and_says_so(few_phantoms):
    data = load("phantom")
    assert data.synthetic
    assert "synthetic" in data.warnings[0]
    assert data.class_names == ("CNV", "DME", "DRUSEN", "NORMAL")
    assert len(set(data.counts("test"))) == 1


def test_balanced_takes_the_first_of_each_class(tiny_npz):
    labels = np.array([0, 0, 1, 0, 1, 1, 0])
    assert balanced_index(labels, 2, 2).tolist() == [0, 1, 2, 4]
    assert balanced_index(labels, 2, None).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(UserError, match="Class 1 has 3 training images, fewer than per_class 4: at most 3 work"):
        balanced_index(labels, 2, 4)
    config = RunConfig(dataset=f"npz:{tiny_npz}", image_size=32, train_set="balanced")
    used = used_index(load_dataset(config), config)
    assert len(used) == 24


def test_balanced_leaves_out_a_class_without_images():
    labels = np.array([0, 0, 2, 0, 2, 2, 0])
    assert balanced_index(labels, 3, None).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(UserError, match="Class 2 has 3 training images, fewer than per_class 4: at most 3 work"):
        balanced_index(labels, 3, 4)


def outside(spec, split=None, **settings):
    return load_outside({"dataset": spec, "image_size": 32, **settings}, split)


def test_outside_data_take_every_image_of_a_folder_and_one_split_of_a_file(tiny_folder, tiny_npz):
    found = outside(f"folder:{tiny_folder}")
    assert (found.split, len(found.images), list(found.dataset.splits)) == ("all", 72, ["all"])
    assert outside(f"folder:{tiny_folder}", "all").split == "all"
    for split, taken in ((None, "test"), ("val", "val")):
        found = outside(f"npz:{tiny_npz}", split)
        assert (found.split, len(found.images)) == (taken, 30)
        assert found.images is found.dataset.splits[taken]
    with pytest.raises(UserError, match=r"has no test split \(it has no splits of its own\): take all of it") as error:
        outside(f"folder:{tiny_folder}", "test")
    assert error.value.field == "split"


def test_all_of_a_file_is_its_splits_one_after_the_other(tiny_npz, tmp_path):
    found = outside(f"npz:{tiny_npz}", "all")
    parts = [found.dataset.splits[name] for name in SPLITS]
    assert found.split == "all" and len(found.images) == 90
    assert np.array_equal(found.images.images[30:60], parts[1].images)
    assert np.array_equal(found.images.labels, np.concatenate([part.labels for part in parts]))
    assert found.images.image_ids[60] == "test/000000" and found.images.patient_ids[60] == "200"
    path = write_npz(tmp_path / "a.npz", val_patients=None)
    assert outside(f"npz:{path}", "all").images.patient_ids is None


def test_outside_data_need_nothing_to_train_on_and_say_nothing_about_it(tmp_path):
    same = {f"{split}_patients": np.zeros(30, int) for split in SPLITS}
    path = write_npz(tmp_path / "a.npz", train_labels=np.zeros((30, 1), int), **same)
    found = outside(f"npz:{path}")
    assert len(found.images) == 30 and found.dataset.warnings == ()


def test_outside_data_keep_their_own_names_beside_those_that_a_person_gave(tmp_path):
    path = write_npz(tmp_path / "a.npz", named=False)
    found = outside(f"npz:{path}", class_names="A,B,C", layout=None)
    assert (found.own_names, found.dataset.class_names, found.dataset.class_names_given) == (
        ("0", "1", "2"), ("A", "B", "C"), True
    )  # fmt: skip
    with pytest.raises(UserError, match=r"2 class names were given \(A, B\), but npz:a.npz has 3 classes"):
        outside(f"npz:{path}", class_names=["A", "B"])
    with pytest.raises(UserError, match="There is no setting 'colour'"):
        outside(f"npz:{path}", colour=True)


def test_patients_in_two_splits_are_said(tmp_path):
    patients = {"train": [0, 1, 2], "val": [1, 7, 7], "test": [1, 2, 2]}
    given = {f"{split}_patients": np.repeat(ids, 10) for split, ids in patients.items()}
    assert load(f"npz:{write_npz(tmp_path / 'a.npz', **given)}").warnings == (
        "10 of 30 validation images are of patients who are in training too (patients: 1), so the choice of the "
        "epoch favours models that know these eyes.",
        "30 of 30 test images are of patients who are in training too (patients: 2), so the test figures look "
        "better than they would on new patients.",
    )
    given["val_patients"] = given["test_patients"] = None
    assert load(f"npz:{write_npz(tmp_path / 'b.npz', **given)}").warnings == ()
