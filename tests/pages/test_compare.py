"""Compare over fabricated run folders: figures side by side, and what keeps them from being compared."""

import json
from pathlib import Path

import pytest
from fabricate import PARAMETERS, damage, fabricate
from opened import opener, ran, texts

from colora.metrics.over_seeds import Spread
from colora.results.resolving import MEANS
from colora.results.statistics import compare_groups, group_statistics
from colora.results.summary import run_summary
from colora.runs.folder import Group, read_json, write_json
from colora.settings.relevance import config_checksum
from pages.components.show import OPTIMISTIC


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("runs")
    fabricate(path, "small", ["done"] * 3, {"lr": 0.003})
    fabricate(path, "large", ["done"] * 3, {"rank": 2, "backbone": "vgg16"})
    fabricate(path, "short", ["done"] * 3, {"epochs": 1})
    fabricate(path, "on-test", ["done"] * 2, {"selection": "paper"})
    fabricate(path, "early", ["queued"])
    other = fabricate(path, "other-images", ["done"] * 2)
    for run in other.runs:
        content = read_json(run.path / "config.json")
        resolved = content["resolved"] | {"data_checksum": "1" * 64}
        write_json(run.path / "config.json", content | {"resolved": resolved})
    damage(fabricate(path, "damaged", ["done"]))
    return path


@pytest.fixture
def compared(monkeypatch, runs):
    """Opens Compare on the groups of the address `?groups=...`."""
    opened = opener(monkeypatch, runs)

    def compared(names: str | None, folder: Path = runs):
        app = opened("compare", folder=folder)
        if names is not None:
            app.query_params["groups"] = names
        return ran(app)

    return compared


def side_by_side(app):
    return app.dataframe[0].value.set_index("Group")


def test_each_group_has_its_figures_and_costs(compared, runs):
    app = compared("small,large")
    table = side_by_side(app)
    assert list(table.index) == ["A · small", "B · large"]
    accuracies = [run_summary(run)["test"]["accuracy"] for run in Group(runs / "small").runs]
    spread = Spread.of(accuracies)
    row = table.loc["A · small"]
    assert row["Accuracy"] == f"{spread.median:.3f} [{spread.q1:.3f}–{spread.q3:.3f}]"
    assert row["Weights trained"] == PARAMETERS["trainable"] and row["Seconds an epoch"] == 2.0
    assert row["Peak memory"] == "1.1 GB" and row["Seeds done"] == "3 of 3"
    assert len(app.get("plotly_chart")) == 3 and not app.error
    assert "Test split of phantom (SYNTHETIC) · each seed's selected epoch, chosen on validation" in texts(app)


def test_only_settings_that_differ_are_shown(compared):
    table = compared("small,large").dataframe[-1].value.set_index("setting")
    assert list(table.index) == ["backbone", "rank", "lr"]
    assert table.loc["rank", ["A · small", "B · large"]].tolist() == ["1", "2"]
    assert table.loc["rank", "meaning"].startswith("Number of depthwise-separable terms")


def test_groups_that_differ_in_nothing_that_is_used_are_said_to_be_the_same(compared, tmp_path):
    for lr in (1e-3, 1e-4):
        fabricate(tmp_path, f"head-{lr:g}", ["done"], {"method": "head", "lr_head": 1e-3, "lr": lr})
    app = compared("head-0.001,head-0.0001", folder=tmp_path)
    said = texts(app).replace("\\", "")
    checksum = config_checksum(Group(tmp_path / "head-0.001").config)[:12]
    same = f"The same settings, as far as they are used: A · head-0.001, B · head-0.0001 (checksum {checksum})."
    assert same in said and "Nowhere: every setting that is used and every seed is the same." in said


def test_split_and_metric_are_chosen(compared):
    app = compared("small,large")
    app.button_group(key="split").set_value("val")
    app.button_group(key="metric").set_value("loss")
    ran(app)
    assert "**Loss over the epochs**" in texts(app) and "Validation split of phantom" in texts(app)
    assert app.query_params["groups"] == "small,large"


def test_whether_one_is_ahead_is_said_with_its_interval(compared, runs):
    pair = compare_groups([Group(runs / "small"), Group(runs / "short")])["pairs"][0]
    app = compared("small,short")
    assert pair["says"] in texts(app).replace("\\", "") and "is ahead of short by" in pair["says"]
    matrix = app.table[0].value.map(lambda text: text.replace("\\", ""))
    difference, low, high = (100 * pair["accuracy"][key] for key in ("difference", "low", "high"))
    assert matrix.loc["A · small", "B · short"] == f"{difference:+.1f} [{low:.1f}, {high:.1f}] ahead"
    assert matrix.loc["B · short", "A · small"] == f"{-difference:+.1f} [{-high:.1f}, {-low:.1f}] behind"
    for name, shown in (("small", "A · small"), ("short", "B · short")):
        own = group_statistics(Group(runs / name))["ensemble"]["overall"]["accuracy"]
        assert matrix.loc[shown, shown] == f"{own['value']:.3f} [{own['low']:.3f}, {own['high']:.3f}]"
    app.button_group(key="metric").set_value("loss")
    assert ran(app).table[0].value.loc["A · small", "B · short"].endswith(" ahead")  # of a lower loss
    details = app.dataframe[1].value.set_index("figure")
    assert details.loc["accuracy", "test"] == "exact McNemar" and details.loc["accuracy", "low"] > 0
    assert details.loc["accuracy, over seeds", "why not"].startswith("3 pairs of seeds allow no interval")


def test_within_noise_nobody_is_ahead_and_other_images_are_left_out(compared):
    app = compared("small,large,other-images")
    assert "both are right on the same images" in app.table[0].value.iloc[0, 1].replace("\\", "")
    assert not [cell for cell in app.table[0].value.to_numpy().ravel() if "-0.0" in cell.replace("\\", "")]
    assert "ahead" not in "".join(app.table[0].value.to_numpy().ravel())
    assert MEANS not in texts(app), "the pair's own sentence says it"
    many = texts(compared("small,large,short,on-test"))
    assert f"200 images tell 6.3 points of accuracy apart. {MEANS}" in many


def test_images_that_were_learnt_from_give_no_verdict(compared):
    app = compared("small,large")
    app.button_group(key="split").set_value("train")
    assert "no difference says anything" in texts(ran(app)) and not app.table


def test_groups_that_cannot_be_compared_are_said_to_be_so(compared):
    app = compared("small,other-images,on-test")
    said = app.error[0].value.replace("\\", "")
    assert "figures on different test images cannot be compared" in said
    assert "The selection rules differ: small and other-images chose the epoch on validation" in said


def test_figures_on_the_test_images_that_chose_the_epoch_are_marked_wherever_they_stand(compared, runs):
    app = compared("small,on-test")
    table = side_by_side(app)
    for column in ("Accuracy", "AUC", "Best seed"):
        assert table.loc["B · on-test", column].endswith(" optimistic") and "opt" not in table.loc["A · small", column]
        assert OPTIMISTIC in json.loads(app.dataframe[0].proto.columns)[column]["help"]
    assert f"{OPTIMISTIC} This holds for B · on-test." in texts(app)
    measured = group_statistics(Group(runs / "on-test"))["optimism"]["says"]
    assert f"Measured of B · on-test: {measured}" in texts(app).replace("\\", "")
    app.button_group(key="split").set_value("val")
    assert "optimistic" not in side_by_side(ran(app)).to_string() and "This holds for" not in texts(app)
    assert OPTIMISTIC not in app.dataframe[0].proto.columns


def test_a_damaged_and_a_waiting_group_leave_the_others_readable(compared):
    app = compared("small,damaged,early")
    assert "**Seed 0 is damaged:**" in app.error[0].value
    assert "early: No seed has finished yet" in app.info[0].value.replace("\\", "")
    assert side_by_side(app).loc["A · small", "Seeds done"] == "3 of 3"


def test_the_two_newest_are_compared_at_first_and_unknown_names_are_said(compared):
    assert compared(None).query_params["groups"] == "damaged,other-images"
    app = compared("small,gone,large")
    assert "There is no group named gone" in app.warning[0].value
    assert list(side_by_side(app).index) == ["A · small", "B · large"]


def test_fewer_than_two_ask_for_more_and_choosing_changes_the_address(compared):
    app = compared("small")
    assert "Choose 2 to 8 groups" in texts(app) and not app.dataframe
    app.multiselect(key="compared").set_value(["small", "large"])
    assert len(side_by_side(ran(app))) == 2
    assert app.query_params["groups"] == "small,large"


def test_more_than_eight_are_cut(compared, tmp_path):
    names = [f"g{number}" for number in range(9)]
    for name in names:
        fabricate(tmp_path, name, ["queued"])
    app = compared(",".join(names), tmp_path)
    assert "the first 8 are shown" in app.warning[0].value and len(side_by_side(app)) == 8
    assert "The curves begin when a first seed is finished" in texts(app)
    assert "when two groups have a finished seed" in texts(app)


def test_without_runs_it_leads_to_launch(compared, tmp_path):
    assert "no run has been launched" in texts(compared(None, tmp_path))
