"""Whether probabilities mean what they say: the reliability diagram, before and after a temperature."""

import pandas as pd
import plotly.graph_objects as go

from colora.plots.style import BLUE, GREY, ORANGE, base_figure, rgba

SERIES = {"before": ("As trained", BLUE, "circle", "solid"), "after": ("Calibrated", ORANGE, "diamond", "dash")}


def reliability_diagram(before: pd.DataFrame, after: pd.DataFrame, x: str, y: str) -> go.Figure:
    """The share that is right over the mean confidence, of each of `calibration.reliability`'s bins with its 95 %
    interval; below it how many images have which confidence. On the diagonal a model is calibrated."""
    diagonal = {"color": GREY, "width": 1, "dash": "dot"}
    traces: list[go.Scatter | go.Bar] = [
        go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, hoverinfo="skip", showlegend=False)
    ]
    for table, (name, colour, symbol, dash) in zip((before, after), SERIES.values(), strict=True):
        traces.append(
            go.Scatter(
                x=table["confidence"],
                y=table["right"],
                name=name,
                legendgroup=name,
                mode="lines+markers",
                line={"color": colour, "width": 2, "dash": dash},
                marker={"color": colour, "size": 9, "symbol": symbol},
                error_y={
                    "array": table["high"] - table["right"],
                    "arrayminus": table["right"] - table["low"],
                    "symmetric": False,
                    "color": colour,
                    "thickness": 1.5,
                    "width": 3,
                },
                customdata=table[["n", "low", "high"]].to_numpy(),
                hovertemplate="%{customdata[0]} images, confidence %{x:.3f}, right <b>%{y:.3f}</b> (95 % interval "
                f"%{{customdata[1]:.3f}} to %{{customdata[2]:.3f}})<extra>{name}</extra>",
            )
        )
        traces.append(
            go.Bar(
                x=table["confidence"],
                y=table["n"],
                yaxis="y2",
                width=0.012,
                marker={"color": rgba(colour, 0.6), "line": {"width": 0}},
                legendgroup=name,
                showlegend=False,
                hovertemplate=f"%{{y}} images<extra>{name}</extra>",
            )
        )
    figure = base_figure(traces, x, y, 400)
    most = max(int(table["n"].max()) for table in (before, after))
    figure.update_xaxes(range=[-0.02, 1.02], anchor="y2")
    figure.update_yaxes(range=[-0.02, 1.02], domain=[0.22, 0.88])
    figure.update_layout(
        yaxis2={"domain": [0, 0.16], "title": {"text": "Images"}, "rangemode": "tozero", "nticks": 3, "anchor": "x",
                "range": [0, 1.1 * most], "automargin": True},
        legend={"y": 1, "yanchor": "top"},  # in a strip of its own: above it slips into a narrow plot
        bargap=0, barmode="overlay",
    )  # fmt: skip
    return figure


def reliability_table(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """The points behind `reliability_diagram`: model, n, confidence, right, low, high."""
    parts = [table.assign(model=SERIES[key][0]) for key, table in (("before", before), ("after", after))]
    return pd.concat(parts, ignore_index=True)[["model", "n", "confidence", "right", "low", "high"]]
