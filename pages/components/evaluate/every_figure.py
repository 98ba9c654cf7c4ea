"""Every figure of the library on Evaluate, over all classes and of each, with its interval or its spread."""

from typing import Any

import pandas as pd
import streamlit as st

from colora.metrics.bootstrap import DRAWS
from colora.metrics.estimates import Estimate
from colora.metrics.figures import TITLES
from colora.metrics.statistics import ModelFigures, OverSeeds, Statistics
from pages.components import show
from pages.components.evaluate import intervals
from pages.components.evaluate.readers import View

ALL_CLASSES = "all classes"
NUMBERS = ("value", "low", "high")
SPREADS = ("median", "q1", "q3", "lowest", "highest", "mean", "low", "high")


def every_figure(view: View, origin: str) -> None:
    """Of one model with intervals over images; of seeds their spread, and the mean with both kinds of chance."""
    if view.over_images:
        st.caption(
            f"Of {show.literal(view.model())}. Each with its 95 % interval over images and how it was reckoned: Wilson "
            f"for shares, DeLong for AUC, {DRAWS:,} draws of images or patients for the rest."
        )
        table = model_table(intervals.model_statistics(view))
    else:
        st.caption(
            f"Over {show.literal(view.counted())}: median, quartiles and range of the seeds' own values. The mean, for "
            "a table that needs one number, has both kinds of chance in its 95 % interval: that of the images, or "
            "patients, by the bootstrap, and that of the seeds by Student's t."
        )
        table = seeds_table(intervals.seeds_statistics(view))
    numbers = NUMBERS if view.over_images else SPREADS
    st.dataframe(
        table,
        hide_index=True,
        key="every-figure",
        placeholder="–",
        height=560,
        column_config={
            name: st.column_config.NumberColumn(name.capitalize(), format="%.4f") for name in numbers
        }
        | {name: st.column_config.TextColumn(name.capitalize()) for name in ("class", "figure", "method", "why not")}
        | {"n": st.column_config.NumberColumn("Seeds")},
        alt=f"Every figure. {origin}",
    )
    st.caption(show.literal(origin))
    show.csv_button(table, f"{view.name}-every-figure", origin)


def model_table(found: ModelFigures) -> pd.DataFrame:
    """One row a class and figure: value, low, high, method, and why something is not there."""
    tables = [(ALL_CLASSES, found.overall), *found.per_class.items()]
    rows = [{"class": c, "figure": TITLES[name], **row_of(each)} for c, own in tables for name, each in own.items()]
    return pd.DataFrame(rows).astype(dict.fromkeys(NUMBERS, float))


def row_of(each: Estimate) -> dict[str, Any]:
    return {"value": each.value, "low": each.low, "high": each.high, "method": each.method, "why not": each.reason}


def seeds_table(found: Statistics) -> pd.DataFrame:
    """One row a class and figure: n seeds, their spread, the mean with its interval."""
    assert found.over_seeds is not None  # of several seeds
    overall, per_class = found.over_seeds
    rows = [
        {"class": c, "figure": TITLES[name], **spread_row(each)}
        for c, own in [(ALL_CLASSES, overall), *per_class.items()]
        for name, each in own.items()
    ]
    return pd.DataFrame(rows).astype(dict.fromkeys(SPREADS, float))


def spread_row(each: OverSeeds) -> dict[str, Any]:
    s, mean = each.spread, each.mean
    spread = (s.median, s.q1, s.q3, s.low, s.high) if s else (None,) * 5
    ends = {"mean": mean.value, "low": mean.low, "high": mean.high, "why not": mean.reason}
    return {"n": s.n if s else 0, **dict(zip(SPREADS, spread, strict=False)), **ends}
