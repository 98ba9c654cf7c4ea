"""Predictions of any epoch, and the images that models got wrong."""

import numpy as np
import pytest
from fabricate import COUNTS, fabricate, labels_of, probabilities

from colora.errors import UserError
from colora.predictions import epoch_file, image_table, mistakes, predicted, selected_epoch, source_file, table_file
from colora.results import run_summary
from colora.runs import Group


@pytest.fixture(scope="module")
def group(tmp_path_factory) -> Group:
    return fabricate(tmp_path_factory.mktemp("runs"), "g", ["done", "running", "queued"])


@pytest.mark.parametrize("split", list(COUNTS))
def test_predictions_of_an_epoch_are_those_that_training_kept(group, split):
    labels = image_table(group, split)["label"].to_numpy()
    assert labels.tolist() == labels_of(split).tolist()
    for run, epoch in ((group.runs[0], 2), (group.runs[1], 3)):  # the second is not done; the first lends its labels
        own, p = predicted(run, split, epoch, labels)
        assert np.array_equal(own, labels) and np.array_equal(p, probabilities(split, run.seed, epoch))


def test_the_selected_epoch_is_read_from_the_table_or_from_the_epochs(group):
    done, running, queued = group.runs
    assert selected_epoch(done) == run_summary(done)["selected_epoch"] and selected_epoch(queued) is None
    assert (
        source_file(done, "test", None) == source_file(done, "test", selected_epoch(done)) == table_file(done, "test")
    )
    assert source_file(running, "test", None) == epoch_file(running, selected_epoch(running))
    assert source_file(done, "test", 99) is None and source_file(queued, "test", None) is None
    with pytest.raises(UserError, match="Seed 1 of g has no predictions of epoch 6"):
        predicted(running, "test", 6, labels_of("test"))


def test_a_group_without_a_finished_seed_says_why_there_is_nothing(tmp_path):
    with pytest.raises(UserError, match="when its first seed is done"):
        image_table(fabricate(tmp_path, "early", ["running"]), "test")


def test_other_images_and_damaged_files_are_sentences(group, tmp_path):
    with pytest.raises(UserError, match="200 images in test, but the group's predictions have 7"):
        predicted(group.runs[1], "test", 1, np.zeros(7, int))
    half = fabricate(tmp_path, "half", ["done"]).runs[0]
    epoch_file(half, 1).write_bytes(epoch_file(half, 1).read_bytes()[:50])
    with pytest.raises(UserError, match=r"epoch-01\.safetensors is damaged"):
        predicted(half, "test", 1, labels_of("test"))


def one_hot(called: list[int], sure: list[float]) -> np.ndarray:
    """(N, 3) probabilities: `sure` for the class that is called, the rest shared."""
    p = np.repeat((1 - np.array(sure)[:, None]) / 2, 3, axis=1)
    p[np.arange(len(called)), called] = sure
    return p


LABELS = np.array([0, 0, 1, 2, 2])
SEEDS = [
    one_hot([0, 1, 1, 0, 2], [0.9, 0.9, 0.9, 0.7, 0.9]),
    one_hot([0, 2, 1, 0, 2], [0.9, 0.8, 0.9, 0.9, 0.6]),
    one_hot([0, 1, 1, 2, 1], [0.9, 0.7, 0.9, 0.6, 0.99]),
]


def test_the_worst_mistakes_come_first():
    found = mistakes(LABELS, SEEDS)
    rows = found[["position", "true", "called", "seeds"]].to_numpy().tolist()
    assert rows == [[1, 0, 1, 2], [3, 2, 0, 2], [4, 2, 1, 1]]  # level in seeds and confidence: in the images' order
    assert found["confidence"].tolist() == pytest.approx([0.8, 0.8, 0.99])
    alone = mistakes(LABELS, SEEDS[2:])
    assert alone["position"].tolist() == [4, 1] and alone["confidence"].tolist() == pytest.approx([0.99, 0.7])


def test_a_cell_holds_what_any_seed_put_there_and_a_right_one_begins_with_the_doubtful():
    found = mistakes(LABELS, SEEDS, (0, 2))
    assert found[["position", "called", "seeds"]].to_numpy().tolist() == [[1, 2, 1]]
    right = mistakes(LABELS, SEEDS, (2, 2))
    assert right[["position", "seeds"]].to_numpy().tolist() == [[3, 1], [4, 2]]
    assert right["confidence"].tolist() == pytest.approx([0.6, 0.75])
    assert mistakes(LABELS, SEEDS, (1, 0)).empty
