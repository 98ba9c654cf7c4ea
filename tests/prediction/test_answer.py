"""Every figure of an answer beside one reckoned directly from the numbers in the group's files."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from answering import CORRECTED, FIRST, WIDTH, distances_of, features_of, group_of_numbers, kept_by
from fabricate import CLASS_NAMES, fabricate, labels_of, probabilities, used_images

from colora.metrics.operating_point import Choice
from colora.prediction import known as module
from colora.prediction.answer import DO_NOT_RELY, Page, about, answer
from colora.prediction.known import Known
from colora.results.operating_point import Question
from colora.results.question import freeze
from colora.runs.features import features_path, write_features
from colora.system.errors import UserError

NEW = np.random.default_rng(8).dirichlet(np.ones(4) * 2, size=3).astype(np.float32)  # three seeds' of a new image
LOOK = features_of("test")[60] + 0.25  # and what the best seed sees in it
FAR = np.array([2.0, 30.0, 400.0])  # from what is familiar to each of them
NEW_PAGE = Page(NEW, LOOK, FAR, checksum=1, contrast=40.0)  # of a checksum that none of the group's own images has


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
    found = answer(known, NEW_PAGE)
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
    found = answer(known, NEW_PAGE)
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
        found = answer(known, replace(NEW_PAGE, probabilities=p))["operating_point"]
        assert found == {"positive": share > threshold, "score": pytest.approx(share)}


def test_the_frozen_question_is_the_one_that_is_answered(tmp_path):
    group = group_of_numbers(tmp_path, features=False)
    kept = freeze(group, Question(("DRUSEN",), Choice("youden")))
    known = Known.of(group)
    assert known.question.threshold == kept["threshold"] and known.question.kept == kept
    mean = NEW.astype(np.float64).mean(0)
    found = answer(known, NEW_PAGE)["operating_point"]
    assert found == {"positive": bool(mean[2] >= kept["threshold"]), "score": pytest.approx(mean[2], abs=1e-7)}


def test_without_a_question_that_can_be_answered_there_is_no_answer(tmp_path, monkeypatch):
    def none(*_):
        raise UserError("No image is positive.")

    monkeypatch.setattr(module, "frozen", none)
    known = Known.of(group_of_numbers(tmp_path, features=False))
    assert answer(known, NEW_PAGE)["operating_point"] is None
    told = about(known)
    assert (told["operating_point"], told["no_operating_point"]) == (None, "No image is positive.")


def test_nearest_are_those_trained_on_by_cosine_with_the_labels_trained_with(known):
    used = np.flatnonzero(used_images("balanced"))
    rows, labels = features_of("train"), labels_of("train")
    labels[list(CORRECTED)] = list(CORRECTED.values())
    seen = []
    for look in (LOOK, *(rows[i] + 0.01 for i in CORRECTED), rows[120]):  # the last one was left out of training
        cosines = {i: rows[i] @ look / np.linalg.norm(rows[i]) / np.linalg.norm(look) for i in used}
        nearest = sorted(used, key=lambda i, c=cosines: -c[i])[:5]
        found = answer(known, replace(NEW_PAGE, features=look))["nearest"]
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
    found = answer(known, replace(NEW_PAGE, checksum=FIRST[split] + index))
    assert found["checksum"] == str(FIRST[split] + index)
    expected = {"split": split, "image_id": f"{split}-{index:04d}", "says": says} if says else None
    assert found["met"] == expected


def test_of_an_older_group_nobody_knows_what_was_met(tmp_path):
    group = group_of_numbers(tmp_path, features=False)
    for run in group.runs:
        for split in FIRST:
            path = run.path / "predictions" / f"{split}.parquet"
            pd.read_parquet(path).drop(columns="checksum").to_parquet(path)
    assert answer(Known.of(group), replace(NEW_PAGE, checksum=FIRST["test"]))["met"] is None


def on_validations_scale(distances: np.ndarray) -> np.ndarray:
    """(S, M) -> (M,): the seeds' mean, of each with validation's median as 0 and its 96th of 100 as 1."""
    known = np.stack([distances_of("val", seed) for seed in range(3)]).astype(np.float64)
    low, high = np.median(known, axis=1), np.sort(known, axis=1)[:, math.ceil(101 * 0.95) - 1]
    return np.mean([(d - a) / (b - a) for d, a, b in zip(distances, low, high, strict=True)], axis=0)


def test_an_image_is_too_far_beyond_nineteen_of_twenty_validation_images(known):
    validation = on_validations_scale(np.stack([distances_of("val", seed) for seed in range(3)]))
    limit = np.sort(validation)[95]  # 101 of 100 and one more, times 0.95
    alike = np.tile(NEW[:1], (3, 1))
    known_by = np.stack([distances_of("val", seed) for seed in range(3)]).astype(np.float64)
    low, high = np.median(known_by, axis=1), np.sort(known_by, axis=1)[:, 95]
    highs = []
    for share in (0.0, 0.5, limit - 1e-3, limit + 1e-3, 9.0):
        distances = low + share * (high - low)
        doubt = answer(known, replace(NEW_PAGE, probabilities=alike, distances=distances))["doubt"]
        value = on_validations_scale(distances[:, None])[0]
        assert value == pytest.approx(share, abs=1e-6)
        told = {"value": value, "limit": limit, "share": np.mean(validation < value), "high": share > limit}
        assert doubt["distance"] == pytest.approx(told, abs=1e-6)
        assert (doubt["high"], doubt["says"]) == (share > limit, DO_NOT_RELY if share > limit else None)
        highs.append(doubt["high"])
    assert highs == [False, False, False, True, True]
    assert answer(known, replace(NEW_PAGE, distances=None))["doubt"]["distance"] is None


VOTES = [(3, 0, False), (3, 1, True), (5, 0, False), (5, 1, True), (6, 1, False), (6, 2, True), (10, 2, True)]


@pytest.fixture(scope="module")
def ten_seeds(tmp_path_factory):
    return group_of_numbers(tmp_path_factory.mktemp("ten"), seeds=10, features=False)


@pytest.mark.parametrize(("seeds", "otherwise", "high"), VOTES)
def test_one_in_five_seeds_that_votes_otherwise_is_doubt(ten_seeds, seeds, otherwise, high):
    known = Known.of(ten_seeds, ten_seeds.runs[:seeds])
    p = np.tile([0.7, 0.1, 0.1, 0.1], (seeds, 1))
    p[:otherwise] = 0.1, 0.1, 0.7, 0.1
    doubt = answer(known, replace(NEW_PAGE, probabilities=p, distances=None))["doubt"]
    calls = stored(ten_seeds, "val")[:seeds].argmax(2)
    apart = np.array([(own != np.bincount(own).argmax()).sum() for own in calls.T])
    share = np.mean(apart < otherwise)
    assert doubt["disagreement"] == {"value": otherwise / seeds, "limit": 0.2, "share": share, "high": high}
    assert (doubt["high"], doubt["says"]) == (high, DO_NOT_RELY if high else None)
    assert doubt["reasons"] == ([f"Of the seeds {100 * otherwise / seeds:.0f} % vote otherwise than most."] * high)


def test_seeds_that_vote_alike_and_are_unsure_do_not_disagree_and_a_blank_picture_is_doubted(known):
    p = np.array([[0.4, 0.3, 0.2, 0.1], [0.9, 0.05, 0.03, 0.02], [0.3, 0.29, 0.21, 0.2]])
    for contrast, high in ((0.0, True), (7.99, True), (8.0, False), (90.0, False)):
        page = replace(NEW_PAGE, probabilities=p, distances=np.zeros(3), contrast=contrast)
        doubt = answer(known, page)["doubt"]
        assert doubt["blank"] == {"value": contrast, "limit": 8.0, "high": high}
        assert doubt["disagreement"]["value"] == 0 and doubt["high"] is high


def test_with_the_papers_rule_the_one_model_answers(tmp_path):
    group = group_of_numbers(tmp_path, selection="paper")
    known = Known.of(group)
    one = known.taken.seed
    assert known.best.seed == one
    found = answer(known, NEW_PAGE)
    p = NEW[one].astype(np.float64)
    assert listed(found["mean"]) == listed(found["seeds"][one]) == pytest.approx(p, abs=1e-7)
    assert found["calibrated"]["probabilities"] == found["seeds"][one]["calibrated"]["probabilities"]
    assert found["unsure"]["share"] == np.mean(nats(stored(group, "test")[one]) < found["mean"]["entropy"])
    assert found["operating_point"]["score"] == pytest.approx(p[:2].sum(), abs=1e-6)
    assert sum(found["agreement"].values()) == 3
    most = max(found["agreement"].values())
    assert found["doubt"]["disagreement"]["value"] == (3 - most) / 3 > 0
    assert about(known)["model"] == f"seed {one}"


def test_one_seed_disagrees_with_nobody_and_without_features_nothing_is_near(tmp_path):
    known = Known.of(group_of_numbers(tmp_path, seeds=1, features=False))
    found = answer(known, Page(NEW[:1], LOOK, FAR[:1], checksum=1, contrast=40.0))
    blank = {"value": 40.0, "limit": 8.0, "high": False}
    unknown = dict.fromkeys(("says", "disagreement", "distance"))
    assert found["doubt"] == {"high": False, "reasons": [], "blank": blank, **unknown}
    assert found["nearest"] is None and known.seen is None and about(known)["has_features"] is False
    assert listed(found["mean"]) == listed(found["seeds"][0])
    assert list(found["agreement"].values()) == [1]
    assert known.joint([probabilities("test", 0, 6)]).shape == (200, 4)


def test_what_only_some_seeds_have_kept_is_not_known(tmp_path):
    group = group_of_numbers(tmp_path)
    assert Known.of(group).seen is not None and about(Known.of(group))["has_features"] is True
    other = next(run for run in group.runs if run.seed != Known.of(group).best.seed)
    features_path(other).unlink()
    known = Known.of(group)
    assert known.seen is None and about(known)["has_features"] is False
    assert answer(known, NEW_PAGE)["doubt"]["distance"] is None and answer(known, NEW_PAGE)["nearest"] is None
    assert Known.of(group, [run for run in group.runs if run != other]).seen.validation.shape == (2, 100)


def test_damaged_features_are_a_sentence_and_so_are_those_of_another_model(tmp_path):
    group = group_of_numbers(tmp_path, seeds=2)
    known = Known.of(group)
    best, other = known.best, next(run for run in group.runs if run.seed != known.best.seed)
    with pytest.raises(UserError, match=rf"features\.safetensors .*its features have {WIDTH} values .* 8\)"):
        known.seen.nearest(np.zeros(8, np.float32))
    shorter = kept_by(other.seed).distances | {"val": distances_of("val", 1)[::2]}
    write_features(other, replace(kept_by(other.seed), distances=shorter))
    with pytest.raises(UserError, match=rf"seeds of {group.path} have kept distances of different validation images"):
        Known.of(group)
    write_features(other, kept_by(other.seed))
    fewer = {split: features_of(split)[:-1] for split in FIRST}
    write_features(best, replace(kept_by(best.seed), features=fewer))
    with pytest.raises(UserError, match=r"its train is \(399, 6\), for 400 images"):
        Known.of(group)
    for run in (best, other):
        write_features(best, kept_by(best.seed))
        features_path(run).unlink()
        features_path(run).mkdir()
        with pytest.raises(UserError, match=rf"{run.path}.*features\.safetensors .* \(it is missing, or no file\)"):
            Known.of(group)
        features_path(run).rmdir()


def test_only_finished_seeds_are_known(tmp_path):
    with pytest.raises(UserError, match="none has no finished seed yet: it is queued"):
        Known.of(fabricate(tmp_path, "none", ["queued"]))
