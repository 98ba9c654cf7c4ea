"""One image over the epochs: its own row of each file, and the merges."""

import shutil

import numpy as np
import pytest
from fabricate import COUNTS, fabricate, probabilities

from colora.results.timeline import timeline
from colora.system.errors import UserError

COUNTS_ALL = sum(COUNTS["train"])


@pytest.fixture
def run(tmp_path):
    """A finished run of six epochs that merged in every second one."""
    return fabricate(tmp_path, "group", ["done"], {"merge_every": 2}).runs[0]


def test_each_epoch_has_the_images_own_probabilities(run):
    table = timeline(run, "val", 17)
    assert table["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    expected = np.stack([probabilities("val", 0, epoch)[17] for epoch in range(1, 7)])
    np.testing.assert_array_equal(table[[f"p_{c}" for c in range(4)]].to_numpy(), expected)
    assert table["merged"].tolist() == [False, True, False, True, False, True]


def test_of_the_train_split_the_position_among_those_trained_on_counts(run):
    used = np.ones(COUNTS_ALL + 5, dtype=bool)
    used[[0, 3, 10, 11, 12]] = False
    table = timeline(run, "train", 20, used)
    assert table["p_2"].iloc[0] == probabilities("train", 0, 1)[15, 2]
    assert timeline(run, "train", 3, used).empty


def test_a_run_without_epochs_has_no_timeline(tmp_path):
    run = fabricate(tmp_path, "group", ["done"]).runs[0]
    shutil.rmtree(run.path / "predictions" / "epochs")
    assert timeline(run, "val", 0).empty


@pytest.mark.parametrize("size", [0, 5, 200])
def test_a_torn_file_is_a_sentence(run, size):
    file = run.path / "predictions" / "epochs" / "epoch-04.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(UserError, match=r"epoch-04.safetensors is damaged \(.*: the other epochs are not affected"):
        timeline(run, "val", 0)


def test_an_image_that_no_file_has_is_a_sentence(run):
    with pytest.raises(UserError, match="has no image 100 of val"):
        timeline(run, "val", 100)
