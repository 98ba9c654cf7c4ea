"""Which class was called which: the confusion matrix, of one model or over seeds, with cells that can be clicked."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from colora.over_seeds import row_shares, spreads
from colora.plots.style import BLUE, base_figure, rgba

FONT_SIZES = ((4, 16), (7, 13), (99, 10))  # up to so many classes: pixels
DETAIL_CLASSES = 6  # with more there is no room for a second line in a cell
MARKER = 44  # pixels; clicks beside it count for the nearest one


def confusion_matrix(
    matrices: np.ndarray,
    class_names: list[str],
    text: str = "#13262c",
    per_cent: bool = False,
    chosen: tuple[int, int] | None = None,
) -> go.Figure:
    """Rows are true classes, columns predicted ones; shaded by the share of the row, without shade in an empty one.

    `matrices` (C, C) of one model: its counts and shares. (S, C, C) of several seeds: each cell's median over them, and
    below it the middle half. `per_cent` takes each model's shares of the true class in place of its counts. `text` is
    the page's text colour: it reads on pale cells, white on full ones. `chosen` (true, predicted) is framed. Heat maps
    tell no clicks, so that an unseen marker lies on each cell; its customdata are the two class numbers.
    """
    counts = np.asarray(matrices)
    counts = counts[None] if counts.ndim == 2 else counts
    shares = row_shares(counts)
    shade = np.nan_to_num(spreads(shares)["median"])
    heat = go.Heatmap(
        z=shade,
        zmin=0,
        zmax=1,
        x=class_names,
        y=class_names,
        customdata=spreads(counts)["median"],
        colorscale=[[0, rgba(BLUE, 0.04)], [1, rgba(BLUE, 1)]],
        showscale=False,
        xgap=3,
        ygap=3,
        hoverinfo="skip",
    )
    cells = [(t, p) for t in range(len(class_names)) for p in range(len(class_names))]
    said = {cell: _cell_texts(counts[:, *cell], shares[:, *cell], per_cent) for cell in cells}
    targets = go.Scatter(
        x=[class_names[p] for _, p in cells],
        y=[class_names[t] for t, _ in cells],
        mode="markers",
        marker={"size": MARKER, "symbol": "square", "color": "rgba(0,0,0,0)"},
        customdata=cells,
        text=[said[cell][2] for cell in cells],
        hovertemplate="true %{y}, predicted %{x}<br><b>%{text}</b><extra></extra>",
        showlegend=False,
    )
    figure = base_figure([heat, targets], "Predicted class", "True class", 100 + 75 * min(len(class_names), 8))
    size = next(size for most, size in FONT_SIZES if len(class_names) <= most)
    for true, predicted in cells:
        first, second, _ = said[true, predicted]
        if len(class_names) <= DETAIL_CLASSES:
            first += f"<br><span style='font-size:11px'>{second}</span>"
        figure.add_annotation(
            x=class_names[predicted],
            y=class_names[true],
            text=first,
            showarrow=False,
            font={"size": size, "color": "white" if shade[true, predicted] > 0.7 else text},
        )
    if chosen:
        true, predicted = chosen
        edges = {"x0": predicted - 0.5, "x1": predicted + 0.5, "y0": true - 0.5, "y1": true + 0.5}
        figure.add_shape(type="rect", **edges, line={"color": text, "width": 4})
    figure.update_layout(hovermode="closest", hoverdistance=-1)
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category", fixedrange=True)
    figure.update_xaxes(side="bottom", showgrid=False, type="category", fixedrange=True)
    return figure


def _cell_texts(counts: np.ndarray, shares: np.ndarray, per_cent: bool) -> tuple[str, str, str]:
    """The bold line, the small line and what is said on hovering, of one cell's (S,) counts and shares."""
    if len(counts) == 1:
        count, share = f"{counts[0]}", "–" if np.isnan(shares[0]) else f"{shares[0]:.0%}"
        first, second = (share, count) if per_cent else (count, share)
        return f"<b>{first}</b>", second, f"{count} images ({share} of the class)"
    if per_cent and np.isnan(shares).all():
        return "<b>–</b>", "", "no image of this class"
    found = spreads(100 * shares if per_cent else counts)
    median, q1, q3, low, high = (_number(found[name]) for name in ("median", "q1", "q3", "low", "high"))
    unit = " % of the class" if per_cent else " images"
    hover = f"median {median}{unit}, middle half {q1} to {q3}, range {low} to {high}"
    return f"<b>{median}{' %' if per_cent else ''}</b>", f"{q1}–{q3}", hover


def _number(value: Any) -> str:
    """`12`, `12.5`: medians of counts lie between two of them at times."""
    return f"{float(value):.1f}".removesuffix(".0")


def confusion_table(matrices: np.ndarray, class_names: list[str], seeds: list[int]) -> pd.DataFrame:
    """One row a cell and seed: true, predicted, seed, images, share_of_class."""
    shares = row_shares(matrices)
    return pd.DataFrame(
        [
            {
                "true": class_names[t],
                "predicted": class_names[p],
                "seed": seed,
                "images": int(matrices[s, t, p]),
                "share_of_class": shares[s, t, p],
            }
            for s, seed in enumerate(seeds)
            for t in range(len(class_names))
            for p in range(len(class_names))
        ]
    )
