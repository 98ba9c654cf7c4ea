"""The figures draw the numbers they are given, at the right place and in the right colour."""

import re

import numpy as np
import pandas as pd
import pytest

from colora import plots
from colora.metrics.classification import class_auc, class_counts, roc
from colora.metrics.classification import confusion_matrix as count_confusions
from colora.metrics.over_seeds import outcome
from colora.settings.catalog import NOTICE

CLASSES = ["CNV", "DME", "DRUSEN", "NORMAL"]


@pytest.fixture
def bands() -> dict[str, pd.DataFrame]:
    rows = {
        "epoch": [1, 2, 3],
        "n": [3, 3, 2],
        "median": [0.5, 0.6, 0.7],
        "q1": [0.45, 0.55, 0.68],
        "q3": [0.55, 0.65, 0.72],
        "low": [0.4, 0.5, 0.66],
        "high": [0.6, 0.7, 0.74],
    }
    empty = pd.DataFrame(columns=list(rows))
    return {"train": pd.DataFrame(rows), "val": empty, "test": pd.DataFrame(rows).assign(n=1)}


@pytest.fixture
def predictions() -> tuple[np.ndarray, np.ndarray]:
    """(200,) labels and (200, 4) probabilities of a model that is mostly right."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50)
    scores = np.exp(rng.normal(size=(200, 4)) + 2 * np.eye(4)[labels])
    return labels, scores / scores.sum(axis=1, keepdims=True)


def traces(figure, name: str):
    return [trace for trace in figure.data if trace.name == name]


def test_median_line_is_the_band_median(bands):
    (line,) = traces(plots.learning_curves(bands, "accuracy"), "Train")
    assert list(line.x) == [1, 2, 3]
    assert list(line.y) == [0.5, 0.6, 0.7]
    assert line.line.color == plots.SPLIT_COLOURS["train"]
    assert line.customdata.tolist()[2] == [0.68, 0.72, 0.66, 0.74, "2 seeds"]


def test_every_point_says_of_how_many_of_the_groups_seeds_it_is(bands):
    few = bands | {"train": bands["train"].assign(n=[3, 3, 1])}
    (line,) = traces(plots.learning_curves(few, "accuracy", seeds=3), "Train")
    assert [row[-1] for row in line.customdata] == ["3 seeds", "3 seeds", "1 of 3 seeds"]
    assert line.hovertemplate.endswith("%{customdata[4]})")
    table = plots.learning_table(few, "accuracy", seeds=3)
    assert table.query("split == 'train'")["counted"].tolist() == ["3 seeds", "3 seeds", "1 of 3 seeds"]


def test_areas_are_the_closed_outlines_of_range_and_quartiles(bands):
    figure = plots.learning_curves(bands, "accuracy")
    (whole,), (middle,) = traces(figure, "Train: low to high"), traces(figure, "Train: q1 to q3")
    assert list(whole.x) == [1, 2, 3, 3, 2, 1]
    assert list(whole.y) == [0.6, 0.7, 0.74, 0.66, 0.5, 0.4]
    assert list(middle.y) == [0.55, 0.65, 0.72, 0.68, 0.55, 0.45]
    alpha = [float(t.fillcolor.rpartition(",")[2].rstrip(")")) for t in (whole, middle)]
    assert alpha[0] < alpha[1], "the middle half is darker than the range"


def test_one_seed_has_a_line_and_no_area_and_an_unmeasured_split_has_nothing(bands):
    names = [trace.name for trace in plots.learning_curves(bands, "loss").data]
    assert names == ["Train: low to high", "Train: q1 to q3", "Train", "Test"]


def test_a_single_epoch_is_a_visible_point(bands):
    first = {"test": bands["test"].head(1)}
    (point,) = plots.learning_curves(first, "auc").data
    assert point.mode == "markers" and list(point.y) == [0.5]


@pytest.mark.parametrize(("last", "step"), [(1, 1), (6, 1), (20, 3), (100, 13)])
def test_the_epoch_axis_has_whole_numbers_only(bands, last, step):
    epochs = pd.concat([bands["train"].iloc[:1]] * last).assign(epoch=range(1, last + 1))
    axis = plots.learning_curves({"train": epochs}, "loss").layout.xaxis
    assert (axis.tick0, axis.dtick) == (1, step)


def test_the_table_of_the_curves_holds_the_single_seeds_on_display(bands):
    single = {7: pd.DataFrame({"epoch": [1, 2], "train_loss": [0.9, 0.8], "val_loss": 0.5, "test_loss": [0.7, 0.6]})}
    table = plots.learning_table(bands, "loss", single)
    assert table.query("split == 'test' and seed == 7")["value"].tolist() == [0.7, 0.6]
    assert table.query("split == 'train' and seed.isna()")["median"].tolist() == [0.5, 0.6, 0.7]
    assert len(table) == 3 + 3 + 3 * 2 and "seed" not in plots.learning_table(bands, "loss")
    assert plots.learning_table({"train": bands["val"]}, "auc").empty


def test_seed_box_has_the_quartiles_and_every_seed_its_dot():
    values = [0.80, 0.84, 0.86, 0.96]
    table = pd.DataFrame({"seed": range(4), "epoch": [5, 6, 6, 4], "test_accuracy": values})
    table["train_accuracy"] = table["val_accuracy"] = None
    box, dots = plots.seed_figures(table.assign(finished=True), "accuracy").data
    assert (box.q1[0], box.median[0], box.q3[0]) == pytest.approx(np.percentile(values, [25, 50, 75]))
    assert (box.lowerfence[0], box.upperfence[0]) == (0.80, 0.96)
    assert list(dots.y) == values
    assert dots.customdata.tolist() == [[0, 5], [1, 6], [2, 6], [3, 4]]


def test_a_seed_under_way_is_a_hollow_dot_and_in_no_box():
    table = pd.DataFrame({"seed": range(4), "epoch": [6, 6, 3, 6], "test_accuracy": [0.8, 0.9, 0.3, None]})
    table = table.assign(finished=[True, True, False, True], train_accuracy=None, val_accuracy=None)
    box, dots, hollow = plots.seed_figures(table, "accuracy").data
    assert (box.lowerfence[0], box.median[0], box.upperfence[0]) == pytest.approx((0.8, 0.85, 0.9))
    assert list(dots.y) == [0.8, 0.9] and list(hollow.y) == [0.3]
    assert hollow.marker.symbol == "circle-open" and "so far" in hollow.hovertemplate
    assert hollow.customdata.tolist() == [[2, 3]]
    (only,) = plots.seed_figures(table.assign(finished=False), "accuracy").data
    assert only.type == "scatter", "no median without a finished seed"


def test_confusion_matrix_annotates_each_count_at_its_cell(predictions):
    matrix = count_confusions(*predictions)
    figure = plots.confusion_matrix(matrix, CLASSES)
    heat, targets = figure.data
    assert np.array_equal(heat.customdata, matrix)
    assert np.allclose(heat.z, matrix / 50)
    at = {(a.y, a.x): int(a.text.removeprefix("<b>").partition("<")[0]) for a in figure.layout.annotations}
    assert at == {(t, p): matrix[i, j] for i, t in enumerate(CLASSES) for j, p in enumerate(CLASSES)}
    assert sum(at.values()) == 200
    assert figure.layout.yaxis.autorange == "reversed", "the first true class is the top row"
    cells = [tuple(cell) for cell in targets.customdata]
    clicked = [(CLASSES.index(t), CLASSES.index(p)) for t, p in zip(targets.y, targets.x, strict=True)]
    assert cells == clicked and len(set(cells)) == 16, "a click on a cell tells its own classes"


def test_confusion_matrix_of_a_class_without_images():
    figure = plots.confusion_matrix(np.array([[3, 1], [0, 0]]), ["A", "B"], per_cent=True)
    assert figure.data[0].z.tolist() == [[0.75, 0.25], [0.0, 0.0]]
    assert [a.text.partition("</b>")[0] for a in figure.layout.annotations] == ["<b>75%", "<b>25%", "<b>–", "<b>–"]


SEEDS = np.array([[[8, 2], [0, 10]], [[9, 1], [0, 10]], [[6, 4], [0, 10]], [[7, 3], [0, 10]]])
ENSEMBLE = np.array([[9, 1], [1, 9]])


def test_confusion_matrix_over_seeds_has_one_models_counts_and_the_seeds_range_below():
    figure = plots.confusion_matrix(ENSEMBLE, ["A", "B"], seeds=SEEDS)
    assert np.array_equal(figure.data[0].customdata, ENSEMBLE) and np.allclose(figure.data[0].z, ENSEMBLE / 10)
    texts = [a.text for a in figure.layout.annotations]
    assert [text.partition("<br>")[0] for text in texts] == ["<b>9</b>", "<b>1</b>", "<b>1</b>", "<b>9</b>"]
    assert [re.search(">([^<]*)</span>", text)[1] for text in texts] == ["6–9", "1–4", "0", "10"]
    hover = figure.data[1].text[0]
    assert hover == "9 images (90% of the class)<br>the 4 seeds' own: 6–9, median 7.5, middle half 6.8–8.2"
    share = plots.confusion_matrix(ENSEMBLE, ["A", "B"], per_cent=True, seeds=SEEDS).layout.annotations[0].text
    assert share.startswith("<b>90%</b>") and ">60–90%<" in share


def test_confusion_table_has_a_column_for_the_ensemble_and_one_for_each_seed():
    table = plots.confusion_table(SEEDS, ["A", "B"], [3, 5, 7, 9], ENSEMBLE)
    assert list(table)[:4] == ["true", "predicted", "ensemble_images", "seed_3_images"] and len(table) == 4
    assert table["ensemble_images"].tolist() == [9, 1, 1, 9] and table["seed_7_images"].tolist() == [6, 4, 0, 10]
    cell = table.query("true == 'A' and predicted == 'B'").iloc[0]
    assert (cell["ensemble_share_of_class"], cell["seed_9_share_of_class"]) == (0.1, 0.3)
    chosen = plots.confusion_table(SEEDS, ["A", "B"], [3, 5, 7, 9], SEEDS[1], "chosen_seed_5")
    assert chosen["chosen_seed_5_images"].tolist() == chosen["seed_5_images"].tolist()
    alone = plots.confusion_table(SEEDS[:1], ["A", "B"], [3])
    assert list(alone) == ["true", "predicted", "seed", "images", "share_of_class"]
    assert alone["images"].tolist() == [8, 2, 0, 10] and alone["share_of_class"].tolist() == [0.8, 0.2, 0.0, 1.0]


def test_the_chosen_cell_is_framed():
    (frame,) = plots.confusion_matrix(np.eye(3, dtype=int), ["A", "B", "C"], chosen=(2, 0)).layout.shapes
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (-0.5, 0.5, 1.5, 2.5)


def test_roc_of_one_seed_is_that_of_evaluate_with_the_area_in_the_legend(predictions):
    bands = outcome([predictions], CLASSES).roc
    areas = [f"{area:.3f}" for area in class_auc(*predictions)]
    figure = plots.class_curves(bands, CLASSES, areas, "roc")
    for c, trace in enumerate(figure.data[1:]):
        false_positive_rate, recall = roc(class_counts(*predictions)[c])
        assert np.array_equal(trace.x, false_positive_rate) and np.array_equal(trace.y, recall)
        assert trace.name == f"{CLASSES[c]} {areas[c]}"
        assert trace.line.color == plots.class_colour(c)


def test_curves_over_seeds_are_the_median_within_the_middle_half(predictions):
    labels, p = predictions
    seeds = [(labels, p), (labels, np.roll(p, 1, axis=1)), (labels, np.full_like(p, 0.25))]
    (band,) = outcome(seeds, CLASSES).precision_recall[:1]
    figure = plots.class_curves([band, None, None, None], CLASSES, ["a"] * 4, "precision_recall")
    area, line = figure.data
    assert list(line.y) == band["median"].tolist() and line.name == "CNV a"
    assert list(area.x) == [*band["x"], *band["x"][::-1]]
    assert list(area.y) == [*band["q3"], *band["q1"][::-1]]
    table = plots.curve_table([band, None, None, None], CLASSES, "precision_recall")
    assert list(table)[:4] == ["class", "recall", "n", "precision_median"] and len(table) == len(band)


def test_curves_leave_out_a_class_without_images_and_keep_the_others_colours(predictions):
    labels, probabilities = predictions
    found = outcome([(np.where(labels == 1, 0, labels), probabilities)], CLASSES)
    for bands, kind, first in ((found.roc, "roc", 1), (found.precision_recall, "precision_recall", 0)):
        figure = plots.class_curves(bands, CLASSES, ["x"] * 4, kind)
        assert [t.name.split()[0] for t in figure.data[first:]] == ["CNV", "DRUSEN", "NORMAL"]
        assert [t.line.color for t in figure.data[first:]] == [plots.class_colour(c) for c in (0, 2, 3)]
        assert set(plots.curve_table(bands, CLASSES, kind)["class"]) == {"CNV", "DRUSEN", "NORMAL"}


def test_compared_groups_keep_their_colour_and_dash_and_show_bands_over_seeds(bands):
    named = {"A · one": bands["train"], "B · none": bands["val"], "C · three": bands["test"]}
    figure = plots.compared_curves(named, "accuracy")
    assert [t.name for t in figure.data] == ["A · one: low to high", "A · one: q1 to q3", "A · one", "C · three"]
    (first,), (third,) = traces(figure, "A · one"), traces(figure, "C · three")
    assert list(first.y) == [0.5, 0.6, 0.7] and first.line.dash == "solid"
    alone = plots.compared_curves({"x": bands["val"], "y": bands["val"], "C · three": bands["test"]}, "accuracy")
    assert alone.data[0].line.color == third.line.color and alone.data[0].line.dash == third.line.dash == "dot"
    many = plots.compared_curves(dict.fromkeys("ABCD", bands["train"]), "loss")
    assert not [t for t in many.data if t.name.endswith("low to high")], "the light areas would hide each other"


def test_every_group_of_eight_has_its_own_colour_dash_and_symbol(bands):
    figure = plots.compared_curves(dict.fromkeys("ABCDEFGH", bands["test"]), "auc")
    for look in ("color", "dash"):
        assert len({t.line[look] for t in figure.data}) == 8
    assert len({t.marker.symbol for t in figure.data}) == 8


def test_cost_scatter_has_a_point_a_seed_and_the_groups_median():
    points = pd.DataFrame(
        {
            "group": ["A"] * 3 + ["B"] * 2,
            "place": [0] * 3 + [1] * 2,
            "seed": [0, 1, 2, 0, 1],
            "epoch": 5,
            "accuracy": [0.9, 0.8, 0.95, 0.7, None],
            "trainable": [1e6] * 3 + [2e7] * 2,
            "minutes": [1.0, 3.0, 2.0, 4.0, 5.0],
        }
    )
    figure = plots.cost_scatter(points, "minutes", "accuracy")
    a, median, b = figure.data
    assert list(a.x) == [1.0, 3.0, 2.0] and list(a.y) == [0.9, 0.8, 0.95]
    assert (median.x[0], median.y[0]) == (2.0, 0.9) and median.marker.size > a.marker.size
    assert list(b.y) == [0.7] and b.marker.symbol != a.marker.symbol, "a seed without a figure is left out"
    assert plots.cost_scatter(points, "trainable", "accuracy").layout.xaxis.type == "log"


@pytest.mark.parametrize(("most", "step"), [(2e8, 1), (2e7, "D2"), (1.1e6, None), (1e6, None)])
def test_the_axis_of_weights_has_numbers_however_close_they_are(most, step):
    points = pd.DataFrame({"group": ["A", "B"], "place": [0, 1], "seed": 0, "epoch": 1, "accuracy": 0.9})
    axis = plots.cost_scatter(points.assign(trainable=[1e6, most]), "trainable", "accuracy").layout.xaxis
    assert (axis.type, axis.dtick) == ("log", step)


def test_figures_are_transparent_and_keep_a_persons_zoom(bands, predictions):
    roc_figure = plots.class_curves(outcome([predictions], CLASSES).roc, CLASSES, ["x"] * 4, "roc")
    for figure in (plots.learning_curves(bands, "loss"), roc_figure):
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
        assert figure.layout.uirevision == "keep"


def test_class_shares_are_of_each_split_and_carry_their_counts():
    counts = {"train": (824, 243, 194, 1139), "val": (0, 0, 0, 0), "test": (60, 60, 60, 60)}
    figure = plots.class_shares(counts, CLASSES)
    assert [trace.name for trace in figure.data] == CLASSES
    for c, trace in enumerate(figure.data):
        assert trace.x == ("Train", "Validation", "Test")
        assert trace.y == pytest.approx([counts["train"][c] / 2400, 0, 0.25])
        assert list(trace.customdata) == [counts[split][c] for split in counts]
        assert trace.marker.color == plots.class_colour(c) and trace.texttemplate == "%{y:.0%}"
    many = plots.class_shares({"train": tuple(range(1, 12))}, [f"organ {c}" for c in range(11)])
    looks = {(trace.marker.color, trace.marker.pattern.shape) for trace in many.data}
    assert len(looks) == 11 and many.data[0].texttemplate is None


def test_a_figure_travels_with_a_caption_under_the_axis_title_and_stays_as_it_is():
    figure = plots.class_shares({"train": [1, 3]}, ["A", "B"])
    before = figure.to_json()
    sent = [plots.written(figure, origin, "#fff").to_dict()["layout"] for origin in ("Test split of <a>.npz", "Train")]
    lines = [layout["xaxis"]["title"]["text"].split("<br>") for layout in sent]
    assert [re.sub("<[^>]*>", "", line) for line in lines[1]] == ["Train", NOTICE]
    assert "&lt;a&gt;.npz" in lines[0][0] and sent[0]["paper_bgcolor"] == "#fff"
    assert figure.to_json() == before
    titled = plots.written(plots.learning_curves({}, "loss"), 8 * "a long name ", "#000").to_dict()["layout"]["xaxis"]
    assert [re.sub("<[^>]*>", "", line)[:6] for line in titled["title"]["text"].split("<br>")] == [
        "Epoch",
        "a long",
        "a long",
        NOTICE[:6],
    ]
