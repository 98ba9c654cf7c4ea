"""The map of images as a figure: what is coloured, chosen, faint, and drawn around."""

import base64

import numpy as np
import pytest

from colora import plots
from colora.plots.image_map import ON_CANVAS, PALE, SCALE
from colora.plots.style import BLUE, GREEN, ORANGE

PLACES = np.array([(0, 0), (1, 0), (0, 1), (1, 1), (2, 2)], dtype=np.float32)
SAYS = [(f"image {i}", "true class A") for i in range(5)]
TITLES = ("Axis 1", "Axis 2")
KINDS = plots.Kinds([("A", BLUE), ("B", ORANGE), ("C", GREEN)], np.array([0, 1, 0, 1, 0]))


def drawn(chosen=None, colours=KINDS, behind=PLACES[:0], outlines=()):
    rows = np.array([3, 1, 4, 0, 9])
    return plots.image_map(plots.Points(rows, PLACES, SAYS, chosen), colours, behind, outlines, TITLES)


def test_each_kind_has_its_colour_its_symbol_and_its_images():
    figure = drawn()
    assert [trace.name for trace in figure.data] == ["A", "B", "C"]
    assert [trace.marker.color for trace in figure.data] == [BLUE, ORANGE, GREEN]
    assert len({trace.marker.symbol for trace in figure.data}) == 3
    assert [list(trace.customdata) for trace in figure.data] == [[3, 4, 9], [1, 0], []]  # what a click names
    assert list(figure.data[1].x) == [1, 1] and list(figure.data[1].y) == [0, 1]
    assert figure.data[1].text[1] == "image 3<br>true class A"
    assert all(trace.selectedpoints is None for trace in figure.data)
    assert figure.layout.xaxis.title.text == "Axis 1" and figure.layout.yaxis.scaleanchor == "x"
    assert figure.layout.dragmode == "lasso"


def test_a_number_has_a_scale_with_its_title():
    values = np.linspace(0, 1, 5)
    (trace,) = drawn(colours=plots.Values("Entropy (nats)", values)).data
    assert np.array_equal(trace.marker.color, values) and trace.marker.colorbar.title.text == "Entropy (nats)"
    assert not trace.showlegend and [colour for _, colour in trace.marker.colorscale] == [c for _, c in SCALE]


def test_what_is_not_chosen_is_pale_and_the_outline_is_there():
    figure = drawn(np.array([True, True, False, False, False]), outlines=[PLACES[:3]])
    assert [list(trace.selectedpoints) for trace in figure.data] == [[0], [0], []]
    assert figure.data[0].unselected.marker.opacity == PALE
    assert [one.path for one in figure.layout.selections] == ["M0,0L1,0L0,1Z"]


def test_what_is_left_out_is_faint_and_says_nothing():
    figure = drawn(behind=PLACES[:2])
    assert figure.data[0].hoverinfo == "skip" and not figure.data[0].showlegend and len(figure.data[0].x) == 2
    assert len(figure.data) == 4


@pytest.mark.parametrize(("count", "kind"), [(ON_CANVAS, "scatter"), (ON_CANVAS + 1, "scattergl")])
def test_many_points_are_left_to_the_graphics_card_and_travel_as_bytes(count, kind):
    places = np.zeros((count, 2), dtype=np.float32)
    points = plots.Points(np.arange(count), places, [("x",)] * count)
    figure = plots.image_map(points, plots.Kinds([("A", BLUE)], np.zeros(count, int)), PLACES[:0], (), TITLES)
    document = figure.to_dict()["data"][0]
    assert document["type"] == kind and len(base64.b64decode(document["x"]["bdata"])) == 4 * count
