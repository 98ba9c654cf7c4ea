"""A group's own images, run through its models once more, give what training has kept of them."""

import shutil

import numpy as np
import pytest
import torch
from fabricate import fabricate
from safetensors.numpy import save_file

from colora.data.sources import SPLITS, load_dataset
from colora.prediction.features import keep_features
from colora.prediction.known import Known
from colora.prediction.models import GroupModels
from colora.prediction.predict import Predictor
from colora.runs.features import features_path, has_features, read_features
from colora.runs.folder import Group
from colora.system.errors import UserError


@pytest.fixture(scope="module")
def images(pair):
    """{split: (30, 32, 32) uint8}"""
    return {name: split.images for name, split in load_dataset(pair.config).splits.items()}


def kept(run, split: str) -> np.ndarray:
    return run.predictions(split)[["p_0", "p_1", "p_2"]].to_numpy()


def test_probabilities_and_features_are_those_that_training_kept(pair, images):
    models = GroupModels.of(pair)
    for run in pair.runs:
        features = read_features(run, dict.fromkeys(SPLITS, 30))
        for split in SPLITS:
            seen = models.seen_by(run, images[split])
            assert np.abs(seen.probabilities - kept(run, split)).max() < 1e-6
            assert seen.features.dtype == np.float32 and seen.features.shape == features[split].shape
            assert np.allclose(seen.features, features[split], rtol=2**-10, atol=1e-6)  # float16's half a unit
            few = models.seen_by(run, images[split][7:9])  # however many come together
            assert np.abs(few.probabilities - seen.probabilities[7:9]).max() < 1e-6
    assert not models._loaded  # nothing is kept in memory that nobody has asked for
    for (run, p), own in zip(models.each(images["val"]), pair.runs, strict=True):
        assert run == own and np.abs(p - kept(own, "val")).max() < 1e-6


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_answers_are_the_ensembles_and_know_each_picture(pair, images, split):
    predictor = Predictor.of(pair, "cpu")
    answers = predictor.answers(images[split])
    mean = np.mean([kept(run, split) for run in pair.runs], axis=0, dtype=np.float64)
    told = np.array([list(found["mean"]["probabilities"].values()) for found in answers])
    assert np.abs(told - mean).max() < 1e-6
    assert list(predictor.models._loaded) == [0, 1]
    ids = pair.runs[0].predictions(split)["image_id"].tolist()
    assert [(found["met"]["split"], found["met"]["image_id"]) for found in answers] == [(split, name) for name in ids]
    (own,) = predictor.answers(images["train"][4:5])
    near = own["nearest"][0]
    assert own["met"]["split"] == "train" and (near["index"], near["cosine"]) == (4, pytest.approx(1, abs=1e-3))


def test_features_of_another_width_are_a_sentence_and_no_fault(own_pair, images):
    best = Known.of(own_pair).best
    save_file({split: np.ones((30, 7), np.float16) for split in SPLITS}, features_path(best))
    with pytest.raises(UserError, match=r"features\.safetensors cannot be read \(its features have 7 values each, and"):
        Predictor.of(own_pair, "cpu").answers(images["val"][:1])


def test_features_are_made_anew_as_training_made_them_and_only_where_they_are_missing(own_pair):
    said = []
    for run in own_pair.runs:
        before = features_path(run).read_bytes()
        assert keep_features(own_pair, run) is False and features_path(run).read_bytes() == before
        features_path(run).unlink()
        assert not has_features(run)
        assert keep_features(own_pair, run, lambda *told: said.append(told)) is True
        assert features_path(run).read_bytes() == before
    assert ("looking at the splits", 2, 3) in said


def test_features_are_not_made_of_other_images(own_pair, tmp_path):
    run = own_pair.runs[0]
    path = shutil.copy(run.config.dataset.removeprefix("npz:"), tmp_path / "tiny.npz")
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    content["val_images"] = np.flip(content["val_images"], axis=2)
    np.savez(path, **content)
    for one in own_pair.runs:
        text = (one.path / "config.json").read_text()
        (one.path / "config.json").write_text(text.replace(run.config.dataset, f"npz:{path}"))
    features_path(run).unlink()
    group = Group(own_pair.path)
    with pytest.raises(UserError, match=rf"The images of npz:{path} have changed since pair was trained on them"):
        keep_features(group, group.runs[0])
    assert not has_features(run)
    path.unlink()
    with pytest.raises(UserError, match=r"tiny\.npz"):
        keep_features(group, group.runs[0])


def test_models_that_are_not_there(own_pair, tmp_path, images):
    with pytest.raises(UserError, match="none has no finished seed yet: it is failed"):
        GroupModels.of(fabricate(tmp_path / "runs", "none", ["failed"]))
    models = GroupModels.of(own_pair)
    (own_pair.runs[1].path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"seed-01/model\.safetensors"):
        models.model(models.runs[1])
    assert models.seen_by(models.runs[0], images["val"]).probabilities.shape == (30, 3)


def test_a_seed_that_finishes_in_between_waits_for_the_next_time(own_pair, monkeypatch, images):
    """The models and what is known of their images are those of the same seeds."""
    of = Known.of

    def later(group, *more):
        assert len(of(group).runs) == 2
        return of(group, *more)

    monkeypatch.setattr(Known, "of", later)
    monkeypatch.setattr("colora.prediction.models.finished", lambda group: group.runs[:1])
    predictor = Predictor.of(own_pair, "cpu")
    (found,) = predictor.answers(images["val"][:1])
    assert [told["seed"] for told in found["seeds"]] == [0] and predictor.known.best.seed == 0


def test_auto_is_the_gpu_where_there_is_one_and_cpu_is_not(pair, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert GroupModels.of(pair).device.type == "cuda"
    assert GroupModels.of(pair, "cpu").device.type == "cpu"
