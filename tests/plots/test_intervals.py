"""Intervals over images, calibration and what acting is worth: what stands in the figures is what was given."""

import re

import numpy as np
import pandas as pd
import pytest

from colora import plots
from colora.metrics.operating_point import decision_curve

NAN = float("nan")


def seeds_with_ends(**ends: list[float]) -> pd.DataFrame:
    table = pd.DataFrame({"seed": [3, 5, 7], "epoch": [6, 6, 4], "finished": [True, True, False]})
    return table.assign(train_auc=None, val_auc=[0.7, 0.8, 0.75], test_auc=[0.8, 0.9, 0.85], **ends)


def reach(trace, way: str) -> list[float]:
    return np.asarray(trace.error_y[way], dtype=float).round(9).tolist()


def test_whiskers_are_each_seeds_own_interval_and_there_is_no_box():
    table = seeds_with_ends(test_auc_low=[0.7, 0.85, 0.8], test_auc_high=[0.95, 0.92, 0.9])
    val, val_hollow, test, test_hollow = plots.seed_figures(table, "auc", whiskers=True).data
    assert {trace.type for trace in (val, val_hollow, test, test_hollow)} == {"scatter"}
    assert list(test.y) == [0.8, 0.9] and list(test_hollow.y) == [0.85]
    assert test.error_y.symmetric is False
    assert reach(test, "array") == [0.15, 0.02] and reach(test, "arrayminus") == [0.1, 0.05]
    assert (reach(test_hollow, "array"), reach(test_hollow, "arrayminus")) == ([0.05], [0.05])
    assert list(test.text) == [f" (95 % interval over images {ends})" for ends in ("0.700 to 0.950", "0.850 to 0.920")]
    assert test.customdata.tolist() == [[3, 6], [5, 6]] and "%{text}" in test.hovertemplate
    assert np.isnan(reach(val, "array")).all() and list(val.text) == ["", ""], "a split without has dots alone"


def test_dots_with_whiskers_stand_side_by_side_at_their_split():
    figure = plots.seed_figures(seeds_with_ends(test_auc_low=[NAN] * 3, test_auc_high=[NAN] * 3), "auc", whiskers=True)
    val, val_hollow, test, _ = figure.data
    assert list(test.x) == pytest.approx([1.7, 2.0]) and list(val.x) == pytest.approx([0.7, 1.0])
    assert list(val_hollow.x) == pytest.approx([1.3]), "each seed at its own place in every split"
    axis = figure.layout.xaxis
    assert dict(zip(axis.tickvals, axis.ticktext, strict=True)) == {0: "Train", 1: "Validation", 2: "Test"}
    (alone,) = plots.seed_figures(seeds_with_ends().iloc[:1].assign(val_auc=None), "auc", whiskers=True).data
    assert list(alone.x) == [2.0] and list(alone.text) == [""]


def test_without_whiskers_ends_in_the_table_change_nothing():
    plain = plots.seed_figures(seeds_with_ends(), "auc")
    assert plots.seed_figures(seeds_with_ends(test_auc_low=0.1, test_auc_high=0.9), "auc") == plain
    assert [trace.type for trace in plain.data] == ["box", "scatter", "scatter"] * 2
    assert all(trace.error_y.array is None for trace in plain.data[1:3])


MATRIX = np.array([[8, 2, 0], [1, 19, 0], [0, 0, 0]])
ENDS = np.array([
    [[0.49, 0.057, 0.0], [0.009, 0.764, 0.0], [NAN] * 3],
    [[0.943, 0.51, 0.278], [0.236, 0.991, 0.161], [NAN] * 3],
])  # fmt: skip


def small_lines(figure) -> list[str]:
    return [re.search(">([^<]*)</span>", a.text)[1] for a in figure.layout.annotations]


def test_a_cell_has_its_interval_in_images_of_the_class_or_in_per_cent():
    names = ["A", "B", "C"]
    counted = plots.confusion_matrix(MATRIX, names, intervals=ENDS)
    assert small_lines(counted)[:6] == ["5–9", "1–5", "0–3", "0–5", "15–20", "0–3"]
    assert counted.data[1].text[0] == "8 images (80% of the class)<br>95 % interval over images: 5–9"
    shared = plots.confusion_matrix(MATRIX, names, per_cent=True, intervals=ENDS)
    assert small_lines(shared)[:6] == ["49–94%", "6–51%", "0–28%", "1–24%", "76–99%", "0–16%"]
    assert [a.text.partition("</b>")[0] for a in shared.layout.annotations][:2] == ["<b>80%", "<b>20%"]
    assert np.array_equal(counted.data[0].customdata, MATRIX)


def test_a_cell_without_an_interval_says_so():
    figure = plots.confusion_matrix(MATRIX, ["A", "B", "C"], intervals=ENDS)
    assert figure.data[1].text[8].endswith("<br>no interval can be given")
    assert not [text for text in (*figure.data[1].text, *small_lines(figure)) if "nan" in text]
    same = np.full((2, 1, 1), 0.5)
    assert small_lines(plots.confusion_matrix(np.array([[4]]), ["A"], intervals=same)) == ["2"]


def test_with_seeds_too_the_interval_stands_in_the_cell_and_their_range_on_hovering():
    seeds = np.stack([MATRIX, MATRIX + np.array([[-1, 1, 0], [0, 0, 0], [0, 0, 0]])])
    figure = plots.confusion_matrix(MATRIX, ["A", "B", "C"], seeds=seeds, intervals=ENDS)
    assert small_lines(figure)[0] == "5–9"
    assert "the 2 seeds' own: 7–8" in figure.data[1].text[0] and "over images: 5–9" in figure.data[1].text[0]
    none = plots.confusion_matrix(MATRIX, ["A", "B", "C"], seeds=seeds, intervals=np.full((2, 3, 3), NAN))
    assert small_lines(none)[:2] == ["80%", "20%"], "their range is not taken for an interval"


CURVE = pd.DataFrame({"x": [0.0, 0.5, 1.0], "n": 1, "median": [0.2, 0.8, 1.0], "q1": 0.0, "q3": 1.0})
BAND = pd.DataFrame({"x": [0.0, 0.4, 1.0], "low": [0.1, 0.6, 1.0], "high": [0.5, 0.9, 1.0]})


@pytest.mark.parametrize(("kind", "first"), [("roc", 1), ("precision_recall", 0)])
def test_a_curve_lies_in_its_band_and_a_class_without_has_the_line_alone(kind, first):
    figure = plots.class_curves([CURVE, CURVE, None], list("ABC"), ["x"] * 3, kind, [BAND, None, BAND])
    area, a, b = figure.data[first:]
    assert list(area.x) == [0, 0.4, 1, 1, 0.4, 0] and list(area.y) == [0.5, 0.9, 1.0, 1.0, 0.6, 0.1]
    assert (area.legendgroup, area.fill, area.showlegend) == (a.legendgroup, "toself", False)
    assert [list(line.y) for line in (a, b)] == [[0.2, 0.8, 1.0]] * 2 and [a.name, b.name] == ["A x", "B x"]
    without = plots.class_curves([CURVE, CURVE, None], list("ABC"), ["x"] * 3, kind)
    assert len(without.data) == first + 2


def test_the_table_of_the_bands_names_its_axes():
    table = plots.interval_table([BAND, None, BAND], list("ABC"), "precision_recall")
    assert list(table) == ["class", "recall", "precision_low_95", "precision_high_95"]
    assert table["class"].tolist() == ["A"] * 3 + ["C"] * 3
    assert table["precision_low_95"].tolist() == [0.1, 0.6, 1.0] * 2
    assert table["precision_high_95"].tolist() == [0.5, 0.9, 1.0] * 2
    assert list(plots.interval_table([BAND], ["A"], "roc"))[1:] == [
        "one_minus_specificity", "recall_low_95", "recall_high_95",
    ]  # fmt: skip
    assert plots.interval_table([None], ["A"], "roc").empty


BEFORE = pd.DataFrame(
    {"n": [40, 60], "confidence": [0.6, 0.95], "right": [0.5, 0.8], "low": [0.35, 0.68], "high": [0.65, 0.88]}
)
AFTER = BEFORE.assign(n=[55, 45], confidence=[0.52, 0.81])


def test_the_reliability_diagram_has_each_bin_before_and_after_with_its_interval_and_its_images():
    figure = plots.reliability_diagram(BEFORE, AFTER, "Mean probability", "Share that is right")
    diagonal, before, images_before, after, images_after = figure.data
    assert list(diagonal.x) == list(diagonal.y) == [0, 1]
    for line, images, table, name in (
        (before, images_before, BEFORE, "As trained"), (after, images_after, AFTER, "Calibrated"),
    ):  # fmt: skip
        assert line.name == name and images.legendgroup == line.legendgroup
        assert list(line.x) == list(images.x) == table["confidence"].tolist()
        assert list(line.y) == table["right"].tolist()
        assert reach(line, "array") == pytest.approx(table["high"] - table["right"])
        assert reach(line, "arrayminus") == pytest.approx(table["right"] - table["low"])
        assert line.error_y.symmetric is False
        assert line.customdata.tolist() == table[["n", "low", "high"]].to_numpy().tolist()
        assert list(images.y) == table["n"].tolist() and images.yaxis == "y2"
    assert before.line.color != after.line.color and before.marker.symbol != after.marker.symbol
    layout = figure.layout
    assert (layout.xaxis.title.text, layout.yaxis.title.text) == ("Mean probability", "Share that is right")
    assert layout.yaxis2.range[1] > 60 and layout.yaxis2.domain[1] < layout.yaxis.domain[0], "below the diagram"
    table = plots.reliability_table(BEFORE, AFTER)
    assert list(table) == ["model", "n", "confidence", "right", "low", "high"]
    assert table["model"].tolist() == ["As trained"] * 2 + ["Calibrated"] * 2
    assert table["confidence"].tolist() == [0.6, 0.95, 0.52, 0.81] and table["n"].tolist() == [40, 60, 55, 45]


def test_the_decision_curve_is_the_tables_beside_treating_all_and_none():
    generator = np.random.default_rng(0)
    member = generator.random(80) < 0.3
    table = decision_curve(member, np.clip(0.4 * member + 0.5 * generator.random(80), 0, 1), np.linspace(0.1, 0.9, 5))
    figure = plots.decision_curve(table, chosen=0.35)
    band, model, everybody, nobody = figure.data
    assert list(band.x) == [*table["threshold"], *table["threshold"][::-1]]
    assert list(band.y) == [*table["high"], *table["low"][::-1]] and band.legendgroup == "Model"
    assert list(model.y) == table["model"].tolist() and list(everybody.y) == table["treat_all"].tolist()
    assert list(nobody.y) == [0] * 5 and [t.name for t in figure.data[1:]] == ["Model", "Treat all", "Treat none"]
    assert model.customdata.tolist() == table[["low", "high"]].to_numpy().tolist()
    assert all(list(trace.x) == table["threshold"].tolist() for trace in (model, everybody, nobody))
    (line,) = figure.layout.shapes
    assert line.x0 == line.x1 == 0.35 and not plots.decision_curve(table).layout.shapes
    low, high = figure.layout.yaxis.range
    assert low < 0 < table["model"].max() < high, "what treating all costs may leave the figure"
    for column in ("high", "treat_all"):
        assert plots.decision_curve(table.assign(**{column: 5.0})).layout.yaxis.range[1] > 5
