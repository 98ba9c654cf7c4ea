"""Predictions of any epoch, and the images that models got wrong."""

import numpy as np
import pandas as pd
import pytest
from fabricate import COUNTS, fabricate, labels_of, probabilities
from hypothesis import given
from hypothesis import strategies as st

from colora.metrics.over_seeds import outcome
from colora.results.predictions import epoch_file, image_table, mistakes, predicted, source_file
from colora.results.summary import run_summary
from colora.runs.folder import Group
from colora.runs.selection import selected_epoch
from colora.system.errors import UserError


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
    table = done.predictions_file("test")
    assert source_file(done, "test", None) == source_file(done, "test", selected_epoch(done)) == table
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


def test_the_worst_mistakes_of_one_model_come_first():
    found = mistakes(LABELS, SEEDS[2:])
    assert found["position"].tolist() == [4, 1] and found["confidence"].tolist() == pytest.approx([0.99, 0.7])
    assert found["seeds"].tolist() == [1, 1]


def test_mistakes_over_seeds_are_those_of_their_ensemble_with_how_many_agree():
    found = mistakes(LABELS, SEEDS)
    mean = np.mean(SEEDS, axis=0)
    assert mean.argmax(axis=1).tolist() == [0, 1, 1, 0, 2]
    assert found[["position", "true", "called", "seeds"]].to_numpy().tolist() == [[3, 2, 0, 2], [1, 0, 1, 2]]
    assert found["confidence"].tolist() == pytest.approx([mean[3, 0], mean[1, 1]])
    third = mistakes(LABELS, SEEDS, one=2)
    assert third[["position", "called", "seeds"]].to_numpy().tolist() == [[1, 1, 2], [4, 1, 1]]


def test_a_cell_holds_what_the_ensemble_put_there_and_a_right_one_begins_with_the_doubtful():
    assert mistakes(LABELS, SEEDS, (0, 2)).empty, "one seed alone put an image there"
    assert mistakes(LABELS, SEEDS, (0, 1))[["position", "called", "seeds"]].to_numpy().tolist() == [[1, 1, 2]]
    right = mistakes(LABELS, [*SEEDS[:2], SEEDS[0]], (2, 2))
    assert right[["position", "seeds"]].to_numpy().tolist() == [[4, 3]]
    doubtful = mistakes(np.array([2, 2, 2, 2, 2]), [one_hot([2] * 5, [0.9, 0.5, 0.8, 0.6, 0.7])], (2, 2))
    assert doubtful["position"].tolist() == [1, 3, 4, 2, 0]


def test_an_image_that_only_the_mean_calls_so_is_listed_with_no_seed_that_agrees():
    seeds = [np.array([[0.5, 0.1, 0.4]]), np.array([[0.1, 0.5, 0.4]])]
    found = mistakes(np.array([0]), seeds)
    assert found[["called", "seeds"]].to_numpy().tolist() == [[2, 0]]
    assert found["confidence"].item() == pytest.approx(0.4)


@given(
    seeds=st.integers(1, 5), images=st.integers(1, 60), classes=st.integers(2, 4),
    digits=st.sampled_from([1, 7]), draw=st.integers(0, 2**32 - 1), data=st.data(),
)  # fmt: skip
def test_rows_add_up_to_the_classes_and_each_cell_to_its_list(seeds, images, classes, digits, draw, data):
    """Rounded to one digit, many probabilities are level: ties go as numpy has them, in both places."""
    one = data.draw(st.sampled_from([None, *range(seeds)]))
    rng = np.random.default_rng(draw)
    labels = rng.integers(0, classes, images)
    p = rng.dirichlet(np.ones(classes), size=(seeds, images)).round(digits).astype(np.float32)
    found = outcome([(labels, own) for own in p], [f"class {c}" for c in range(classes)], one)
    assert found.matrix.dtype.kind == "i"
    assert found.matrix.sum(axis=1).tolist() == np.bincount(labels, minlength=classes).tolist()
    listed = []
    for true, called in np.ndindex(classes, classes):
        cell = mistakes(labels, list(p), (true, called), one)
        assert len(cell) == found.matrix[true, called]
        assert (labels[cell["position"]] == true).all() and (cell["called"] == called).all()
        assert cell["seeds"].between(0, seeds).all()
        listed += cell["position"].tolist()
    assert sorted(listed) == list(range(images)), "each image is in one cell"
    assert len(mistakes(labels, list(p), None, one)) == images - found.matrix.trace()


def test_seeds_with_other_labels_are_not_counted_together(tmp_path):
    group = fabricate(tmp_path, "g", ["done", "done"])
    path = group.runs[1].predictions_file("test")
    table = pd.read_parquet(path)
    table["label"] = np.roll(table["label"], 1)
    table.to_parquet(path)
    labels = image_table(group, "test")["target"].to_numpy()
    with pytest.raises(UserError, match="Seed 1 of g has other images in test, or other labels"):
        predicted(group.runs[1], "test", None, labels)


def test_corrected_labels_hold_for_the_selected_and_for_any_other_epoch(tmp_path):
    """Of a group trained with corrected labels the rows of every epoch's matrix are of these."""
    group = fabricate(tmp_path, "g", ["done"])
    path, corrected = group.runs[0].predictions_file("train"), labels_of("train").copy()
    corrected[:5] = 3
    pd.read_parquet(path).assign(trained_label=corrected).to_parquet(path)
    images = image_table(group, "train")
    assert images["label"].tolist() == labels_of("train").tolist()
    for epoch in (None, 1, 6):
        own, _ = predicted(group.runs[0], "train", epoch, images["target"].to_numpy())
        assert own.tolist() == corrected.tolist()
