"""Loss, accuracy and AUC: over the epochs, and of each seed."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from colora.plots.style import (
    EXTERNAL_COLOUR,
    GREY,
    METRIC_NAMES,
    SPLIT_COLOURS,
    SPLIT_DASHES,
    SPLIT_NAMES,
    base_figure,
    plain,
    rgba,
    split_title,
)
from colora.runs.finished import counted


def learning_curves(
    bands: dict[str, pd.DataFrame],
    metric: str,
    single: dict[int, pd.DataFrame] | None = None,
    merges: Sequence[int] = (),
    seeds: int | None = None,
) -> go.Figure:
    """A metric over epochs, one colour a split: median bold, middle half of seeds dark, range light.

    `bands` holds for each split what `summary.band` returns. With one seed there is a line and no band. `single` adds
    a thin line for each of these seeds' metrics, `merges` a triangle at the foot for each of these epochs. A point says
    how many seeds stand behind it, of the `seeds` that the group has.
    """
    traces: list[go.Scatter] = [
        _single(table, split, metric, seed) for seed, table in (single or {}).items() for split in bands
    ]
    for split, table in bands.items():
        if table.empty:
            continue
        epochs, colour = table["epoch"], SPLIT_COLOURS[split]
        if table["n"].max() > 1:
            traces += [
                between(table, low, high, rgba(colour, alpha), SPLIT_NAMES[split], split)
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
                customdata=table[["q1", "q3", "low", "high"]].assign(of=_counted(table, seeds)).to_numpy(dtype=object),
                hovertemplate="<b>%{y:.3f}</b> (IQR %{customdata[0]:.3f} to %{customdata[1]:.3f}, range "
                "%{customdata[2]:.3f} to %{customdata[3]:.3f}, %{customdata[4]})",
            )
        )
    if len(merges):
        traces.append(_merge_marks(merges))
    figure = base_figure(traces, "Epoch", METRIC_NAMES[metric], 320, hovermode="x unified")
    if len(merges):
        figure.update_layout(yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True})
    epoch_axis(figure, bands.values())
    return figure


def learning_table(
    bands: dict[str, pd.DataFrame],
    metric: str,
    single: dict[int, pd.DataFrame] | None = None,
    seeds: int | None = None,
) -> pd.DataFrame:
    """The points behind `learning_curves`: a row an epoch and split with the spread over n seeds, `counted` of all,
    and of each single seed one with its number and `value`."""
    parts = [
        table.assign(metric=metric, split=split, counted=_counted(table, seeds))
        for split, table in bands.items()
        if len(table)
    ]
    for seed, table in (single or {}).items():
        for split in bands:
            known = pd.DataFrame({"epoch": table["epoch"], "seed": seed, "value": table[f"{split}_{metric}"]})
            parts.append(known.assign(metric=metric, split=split).astype({"seed": "Int64"}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["epoch", "metric", "split"])


def _counted(table: pd.DataFrame, seeds: int | None) -> list[str]:
    """How many seeds stand behind each row, of the group's `seeds`; where nobody says how many it has, of as many."""
    return [counted(n, n if seeds is None else seeds) for n in table["n"].tolist()]


def _single(table: pd.DataFrame, split: str, metric: str, seed: int) -> go.Scatter:
    return go.Scatter(
        x=table["epoch"],
        y=table[f"{split}_{metric}"],
        name=f"seed {seed}, {SPLIT_NAMES[split].lower()}",
        legendgroup=split,
        showlegend=False,
        mode="lines" if len(table) > 1 else "markers",
        line={"color": SPLIT_COLOURS[split], "width": 1, "dash": SPLIT_DASHES[split]},
        hovertemplate="%{y:.3f}",
    )


def _merge_marks(epochs: Sequence[int]) -> go.Scatter:
    """Small triangles on an axis of their own, so that they stand at the foot whatever the values are."""
    return go.Scatter(
        x=list(epochs),
        y=[0.02] * len(epochs),
        yaxis="y2",
        name="Merge",
        mode="markers",
        marker={"symbol": "triangle-up", "size": 7, "color": GREY},
        hovertemplate="merged after this epoch<extra></extra>",
    )


def epoch_axis(figure: go.Figure, tables: Iterable[pd.DataFrame]) -> None:
    """Ticks at whole epochs, some eight of them."""
    last = max((int(table["epoch"].max()) for table in tables if len(table)), default=1)
    whole = max(1, -(-last // 8))  # epochs between two ticks
    figure.update_xaxes(tick0=1, dtick=whole, range=[0.5, 1.5] if last == 1 else None)


def between(
    table: pd.DataFrame, low: str, high: str, fill: str, name: str, legendgroup: str | None = None, x: str = "epoch"
) -> go.Scatter:
    """The area between two columns over `x`, as one closed outline: up along `high`, back along `low`."""
    places = table[x].to_numpy()
    return go.Scatter(
        x=np.concatenate([places, places[::-1]]),
        y=np.concatenate([table[high].to_numpy(), table[low].to_numpy()[::-1]]),
        name=f"{name}: {low} to {high}",
        legendgroup=legendgroup or name,
        showlegend=False,
        fill="toself",
        fillcolor=fill,
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
    )


def seed_figures(
    table: pd.DataFrame,
    metric: str,
    whiskers: bool = False,
    joint: tuple[str, float, float, float] | None = None,
    external: str | None = None,
) -> go.Figure:
    """One dot a seed and split, last of the other data that `external` names, and the box of median, quartiles and
    range over the seeds that count.

    With `whiskers` the dots stand side by side, each with its own 95 % interval over images, and there are no boxes:
    the ends are in {split}_{metric}_low and _high, NaN where there is none. `joint` adds a diamond for the ensemble of
    the seeds: split, value, and the ends of its interval, NaN without.

    `table` has the columns seed, finished (bool: it counts), epoch and {split}_{metric}; the quartiles are linear
    interpolations, as in `over_seeds.Spread`, and the whiskers reach the lowest and highest seed. A seed that does not
    count is a hollow dot, and its point says what is in the column state, where there is one.
    """
    traces: list[Any] = []
    table = table.assign(state=table["state"].map(plain)) if "state" in table else table
    places = SPLIT_COLOURS | ({external: EXTERNAL_COLOUR} if external else {})
    names = {split: plain(split_title(split)) for split in places}
    for place, (split, colour) in enumerate(places.items()):
        values = table[f"{split}_{metric}"].astype(float)
        known = values.notna()
        if not known.any():
            continue
        counting = known & table["finished"]
        ends = _ends(table, f"{split}_{metric}") if whiskers else None
        if counting.any() and ends is None:
            q1, median, q3 = np.percentile(values[counting], [25, 50, 75])
            traces.append(
                go.Box(
                    x=[names[split]],
                    q1=[q1],
                    median=[median],
                    q3=[q3],
                    lowerfence=[values[counting].min()],
                    upperfence=[values[counting].max()],
                    fillcolor=rgba(colour, 0.25),
                    line={"color": colour, "width": 2},
                    hoverinfo="skip",
                    showlegend=False,
                    width=0.5,
                )
            )
        filled = {"color": colour, "size": 9, "line": {"width": 1, "color": "white"}}
        hollow = {"color": colour, "size": 9, "symbol": "circle-open", "line": {"width": 2}}
        said = ", %{customdata[2]}" if "state" in table else " so far"
        columns = ["seed", "epoch", *(["state"] if "state" in table else [])]
        for rows, marker, so_far in ((counting, filled, ""), (known & ~table["finished"], hollow, said)):
            if rows.any():
                beside = place + _side_by_side(len(table))[rows]
                traces.append(
                    go.Scatter(
                        x=[names[split]] * int(rows.sum()) if ends is None else beside,
                        y=values[rows],
                        error_y=None if ends is None else _whiskers(values[rows], ends[rows], colour),
                        mode="markers",
                        marker=marker,
                        customdata=table.loc[rows, columns].to_numpy(),
                        text=None if ends is None else [_between_text(*pair) for pair in ends.loc[rows].to_numpy()],
                        hovertemplate=f"seed %{{customdata[0]}}, epoch %{{customdata[1]}}{so_far}: <b>%{{y:.3f}}</b>"
                        f"{'' if ends is None else '%{text}'}<extra></extra>",
                        showlegend=False,
                    )
                )
    if joint:
        split, *figures = joint
        place = list(places).index(split)
        traces.append(_ensemble(place + 0.42 if whiskers else names[split], *figures, places[split], whiskers))
    figure = base_figure(traces, "", METRIC_NAMES[metric], 280)
    if whiskers:
        ticks = {"tickvals": list(range(len(names))), "ticktext": list(names.values())}
        figure.update_xaxes(tickmode="array", range=[-0.5, len(names) - 0.5], **ticks)
    return figure


def _ends(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Low and high of the intervals, all NaN of a split without."""
    return table.reindex(columns=[f"{column}_low", f"{column}_high"]).astype(float)


def _ensemble(
    place: float | str, value: float, low: float, high: float, colour: str, whiskers: bool
) -> go.Scatter:
    """At its place beside the dots of its split."""
    ends = pd.DataFrame({"low": [low], "high": [high]})
    return go.Scatter(
        x=[place],
        y=[value],
        error_y=_whiskers(pd.Series([value]), ends, colour) if whiskers else None,
        mode="markers",
        marker={"color": colour, "size": 12, "symbol": "diamond-open", "line": {"width": 2.5}},
        hovertemplate=f"ensemble of the seeds: <b>%{{y:.3f}}</b>{_between_text(low, high)}<extra></extra>",
        showlegend=False,
    )


def _side_by_side(count: int) -> np.ndarray:
    """(count,) places of dots around a split's own."""
    return np.linspace(-0.3, 0.3, count) if count > 1 else np.zeros(1)


def _whiskers(values: pd.Series, ends: pd.DataFrame, colour: str) -> dict[str, Any]:
    low, high = ends.to_numpy().T
    up, down = high - values, values - low
    return {"array": up, "arrayminus": down, "symmetric": False, "color": colour, "thickness": 1.5, "width": 3}


def _between_text(low: float, high: float) -> str:
    return "" if np.isnan(low) else f" (95 % interval over images {low:.3f} to {high:.3f})"
