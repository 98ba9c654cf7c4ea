"""Several groups of runs in one figure: their bands over the epochs, and what accuracy costs."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from colora.plots.curves import between, epoch_axis
from colora.plots.style import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    METRIC_NAMES,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    base_figure,
    plain,
    rgba,
)

GROUP_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, BROWN, SKY, GREY, RED)
GROUP_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "5px,2px", "2px,6px")
GROUP_SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "star", "hexagon")
COST_NAMES = {
    "trainable": "Weights trained",
    "minutes": "Training time of a seed, minutes",
}
WHOLE_RANGE_GROUPS = 3  # with more, the light areas would hide each other


def compared_curves(bands: dict[str, pd.DataFrame], metric: str) -> go.Figure:
    """A metric over epochs, one colour and dash a group: median bold, middle half of its seeds dark, range light.

    `bands` holds for each group what `summary.band` returns; a group keeps its colour when another one has no epoch.
    """
    areas: list[go.Scatter] = []
    lines: list[go.Scatter] = []
    for place, (group, table) in enumerate(bands.items()):
        if table.empty:
            continue
        name = plain(group)
        colour = GROUP_COLOURS[place]
        if table["n"].max() > 1:
            if len(bands) <= WHOLE_RANGE_GROUPS:
                areas.append(between(table, "low", "high", rgba(colour, 0.12), name))
            areas.append(between(table, "q1", "q3", rgba(colour, 0.25), name))
        lines.append(
            go.Scatter(
                x=table["epoch"],
                y=table["median"],
                name=name,
                legendgroup=name,
                mode="lines" if len(table) > 1 else "markers",
                line={"color": colour, "width": 3, "dash": GROUP_DASHES[place]},
                marker={"color": colour, "size": 9, "symbol": GROUP_SYMBOLS[place]},
                customdata=table[["q1", "q3", "n"]].to_numpy(),
                hovertemplate="<b>%{y:.3f}</b> (IQR %{customdata[0]:.3f} to %{customdata[1]:.3f}, "
                "seeds: %{customdata[2]})",
            )
        )
    figure = base_figure(areas + lines, "Epoch", METRIC_NAMES[metric], _height(len(bands)), hovermode="x unified")
    epoch_axis(figure, bands.values())
    return figure


def cost_scatter(points: pd.DataFrame, cost: str, metric: str) -> go.Figure:
    """Every seed of every group: a metric over what it cost, one colour and symbol a group, its median larger.

    `points` has the columns group, place (of the group, from 0), seed, epoch, `cost` and `metric`; a seed without one
    of the two is left out. `trainable` stands on a logarithmic axis, because methods differ by powers of ten.
    """
    traces: list[Any] = []
    known = points.dropna(subset=[cost, metric])
    for (place, group), seeds in known.groupby(["place", "group"], sort=True):
        name = plain(group)
        look = {"color": GROUP_COLOURS[place], "symbol": GROUP_SYMBOLS[place]}
        traces.append(
            go.Scatter(
                x=seeds[cost],
                y=seeds[metric],
                name=name,
                legendgroup=name,
                mode="markers",
                marker={**look, "size": 9, "opacity": 0.65, "line": {"width": 1, "color": "white"}},
                customdata=seeds[["seed", "epoch"]].to_numpy(),
                hovertemplate=f"{name}, seed %{{customdata[0]}}, epoch %{{customdata[1]}}: <b>%{{y:.3f}}</b> at "
                "%{x:,.4~g}<extra></extra>",
            )
        )
        if len(seeds) > 1:
            traces.append(
                go.Scatter(
                    x=[float(np.median(seeds[cost]))],
                    y=[float(np.median(seeds[metric]))],
                    name=f"{name}: median",
                    legendgroup=name,
                    showlegend=False,
                    mode="markers",
                    marker={**look, "size": 17, "line": {"width": 2, "color": "white"}},
                    hovertemplate=f"{name}, median of {len(seeds)} seeds: <b>%{{y:.3f}}</b><extra></extra>",
                )
            )
    figure = base_figure(traces, COST_NAMES[cost], METRIC_NAMES[metric], _height(known["group"].nunique()))
    if cost == "trainable":
        figure.update_xaxes(type="log", tickformat="~s", dtick=_step(_decades(known[cost])))
    else:
        figure.update_xaxes(rangemode="tozero")
    return figure


def _step(decades: float) -> int | str | None:
    """Of a logarithmic axis: every power of ten, also 2 and 5 times it, or as plotly finds it, where neither may lie
    between values so close."""
    return 1 if decades > 2 else "D2" if decades > 0.5 else None


def _height(groups: int) -> int:
    """Pixels: on a phone the legend has a row for nearly every group."""
    return 320 + 20 * groups


def _decades(values: pd.Series) -> float:
    return float(np.log10(values.max() / values.min())) if len(values) and values.min() > 0 else 0.0
