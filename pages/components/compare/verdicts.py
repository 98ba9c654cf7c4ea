"""Whether one group is ahead of another by more than chance: every difference with its interval, and a sentence."""

from typing import Any

import pandas as pd
import streamlit as st

from colora import plots
from colora.metrics.estimates import Estimate
from colora.metrics.figures import TITLES
from colora.results.predictions import source_file
from colora.results.resolving import MEANS, tells_apart
from colora.results.statistics import compare_groups
from colora.runs.documents import EXTERNAL, contained
from colora.runs.finished import finished
from colora.runs.folder import Group
from colora.runs.names import external_folder, is_external
from colora.runs.siblings import seeds_text
from colora.system.errors import UserError
from pages.components import show
from pages.components.runs import file_stamp

SENTENCES = 3  # pairs that are told in words: those of three groups
FIGURES = {"accuracy": "accuracy", "auc": "auc", "loss": "log_loss"}  # of the page, of the library
TEXTS = ("group", "minus", "figure", "test", "why not")
NUMBERS = ("difference", "low", "high")
LOWER_IS_BETTER = ("log_loss",)
UNITS = {"accuracy": (100, "points"), "auc": (1, ""), "log_loss": (1, "nats")}


def verdicts(groups: list[Group], short: dict[str, str], split: str, metric: str, origin: str) -> None:
    """Every pair of groups that saw the same images; those left out are named."""
    st.subheader("Is one ahead?")
    if split == "train":
        st.caption("Of the images that a model learnt from no difference says anything: choose test or validation.")
        return
    try:
        if sum(bool(finished(group)) for group in groups) < 2:
            st.caption("That can be said when two groups have a finished seed.")
            return
        with st.spinner("Drawing the images two thousand times ..."):
            found = _compared(groups, _stamps(groups, split), split)
    except UserError as error:
        show.say(error, st.info, ":material/balance:")
        return
    for why in found["left_out"].values():
        show.say(why, st.info, ":material/balance:")
    figure = FIGURES[metric]
    told = len(found["pairs"]) <= SENTENCES
    if told:
        for pair in found["pairs"]:
            st.markdown(f"- {show.literal(pair['says'])}")
    scale, unit = UNITS[figure]
    whose = f"of {seeds_text(found['seeds'])}, which all have" if found["seeds"] else "of each group's own seeds"
    own = "; on the diagonal an ensemble's own" if figure in found["groups"][0]["ensemble"] else ""
    st.caption(
        f"{plots.METRIC_NAMES[metric]}, row minus column{f', in {unit}' if unit else ''}, with its 95 % interval "
        f"over images: ensemble against ensemble, {show.literal(whose)}{own}. Ahead or "
        "behind is said where zero lies outside; an interval that holds zero is no proof that two are equal."
    )
    names = [row["name"] for row in found["groups"]]
    if too_good := [short[g.name] for g in groups if g.name in names and show.optimistic(g.config.selection, split)]:
        st.caption(f"{show.OPTIMISTIC} This holds for {show.literal(', '.join(too_good))}.")
    for row in found["groups"]:
        if row["optimism"]:
            st.caption(f"Measured of {show.literal(short[row['name']])}: {show.literal(row['optimism']['says'])}")
    show_matrix(found["pairs"], found["groups"], short, figure, scale)
    if not told:  # each sentence has its own pair's smallest difference
        st.caption(f"{tells_apart(found['n'], '', found['patients'])}. {MEANS}")
    with st.expander("Every figure, test and p", icon=":material/functions:"):
        table = details(found["pairs"])
        st.dataframe(
            table,
            hide_index=True,
            key="verdicts",
            placeholder="–",
            alt="Differences of every pair of groups",
            column_config={
                **{name: st.column_config.TextColumn(name.capitalize()) for name in TEXTS},
                "p": st.column_config.NumberColumn(format="%.3g", help="Two-sided, of this pair alone"),
                "p, all pairs": st.column_config.NumberColumn(format="%.3g", help="Adjusted for all pairs (Holm)"),
                "smallest": st.column_config.NumberColumn(
                    "Smallest",
                    format="%.4f", help="The difference that these images would have shown in four of five studies"
                ),
                **{c: st.column_config.NumberColumn(c.capitalize(), format="%.4f") for c in NUMBERS},
            },
        )
        show.csv_button(table, f"compare-{show.split_in_file(split)}-differences", origin)


def show_matrix(
    pairs: list[dict[str, Any]], groups: list[dict[str, Any]], short: dict[str, str], figure: str, scale: float
) -> None:
    """Row minus column, of each two groups once in each direction; on the diagonal each ensemble's own figure."""
    names = [short[row["name"]] for row in groups]
    cells = pd.DataFrame("–", index=names, columns=names).rename_axis("Minus")
    for name, row in zip(names, groups, strict=True):
        if own := row["ensemble"].get(figure):
            cells.loc[name, name] = show.estimate_text(Estimate(**own))
    for pair in pairs:
        a, b = short[pair["a"]], short[pair["b"]]
        cells.loc[a, b], cells.loc[b, a] = (
            cell_text(pair[figure], scale, sign, figure in LOWER_IS_BETTER) for sign in (1, -1)
        )
    show.table(cells, alt="Differences between the groups, row minus column", border="horizontal")


def cell_text(found: dict[str, Any], scale: float, sign: int, lower_is_better: bool) -> str:
    """`+2.9 [0.3, 5.6] ahead`, `+0.4 [-1.1, 2.0]`, or why nothing can be said."""
    digits = 1 if scale == 100 else 4
    if found["difference"] is None:
        return f"not estimable: {found['reason']}"
    value = f"{sign * scale * found['difference']:+z.{digits}f}"
    if found["low"] is None:
        return f"{value}, no interval: {found['reason']}"
    low, high = sorted(sign * scale * found[end] for end in ("low", "high"))
    word = ""
    if low > 0 or high < 0:
        word = " ahead" if (low > 0) != lower_is_better else " behind"
    return f"{value} [{low:z.{digits}f}, {high:z.{digits}f}]{word}"


def details(pairs: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a pair and figure; over seeds too."""
    rows = []
    for pair in pairs:
        told = {title: pair[name] for name, title in TITLES.items() if name in pair}
        told |= {f"{TITLES[name]}, over seeds": each for name, each in pair["over_seeds"].items()}
        for name, each in told.items():
            row = {"group": pair["a"], "minus": pair["b"], "figure": name}
            row |= {key: each[key] for key in (*NUMBERS, "p")}
            row |= {"p, all pairs": each["p_holm"], "test": each["test"], "smallest": each["smallest"]}
            rows.append(row | {"why not": each.get("reason")})
    return pd.DataFrame(rows).astype(dict.fromkeys((*NUMBERS, "p", "p, all pairs", "smallest"), float))


def _stamps(groups: list[Group], split: str) -> list[Any]:
    """What the comparison depends on: the predictions of every seed that counts."""
    found = []
    for group in groups:
        with contained(group.path):
            runs = finished(group)
            files = [file for run in runs for file in (source_file(run, split, None), run.path / "metrics.jsonl")]
        if is_external(split):
            files.append(external_folder(group.path, split) / EXTERNAL)
        found.append((str(group.path), [(str(file), file and file_stamp(file)) for file in files]))
    return found


@st.cache_data(show_spinner=False, max_entries=16)
def _compared(_groups: list[Group], stamps: Any, split: str) -> dict[str, Any]:
    return compare_groups(_groups, split)
