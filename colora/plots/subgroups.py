"""A figure of each part of the images, beside each other: what is seen at once in a table of many numbers is not."""

from collections.abc import Sequence

import plotly.graph_objects as go

from colora.metrics.estimates import Estimate
from colora.plots.style import BLUE, GREY, base_figure, plain

ROW, REST = 34, 70  # pixels


def parts_figure(found: Sequence[tuple[str, Estimate, bool]], x: str) -> go.Figure:
    """Of each part (its name, the figure, whether it is small) a dot with its 95 % interval, the first one on top;
    small ones are hollow and grey, and one without a value has a row without a dot."""
    names = [plain(name) for name, _, _ in found]
    traces = []
    for small, colour, symbol in ((False, BLUE, "circle"), (True, GREY, "circle-open")):
        own = [(name, each) for name, (_, each, few) in zip(names, found, strict=True) if few is small]
        own = [(name, each) for name, each in own if each.value is not None]
        ends = [(each.low, each.high) if each.low is not None else (each.value, each.value) for _, each in own]
        traces.append(
            go.Scatter(
                x=[each.value for _, each in own],
                y=[name for name, _ in own],
                mode="markers",
                marker={"color": colour, "size": 11, "symbol": symbol, "line": {"width": 2, "color": colour}},
                error_x={
                    "array": [high - each.value for (_, each), (_, high) in zip(own, ends, strict=True)],
                    "arrayminus": [each.value - low for (_, each), (low, _) in zip(own, ends, strict=True)],
                    "symmetric": False,
                    "color": colour,
                    "thickness": 1.5,
                    "width": 4,
                },
                customdata=ends,
                hovertemplate="%{y}: <b>%{x:.3f}</b> [%{customdata[0]:.3f}, %{customdata[1]:.3f}]<extra></extra>",
                showlegend=False,
            )
        )
    figure = base_figure(traces, x, "", REST + ROW * len(names))
    order = {"categoryorder": "array", "categoryarray": names[::-1], "range": [-0.5, len(names) - 0.5]}
    figure.update_yaxes(type="category", **order)
    return figure
