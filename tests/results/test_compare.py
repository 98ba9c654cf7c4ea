"""Whether groups may be compared, and what is said of them side by side."""

import pandas as pd
import pytest
from fabricate import PARAMETERS, fabricate

from colora.data.cuts import PINNED
from colora.data.rules import make_rule
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.metrics.over_seeds import Spread
from colora.results.compare import cautions, differences, group_rows, labels, same_settings, seed_points
from colora.results.summary import exact_config, group_summary
from colora.runs.folder import Group, read_json, write_json


@pytest.fixture
def made(tmp_path):
    """Makes groups by name, each with its settings, and returns their summaries."""

    def make(**settings) -> dict:
        return {
            name: group_summary(fabricate(tmp_path, name, ["done"] * 2, {"epochs": 2, **values}))
            for name, values in settings.items()
        }

    return make


def resolve(summaries: dict, name: str, **data) -> None:
    summaries[name]["data"] |= data


def test_alike_groups_need_no_caution(made):
    assert cautions(made(a={}, b={"lr": 0.01})) == []


def test_other_images_make_figures_incomparable(made):
    both = made(a={}, b={})
    resolve(both, "b", checksum="1" * 64, source="npz:other.npz")
    (caution,) = cautions(both)
    assert caution.weight == "wrong" and "figures on different test images cannot be compared" in caution.says
    assert "a: phantom (synthetic) at 64 px, 200 test images" in caution.says
    assert "b: npz:other.npz at 64 px" in caution.says


def test_another_split_of_the_same_images_is_found_by_its_checksum(made):
    both = made(a={}, b={})
    resolve(both, "b", checksum="1" * 64, split="by patient, split seed 1")
    assert [c.weight for c in cautions(both)] == ["wrong"]


def test_another_image_size_of_the_same_images_is_only_to_be_kept_in_mind(made):
    both = made(a={}, b={"image_size": 32})
    resolve(both, "b", checksum="1" * 64)
    (caution,) = cautions(both)
    assert caution.weight == "mind" and "a at 64 px, b at 32 px" in caution.says


def test_other_classes_and_other_rules_are_named(made):
    three = made(a={}, b={"selection": "paper"}, c={})
    resolve(three, "c", class_names=["ONE", "TWO"])
    says = [c.says for c in cautions(three)]
    assert [c.weight for c in cautions(three)] == ["wrong", "wrong"]
    assert says[0].startswith("The classes differ (a and b: CNV, DME, DRUSEN, NORMAL; c: ONE, TWO)")
    assert "a and c chose the epoch on validation, b on TEST" in says[1]


def test_unfinished_groups_and_single_seeds_are_named(tmp_path):
    found = {
        "a": group_summary(fabricate(tmp_path, "a", ["done", "failed"], {"epochs": 2})),
        "b": group_summary(fabricate(tmp_path, "b", ["queued"], {"epochs": 2})),
    }
    assert [c.says for c in cautions(found)] == [
        "a: 1 of 2 seeds is finished, and only it counts in figures over seeds. Not finished: seed 1 failed at epoch 1 "
        "of 2.",
        "b: No seed has finished yet, so there are no figures over seeds. Not finished: seed 0 queued.",
        "One seed only, so nothing is known of the spread: a, b.",
    ]


def test_each_seed_is_a_point_with_its_cost(made):
    both = made(a={}, b={})
    points = seed_points(both, "test")
    assert points[["group", "place", "seed"]].to_numpy().tolist() == [
        ["a", 0, 0],
        ["a", 0, 1],
        ["b", 1, 0],
        ["b", 1, 1],
    ]
    assert points["accuracy"].tolist()[:2] == [row["test"]["accuracy"] for row in both["a"]["seeds"]]
    assert (points["trainable"] == PARAMETERS["trainable"]).all()
    assert points["minutes"].tolist() == pytest.approx([4 / 60] * 4)  # two epochs of 2 s
    assert points["peak_memory_mib"].tolist() == [1000, 1001, 1000, 1001]


def test_rows_have_the_spread_the_rules_best_seed_and_the_costs(made):
    (row,) = group_rows(made(a={}), "test")
    points = seed_points(made(b={}), "test")
    assert row["accuracy"] == Spread.of(points["accuracy"])
    assert (row["done"], row["seeds"], row["trainable"]) == (2, 2, PARAMETERS["trainable"])
    assert row["seconds_per_epoch"].median == 2.0 and row["peak_memory_mib"] == 1001


def test_best_is_by_the_groups_rule_not_the_highest_test_figure(made, tmp_path):
    found = made(a={})["a"]
    found["best_seed"] = worst = min(found["seeds"], key=lambda row: row["test"]["accuracy"])["seed"]
    (row,) = group_rows({"a": found}, "test")
    assert row["best"]["seed"] == worst and row["best"]["accuracy"] == row["accuracy"].low


def test_a_group_that_has_not_begun_has_a_row_without_figures(tmp_path):
    (row,) = group_rows({"a": group_summary(fabricate(tmp_path, "a", ["queued"]))}, "test")
    assert row["accuracy"] is row["best"] is row["trainable"] is row["peak_memory_mib"] is None


def test_metrics_of_older_runs_without_memory_are_read(tmp_path):
    run = fabricate(tmp_path, "a", ["done"], {"epochs": 1}).runs[0]
    lines = pd.read_json(run.path / "metrics.jsonl", lines=True).drop(columns="peak_memory_mib")
    lines.to_json(run.path / "metrics.jsonl", lines=True, orient="records")
    assert group_summary(Group(run.path.parent))["seeds"][0]["peak_memory_mib"] is None


def test_only_settings_that_differ_are_listed(tmp_path):
    a = fabricate(tmp_path, "a", ["queued"] * 3, {"lr": 0.003, "class_names": ["X", "Y"]})
    b = fabricate(tmp_path, "b", ["queued"], {"lr": 0.01, "rank": 2})
    table = differences({"a": a.config, "b": b.config}, {"a": [0, 1, 2], "b": [0]})
    assert table.T.to_dict("list") == {
        "seeds": ["0-2", "0"],
        "class_names": ["X, Y", "–"],
        "rank": ["1", "2"],
        "lr": ["0.003", "0.01"],
    }
    assert differences({"a": a.config, "c": a.config}, {"a": [0], "c": [0]}).empty


def test_rates_that_differ_in_their_last_digit_are_written_differently(tmp_path):
    rates = (0.0012345678, 0.0012345679)
    configs = {f"g{i}": fabricate(tmp_path, f"g{i}", ["queued"], {"lr": lr}).config for i, lr in enumerate(rates)}
    table = differences(configs, {name: [0] for name in configs})
    assert table.loc["lr"].tolist() == list(map(str, rates)) and same_settings(configs) == []


def test_cuts_of_one_name_are_told_apart_by_their_images(tmp_path):
    predictions = read_predictions(Group(fabricate(tmp_path, "source", ["done"]).path), "train")
    configs = {}
    for name, keep in (("a", 9), ("b", 8), ("c", 9)):
        group = fabricate(tmp_path, name, ["queued"], {"cut": "mine"})
        write_json(group.path / PINNED, distil(predictions, "mine", make_rule(drop=1, keep=keep)).model_dump())
        configs[name] = exact_config(group)
    assert same_settings(configs) == [["a", "c"]]
    written = differences(configs, {name: [0] for name in configs}).loc["cut"]
    assert written["a"] == written["c"] != written["b"] and all(text.startswith("mine (") for text in written)


def test_a_setting_that_a_group_does_not_use_is_no_difference(tmp_path):
    """Heads with a rate of their own are trained with the same bits, whatever lr is."""
    grid = {f"lr-{lr}": {"method": "head", "lr_head": 1e-3, "lr": lr} for lr in (1e-3, 1e-4)}
    others = {"own-rate": {"method": "head", "lr": 1e-3}, "colora": {"lr": 1e-2, "lr_head": 1e-3, "rank": 2}}
    configs = {name: fabricate(tmp_path, name, ["queued"], v).config for name, v in (grid | others).items()}
    heads = {name: config for name, config in configs.items() if name != "colora"}
    assert differences(heads, {name: [0] for name in heads}).empty
    assert same_settings(configs) == [["lr-0.001", "lr-0.0001", "own-rate"]]
    two = {name: configs[name] for name in ("lr-0.0001", "colora")}
    table = differences(two, {name: [0] for name in two})
    assert table.T.to_dict("list") == {"method": ["head", "colora"]}  # which explains that lr and rank are of one alone
    other = fabricate(tmp_path, "other", ["queued"], {"lr": 1e-3, "lr_head": 1e-3}).config
    table = differences({**two, "other": other}, {name: [0] for name in (*two, "other")})
    assert table.loc["lr"].tolist() == ["not used", "0.01", "0.001"]
    assert table.loc["rank"].tolist() == ["not used", "2", "1"]


def test_long_names_are_cut_in_their_middle():
    short = labels(["first", "x" * 20 + "y" * 20])
    assert short["first"] == "A · first"
    assert short["x" * 20 + "y" * 20] == "B · " + "x" * 13 + "…" + "y" * 13


def test_a_summary_names_the_data_by_its_checksum(tmp_path):
    group = fabricate(tmp_path, "a", ["done"], {"epochs": 1})
    path = group.runs[0].path / "config.json"
    content = read_json(path)
    content = content | {"resolved": content["resolved"] | {"data_checksum": "f" * 64}}
    write_json(path, content)
    assert group_summary(Group(group.path))["data"]["checksum"] == "f" * 64
