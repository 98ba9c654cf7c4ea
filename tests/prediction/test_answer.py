"""Every figure of an answer beside one reckoned directly from the numbers in the group's files."""

import json

import numpy as np
import pandas as pd
import pytest
from answering import CORRECTED, FIRST, WIDTH, features_of, group_of_numbers
from fabricate import CLASS_NAMES, fabricate, labels_of, probabilities, used_images

from colora.metrics.operating_point import Choice
from colora.prediction import known as module
from colora.prediction.answer import DO_NOT_RELY, answer
from colora.prediction.known import Known
from colora.results.operating_point import Question
from colora.results.question import freeze
from colora.runs.features import features_path, write_features
from colora.system.errors import UserError

NEW = np.random.default_rng(8).dirichlet(np.ones(4) * 2, size=3).astype(np.float32)  # three seeds' of a new image
LOOK = features_of("test")[60] + 0.25  # and what the best seed sees in it
NOWHERE = 1


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    return group_of_numbers(tmp_path_factory.mktemp("numbers"))


@pytest.fixture(scope="module")
def known(group):
    return Known.of(group)


def stored(group, split: str) -> np.ndarray:
    """(S, N, C) float64 of each seed's file."""
    tables = [pd.read_parquet(run.path / "predictions" / f"{split}.parquet") for run in group.runs]
    return np.stack([table[[f"p_{c}" for c in range(4)]].to_numpy() for table in tables]).astype(np.float64)


def nats(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(p)).sum(-1)


def cooled(p: np.ndarray, t: float) -> np.ndarray:
    q = p ** (1 / t)
    return q / q.sum(-1, keepdims=True)


def best_temperature(p: np.ndarray) -> float:
    """By trying 4,000 of them, 0.15 % apart."""
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 4_000))
    labels = labels_of("val")
    losses = [-np.log(np.maximum(cooled(p, t)[np.arange(len(labels)), labels], 1e-12)).mean() for t in grid]
    return float(grid[np.argmin(losses)])


def listed(told: dict) -> list[float]:
    assert list(told["probabilities"]) == CLASS_NAMES
    return list(told["probabilities"].values())


def test_probabilities_entropy_votes_and_the_place_among_the_test_images(group, known):
    found = answer(known, NEW, LOOK, NOWHERE)
    mean = NEW.astype(np.float64).mean(0)
    assert listed(found["mean"]) == pytest.approx(mean, abs=1e-7)
    assert found["mean"]["prediction"] == CLASS_NAMES[mean.argmax()]
    assert found["mean"]["entropy"] == pytest.approx(nats(mean), abs=1e-6)
    test = nats(stored(group, "test").mean(0))
    assert found["unsure"] == {"share": np.mean(test < found["mean"]["entropy"]), "of": 200}
    for seed, (told, p) in enumerate(zip(found["seeds"], NEW.astype(np.float64), strict=True)):
        assert told["seed"] == seed and told["prediction"] == CLASS_NAMES[p.argmax()]
        assert listed(told) == pytest.approx(p, abs=1e-7) and told["entropy"] == pytest.approx(nats(p), abs=1e-6)
    votes = [CLASS_NAMES[c] for c in NEW.argmax(1)]
    assert found["agreement"] == {name: votes.count(name) for name in CLASS_NAMES if name in votes}
    assert found["checksum"] == "1" and json.loads(json.dumps(found, allow_nan=False)) == found


def test_each_temperature_is_that_of_lowest_loss_on_validation(group, known):
    found = answer(known, NEW, LOOK, NOWHERE)
    own = stored(group, "val")
    joint = best_temperature(own.mean(0))
    assert found["calibrated"]["temperature"] == pytest.approx(joint, rel=2e-3)
    assert listed(found["calibrated"]) == pytest.approx(cooled(NEW.astype(float).mean(0), joint), abs=1e-3)
    for told, p, validation in zip(found["seeds"], NEW.astype(float), own, strict=True):
        assert listed(told["calibrated"]) == pytest.approx(cooled(p, best_temperature(validation)), abs=1e-3)
        assert told["calibrated"]["prediction"] == told["prediction"]


def test_the_usual_question_is_answered_from_its_threshold_on(group, known):
    score = stored(group, "val").mean(0)[:, :2].sum(1)  # CNV, DME
    urgent = labels_of("val") < 2
    from_here = max(s for s in score if np.mean(score[urgent] >= s) >= 0.95)
    threshold = (from_here + max(score[score < from_here])) / 2
    assert known.question.threshold == pytest.approx(threshold, abs=1e-9)
    for share in (threshold - 1e-3, threshold + 1e-3):
        p = np.tile([share - 0.01, 0.01, 0.005, 0.995 - share], (3, 1))
        found = answer(known, p, LOOK, NOWHERE)["operating_point"]
        assert found == {"positive": share > threshold, "score": pytest.approx(share)}


def test_the_frozen_question_is_the_one_that_is_answered(tmp_path):
    group = group_of_numbers(tmp_path, features=False)
    kept = freeze(group, Question(("DRUSEN",), Choice("youden")))
    known = Known.of(group)
    assert known.question.threshold == kept["threshold"] and known.question.kept == kept
    mean = NEW.astype(np.float64).mean(0)
    found = answer(known, NEW, None, NOWHERE)["operating_point"]
    assert found == {"positive": bool(mean[2] >= kept["threshold"]), "score": pytest.approx(mean[2], abs=1e-7)}


def test_without_a_question_that_can_be_answered_there_is_no_answer(tmp_path, monkeypatch):
    def none(*_):
        raise UserError("No image is positive.")

    monkeypatch.setattr(module, "frozen", none)
    assert answer(Known.of(group_of_numbers(tmp_path, features=False)), NEW, None, 1)["operating_point"] is None


def test_nearest_are_those_trained_on_by_cosine_with_the_labels_trained_with(known):
    used = np.flatnonzero(used_images("balanced"))
    rows, labels = features_of("train"), labels_of("train")
    labels[list(CORRECTED)] = list(CORRECTED.values())
    seen = []
    for look in (LOOK, *(rows[i] + 0.01 for i in CORRECTED), rows[120]):  # the last one was left out of training
        cosines = {i: rows[i] @ look / np.linalg.norm(rows[i]) / np.linalg.norm(look) for i in used}
        nearest = sorted(used, key=lambda i, c=cosines: -c[i])[:5]
        found = answer(known, NEW, look, NOWHERE)["nearest"]
        assert [row["index"] for row in found] == nearest
        assert [row["image_id"] for row in found] == [f"train-{i:04d}" for i in nearest]
        assert [row["label"] for row in found] == [CLASS_NAMES[labels[i]] for i in nearest]
        assert [row["cosine"] for row in found] == pytest.approx([cosines[i] for i in nearest], abs=1e-5)
        seen += nearest
    assert seen[5] == 3 and seen[10] == 137 and 120 not in seen


MET = [
    ("train", 3, "was trained on"),
    ("train", 120, None),  # not trained on
    ("val", 99, "is among the validation images"),
    ("test", 0, "is among the test images"),
]


@pytest.mark.parametrize(("split", "index", "says"), MET)
def test_the_very_picture_is_found_where_the_models_have_met_it(known, split, index, says):
    found = answer(known, NEW, LOOK, FIRST[split] + index)
    assert found["checksum"] == str(FIRST[split] + index)
    expected = {"split": split, "image_id": f"{split}-{index:04d}", "says": says} if says else None
    assert found["met"] == expected


def test_of_an_older_group_nobody_knows_what_was_met(tmp_path):
    group = group_of_numbers(tmp_path, features=False)
    for run in group.runs:
        for split in FIRST:
            path = run.path / "predictions" / f"{split}.parquet"
            pd.read_parquet(path).drop(columns="checksum").to_parquet(path)
    assert answer(Known.of(group), NEW, None, FIRST["test"])["met"] is None


class Middle:
    """In place of `metrics.novelty.Familiar`: the distance from the mean of what it was made of."""

    def __init__(self, features, labels):
        self.middle, self.labels = features.mean(0), labels

    @classmethod
    def of(cls, features, labels):
        return cls(features, labels)

    def distance(self, features):
        return np.linalg.norm(features - self.middle, axis=1)


def test_doubt_is_what_lies_beyond_nineteen_of_twenty_validation_images(group, monkeypatch):
    monkeypatch.setattr(module, "Familiar", Middle)
    monkeypatch.setattr(module, "limit", lambda scores, share: float(np.quantile(scores, share)))
    known = Known.of(group)
    labels = labels_of("train")
    labels[list(CORRECTED)] = list(CORRECTED.values())
    used = used_images("balanced")
    assert np.array_equal(known.seen.familiar.labels, labels[used])
    middle = features_of("train")[used].mean(0)
    distances = np.linalg.norm(features_of("val") - middle, axis=1)
    own = stored(group, "val")
    apart = nats(own.mean(0)) - nats(own).mean(0)
    alike = np.tile(NEW[:1], (3, 1))
    split = np.roll(np.eye(4, dtype=np.float32)[:3], 1) * 0.96 + 0.01  # each seed calls it something else
    for p, look, high in ((alike, middle, False), (NEW, LOOK, False), (split, middle, True), (alike, LOOK + 9, True)):
        doubt = answer(known, p, look, NOWHERE)["doubt"]
        value = max(nats(p.astype(float).mean(0)) - nats(p.astype(float)).mean(), 0)
        assert doubt["disagreement"] == pytest.approx(
            {"value": value, "limit": np.quantile(apart, 0.95), "share": np.mean(apart < value)}, abs=1e-6
        )
        distance = np.linalg.norm(look - middle)
        share, most = np.mean(distances < distance), np.quantile(distances, 0.95)
        assert doubt["distance"] == pytest.approx({"value": distance, "limit": most, "share": share}, abs=1e-5)
        assert (doubt["high"], doubt["says"]) == (high, DO_NOT_RELY if high else None)


def test_with_the_papers_rule_the_one_model_answers(tmp_path):
    group = group_of_numbers(tmp_path, selection="paper")
    known = Known.of(group)
    one = known.taken.seed
    assert known.best.seed == one
    found = answer(known, NEW, LOOK, NOWHERE)
    p = NEW[one].astype(np.float64)
    assert listed(found["mean"]) == listed(found["seeds"][one]) == pytest.approx(p, abs=1e-7)
    assert found["calibrated"]["probabilities"] == found["seeds"][one]["calibrated"]["probabilities"]
    assert found["unsure"]["share"] == np.mean(nats(stored(group, "test")[one]) < found["mean"]["entropy"])
    assert found["operating_point"]["score"] == pytest.approx(p[:2].sum(), abs=1e-6)
    assert sum(found["agreement"].values()) == 3 and found["doubt"]["disagreement"]["value"] > 0


def test_one_seed_disagrees_with_nobody_and_without_features_nothing_is_near(tmp_path):
    known = Known.of(group_of_numbers(tmp_path, seeds=1, features=False))
    found = answer(known, NEW[:1], LOOK, NOWHERE)
    assert found["doubt"] == {"high": False, "says": None, "disagreement": None, "distance": None}
    assert found["nearest"] is None and known.seen is None
    assert listed(found["mean"]) == listed(found["seeds"][0])
    assert list(found["agreement"].values()) == [1]
    assert known.joint([probabilities("test", 0, 6)]).shape == (200, 4)


def test_damaged_features_are_a_sentence_and_so_are_those_of_another_model(tmp_path):
    group = group_of_numbers(tmp_path, seeds=1)
    with pytest.raises(UserError, match=rf"features\.safetensors .*its features have {WIDTH} values .* 8"):
        Known.of(group).seen.check(np.zeros((2, 8), np.float32))
    write_features(group.runs[0], {split: features_of(split)[:-1] for split in FIRST}, epoch=None)
    with pytest.raises(UserError, match=r"its train is \(399, 6\), for 400 images"):
        Known.of(group)
    features_path(group.runs[0]).unlink()
    features_path(group.runs[0]).mkdir()
    with pytest.raises(UserError, match=r"features\.safetensors cannot be read \(it is missing, or no file\)"):
        Known.of(group)


def test_only_finished_seeds_are_known(tmp_path):
    with pytest.raises(UserError, match="none has no finished seed yet: it is queued"):
        Known.of(fabricate(tmp_path, "none", ["queued"]))
