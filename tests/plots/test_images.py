"""Figures and sheets of single images: what is drawn is what was given."""

import numpy as np
import pandas as pd
import pytest

from colora.plots import (
    Cell,
    class_colour,
    contact_sheet,
    divided_scores,
    image_timeline,
    seed_probabilities,
    sorted_scores,
    thinned,
)
from colora.plots.contact_sheet import CELL

NAMES = ["CNV", "DME"]


@pytest.mark.parametrize("count", [1, 2, 240, 241, 46_026])
def test_a_thinned_curve_keeps_both_ends_and_its_order(count):
    kept = thinned(count)
    assert kept[0] == 0 and kept[-1] == count - 1 and (np.diff(kept) > 0).all() and len(kept) <= 240


def test_sorted_scores_have_a_line_a_class_and_the_place_of_the_grid():
    curves = {0: np.linspace(1.2, 0, 5000), 1: np.array([1.0, 0.5])}
    figure = sorted_scores(curves, NAMES, "Entropy (nats)", (1.1, 0.9), {0: 10, 1: 2})
    first, second, dot = figure.data
    assert (first.name, first.x[0], first.x[-1], first.y[0]) == ("CNV", 1, 5000, 1.2)
    assert (second.line.color, list(second.y)) == (class_colour(1), [1.0, 0.5])
    assert dot.x == (11,) and dot.y[0] == curves[0][10]  # class 1 is behind its last image
    band = figure.layout.shapes[0]
    assert (band.y0, band.y1) == (0.9, 1.1)


def test_seed_probabilities_are_dots_over_their_mean():
    figure = seed_probabilities(np.array([[0.2, 0.8], [0.6, 0.4]]), [3, 7], NAMES)
    bars, *dots = figure.data
    assert list(bars.x) == pytest.approx([0.4, 0.6]) and list(bars.y) == NAMES
    assert [list(trace.x) for trace in dots] == [[0.2, 0.8], [0.6, 0.4]] and "seed 7" in dots[1].hovertemplate


def test_a_timeline_marks_merges_and_the_selected_epoch():
    table = pd.DataFrame({"epoch": [1, 2, 3], "p_0": [0.5, 0.6, 0.7], "p_1": [0.5, 0.4, 0.3], "merged": [0, 1, 0]})
    figure = image_timeline(table.astype({"merged": bool}), NAMES, selected=3)
    assert [trace.name for trace in figure.data] == NAMES and list(figure.data[0].y) == [0.5, 0.6, 0.7]
    assert [(line.x0, line.line.dash) for line in figure.layout.shapes] == [(2, "dot"), (3, None)]


def test_divided_scores_tell_what_goes_what_stays_and_what_is_left():
    kept = np.array([False, True, True, True, False, False])
    curve = {"ranks": np.arange(6), "scores": np.linspace(1, 0, 6), "kept": kept}
    figure = divided_scores({1: curve}, NAMES, "Entropy (nats)", highest_first=True)
    goes, stays, left, cuts = figure.data
    assert (list(goes.x), list(stays.x), list(left.x), list(cuts.x)) == ([1], [2, 3, 4], [5, 6], [2, 4])
    assert (stays.line.dash, stays.line.width, left.line.dash) == ("solid", 4, "dot")
    assert divided_scores({1: curve}, NAMES, "Margin", highest_first=False).layout.yaxis.autorange == "reversed"


def test_a_contact_sheet_has_every_image_under_its_class():
    grey = {shade: Cell(np.full((64, 64), shade, np.uint8), shade % 2, shade % 2 == 0, 0.5) for shade in (60, 61, 200)}
    blocks = {0: [grey[60], grey[61], Cell(None, 0, True, 0.1)], 1: [grey[200]]}
    sheet = contact_sheet(blocks, NAMES, "The title", ["A caption that goes over the whole width " * 8, "Notice"])
    pixels = np.asarray(sheet)
    assert pixels.shape[1] > 10 * CELL
    for shade in (60, 61, 200):
        assert (pixels == shade).all(axis=2).sum() >= CELL * CELL - 4 * CELL
    colour = tuple(int(class_colour(1)[i : i + 2], 16) for i in (1, 3, 5))
    assert (pixels == colour).all(axis=2).any()
    assert contact_sheet({}, NAMES, "Nothing", []).size[0] > 0
