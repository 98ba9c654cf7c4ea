"""Which class was called which: the confusion matrix of one model, with the seeds' spread around it where it stands for
several, and with cells that can be clicked."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from colora.metrics.over_seeds import row_shares, spreads
from colora.plots.style import BLUE, base_figure, plain, rgba

FONT_SIZES = ((4, 16), (7, 13), (99, 10))  # up to so many classes: pixels
DETAIL_CLASSES = 6  # with more there is no room for a second line in a cell
MARKER = 44  # pixels; clicks beside it count for the nearest one


def confusion_matrix(
    matrix: np.ndarray,
    class_names: list[str],
    text: str = "#13262c",
    per_cent: bool = False,
    chosen: tuple[int, int] | None = None,
    seeds: np.ndarray | None = None,
    intervals: np.ndarray | None = None,
) -> go.Figure:
    """Rows are true classes, columns predicted ones; shaded by the share of the row, without shade in an empty one.

    `matrix` (C, C) of one model: its counts, and below them its shares of the true class; `per_cent` the other way
    round. Where it stands for several seeds, `seeds` (S, C, C) are their own counts, and below each cell stands their
    range instead; with `intervals` (2, C, C), low and high of the shares, the 95 % interval over images does. `text` is
    the page's text colour: it reads on pale cells, white on full ones. `chosen` (true, predicted) is framed. Heat maps
    tell no clicks, so that an unseen marker lies on each cell; its customdata are the two class numbers.
    """
    class_names = list(map(plain, class_names))
    shares = row_shares(matrix)
    shade = np.nan_to_num(shares)
    heat = go.Heatmap(
        z=shade,
        zmin=0,
        zmax=1,
        x=class_names,
        y=class_names,
        customdata=matrix,
        colorscale=[[0, rgba(BLUE, 0.04)], [1, rgba(BLUE, 1)]],
        showscale=False,
        xgap=3,
        ygap=3,
        hoverinfo="skip",
    )
    cells = [(t, p) for t in range(len(class_names)) for p in range(len(class_names))]
    alone = {cell: _cell_texts(int(matrix[cell]), float(shares[cell]), per_cent) for cell in cells}
    said = dict(alone)
    if seeds is not None:
        own = row_shares(seeds)
        for cell, (first, _, hover) in said.items():
            below, more = _spread_texts(seeds[:, *cell], own[:, *cell], per_cent)
            said[cell] = first, below, f"{hover}{more}"
    if intervals is not None:
        of = matrix.sum(axis=1)
        for (t, p), (first, _, hover) in said.items():
            below = _interval_text(intervals[:, t, p], int(of[t]), per_cent)
            more = f"<br>95 % interval over images: {below}" if below else "<br>no interval can be given"
            said[t, p] = first, below or alone[t, p][1], f"{hover}{more}"
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
    texts = []
    for true, predicted in cells:
        first, second, _ = said[true, predicted]
        if len(class_names) <= DETAIL_CLASSES:
            first += f"<br><span style='font-size:11px'>{second}</span>"
        font = {"size": size, "color": "white" if shade[true, predicted] > 0.7 else text}
        place = {"x": class_names[predicted], "y": class_names[true], "showarrow": False}
        texts.append({**place, "text": first, "font": font})
    figure.update_layout(annotations=texts)  # all at once: one by one takes most of the figure's time
    if chosen:
        true, predicted = chosen
        edges = {"x0": predicted - 0.5, "x1": predicted + 0.5, "y0": true - 0.5, "y1": true + 0.5}
        figure.add_shape(type="rect", **edges, line={"color": text, "width": 4})
    figure.update_layout(hovermode="closest", hoverdistance=-1)
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category", fixedrange=True)
    figure.update_xaxes(side="bottom", showgrid=False, type="category", fixedrange=True)
    return figure


def _cell_texts(count: int, share: float, per_cent: bool) -> tuple[str, str, str]:
    """The bold line, the small line and what is said on hovering, of one cell."""
    images, of_class = f"{count}", "–" if np.isnan(share) else f"{share:.0%}"
    first, second = (of_class, images) if per_cent else (images, of_class)
    return f"<b>{first}</b>", second, f"{images} images ({of_class} of the class)"


def _interval_text(ends: np.ndarray, of: int, per_cent: bool) -> str:
    """`79–94%`, or so many of the `of` images of the class; nothing where there is none."""
    if np.isnan(ends).any():
        return ""
    low, high = (f"{(100 if per_cent else of) * end:.0f}" for end in ends)
    return (low if low == high else f"{low}–{high}") + ("%" if per_cent else "")


def _spread_texts(counts: np.ndarray, shares: np.ndarray, per_cent: bool) -> tuple[str, str]:
    """The small line of one cell over its seeds, (S,) counts and shares: their range; and what hovering adds."""
    if per_cent and np.isnan(shares).all():
        return "", "<br>no image of this class"
    found = spreads(100 * shares if per_cent else counts)
    digits, unit = (0, "%") if per_cent else (1, "")
    numbers = (f"{float(found[name]):.{digits}f}".removesuffix(".0") for name in ("low", "q1", "median", "q3", "high"))
    low, q1, median, q3, high = numbers
    between = (low if low == high else f"{low}–{high}") + unit
    return between, f"<br>the {len(counts)} seeds' own: {between}, median {median}{unit}, middle half {q1}–{q3}{unit}"


def confusion_table(
    matrices: np.ndarray,
    class_names: list[str],
    seeds: list[int],
    matrix: np.ndarray | None = None,
    model: str = "ensemble",
) -> pd.DataFrame:
    """The counts of each seed, (S, C, C): one row a cell and seed: true, predicted, seed, images, share_of_class.

    With the `matrix` (C, C) of one model that stands for the seeds: one row a cell, with the columns `model`_images and
    `model`_share_of_class and the same of each seed.
    """
    true, predicted = (np.array(class_names)[axis.ravel()] for axis in np.indices(matrices.shape[1:]))
    cells = {"true": true, "predicted": predicted}
    if matrix is None:
        parts = [
            pd.DataFrame(cells | {"seed": seed, "images": own.ravel(), "share_of_class": row_shares(own).ravel()})
            for seed, own in zip(seeds, matrices, strict=True)
        ]
        return pd.concat(parts, ignore_index=True)
    named = {model: matrix} | {f"seed_{seed}": own for seed, own in zip(seeds, matrices, strict=True)}
    images = {f"{name}_images": own.ravel() for name, own in named.items()}
    shares = {f"{name}_share_of_class": row_shares(own).ravel() for name, own in named.items()}
    return pd.DataFrame(cells | images | shares)
