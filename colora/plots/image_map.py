"""Images as points on the two axes of a map: coloured by class, by right or wrong, by a score, by a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from colora.plots.style import BLUE, BROWN, GREEN, GREY, ORANGE, PURPLE, SKY, base_figure, plain, rgba

ON_CANVAS = 2_000  # points; more are drawn by the graphics card, where a browser would take seconds
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star", "hexagon")  # one more than colours
SCALE = [[0, BLUE], [0.5, GREY], [1, ORANGE]]  # each of them seen on a light page and on a dark one
PALE = 0.2  # opacity of what is not chosen
ANSWERS = (("Right", BLUE), ("Wrong", ORANGE))
VERDICT_COLOURS = {
    "none": GREY, "wrong_label": ORANGE, "artefact": BROWN, "hard": PURPLE, "fine": GREEN, "differ": SKY,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Points:
    """Images to be drawn: `rows` (M,) int names them to whoever asks which was clicked, `places` (M, 2), `says` (M,)
    stands beside the pointer, line by line; `chosen` (M,) bool, or None where nothing is."""

    rows: np.ndarray
    places: np.ndarray
    says: Sequence[tuple[str, ...]]
    chosen: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Kinds:
    """Colour and symbol by one of several kinds: (name, colour) each, and of each point (M,) int which."""

    kinds: Sequence[tuple[str, str]]
    of: np.ndarray


@dataclass(frozen=True, eq=False)
class Values:
    """Colour by a number (M,) with a title."""

    title: str
    of: np.ndarray


def image_map(
    points: Points,
    colours: Kinds | Values,
    behind: np.ndarray,
    outlines: Sequence[np.ndarray],
    titles: tuple[str, str],
    dragmode: str | bool = "lasso",
) -> go.Figure:
    """`behind` (B, 2): the places of images that are left out, faint; `outlines`: (K, 2) corners each; `dragmode`: what
    a drag begins with, Plotly's. The legend hides nothing: what is hidden would be selected all the same."""
    draw = go.Scattergl if len(points.rows) + len(behind) > ON_CANVAS else go.Scatter
    says = ["<br>".join(map(plain, lines)) for lines in points.says]
    traces = []
    if len(behind):
        at = {"x": behind[:, 0], "y": behind[:, 1], "mode": "markers", "hoverinfo": "skip", "showlegend": False}
        faint = {"color": GREY, "size": 4, "opacity": 0.35}
        traces.append(draw(**at, marker=faint, unselected={"marker": {"opacity": PALE}}))
    if isinstance(colours, Kinds):
        for number, (name, colour) in enumerate(colours.kinds):
            own = np.flatnonzero(colours.of == number)
            marker = {"color": colour, "symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8, "opacity": 0.8}
            traces.append(draw(**_at(points, own, says), name=plain(name), marker=marker))
    else:
        place = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "thickness": 12}
        bar = {"title": {"text": plain(colours.title)}} | place
        marker = {"color": colours.of, "colorscale": SCALE, "colorbar": bar, "size": 8, "opacity": 0.9}
        traces.append(draw(**_at(points, np.arange(len(says)), says), marker=marker, showlegend=False))
    figure = base_figure(traces, titles[0], titles[1], 480, dragmode=dragmode, hovermode="closest")
    figure.update_layout(
        selections=[_outline(corners) for corners in outlines],
        newselection={"line": {"color": GREY, "width": 2}},
        legend={"itemclick": False, "itemdoubleclick": False},
    )
    lines = {"gridcolor": rgba(GREY, 0.2), "zeroline": False}
    figure.update_xaxes(**lines, constrain="domain")
    figure.update_yaxes(**lines, scaleanchor="x", constrain="domain", constraintoward="top")
    return figure


def _at(points: Points, own: np.ndarray, says: Sequence[str]) -> dict[str, Any]:
    """The part of a trace that every kind has."""
    found: dict[str, Any] = {
        "x": points.places[own, 0],
        "y": points.places[own, 1],
        "mode": "markers",
        "customdata": points.rows[own],
        "text": [says[i] for i in own],
        "hovertemplate": "%{text}<extra></extra>",
        "unselected": {"marker": {"opacity": PALE}},
    }
    if points.chosen is not None:
        found["selectedpoints"] = np.flatnonzero(points.chosen[own])
    return found


def _outline(corners: np.ndarray) -> dict[str, Any]:
    path = "L".join(f"{x:.6g},{y:.6g}" for x, y in corners)
    return {"type": "path", "path": f"M{path}Z", "xref": "x", "yref": "y", "line": {"color": GREY, "width": 2}}
