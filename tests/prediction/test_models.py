"""A group's own images, run through its models once more, give what training has kept of them."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from fabricate import fabricate

from colora.data.sources import SPLITS, load_dataset
from colora.metrics.novelty import Familiar
from colora.prediction.features import keep_features
from colora.prediction.known import Known
from colora.prediction.models import GroupModels
from colora.prediction.predict import Predictor
from colora.runs.features import Kept, features_path, has_features, read_familiar, read_features, write_features
from colora.runs.folder import Group
from colora.system.errors import UserError
from colora.training import familiar


@pytest.fixture(scope="module")
def images(pair):
    """{split: (30, 32, 32) uint8}"""
    return {name: split.images for name, split in load_dataset(pair.config).splits.items()}


@pytest.fixture(autouse=True)
def threads(pair):
    """As many as the runs were trained with: sums of other parts have other last bits."""
    own = torch.get_num_threads()
    torch.set_num_threads(pair.runs[0].resolved.threads)
    yield
    torch.set_num_threads(own)


def kept(run, split: str) -> np.ndarray:
    return run.predictions(split)[["p_0", "p_1", "p_2"]].to_numpy()


def test_probabilities_and_features_are_those_that_training_kept(pair, images):
    models = GroupModels.of(pair)
    for run in pair.runs:
        features = read_features(run, dict.fromkeys(SPLITS, 30))
        for split in SPLITS:
            seen = models.seen_by(run, images[split])
            assert np.array_equal(seen.probabilities, kept(run, split))  # batches as after training: the same bits
            assert seen.features.dtype == np.float32 and seen.features.shape == features[split].shape
            assert np.allclose(seen.features, features[split], rtol=2**-10, atol=1e-6)  # float16's half a unit
            few = models.seen_by(run, images[split][7:9])  # however many come together
            assert np.abs(few.probabilities - seen.probabilities[7:9]).max() < 1e-6
    assert not models._loaded  # nothing is kept in memory that nobody has asked for
    for (run, p), own in zip(models.each(images["val"]), pair.runs, strict=True):
        assert run == own and np.abs(p - kept(own, "val")).max() < 1e-6


@pytest.mark.parametrize("keep", [False, True])
def test_what_all_seeds_see_is_stacked_with_the_distances_that_training_kept(pair, images, keep):
    models = GroupModels.of(pair, "cpu", keep=keep)
    for split in ("val", "test"):
        for seed, run in enumerate(pair.runs):
            found = models.seen(images[split], features_of=seed)
            assert found.probabilities.shape == (30, 2, 3) and found.distances.shape == (30, 2)
            assert np.array_equal(found.probabilities[:, seed], kept(run, split))
            features = read_features(run, {split: 30})[split]
            assert np.array_equal(found.features.astype(np.float16), features.astype(np.float16))
            assert found.distances[:, seed] == pytest.approx(read_familiar(run)[1][split], rel=1e-3)  # of float32
    assert list(models._loaded) == ([0, 1] if keep else []) and list(models._familiar) == [0, 1]
    with pytest.raises(UserError, match=r"Seed 7 is none of those that answer: 0, 1\."):
        models.seen(images["val"][:1], features_of=7)


def test_distances_are_those_to_the_training_images_maps(pair, images):
    """From the maps themselves, without what was kept."""
    models = GroupModels.of(pair, "cpu")
    labels = load_dataset(pair.config).splits["train"].labels
    new = np.ascontiguousarray(images["val"][:6, ::-1])
    found = models.seen(new, features_of=0)
    for seed, run in enumerate(pair.runs):
        expected = Familiar.of(models.seen_by(run, images["train"]).maps, labels)
        assert found.distances[:, seed] == pytest.approx(expected.distance(models.seen_by(run, new).maps), rel=1e-3)


def test_where_a_seed_has_kept_nothing_no_distance_is_told(own_pair, images):
    features_path(own_pair.runs[1]).unlink()
    found = GroupModels.of(own_pair, "cpu").seen(images["val"], features_of=0)
    assert found.distances is None and found.features.shape[0] == 30
    (told,) = Predictor.of(own_pair, "cpu").answers(images["val"][:1])
    assert told["doubt"]["distance"] is None and told["nearest"] is None


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_answers_are_the_ensembles_and_know_each_picture(pair, images, split):
    predictor = Predictor.of(pair, "cpu")
    answers = predictor.answers(images[split])
    p = np.stack([kept(run, split) for run in pair.runs], axis=1)  # (N, R, C)
    of_seeds = [[list(seed["probabilities"].values()) for seed in found["seeds"]] for found in answers]
    assert np.array_equal(np.array(of_seeds), p)
    told = np.array([list(found["mean"]["probabilities"].values()) for found in answers])
    assert np.abs(told - p.mean(1, dtype=np.float64)).max() < 1e-6
    assert [found["doubt"]["blank"]["value"] for found in answers] == [image.std() for image in images[split]]
    assert list(predictor.models._loaded) == [0, 1]
    ids = pair.runs[0].predictions(split)["image_id"].tolist()
    assert [(found["met"]["split"], found["met"]["image_id"]) for found in answers] == [(split, name) for name in ids]
    (own,) = predictor.answers(images["train"][4:5])
    near = own["nearest"][0]
    assert own["met"]["split"] == "train" and (near["index"], near["cosine"]) == (4, pytest.approx(1, abs=1e-3))


def test_of_validation_as_many_are_too_far_as_the_limit_leaves(pair, images):
    high = [found["doubt"]["distance"]["high"] for found in Predictor.of(pair, "cpu").answers(images["val"])]
    assert sum(high) <= 1  # of 30, the 30th lies at the limit: rounding alone can put it beyond


def test_what_was_kept_of_another_width_is_a_sentence_and_no_fault(own_pair, images):
    best = Known.of(own_pair).best
    whole, distances = read_familiar(best)
    features = read_features(best, dict.fromkeys(SPLITS, 30))
    good = Kept(features, whole, distances)
    narrow = replace(good, features={split: rows[:, :7] for split, rows in features.items()})
    width = features["val"].shape[1]
    write_features(best, narrow)
    with pytest.raises(UserError, match=rf"cannot be read \(its features have 7 values each, and .* {width}\)"):
        Predictor.of(own_pair, "cpu").answers(images["val"][:1])
    channels = len(whole.whitening)
    write_features(best, replace(good, familiar=Familiar(np.eye(3, 9), np.eye(9))))
    sentence = rf"cannot be read \(it is of maps with 9 channels, and the model's have {channels}\): delete it, then"
    with pytest.raises(UserError, match=sentence):
        Predictor.of(own_pair, "cpu").answers(images["val"][:1])


def test_what_is_seen_is_made_anew_as_training_made_it_and_only_where_it_is_missing(own_pair):
    said = []
    before = [features_path(run).read_bytes() for run in own_pair.runs]
    assert keep_features(own_pair, lambda *told: said.append(told)) == [] and said == []
    features_path(own_pair.runs[1]).unlink()
    assert keep_features(own_pair, lambda *told: said.append(told)) == [1]
    assert said[-1] == ("looking at the images with seeds", 0, 1) and said[0][0] == "preparing images"
    for run in own_pair.runs:
        features_path(run).unlink()
    assert keep_features(own_pair, lambda *told: said.append(told)) == [0, 1]
    assert said[-1] == ("looking at the images with seeds", 1, 2)
    assert [features_path(run).read_bytes() for run in own_pair.runs] == before


def test_what_is_seen_by_a_group_is_never_kept_in_another_of_its_name(own_pair):
    for run in own_pair.runs:
        features_path(run).unlink()

    def replaced(*told) -> None:
        if told[0].startswith("looking"):
            info = json.loads((own_pair.path / "group.json").read_text())
            (own_pair.path / "group.json").write_text(json.dumps(info | {"identity": "another"}))

    with pytest.raises(UserError, match="another group has its name now"):
        keep_features(own_pair, replaced)
    assert not any(map(has_features, own_pair.runs))


def test_of_large_splits_some_images_are_familiar_and_all_have_features(own_pair, images, monkeypatch):
    monkeypatch.setattr(familiar, "MOST_MAPS", 11)  # every third of 30
    run = own_pair.runs[0]
    before = read_features(run, dict.fromkeys(SPLITS, 30))
    features_path(run).unlink()
    assert keep_features(own_pair) == [0]
    models, labels = GroupModels.of(own_pair, "cpu"), load_dataset(run.config).splits["train"].labels
    maps = {split: models.seen_by(run, images[split]).maps[::3] for split in SPLITS}
    expected = Familiar.of(maps["train"], labels[::3])
    whole, distances = read_familiar(run)
    assert whole.means == pytest.approx(expected.means, rel=1e-5)
    for split in ("val", "test"):
        assert len(distances[split]) == 10
        assert distances[split] == pytest.approx(expected.distance(maps[split]), rel=1e-5)
    after = read_features(run, dict.fromkeys(SPLITS, 30))
    assert all(np.array_equal(after[split], before[split]) for split in SPLITS)


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
        keep_features(group)
    assert not has_features(run)
    path.unlink()
    with pytest.raises(UserError, match=r"tiny\.npz"):
        keep_features(group)


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
