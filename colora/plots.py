"""From data to plotly figures: pure functions that draw and compute nothing but where to draw.

Colours are Okabe and Ito's, told apart in the common forms of colour blindness; a class and a split keep
theirs in every figure, and no figure needs colour alone to be read. Backgrounds are transparent and texts
take the page's colour, so that one figure serves a light and a dark page.
"""

from itertools import cycle, islice
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from colora.evaluate import class_auc, roc

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
GREY = "#7F8C91"
CLASS_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, GREY)
FEW_CLASSES = 4  # with more, figures on bars would not fit side by side on a phone
CLASS_DASHES = ("solid", "dash", "dot", "dashdot")
SPLIT_COLOURS = {"train": GREY, "val": SKY, "test": VERMILLION}
SPLIT_DASHES = {"train": "dot", "val": "dash", "test": "solid"}
SPLIT_NAMES = {"train": "Train", "val": "Validation", "test": "Test"}
METRIC_NAMES = {"loss": "Loss", "accuracy": "Accuracy", "auc": "AUC"}


def class_colour(c: int) -> str:
    """The colour of class `c` in every figure."""
    return CLASS_COLOURS[c % len(CLASS_COLOURS)]


def _rgba(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def _figure(traces: list[Any], x: str, y: str, height: int, **layout: Any) -> go.Figure:
    """`uirevision` keeps a person's zoom and hidden lines when fresh data arrive."""
    figure = go.Figure(traces)
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        xaxis={"title": {"text": x} if x else None, "automargin": True},
        yaxis={"title": {"text": y}, "automargin": True},
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "title": {"text": ""},
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        uirevision="keep",
        **layout,
    )
    return figure


def learning_curves(bands: dict[str, pd.DataFrame], metric: str) -> go.Figure:
    """A metric over epochs, one colour a split: median bold, middle half of seeds dark, range light.

    `bands` holds for each split what `results.band` returns. With one seed there is a line and no band.
    """
    traces: list[go.Scatter] = []
    for split, table in bands.items():
        if table.empty:
            continue
        epochs, colour = table["epoch"], SPLIT_COLOURS[split]
        if table["n"].max() > 1:
            traces += [
                _between(table, low, high, _rgba(colour, alpha), split)
                for low, high, alpha in (("low", "high", 0.14), ("q1", "q3", 0.28))
            ]
        traces.append(
            go.Scatter(
                x=epochs,
                y=table["median"],
                name=SPLIT_NAMES[split],
                legendgroup=split,
                mode="lines" if len(table) > 1 else "markers",
                line={"color": colour, "width": 3, "dash": SPLIT_DASHES[split]},
                marker={"color": colour, "size": 9},
                customdata=table[["q1", "q3", "low", "high", "n"]].to_numpy(),
                hovertemplate="<b>%{y:.3f}</b> (IQR %{customdata[0]:.3f} to %{customdata[1]:.3f}, range "
                "%{customdata[2]:.3f} to %{customdata[3]:.3f}, seeds: %{customdata[4]})",
            )
        )
    figure = _figure(traces, "Epoch", METRIC_NAMES[metric], 320, hovermode="x unified")
    last = max((int(table["epoch"].max()) for table in bands.values() if len(table)), default=1)
    whole = max(1, -(-last // 8))  # epochs between two ticks
    figure.update_xaxes(tick0=1, dtick=whole, range=[0.5, 1.5] if last == 1 else None)
    return figure


def _between(table: pd.DataFrame, low: str, high: str, fill: str, split: str) -> go.Scatter:
    """The area between two columns, as one closed outline: up along `high`, back along `low`."""
    epochs = table["epoch"].to_numpy()
    return go.Scatter(
        x=np.concatenate([epochs, epochs[::-1]]),
        y=np.concatenate([table[high].to_numpy(), table[low].to_numpy()[::-1]]),
        name=f"{SPLIT_NAMES[split]}: {low} to {high}",
        legendgroup=split,
        showlegend=False,
        fill="toself",
        fillcolor=fill,
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
    )


def seed_figures(table: pd.DataFrame, metric: str) -> go.Figure:
    """One dot a seed and split, and the box of median, quartiles and range over the seeds.

    `table` has the columns seed, selected_epoch and {split}_{metric}; the quartiles are linear
    interpolations, as in `results.Spread`, and the whiskers reach the lowest and highest seed.
    """
    traces: list[Any] = []
    for split, colour in SPLIT_COLOURS.items():
        values = table[f"{split}_{metric}"].astype(float)
        known = values.notna()
        if not known.any():
            continue
        q1, median, q3 = np.percentile(values[known], [25, 50, 75])
        traces += [
            go.Box(
                x=[SPLIT_NAMES[split]],
                q1=[q1],
                median=[median],
                q3=[q3],
                lowerfence=[values.min()],
                upperfence=[values.max()],
                fillcolor=_rgba(colour, 0.25),
                line={"color": colour, "width": 2},
                hoverinfo="skip",
                showlegend=False,
                width=0.5,
            ),
            go.Scatter(
                x=[SPLIT_NAMES[split]] * int(known.sum()),
                y=values[known],
                mode="markers",
                marker={"color": colour, "size": 9, "line": {"width": 1, "color": "white"}},
                customdata=table.loc[known, ["seed", "selected_epoch"]].to_numpy(),
                hovertemplate="seed %{customdata[0]}, epoch %{customdata[1]}: <b>%{y:.3f}</b><extra></extra>",
                showlegend=False,
            ),
        ]
    return _figure(traces, "", METRIC_NAMES[metric], 280)


def class_shares(counts: dict[str, tuple[int, ...]], class_names: tuple[str, ...]) -> go.Figure:
    """Each class's share of each split's images, one colour a class; `counts` maps a split to images of each class."""
    splits = list(counts)
    totals = [max(1, sum(counts[split])) for split in splits]
    traces = [
        go.Bar(
            x=[SPLIT_NAMES.get(split, split) for split in splits],
            y=[counts[split][c] / total for split, total in zip(splits, totals, strict=True)],
            name=name,
            customdata=[counts[split][c] for split in splits],
            marker={"color": class_colour(c), "pattern": {"shape": "/" if c >= len(CLASS_COLOURS) else ""}},
            texttemplate="%{y:.0%}" if len(class_names) <= FEW_CLASSES else None,
            textposition="outside",
            textfont={"size": 11},
            cliponaxis=False,
            hovertemplate="%{x}: <b>%{customdata:,}</b> images (%{y:.1%})",
        )
        for c, name in enumerate(class_names)
    ]
    figure = _figure(traces, "", "Share of the split's images", 320, barmode="group")
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def confusion_matrix(matrix: np.ndarray, class_names: list[str], text: str = "#13262c") -> go.Figure:
    """Counts, rows true and columns predicted, shaded by the share of the row; no shade where a row is empty.

    `text` is the page's text colour: it reads on pale cells, white on full ones.
    """
    counts = np.asarray(matrix)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    heat = go.Heatmap(
        z=shares,
        zmin=0,
        zmax=1,
        x=class_names,
        y=class_names,
        customdata=counts,
        colorscale=[[0, _rgba(BLUE, 0.04)], [1, _rgba(BLUE, 1)]],
        showscale=False,
        xgap=3,
        ygap=3,
        hovertemplate="true %{y}, predicted %{x}: <b>%{customdata}</b> images (%{z:.1%})<extra></extra>",
    )
    figure = _figure([heat], "Predicted class", "True class", 100 + 75 * len(class_names))
    for row, true in enumerate(class_names):
        for column, predicted in enumerate(class_names):
            share = shares[row, column]
            figure.add_annotation(
                x=predicted,
                y=true,
                text=f"<b>{counts[row, column]}</b><br><span style='font-size:11px'>{share:.0%}</span>",
                showarrow=False,
                font={"size": 16, "color": "white" if share > 0.7 else text},
            )
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    figure.update_xaxes(side="bottom", showgrid=False, type="category")
    return figure


def roc_curves(labels: np.ndarray, probabilities: np.ndarray, class_names: list[str]) -> go.Figure:
    """One-vs-rest ROC of each class that has one, its area in the legend, and the diagonal of chance."""
    traces = [
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"color": GREY, "width": 1, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
        )
    ]
    dashes = islice(cycle(CLASS_DASHES), len(class_names))
    areas = class_auc(labels, probabilities)
    for c, (name, area, dash) in enumerate(zip(class_names, areas, dashes, strict=True)):
        if area is None:
            continue
        false_positive_rate, recall = roc(labels, probabilities, c)
        traces.append(
            go.Scatter(
                x=false_positive_rate,
                y=recall,
                name=f"{name} {area:.3f}",
                mode="lines",
                line={"color": class_colour(c), "width": 2.5, "dash": dash},
                hovertemplate="1 - specificity %{x:.3f}, recall <b>%{y:.3f}</b><extra>" + name + "</extra>",
            )
        )
    figure = _figure(traces, "1 - specificity (false positive rate)", "Recall (sensitivity)", 400)
    figure.update_xaxes(range=[-0.01, 1.01])
    figure.update_yaxes(range=[-0.01, 1.02])
    return figure


def roc_table(labels: np.ndarray, probabilities: np.ndarray, class_names: list[str]) -> pd.DataFrame:
    """The points behind `roc_curves`: columns class, one_minus_specificity, recall."""
    parts = []
    for c, (name, area) in enumerate(zip(class_names, class_auc(labels, probabilities), strict=True)):
        if area is not None:
            false_positive_rate, recall = roc(labels, probabilities, c)
            points = {"class": name, "one_minus_specificity": false_positive_rate, "recall": recall}
            parts.append(pd.DataFrame(points))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
