"""A group's figures are those of its predictions; groups are compared on the same images only."""

import json

import numpy as np
import pandas as pd
import pytest
from fabricate import fabricate, labels_of, patients, probabilities

from colora.metrics import differences
from colora.metrics.bootstrap import Sample
from colora.metrics.classification import accuracy, macro_auc
from colora.metrics.over_seeds import Spread, ensemble
from colora.results.statistics import compare_groups, group_statistics, judged
from colora.runs.folder import Group
from colora.runs.selection import selected_epoch
from colora.system.errors import UserError

STATES = ["done", "done", "done", "running"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    fabricate(path, "long", STATES, with_patients=True)
    fabricate(path, "short", ["done", "done"], {"epochs": 2}, with_patients=True)
    return path


@pytest.fixture(scope="module")
def long(runs) -> Group:
    return Group(runs / "long")


@pytest.fixture(scope="module")
def statistics(long) -> dict:
    return group_statistics(long)


def predictions_of(group: Group) -> list[np.ndarray]:
    done = [run for run in group.runs if run.state == "done"]
    return [probabilities("test", run.seed, selected_epoch(run)) for run in done]


def test_figures_are_of_the_finished_seeds_and_of_their_ensemble(statistics, long):
    labels, p = labels_of("test"), predictions_of(long)
    assert statistics["n"] == 200 and statistics["patients"] == 100
    assert [row["seed"] for row in statistics["seeds"]] == [0, 1, 2] and statistics["finished"] == 3
    assert "seed 3" in statistics["not_counted"][0].lower()
    for row, own in zip(statistics["seeds"], p, strict=True):
        assert row["overall"]["accuracy"]["value"] == pytest.approx(accuracy(labels, own))
        assert row["overall"]["auc"]["value"] == pytest.approx(macro_auc(labels, own))
    joint = statistics["ensemble"]["overall"]["accuracy"]
    assert joint["value"] == pytest.approx(accuracy(labels, ensemble(p)))
    assert joint["low"] < joint["value"] <= joint["high"]
    over = statistics["over_seeds"]["overall"]["accuracy"]
    found = Spread.of([accuracy(labels, own) for own in p])
    assert found is not None and over["median"] == pytest.approx(found.median) and over["n"] == 3
    assert over["mean"]["method"] == "bootstrap of patients, t over seeds"


def test_the_document_is_json_and_says_what_it_was_made_of(statistics):
    text = json.dumps(statistics, allow_nan=False)
    assert "Research use only" in text and "generated apart" in text and "best accuracy on validation" in text
    assert set(statistics["seeds"][0]["per_class"]) == {"CNV", "DME", "DRUSEN", "NORMAL"}
    assert statistics["optimism"] is None and statistics["operating_point"] is None
    assert [own["seed"] for own in statistics["calibration"]["seeds"]] == [0, 1, 2]
    same = statistics["ensemble"]["overall"]["ece"]
    assert statistics["calibration"]["ensemble"]["before"]["ece"] == pytest.approx(same, abs=1e-6)


def test_one_seed_has_no_ensemble_and_no_spread(tmp_path):
    found = group_statistics(fabricate(tmp_path, "one", ["done"]), "val")
    assert found["split"] == "val" and found["patients"] is None
    assert found["ensemble"] is None and found["over_seeds"] is None


def test_a_seed_that_finishes_meanwhile_counts_the_next_time(tmp_path, monkeypatch):
    group = fabricate(tmp_path, "g", ["done", "done"])
    answers = iter([group.runs[:1], group.runs])
    monkeypatch.setattr("colora.results.judged.counting", lambda *_: next(answers))
    found = group_statistics(group)
    assert [row["seed"] for row in found["seeds"]] == [row["seed"] for row in found["calibration"]["seeds"]] == [0]
    assert found["finished"] == 1


def test_without_a_finished_seed_there_are_no_figures(tmp_path):
    with pytest.raises(UserError, match="no finished seed yet"):
        group_statistics(fabricate(tmp_path, "early", ["queued"]))


def test_the_papers_rule_says_what_choosing_on_test_gains(tmp_path):
    group = fabricate(tmp_path, "paper", ["done", "done"], {"selection": "paper"})
    found = group_statistics(group)["optimism"]
    labels = labels_of("test")
    every = {(s, e): accuracy(labels, probabilities("test", s, e)) for s in (0, 1) for e in range(1, 7)}
    assert found["candidates"] == 12 and found["best"] == pytest.approx(max(every.values()))
    by_validation = {key: accuracy(labels_of("val"), probabilities("val", *key)) for key in every}
    best = [key for key, value in by_validation.items() if value == max(by_validation.values())]
    assert found["chosen"] in [pytest.approx(every[key]) for key in best]
    assert found["optimism"] == pytest.approx(found["best"] - found["chosen"])
    assert found["low"] < found["by_chance"] < found["high"] and found["by_chance"] > 0
    assert "12 models" in found["says"]


def test_a_pair_is_compared_on_the_same_images_by_the_seeds_of_both(runs):
    found = compare_groups([Group(runs / "long"), Group(runs / "short")])
    labels = labels_of("test")
    (pair,) = found["pairs"]
    assert (pair["a"], pair["b"], pair["seeds"]) == ("long", "short", [0, 1])
    both = [ensemble(predictions_of(Group(runs / name))[:2]) for name in ("long", "short")]
    own = differences.on_images(labels, *both, np.array(patients("test")))
    assert pair["accuracy"]["difference"] == pytest.approx(accuracy(labels, both[0]) - accuracy(labels, both[1]))
    for figure in ("accuracy", "auc", "brier"):
        assert pair[figure] == own[figure].as_dict() | {"p_holm": own[figure].p}
    assert pair["accuracy"]["test"] == "paired bootstrap of patients" and "100 patients" in pair["says"]
    assert pair["over_seeds"]["accuracy"]["difference"] > 0
    assert Sample.of(labels, np.array(patients("test"))).clustered
    assert json.dumps(found, allow_nan=False)


def test_more_than_two_groups_share_the_chance_of_a_wrong_verdict(runs, tmp_path):
    third = fabricate(tmp_path, "third", ["done", "done"], {"epochs": 3}, with_patients=True)
    found = compare_groups([Group(runs / "long"), Group(runs / "short"), third])
    assert [(p["a"], p["b"]) for p in found["pairs"]] == [("long", "short"), ("long", "third"), ("short", "third")]
    assert found["seeds"] == [0, 1] and all(pair["seeds"] == [0, 1] for pair in found["pairs"])
    ab, ac, bc = (pair["accuracy"]["difference"] for pair in found["pairs"])
    assert ab + bc == pytest.approx(ac)  # a group is the same model in every pair
    p = [pair["auc"]["p"] for pair in found["pairs"]]
    assert [pair["auc"]["p_holm"] for pair in found["pairs"]] == differences.holm(p) != p


def test_groups_without_a_seed_in_common_are_compared_by_all_of_theirs(runs, tmp_path):
    other = fabricate(tmp_path, "other", ["failed", "failed", "failed", "done"], with_patients=True)
    (pair,) = compare_groups([Group(runs / "short"), other])["pairs"]
    assert pair["seeds"] is None and pair["over_seeds"]["auc"]["reason"] == "no seed that both have"
    assert pair["accuracy"]["difference"] is not None


def test_other_test_images_are_left_out_and_two_groups_are_needed(runs, tmp_path, long):
    other = fabricate(tmp_path, "larger", ["done", "done"], {"image_size": 32}, with_patients=True)
    assert not np.array_equal(judged(other, "test").images, judged(long, "test").images)
    with pytest.raises(UserError, match="The test images differ"):
        compare_groups([long, other])
    with pytest.raises(UserError, match="two groups"):
        compare_groups([long])
    early = fabricate(tmp_path, "early", ["queued"])
    found = compare_groups([early, long, other, Group(runs / "short")])
    assert [(pair["a"], pair["b"]) for pair in found["pairs"]] == [("long", "short")]
    assert found["left_out"].keys() == {"early", "larger"} and "no finished seed" in found["left_out"]["early"]


def test_a_group_with_a_damaged_file_is_left_out_and_the_others_are_compared(runs, tmp_path, long):
    bad = fabricate(tmp_path, "bad", ["done"], with_patients=True)
    path = bad.runs[0].predictions_file("test")
    table = pd.read_parquet(path)
    table.assign(p_0=np.nan).to_parquet(path)
    worse = fabricate(tmp_path, "worse", ["done"], with_patients=True)
    worse.runs[0].predictions_file("test").write_bytes(b"no table")
    found = compare_groups([bad, long, worse, Group(runs / "short")])
    assert [(pair["a"], pair["b"]) for pair in found["pairs"]] == [("long", "short")]
    assert found["left_out"].keys() == {"bad", "worse"} and all("damaged" in why for why in found["left_out"].values())
    with pytest.raises(UserError, match="damaged"):
        group_statistics(bad)


def test_groups_chosen_by_different_rules_are_compared_with_a_warning(runs, tmp_path):
    paper = fabricate(tmp_path, "paper", ["done", "done"], {"selection": "paper"}, with_patients=True)
    found = compare_groups([Group(runs / "short"), paper])
    assert any(c["weight"] == "wrong" and "selection rules differ" in c["says"] for c in found["cautions"])
