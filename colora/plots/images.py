"""Single images and how unsure the models are of them: sorted scores, probabilities of every seed, timelines."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from colora.plots.style import CLASS_DASHES, GREY, base_figure, class_colour, plain, rgba

POINTS = 240  # of a curve: more would not show at the width of a page


def sorted_scores(
    curves: dict[int, np.ndarray],
    class_names: Sequence[str],
    score_title: str,
    marked: tuple[float, float] | None = None,
    reached: dict[int, int] | None = None,
) -> go.Figure:
    """A score over the rank in each class (paper, figure 10), one colour and dash a class.

    curves: class -> (n,) scores in the order of the list; marked: the scores between which the images on show lie;
    reached: class -> how many of its images come before them in the list.
    """
    traces: list[go.Scatter] = []
    class_names = list(map(plain, class_names))
    for c, values in curves.items():
        ranks = thinned(len(values))
        traces.append(
            go.Scatter(
                x=ranks + 1,
                y=values[ranks],
                name=class_names[c],
                mode="lines" if len(values) > 1 else "markers",
                line={"color": class_colour(c), "width": 2.5, "dash": CLASS_DASHES[c % len(CLASS_DASHES)]},
                marker={"color": class_colour(c), "size": 8},
                hovertemplate="rank %{x:,}: <b>%{y:.3f}</b>",
            )
        )
    for c, rank in (reached or {}).items():
        if c in curves and rank < len(curves[c]):
            traces.append(
                go.Scatter(
                    x=[rank + 1],
                    y=[curves[c][rank]],
                    mode="markers",
                    marker={"color": class_colour(c), "size": 11, "line": {"width": 2, "color": "white"}},
                    showlegend=False,
                    hovertemplate=f"{class_names[c]}: the grid stands at rank %{{x:,}}<extra></extra>",
                )
            )
    figure = base_figure(traces, "Rank in its class", score_title, 210)
    if marked is not None:
        low, high = min(marked), max(marked)
        figure.add_hrect(y0=low, y1=high, fillcolor=rgba(GREY, 0.28), line_width=0, layer="below")
        if high - low < 1e-9:
            figure.add_hline(y=low, line={"color": GREY, "width": 1})
    figure.update_xaxes(rangemode="tozero", tickformat=",d")
    figure.update_yaxes(rangemode="tozero")
    return figure


def thinned(count: int) -> np.ndarray:
    """At most POINTS positions of `count`, the first and the last among them, closer together at both ends."""
    if count <= POINTS:
        return np.arange(count)
    at = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, POINTS))
    return np.unique(np.round(at * (count - 1)).astype(np.int64))


def seed_probabilities(
    probabilities: np.ndarray, seeds: Sequence[int], class_names: Sequence[str], answer: np.ndarray | None = None
) -> go.Figure:
    """What every seed says of one image: (S, C) as a dot a seed and class over a bar of their mean, or of the `answer`
    (C,) that is made of them."""
    names = list(map(plain, class_names))
    said, bar = ("mean of the seeds", probabilities.mean(axis=0)) if answer is None else ("answer", answer)
    colours = [class_colour(c) for c in range(len(names))]
    bars = go.Bar(
        x=bar,
        y=names,
        orientation="h",
        marker={"color": [rgba(colour, 0.35) for colour in colours]},
        hovertemplate=f"{said}: <b>%{{x:.3f}}</b><extra>%{{y}}</extra>",
        showlegend=False,
    )
    dots = [
        go.Scatter(
            x=row,
            y=names,
            mode="markers",
            marker={"color": colours, "size": 9, "line": {"width": 1, "color": "white"}},
            hovertemplate=f"seed {seed}: <b>%{{x:.3f}}</b><extra>%{{y}}</extra>",
            showlegend=False,
        )
        for seed, row in zip(seeds, probabilities, strict=True)
    ]
    figure = base_figure([bars, *dots], "Probability", "", 70 + 34 * len(names))
    figure.update_xaxes(range=[-0.02, 1.02])
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


def image_timeline(table: pd.DataFrame, class_names: Sequence[str], selected: int | None = None) -> go.Figure:
    """Probability of each class over the epochs, from `timeline`; dotted lines where updates were merged, a solid one
    at the `selected` epoch."""
    traces = [
        go.Scatter(
            x=table["epoch"],
            y=table[f"p_{c}"],
            name=plain(name),
            mode="lines+markers",
            line={"color": class_colour(c), "width": 2.5, "dash": CLASS_DASHES[c % len(CLASS_DASHES)]},
            hovertemplate="%{y:.3f}",
        )
        for c, name in enumerate(class_names)
    ]
    figure = base_figure(traces, "Epoch", "Probability", 240, hovermode="x unified")
    lines = [(epoch, {"color": GREY, "width": 1, "dash": "dot"}) for epoch in table.loc[table["merged"], "epoch"]]
    if selected is not None:
        lines.append((selected, {"color": GREY, "width": 2}))
    place = {"type": "line", "xref": "x", "yref": "y domain", "y0": 0, "y1": 1, "layer": "below"}
    # all at once: one by one takes most of the figure's time
    figure.update_layout(shapes=[place | {"x0": epoch, "x1": epoch, "line": line} for epoch, line in lines])
    figure.update_xaxes(tick0=1, dtick=max(1, -(-len(table) // 8)))
    figure.update_yaxes(range=[-0.02, 1.02])
    return figure


def divided_scores(
    curves: dict[int, dict[str, np.ndarray]], class_names: Sequence[str], score_title: str, highest_first: bool
) -> go.Figure:
    """The sorted scores of each class with its cuts: what a rule drops dotted, what it keeps bold, the rest faint.

    curves: class -> {"ranks", "scores", "kept"}: (n,) position, score and whether the image stays, hardest first.
    """
    traces: list[go.Scatter] = []
    class_names = list(map(plain, class_names))
    for c, curve in curves.items():
        kept = np.asarray(curve["kept"], dtype=bool)
        if not len(kept):
            continue
        first = int(np.argmax(kept)) if kept.any() else len(kept)
        last = len(kept) - int(np.argmax(kept[::-1])) if kept.any() else len(kept)
        parts = (
            ("goes, hardest", 0, first, "dot", 0.9),
            ("stays", first, last, "solid", 1),
            ("left over", last, len(kept), "dot", 0.45),
        )
        for what, begin, end, dash, alpha in parts:
            if end <= begin:
                continue
            at = begin + thinned(end - begin)
            traces.append(
                go.Scatter(
                    x=curve["ranks"][at] + 1,
                    y=curve["scores"][at],
                    name=class_names[c],
                    legendgroup=class_names[c],
                    showlegend=what == "stays",
                    mode="lines" if len(at) > 1 else "markers",
                    line={"color": rgba(class_colour(c), alpha), "width": 4 if what == "stays" else 2, "dash": dash},
                    marker={"color": class_colour(c), "size": 7, "symbol": "circle" if what == "stays" else "x"},
                    hovertemplate=f"{class_names[c]}, {what}: rank %{{x:,}}, <b>%{{y:.3f}}</b><extra></extra>",
                )
            )
        edges = [edge for edge in (first, last - 1) if 0 <= edge < len(kept) and kept.any()]
        traces.append(
            go.Scatter(
                x=curve["ranks"][edges] + 1,
                y=curve["scores"][edges],
                mode="markers",
                marker={"color": class_colour(c), "size": 11, "symbol": "line-ns-open", "line": {"width": 3}},
                legendgroup=class_names[c],
                showlegend=False,
                hovertemplate=f"{class_names[c]}: cut at rank %{{x:,}}, <b>%{{y:.3f}}</b><extra></extra>",
            )
        )
    figure = base_figure(traces, "Rank in its class, hardest first", score_title, 300)
    figure.update_xaxes(rangemode="tozero", tickformat=",d")
    figure.update_yaxes(rangemode="tozero", autorange=None if highest_first else "reversed")
    return figure
