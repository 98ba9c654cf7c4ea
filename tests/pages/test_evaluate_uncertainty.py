"""Evaluate says how sure its figures are: over seeds or over images, calibration, operating point, every figure."""

import json
import math
import re

import numpy as np
import pytest
from fabricate import fabricate, labels_of, probabilities
from figures import numbers
from opened import ran, texts

from colora.metrics.figures import TITLES
from colora.metrics.operating_point import Choice
from colora.metrics.statistics import statistics as metrics_statistics
from colora.results.operating_point import Question
from colora.results.statistics import group_statistics
from colora.runs.folder import Group
from pages.components.evaluate.every_figure import model_table

CLASS_NAMES = ["CNV", "DME", "DRUSEN", "NORMAL"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    fabricate(path, "early", ["done"] * 3, {"epochs": 2}, with_patients=True)
    fabricate(path, "paper", ["done"] * 2, {"epochs": 2, "selection": "paper"}, with_patients=True)
    fabricate(path, "alone", ["done"], {"epochs": 2}, with_patients=True)
    return path


@pytest.fixture(scope="module")
def statistics(folder) -> dict:
    return group_statistics(Group(folder / "early"), "test", Question(("CNV", "DME"), Choice("sensitivity", 0.95), 0.1))


def figures_of(app) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def table_with(app, column: str):
    return next(table.value for table in app.table if column in table.value.columns)


def ends(found: dict) -> str:
    return f"{found['low']:.3f} to {found['high']:.3f} ({found['method']})"


def test_over_images_the_ensembles_figures_stand_with_their_intervals(open_page, folder, statistics):
    app = open_page("evaluate", "early", folder=folder)
    assert app.button_group(key="over").value is False and "95 % interval" not in texts(app)
    app.button_group(key="over").set_value(True)
    said, one = texts(ran(app)), statistics["ensemble"]["overall"]
    assert [m.value for m in app.metric] == [f"{one[name]['value']:.3f}" for name in ("accuracy", "auc", "auc_micro")]
    for name in ("accuracy", "auc", "auc_micro"):
        assert f"95 % interval {ends(one[name])}" in said
    assert "Figures of the ensemble of 3 seeds on 200 images of 100 patients." in said and "Median over" not in said
    shown = table_with(app, "Recall")
    for row, own in [*statistics["ensemble"]["per_class"].items(), ("Average", one)]:
        for column, name in (("AUC", "auc"), ("Recall", "sensitivity"), ("Average precision", "average_precision")):
            found = own[name]
            assert shown.loc[row, column] == f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def test_every_plot_has_intervals_over_images(open_page, folder, statistics):
    app = open_page("evaluate", "early", folder=folder, over="over images")
    seeds, matrix, roc, precision = (figures_of(app)[i] for i in (0, 2, 3, 4))
    assert not any(trace["type"] == "box" for trace in seeds["data"])
    *_, test, _ = seeds["data"]  # the last is the ensemble
    whiskers = (numbers(test["error_y"][name]) for name in ("array", "arrayminus"))
    for row, value, up, down in zip(statistics["seeds"], numbers(test["y"]), *whiskers, strict=True):
        found = row["overall"]["accuracy"]
        assert (value - down, value, value + up) == pytest.approx((found["low"], found["value"], found["high"]))
    cnv = statistics["ensemble"]["per_class"]["CNV"]["sensitivity"]
    first = re.sub("<[^>]*>", " ", matrix["layout"]["annotations"][0]["text"]).split()
    assert first[-1] == f"{50 * cnv['low']:.0f}–{50 * cnv['high']:.0f}"
    for figure in (roc, precision):
        assert sum(trace.get("fill") == "toself" for trace in figure["data"]) == 4, "a band a class"
    assert "band: 95 % interval over images, point by point" in texts(app)


def test_the_ensemble_is_one_more_model_beside_the_seeds(open_page, folder, statistics):
    one = statistics["ensemble"]["overall"]
    for over in ("over seeds", "over images"):
        app = open_page("evaluate", "early", folder=folder, over=over)
        for figure, metric in zip(figures_of(app)[:2], ("accuracy", "auc"), strict=True):
            (diamond,) = (t for t in figure["data"] if t.get("marker", {}).get("symbol") == "diamond-open")
            assert numbers(diamond["y"])[0] == pytest.approx(one[metric]["value"])
            if over == "over images":
                above = numbers(diamond["error_y"]["array"])[0]
                assert above == pytest.approx(one[metric]["high"] - one[metric]["value"])
    for name in ("alone", "paper"):
        data = figures_of(open_page("evaluate", name, folder=folder))[0]["data"]
        assert not [t for t in data if t.get("marker", {}).get("symbol") == "diamond-open"]


def test_of_one_model_intervals_are_over_images_and_nothing_is_chosen(open_page, folder):
    app = open_page("evaluate", "alone", folder=folder)
    found = group_statistics(Group(folder / "alone"))["seeds"][0]["overall"]
    assert f"95 % interval {ends(found['accuracy'])}" in texts(app)
    assert not [group for group in app.get("button_group") if group.proto.label == "Intervals and bands"]


@pytest.mark.parametrize("name", ["early", "alone", "paper"])
@pytest.mark.parametrize("part", ["Classes", "Calibration", "Operating point", "Every figure"])
def test_on_the_images_it_learnt_from_there_is_no_interval(open_page, folder, name, part):
    app = open_page("evaluate", name, folder=folder, over="over images", split="Train", part=part)
    said = texts(app)
    assert not app.exception and not app.error and "95 % interval" not in said
    assert ("choose *Test* above" in said) is (part != "Classes")
    assert not [group for group in app.get("button_group") if group.proto.label == "Intervals and bands"]


def test_calibration_is_that_of_the_statistics(open_page, folder, statistics):
    app = open_page("evaluate", "early", folder=folder, part="Calibration")
    one = statistics["calibration"]["ensemble"]
    said, shown = texts(app), table_with(app, "Calibrated")
    assert f"the ensemble of 3 seeds, temperature **{one['temperature']:.2f}**" in said
    assert f"would show an ECE of {one['ece_by_chance']:.4f}" in said
    for name in ("ece", "brier", "log_loss"):
        for column, when in (("As trained", "before"), ("Calibrated", "after")):
            found = one[when][name]
            text = f"{found['value']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"
            assert shown.loc[TITLES[name], column] == text
    temperatures = app.dataframe[-1].value["temperature"].tolist()
    assert temperatures == [row["temperature"] for row in statistics["calibration"]["seeds"]]
    assert "Which class is called which" not in [s.value for s in app.subheader], "the part that is closed is not drawn"


def test_the_reliability_of_one_class_is_of_its_probability(open_page, folder):
    app = open_page("evaluate", "early", folder=folder, part="Calibration")
    app.selectbox(key="reliability").set_value("DME")
    (figure,) = (f for f in figures_of(ran(app)) if "yaxis2" in f["layout"])
    mean = np.mean([probabilities("test", seed, 2) for seed in range(3)], axis=0, dtype=float)
    before = next(trace for trace in figure["data"] if trace.get("name") == "As trained")
    counts = numbers(before["customdata"])[:, 0]
    assert counts.sum() == 200
    assert counts @ numbers(before["x"]) / 200 == pytest.approx(mean[:, 1].mean(), abs=1e-6)
    assert counts @ numbers(before["y"]) / 200 == pytest.approx((labels_of("test") == 1).mean())


def test_on_validation_it_is_said_that_these_images_chose_the_temperature(open_page, folder):
    said = texts(open_page("evaluate", "early", folder=folder, part="Calibration", split="Validation"))
    assert "These are the images that chose the temperature" in said


def test_an_operating_point_is_that_of_the_statistics(open_page, folder, statistics):
    app = open_page("evaluate", "early", folder=folder, part="Operating point", prevalence="10")
    assert app.multiselect(key="positives").value == ["CNV", "DME"], "urgent ones, at first"
    one = statistics["operating_point"]["ensemble"]
    assert f"CNV, DME against the rest, from {one['threshold']:.3f} on" in texts(app)
    shown = table_with(app, "Test")
    rows = {"Sensitivity": "sensitivity", "Specificity": "specificity", "PPV": "ppv", "NPV": "npv"}
    for title, name in rows.items():
        assert shown.loc[title, "Test"].startswith(f"{one['judged'][name]['value']:.3f}")
        assert f"{one['judged'][name]['low']:.3f}, {one['judged'][name]['high']:.3f}" in shown.loc[title, "Test"]
        assert shown.loc[title, "Validation"].startswith(f"{one['on_validation'][name]['value']:.3f}")
    assert shown.loc["PPV", "At 10.0 %"].startswith(f"{one['at_prevalence']['ppv']['value']:.3f}")
    assert shown.loc["Sensitivity", "At 10.0 %"] == "as measured"
    spread = statistics["operating_point"]["over_seeds"]["sensitivity"]
    assert f"each at its own threshold: sensitivity {spread['median']:.3f}" in texts(app)


def test_the_prevalence_goes_along_with_the_question_until_somebody_chooses_one(open_page, folder):
    app = open_page("evaluate", "early", folder=folder, part="Operating point")
    assert app.slider(key="prevalence").value == 50.0
    app.multiselect(key="positives").set_value(["CNV"])
    assert ran(app).slider(key="prevalence").value == 25.0 and "prevalence" not in app.query_params
    app.slider(key="prevalence").set_value(10.0)
    app.multiselect(key="positives").set_value(["CNV", "DRUSEN"])
    assert ran(ran(app)).slider(key="prevalence").value == 10.0 and app.query_params["prevalence"] == "10"


def test_a_question_that_none_can_be_made_of_is_a_sentence(open_page, folder):
    app = open_page("evaluate", "early", folder=folder, part="Operating point")
    for chosen in ([], CLASS_NAMES):
        app.multiselect(key="positives").set_value(chosen)
        assert "Choose at least one class, and not all of them." in [i.value for i in ran(app).info]
    app.multiselect(key="positives").set_value(["NORMAL"])
    app.selectbox(key="rule").set_value("youden")
    assert "Highest sensitivity plus specificity on validation (youden)." in texts(ran(app))
    assert not app.exception and len(app.number_input) == 0


def test_the_question_stands_in_the_address(open_page, folder):
    app = open_page(
        "evaluate", "early", folder=folder, part="Operating point", positives="DRUSEN", rule="cost", cost="20"
    )
    assert app.multiselect(key="positives").value == ["DRUSEN"]
    assert "Least cost on validation where a missed one costs 20 times a false alarm." in texts(app)


def test_every_figure_over_seeds_and_over_images_is_that_of_the_statistics(open_page, folder, statistics):
    app = open_page("evaluate", "early", folder=folder, part="Every figure")
    over = statistics["over_seeds"]
    shown = app.dataframe[-1].value.set_index(["class", "figure"])
    for c, own in {"all classes": over["overall"], **over["per_class"]}.items():
        for name, each in own.items():
            row = shown.loc[c, TITLES[name]]
            assert row["n"] == each["n"] == 3
            assert row[["median", "q1", "q3", "lowest", "highest"]].tolist() == pytest.approx(
                [each["median"], *each["iqr"], *each["range"]]
            )
            assert row[["mean", "low", "high"]].tolist() == pytest.approx(
                [math.nan if (v := each["mean"][end]) is None else v for end in ("value", "low", "high")], nan_ok=True
            )
    app.button_group(key="over").set_value(True)
    shown = ran(app).dataframe[-1].value.set_index(["class", "figure"])
    one = statistics["ensemble"]
    for c, own in {"all classes": one["overall"], **one["per_class"]}.items():
        for name, each in own.items():
            row = shown.loc[c, TITLES[name]]
            assert row[["value", "low", "high"]].tolist() == pytest.approx([each["value"], each["low"], each["high"]])
            assert row["method"] == each["method"]


def test_the_papers_rule_says_what_it_gained_as_measured(open_page, folder):
    found = group_statistics(Group(folder / "paper"))["optimism"]
    assert found["says"] in texts(open_page("evaluate", "paper", folder=folder)).replace("\\", "")
    assert "Measured" not in texts(open_page("evaluate", "early", folder=folder))


def test_one_seed_of_the_papers_rule_has_chosen_on_test_too(open_page, tmp_path):
    group = fabricate(tmp_path, "single", ["done"], {"epochs": 3, "selection": "paper"})
    said = texts(open_page("evaluate", "single", folder=tmp_path)).replace("\\", "")
    assert group_statistics(group)["optimism"]["says"] in said and "medians below" not in said


def test_a_class_named_as_all_are_takes_no_row_of_theirs():
    labels, p = labels_of("test") % 2, probabilities("test", 0, 2)[:, :2]
    found = metrics_statistics(labels, [p / p.sum(1, keepdims=True)] * 2, ["all classes", "B"], draws=20)
    table = model_table(found.seeds[0])
    assert len(table) == 15 + 2 * 13 and (table["class"] == "all classes").sum() == 15 + 13


def test_without_validations_predictions_the_test_images_have_their_intervals(open_page, tmp_path):
    for run in fabricate(tmp_path, "kept", ["done"] * 2, {"epochs": 2}).runs:
        (run.path / "predictions" / "val.parquet").unlink()
    app = open_page("evaluate", "kept", folder=tmp_path, over="over images")
    assert not app.error and "95 % interval" in texts(app)


def test_a_damaged_temperature_is_a_sentence_on_its_own_part(open_page, tmp_path):
    run = fabricate(tmp_path, "torn", ["done"], {"epochs": 2}).runs[0]
    (run.path / "calibration.json").write_text('{"epoch": 2}')
    app = open_page("evaluate", "torn", folder=tmp_path, part="Calibration")
    assert "calibration.json lacks 'images'" in app.error[0].value.replace("\\", "") and not app.exception
    assert not open_page("evaluate", "torn", folder=tmp_path).error, "the other parts do without it"


def test_a_seed_under_way_has_intervals_too(open_page, tmp_path):
    fabricate(tmp_path, "going", ["done", "running"], {"epochs": 3}, with_patients=True)
    app = open_page("evaluate", "going", folder=tmp_path, seed="Seed 1", over="over images")
    assert not app.error and not app.exception and "95 % interval" in texts(app)
    for part in ("Calibration", "Operating point", "Every figure"):
        app = open_page("evaluate", "going", folder=tmp_path, seed="Seed 1", part=part)
        assert not app.error and not app.exception
