"""How other data lie beside a group's own: how far their images are from what the models know."""

import numpy as np
import plotly.graph_objects as go

from colora.plots.style import EXTERNAL_COLOUR, GREY, SPLIT_COLOURS, base_figure, plain, rgba, split_title

BINS = 40


def distances(found: dict[str, np.ndarray], limit: float) -> go.Figure:
    """The share of each split's images by their distance (M,) from what is familiar, in common bins; dotted: the limit,
    beyond which at most one in twenty validation images lies."""
    values = np.concatenate(list(found.values()))
    edges = np.linspace(values.min(), max(values.max(), limit) + 1e-9, BINS + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    traces = []
    for split, own in found.items():
        colour = SPLIT_COLOURS.get(split, EXTERNAL_COLOUR)
        counts, _ = np.histogram(own, edges)
        traces.append(
            go.Scatter(
                x=middles,
                y=counts / len(own),
                name=plain(split_title(split)),
                mode="lines",
                line={"color": colour, "width": 2, "shape": "hvh", "dash": "solid" if split == "test" else "dash"},
                fill="tozeroy",
                fillcolor=rgba(colour, 0.18),
                customdata=counts,
                hovertemplate="distance %{x:.2f}: <b>%{customdata:,}</b> images (%{y:.1%})",
            )
        )
    figure = base_figure(traces, "Distance from what the models know", "Share of the images", 320)
    figure.add_vline(limit, line={"color": GREY, "width": 2, "dash": "dot"})
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure
