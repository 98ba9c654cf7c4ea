"""What seeds predicted for the same images: of those that count or of others, at their selected epoch or at any."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricate import COUNTS, drawn_checksums, fabricate, labels_of, patients, probabilities, train_on
from safetensors.numpy import save_file

from colora.metrics.bootstrap import Sample
from colora.results.judged import Judged, judged
from colora.results.predictions import epoch_file
from colora.runs.folder import Group
from colora.runs.selection import selected_epoch
from colora.system.errors import UserError


@pytest.fixture(scope="module")
def group(tmp_path_factory) -> Group:
    path = tmp_path_factory.mktemp("runs")
    return fabricate(path, "g", ["done", "running", "done"], with_patients=True)


@pytest.mark.parametrize("split", ["val", "test"])
def test_by_default_the_finished_seeds_at_their_selected_epochs(group, split):
    found = judged(group, split)
    assert (found.split, found.epoch, found.seeds) == (split, None, [0, 2]) and found.group is group
    assert found.class_names == ["CNV", "DME", "DRUSEN", "NORMAL"]
    assert np.array_equal(found.labels, labels_of(split)) and found.labels.dtype == np.int64
    assert found.patients.tolist() == patients(split)
    for run, p in zip(found.runs, found.probabilities, strict=True):
        assert np.array_equal(p, probabilities(split, run.seed, selected_epoch(run)))
    assert np.array_equal(found.images, drawn_checksums(split, 64))
    assert np.array_equal(found.sample.unit, Sample.of(labels_of(split), np.array(patients(split))).unit)


def test_of_other_seeds_at_one_epoch_in_the_order_asked(group):
    found = judged(group, "test", [group.runs[1], group.runs[0]], epoch=2)
    assert found.seeds == [1, 0] and found.epoch == 2
    for seed, p in zip((1, 0), found.probabilities, strict=True):
        assert np.array_equal(p, probabilities("test", seed, 2))
    (own,) = found.of([0])
    assert own is found.probabilities[1]
    alone = judged(group, "test", [group.runs[1]], epoch=2)
    assert np.array_equal(alone.images, drawn_checksums("test", 64)), "from a seed that is done"


def test_of_a_seed_apart_its_own_images(tmp_path):
    group = fabricate(tmp_path, "g", ["done", "done"], with_patients=True)
    train_on(group.runs[1], data_checksum="1" * 64)
    path = group.runs[1].predictions_file("test")
    pd.read_parquet(path).assign(patient_id="one and the same").to_parquet(path)
    group = Group(group.path)
    assert judged(group, "test").seeds == [0]
    assert set(judged(group, "test", [group.runs[1]]).patients) == {"one and the same"}


def test_of_the_train_split_the_images_trained_on(tmp_path):
    group = fabricate(tmp_path, "balanced", ["done"], {"train_set": "balanced"})
    found = judged(group, "train")
    table = group.runs[0].predictions("train")
    used = table["used"].to_numpy()
    assert 0 < used.sum() < len(used) and np.array_equal(found.labels, labels_of("train")[used])
    assert np.array_equal(found.images, drawn_checksums("train", 64)[used]) and found.patients is None


def test_without_checksums_an_image_is_known_by_its_name(tmp_path):
    group = fabricate(tmp_path, "g", ["done"])
    path = group.runs[0].predictions_file("test")
    pd.read_parquet(path).drop(columns="checksum").to_parquet(path)
    assert judged(group, "test").images.tolist() == [f"test-{i:04d}" for i in range(200)]


def test_an_image_without_a_patient_is_one_of_its_own():
    table = pd.DataFrame({"image_id": ["a", "b", "c"], "patient_id": ["p", None, "p"]})
    for shown, expected in ((table, ["p", "image b", "p"]), (table.assign(patient_id=None), None)):
        found = Judged(Group(Path("g")), "test", [], None, ["A", "B"], shown, []).patients
        assert (None if found is None else found.tolist()) == expected


def test_what_is_missing_or_does_not_fit_is_a_sentence(group, tmp_path):
    with pytest.raises(UserError, match="early has no finished seed yet, so there are no figures: it is queued"):
        judged(fabricate(tmp_path, "early", ["queued"]), "test")
    with pytest.raises(UserError, match="Seed 1 of g has no predictions of epoch 6"):
        judged(group, "test", [group.runs[1]], epoch=6)
    few = fabricate(tmp_path, "few", ["done"])
    five = {split: np.full((len(labels_of(split)), 5), 0.2, dtype=np.float32) for split in COUNTS}
    save_file(five, epoch_file(few.runs[0], 2))
    with pytest.raises(UserError, match="seed-00 has predictions of 5 classes, and names of 4"):
        judged(few, "test", epoch=2)
