"""How well models tell each class from the rest at every threshold: ROC and precision-recall."""

from itertools import cycle, islice
from typing import Literal

import pandas as pd
import plotly.graph_objects as go

from colora.plots.curves import between
from colora.plots.style import CLASS_DASHES, GREY, base_figure, class_colour, plain, rgba

AXES = {
    "roc": ("1 - specificity (false positive rate)", "Recall (sensitivity)"),
    "precision_recall": ("Recall (sensitivity)", "Precision (positive predictive value)"),
}
COLUMNS = {"roc": ("one_minus_specificity", "recall"), "precision_recall": ("recall", "precision")}
Kind = Literal["roc", "precision_recall"]


def class_curves(
    bands: list[pd.DataFrame | None],
    class_names: list[str],
    areas: list[str],
    kind: Kind,
    intervals: list[pd.DataFrame | None] | None = None,
) -> go.Figure:
    """One line a class, the median over the seeds, and around it their middle half; of one model its own line.

    `bands` are those of `over_seeds.Outcome`, None where a class has no curve; `areas` stand in the legend. `intervals`
    are one model's 95 % bands over images (x, low, high), None where a class has none.
    """
    traces, class_names = [], list(map(plain, class_names))
    if kind == "roc":
        chance = {"color": GREY, "width": 1, "dash": "dot"}
        traces.append(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=chance, hoverinfo="skip", showlegend=False))
    x_name, y_name = (name.partition(" (")[0] for name in AXES[kind])
    lines = []
    dashes = islice(cycle(CLASS_DASHES), len(class_names))
    for c, (name, table, area, dash) in enumerate(zip(class_names, bands, areas, dashes, strict=True)):
        if table is None:
            continue
        several = table["n"].max() > 1
        if intervals and (band := intervals[c]) is not None:
            traces.append(between(band, "low", "high", rgba(class_colour(c), 0.2), name, x="x"))
        if several:
            traces.append(between(table, "q1", "q3", rgba(class_colour(c), 0.25), name, x="x"))
        lines.append(
            go.Scatter(
                x=table["x"],
                y=table["median"],
                name=f"{name} {area}",
                legendgroup=name,
                mode="lines",
                line={"color": class_colour(c), "width": 2.5, "dash": dash},
                customdata=table[["q1", "q3"]].to_numpy() if several else None,
                hovertemplate=f"{x_name} %{{x:.3f}}, {y_name} <b>%{{y:.3f}}</b>"
                + (" (middle half %{customdata[0]:.3f} to %{customdata[1]:.3f})" if several else "")
                + f"<extra>{name}</extra>",
            )
        )
    figure = base_figure(traces + lines, *AXES[kind], 400)
    figure.update_xaxes(range=[-0.01, 1.01])
    figure.update_yaxes(range=[-0.01, 1.02])
    return figure


def interval_table(intervals: list[pd.DataFrame | None], class_names: list[str], kind: Kind) -> pd.DataFrame:
    """The 95 % bands over images behind `class_curves`: class, the x axis, low and high of the y axis."""
    x, y = COLUMNS[kind]
    names = {"x": x, "low": f"{y}_low_95", "high": f"{y}_high_95"}
    known = [(name, table) for name, table in zip(class_names, intervals, strict=True) if table is not None]
    parts = [table.rename(columns=names).assign(**{"class": name}) for name, table in known]
    return pd.concat(parts, ignore_index=True)[["class", *names.values()]] if parts else pd.DataFrame(columns=["class"])


def curve_table(bands: list[pd.DataFrame | None], class_names: list[str], kind: Kind) -> pd.DataFrame:
    """The points behind `class_curves`: class, the x axis, n seeds, and median, q1, q3, low, high of the y axis."""
    x, y = COLUMNS[kind]
    names = {"x": x} | {spread: f"{y}_{spread}" for spread in ("median", "q1", "q3", "low", "high")}
    parts = [
        table.rename(columns=names).assign(**{"class": name})
        for name, table in zip(class_names, bands, strict=True)
        if table is not None
    ]
    columns = ["class", x, "n", *(name for name in names.values() if name != x)]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
