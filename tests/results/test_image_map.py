"""The map of a split from a run's files: which images make its axes, and what it says where there is none."""

import numpy as np
import pytest
from fabricate import COUNTS, fabricate

from colora.metrics.image_map import Axes
from colora.metrics.novelty import Familiar
from colora.results import image_map as results
from colora.results.image_map import image_map, most_alike, without_map
from colora.runs.features import Kept, features_path, write_features
from colora.system.errors import UserError

WIDTH = 6


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run that was trained on a part of its train split, and the features that it has kept (as float16)."""
    run = fabricate(tmp_path_factory.mktemp("runs"), "g", ["done"], {"train_set": "balanced"}).runs[0]
    rng = np.random.default_rng(0)
    features = {split: rng.gamma(1.0, size=(sum(n), WIDTH)).astype(np.float16) for split, n in COUNTS.items()}
    far = {split: np.ones(sum(COUNTS[split])) for split in ("val", "test")}
    write_features(run, Kept(features, Familiar(np.eye(4, 6), np.eye(6)), far))
    return run, {split: own.astype(np.float32) for split, own in features.items()}


def test_the_axes_are_of_the_images_trained_on_for_every_split(kept):
    run, features = kept
    used = run.predictions("train")["used"].to_numpy()
    axes = Axes.of(features["train"][used])
    for split, own in features.items():
        found = image_map(run, used, split, len(own))
        assert np.array_equal(found.places, axes.places(own)) and np.array_equal(found.shares, axes.shares)
        assert (found.fitted, found.trained_on) == (used.sum(), used.sum())


def test_of_very_many_images_every_so_many_make_the_axes(kept, monkeypatch):
    run, features = kept
    used = run.predictions("train")["used"].to_numpy()
    monkeypatch.setattr(results, "MOST_FITTED", 50)
    found = image_map(run, used, "test", sum(COUNTS["test"]))
    assert (found.fitted, found.trained_on) == (40, 120)  # every third
    assert np.array_equal(found.places, Axes.of(features["train"][used][::3]).places(features["test"]))


def test_what_is_most_alike_is_looked_for_among_the_split(kept):
    run, features = kept
    rows = most_alike(run, "val", sum(COUNTS["val"]), 5, 4)
    unit = features["val"] / np.linalg.norm(features["val"], axis=1, keepdims=True)
    assert rows.tolist() == np.argsort(-(unit @ unit[5]))[:4].tolist() and rows[0] == 5


def test_without_features_it_says_why(kept, tmp_path):
    run, _ = kept
    assert without_map(run, "test") is None
    assert "of other data only their distance is kept" in without_map(run, "external/clinic-b")
    other = fabricate(tmp_path, "g", ["done"]).runs[0]
    assert "Seed 0 was trained before" in without_map(other, "test")
    with pytest.raises(UserError, match="it is missing"):
        image_map(other, np.ones(sum(COUNTS["train"]), bool), "test", sum(COUNTS["test"]))


def test_a_damaged_file_and_one_of_other_images_are_sentences(kept):
    run, _ = kept
    used = run.predictions("train")["used"].to_numpy()
    with pytest.raises(UserError, match="for 7 images"):
        image_map(run, used, "test", 7)
    with pytest.raises(UserError, match="no image is one that was trained on"):
        image_map(run, np.zeros_like(used), "test", sum(COUNTS["test"]))
    whole = features_path(run).read_bytes()
    features_path(run).write_bytes(whole[:200])
    with pytest.raises(UserError, match="cannot be read"):
        image_map(run, used, "test", sum(COUNTS["test"]))
    features_path(run).write_bytes(whole)
