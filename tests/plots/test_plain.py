"""Names from the data are shown as they are: no figure makes a tag, a link or a number of them."""

import html

import numpy as np
import pandas as pd
import pytest
from figures import markup, strings

from colora import plots
from colora.metrics.estimates import Estimate
from colora.plots.style import plain

FILLED = "%{customdata[0]}"
HOSTILE = f'<a href="http://example.org">x</a> <b>&amp; {FILLED}</extra> $x^2$'
NAMES = [f"{n} {HOSTILE}" for n in "ABCD"]
BAND = pd.DataFrame(
    {"epoch": [1, 2], "x": [0.0, 1.0], "n": 3, "median": 0.5, "q1": 0.4, "q3": 0.6, "low": 0.3, "high": 0.7}
)
CURVE = {"ranks": np.arange(6), "scores": np.linspace(1, 0, 6), "kept": np.array([0, 1, 1, 1, 0, 0], dtype=bool)}
POINTS = pd.DataFrame(
    {"place": [0, 0], "group": NAMES[0], "seed": [1, 2], "epoch": 3, "trainable": 9.0, "minutes": 1.0, "accuracy": 0.5}
)
SEEDS = {"seed": [1, 2], "finished": [True, False], "epoch": 3, "state": HOSTILE}
SEEDS |= {f"{split}_{metric}": 0.5 for split in plots.SPLIT_NAMES for metric in ("accuracy", "auc")}
ENDS = {"test_accuracy_low": 0.4, "test_accuracy_high": 0.6}
OTHER = {f"external/clinic-b_{metric}": 0.5 for metric in ("accuracy", "auc")}
TIMELINE = pd.DataFrame({"epoch": [1, 2], "merged": [False, True], **{f"p_{c}": 0.25 for c in range(4)}})
FIGURES = {
    "compared_curves": lambda: plots.compared_curves(dict.fromkeys(NAMES, BAND), "accuracy"),
    "cost_scatter": lambda: plots.cost_scatter(POINTS, "trainable", "accuracy"),
    "confusion_matrix": lambda: plots.confusion_matrix(
        np.eye(4, dtype=int), NAMES, seeds=np.ones((2, 4, 4), int), intervals=np.full((2, 4, 4), 0.5)
    ),
    "class_shares": lambda: plots.class_shares({"train": (1, 2, 3, 4), HOSTILE: (1, 1, 1, 1)}, tuple(NAMES)),
    "roc": lambda: plots.class_curves([BAND] * 4, NAMES, ["0.5"] * 4, "roc", [BAND] * 4),
    "sorted_scores": lambda: plots.sorted_scores({0: np.arange(5.0)}, NAMES, "Entropy", (1, 2), {0: 1}),
    "divided_scores": lambda: plots.divided_scores({1: CURVE}, NAMES, "Entropy", True),
    "seed_probabilities": lambda: plots.seed_probabilities(np.full((2, 4), 0.25), [1, 2], NAMES),
    "image_timeline": lambda: plots.image_timeline(TIMELINE, NAMES, 2),
    "image_map": lambda: plots.image_map(
        plots.Points(np.arange(4), np.eye(4, 2), [(name, HOSTILE) for name in NAMES]),
        plots.Kinds([(name, "#000000") for name in NAMES], np.arange(4)), np.eye(2), [], ("Axis 1", "Axis 2"),
    ),
    "map_of_a_number": lambda: plots.image_map(
        plots.Points(np.arange(1), np.eye(1, 2), [(HOSTILE,)]), plots.Values(HOSTILE, np.ones(1)), np.eye(2), [],
        ("Axis 1", "Axis 2"),
    ),
    "seed_figures": lambda: plots.seed_figures(pd.DataFrame(SEEDS), "accuracy"),
    "parts_figure": lambda: plots.parts_figure([(HOSTILE, Estimate(0.5, 0.4, 0.6), False)], "Accuracy"),
    "external": lambda: plots.seed_figures(pd.DataFrame(SEEDS | OTHER), "accuracy", external="external/clinic-b"),
    "whiskers": lambda: plots.seed_figures(pd.DataFrame(SEEDS | ENDS), "accuracy", whiskers=True),
}


def test_a_plain_text_is_shown_as_it_is():
    assert html.unescape(plain(HOSTILE)) == HOSTILE
    assert "<" not in plain(HOSTILE) and FILLED not in plain(HOSTILE)
    assert plain("CNV, 3 of 4") == "CNV, 3 of 4"


@pytest.mark.parametrize("name", FIGURES)
def test_no_figure_takes_a_name_for_markup(name):
    figure = FIGURES[name]()
    known = {template for template in strings(figure.to_dict()) if FILLED in template}
    document = plots.written(figure, f"Test split of {HOSTILE}", "#ffffff").to_dict()
    assert not markup(document, "<a ")
    shown = [html.unescape(text) for text in strings(document)]
    assert any(HOSTILE in text for text in shown)  # as it is
    own = ("seed %{customdata[0]}", "IQR %{customdata[0]", "half %{customdata[0]")  # what figures themselves fill in
    assert all(any(start in template for start in own) for template in known), known


def test_every_figure_is_looked_at():
    no_figures = ("class_colour", "split_title", "thinned", "written")
    drawn = {name for name in plots.__all__ if name.islower() and name not in no_figures}
    without_names = {"learning_curves", "contact_sheet", "reliability_diagram", "decision_curve", "distances"}
    tables = {name for name in drawn if name.endswith("_table")}
    also = {"roc": "class_curves", "external": "seed_figures", "whiskers": "seed_figures"}
    also |= {"map_of_a_number": "image_map"}
    assert drawn - without_names - tables == {also.get(name, name) for name in FIGURES}
