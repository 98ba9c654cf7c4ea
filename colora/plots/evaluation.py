"""How well a model tells the classes apart: confusion matrix and ROC."""

from itertools import cycle, islice

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from colora.evaluate import class_auc, roc
from colora.plots.style import BLUE, CLASS_DASHES, GREY, base_figure, class_colour, rgba


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
        colorscale=[[0, rgba(BLUE, 0.04)], [1, rgba(BLUE, 1)]],
        showscale=False,
        xgap=3,
        ygap=3,
        hovertemplate="true %{y}, predicted %{x}: <b>%{customdata}</b> images (%{z:.1%})<extra></extra>",
    )
    figure = base_figure([heat], "Predicted class", "True class", 100 + 75 * len(class_names))
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
    figure = base_figure(traces, "1 - specificity (false positive rate)", "Recall (sensitivity)", 400)
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
