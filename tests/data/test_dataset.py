"""What every source shares: the synthetic source, balancing, and data to meet a finished model with."""

import numpy as np
import pytest
from small_data import load, write_npz

from colora.data.dataset import balanced_index
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


def test_outside_data_take_every_image_of_a_folder_and_one_split_of_a_file(tiny_folder, tiny_npz):
    data, split = load_outside(f"folder:{tiny_folder}", 32, "test")
    assert (split, len(data.splits[split])) == ("all", 72)
    data, split = load_outside(f"npz:{tiny_npz}", 32, "val")
    assert (split, len(data.splits[split])) == ("val", 30)


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
