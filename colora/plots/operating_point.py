"""What acting on a model is worth: the decision curve beside treating all and treating none."""

import pandas as pd
import plotly.graph_objects as go

from colora.plots.curves import between
from colora.plots.style import BLUE, GREY, ORANGE, base_figure, rgba


def decision_curve(table: pd.DataFrame, chosen: float | None = None) -> go.Figure:
    """Net benefit over the probability from which on somebody would treat, of `operating_point.decision_curve`, with
    its 95 % interval; a line stands at the threshold that is `chosen`."""
    traces = [
        between(table, "low", "high", rgba(BLUE, 0.2), "Model", x="threshold"),
        go.Scatter(
            x=table["threshold"],
            y=table["model"],
            name="Model",
            mode="lines",
            line={"color": BLUE, "width": 2.5},
            customdata=table[["low", "high"]].to_numpy(),
            hovertemplate="from %{x:.2f} on: net benefit <b>%{y:.3f}</b> (95 % interval %{customdata[0]:.3f} to "
            "%{customdata[1]:.3f})<extra>Model</extra>",
        ),
        go.Scatter(
            x=table["threshold"],
            y=table["treat_all"],
            name="Treat all",
            mode="lines",
            line={"color": ORANGE, "width": 2, "dash": "dash"},
            hovertemplate="from %{x:.2f} on: <b>%{y:.3f}</b><extra>Treat all</extra>",
        ),
        go.Scatter(
            x=table["threshold"],
            y=[0.0] * len(table),
            name="Treat none",
            mode="lines",
            line={"color": GREY, "width": 2, "dash": "dot"},
            hoverinfo="skip",
        ),
    ]
    figure = base_figure(traces, "Probability from which on one would treat", "Net benefit a person examined", 360)
    top = float(table[["high", "treat_all"]].max().max())
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(range=[-0.3 * max(top, 0.05), 1.15 * max(top, 0.05)])
    if chosen is not None:
        figure.add_vline(x=chosen, line={"color": GREY, "width": 1})
    return figure
