"""Two to eight groups side by side: what they reach, whether one is ahead, what it costs, and where their settings
differ."""

from typing import Any

import pandas as pd
import streamlit as st

from colora import plots
from colora.results.compare import (
    FEWEST,
    MOST,
    Summaries,
    cautions,
    differences,
    group_rows,
    labels,
    on_other_data,
    same_settings,
    seed_points,
)
from colora.results.summary import exact_config
from colora.runs.folder import Group
from colora.runs.listing import list_groups
from colora.runs.names import is_external
from colora.settings.config import RunConfig
from colora.settings.relevance import config_checksum
from colora.system.errors import UserError
from colora.system.storage import size_text
from colora.system.typed import shortened
from pages.components import address, leaks, show
from pages.components.compare.verdicts import verdicts
from pages.components.evaluate.readers import epoch_band, figures_on
from pages.components.frame import inside_app
from pages.components.runs import runs_dir, show_damage, show_damaged_seeds, summary

CURVES = {
    "accuracy": "Share of images whose most probable class is the true one. Higher is better.",
    "auc": "How well a class is told from the others at any threshold (mean one-vs-rest AUC). Higher is better.",
    "loss": "How far the predicted probabilities are from the truth (cross-entropy, nats). Lower is better.",
}
COSTS = {
    "trainable": "Each small mark is one finished seed, the large one the group's median. Further left, fewer weights "
    "were trained (the axis is logarithmic); higher up, the result is better.",
    "minutes": "The same against the time a seed's training took, without evaluation. Times compare only where the "
    "machine was the same and did nothing else.",
}


def chosen_groups() -> list[Group]:
    """The groups named in the address (`?groups=a,b`), at first the two newest, and their chooser."""
    groups = {group.name: group for group in list_groups(runs_dir())}
    if not groups:
        st.info("There is nothing to compare yet: no run has been launched.", icon=":material/info:")
        st.page_link("pages/launch.py", label="Launch a first run", icon=":material/play_arrow:")
        st.stop()
    asked = address.get("groups")
    names = list(groups)[:FEWEST] if asked is None else list(dict.fromkeys(filter(None, asked.split(","))))
    if gone := [name for name in names if name not in groups]:
        show.say(
            f"There is no group named {shortened(', '.join(gone))} in {runs_dir()}.", st.warning, ":material/warning:"
        )
    known = [name for name in names if name in groups]
    if len(known) > MOST:
        st.warning(f"{len(known)} groups were asked for; the first {MOST} are shown.", icon=":material/warning:")
    st.session_state["compared"] = known[:MOST]
    address.put("groups", ",".join(known[:MOST]))
    st.multiselect(
        f"Groups of runs, {FEWEST} to {MOST}",
        list(groups),
        key="compared",
        max_selections=MOST,
        on_change=follow_choice,
        placeholder="Choose groups",
    )
    return [groups[name] for name in known[:MOST]]


def follow_choice() -> None:
    address.put("groups", ",".join(st.session_state["compared"]))


def readable(groups: list[Group]) -> tuple[list[Group], Summaries]:
    """The groups that are not damaged, with their summaries; the others are named."""
    found: Summaries = {}
    for group in groups:
        try:
            found[group.name] = summary(group)
            show_damaged_seeds(found[group.name])
        except UserError as error:
            show_damage(group, error)
    return [group for group in groups if group.name in found], found


def what_to_know(groups: list[Group], summaries: Summaries, split: str) -> None:
    """The selection rule where it is one, and every reason not to trust the comparison."""
    rules = {about["selection"]["rule"]: about["selection"]["says"] for about in summaries.values()}
    data = {show.data_title(about): None for about in summaries.values()}
    st.caption(show.literal(f"Data: {', '.join(data)} · Selection: {' or '.join(rules.values())}."))
    leaks.data_lines(groups, [about["data"] for about in summaries.values()])
    leaks.banner(groups, [about["data"] for about in summaries.values()])
    found = cautions(summaries, split)
    for weight, tell, icon in (("wrong", st.error, ":material/error:"), ("mind", st.info, ":material/info:")):
        if sentences := [caution.says for caution in found if caution.weight == weight]:
            tell("\n\n".join(map(show.literal, sentences)), icon=icon)
    if "paper" in rules and not is_external(split):
        show.optimistic_badge()
    shown = [about["external"].get(split, {}) if is_external(split) else about["data"] for about in summaries.values()]
    if any(data.get("synthetic") for data in shown):
        show.synthetic_badge()


def choices(summaries: Summaries) -> tuple[str, str]:
    """(split, metric); the address keeps them. Other data are offered that a group was tested on."""
    external = sorted({split for about in summaries.values() for split in about["external"]})
    with st.container(horizontal=True):
        split = show.choose_split(external)
        metric = st.segmented_control(
            "Figure",
            list(CURVES),
            required=True,
            format_func=plots.METRIC_NAMES.get,
            key=address.one("metric", list(CURVES), plots.METRIC_NAMES.get),
        )
    return split, metric


def overview(summaries: Summaries, short: dict[str, str], split: str, origin: str) -> None:
    """One row a group: what it reaches and what it costs."""
    st.subheader("Side by side")
    rows = group_rows(summaries, split)
    word = {name: show.optimistic(about["selection"]["rule"], split) for name, about in summaries.items()}
    too_good = f". {show.OPTIMISTIC}" if any(word.values()) else ""
    shown = [
        {
            "Group": short[row["name"]],
            "Model": show.model_title(summaries[row["name"]]["backbone"]),
            "Method": show.method_title(summaries[row["name"]]["method"]),
            "Accuracy": figure_text(row, "accuracy", word[row["name"]]),
            "AUC": figure_text(row, "auc", word[row["name"]]),
            "Best seed": f"{show.three(row['best']['accuracy'])} (seed {row['best']['seed']:.0f}){word[row['name']]}"
            if row["best"]
            else "–",
            "Weights trained": row["trainable"],
            "Share": row["trainable"] / row["deployed"] if row["trainable"] else None,
            "Seconds an epoch": row["seconds_per_epoch"] and row["seconds_per_epoch"].median,
            "Peak memory": row["peak_memory_mib"] and size_text(row["peak_memory_mib"] * 2**20),
            "Seeds done": f"{row['done']} of {row['seeds']}",
        }
        for row in rows
    ]
    st.dataframe(
        pd.DataFrame(shown),
        hide_index=True,
        key="side-by-side",
        placeholder="–",
        alt=f"Accuracy, AUC and cost of {len(rows)} groups",
        column_config={
            "Group": st.column_config.TextColumn(pinned=True),
            "Accuracy": st.column_config.TextColumn(
                help=f"Median over the finished seeds [middle half, IQR]{too_good}"
            ),
            "AUC": st.column_config.TextColumn(
                help=f"Mean one-vs-rest: median over the finished seeds [middle half, IQR]{too_good}"
            ),
            "Best seed": st.column_config.TextColumn(
                help="Accuracy of the seed that the group's own selection rule prefers: not the highest of this column"
                + too_good
            ),
            "Weights trained": st.column_config.NumberColumn(format="localized"),
            "Share": st.column_config.NumberColumn(
                format="percent", help="Weights trained, of those in the deployed network"
            ),
            "Seconds an epoch": st.column_config.NumberColumn(
                format="%.1f", help="Of training, without evaluation: median over epochs, then over seeds"
            ),
            "Peak memory": st.column_config.TextColumn(
                help="Of the GPU; on a CPU the whole process. The highest of the seeds"
            ),
        },
    )
    st.caption(show.literal(origin))
    points = seed_points(summaries, split).drop(columns="place")
    show.csv_button(points, f"compare-{show.split_in_file(split)}-seeds", origin)


def figure_text(row: dict[str, Any], metric: str, word: str) -> str:
    """A group's figure, and behind it what is to be known of it."""
    spread = row[metric]
    return show.spread_text(spread and spread.as_dict(), row["seeds"]) + (word if spread else "")


def curves(groups: list[Group], short: dict[str, str], split: str, metric: str, origin: str) -> None:
    """The groups' bands over the epochs, one over the other."""
    st.subheader("While they learnt")
    if is_external(split):
        st.caption("Other data met each seed's selected epoch alone.")
        return
    bands = {short[group.name]: epoch_band(group, f"{split}_{metric}") for group in groups}
    tables = [table.assign(group=group.name) for group, table in zip(groups, bands.values(), strict=True) if len(table)]
    if not tables:
        st.info(
            "The curves begin when a first seed is finished; *Monitor* shows seeds while they learn.",
            icon=":material/show_chart:",
        )
        return
    show.show_figure(
        plots.compared_curves(bands, metric),
        f"{plots.METRIC_NAMES[metric]} over the epochs",
        f"{CURVES[metric]} Line: median over the finished seeds; dark: middle half (IQR)"
        + ("; light: whole range." if len(groups) <= plots.WHOLE_RANGE_GROUPS else "."),
        f"{plots.METRIC_NAMES[metric]} on {plots.SPLIT_NAMES[split].lower()} over epochs, {len(groups)} groups",
        pd.concat(tables, ignore_index=True),
        f"compare-{show.split_in_file(split)}-{metric}-curves",
        f"{origin.partition(' · ')[0]} · all epochs, none selected",
    )


def costs(summaries: Summaries, short: dict[str, str], split: str, metric: str, origin: str) -> None:
    """What the result costs, each seed a point."""
    st.subheader("What it costs")
    points = seed_points(summaries, split)
    points["group"] = points["group"].map(short)
    grid = st.grid(2, min_column_width=300)
    for cost, says in COSTS.items():
        with grid.cell():
            show.show_figure(
                plots.cost_scatter(points, cost, metric),
                f"{plots.METRIC_NAMES[metric]} against {plots.COST_NAMES[cost].partition(',')[0].lower()}",
                says,
                f"{plots.METRIC_NAMES[metric]} of each seed against {plots.COST_NAMES[cost].lower()}",
                points.drop(columns="place"),
                f"compare-{show.split_in_file(split)}-{metric}-{cost}",
                origin,
            )


def settings(groups: list[Group], short: dict[str, str]) -> None:
    """Only what differs: the rest of the settings is the same in all, or does nothing."""
    st.subheader("Where the settings differ")
    seeds = {group.name: group.info["seeds"] for group in groups}
    configs = {group.name: exact_config(group) for group in groups}
    table = differences(configs, seeds)
    for names in same_settings(configs):
        st.caption(
            f"The same settings, as far as they are used: {show.literal(', '.join(short[name] for name in names))} "
            f"(checksum {config_checksum(configs[names[0]])[:12]})."
        )
    if table.empty:
        st.caption("Nowhere: every setting that is used and every seed is the same.")
        return
    meanings = {name: field.description for name, field in RunConfig.model_fields.items()} | {"seeds": "Random seeds."}
    shown = table.rename(columns=short).reset_index()
    shown["meaning"] = [meanings[name] for name in shown["setting"]]
    st.dataframe(
        shown,
        hide_index=True,
        key="differences",
        alt=f"The {len(table)} settings in which the groups differ",
        column_config={"setting": st.column_config.TextColumn("Setting", pinned=True), "meaning": "What it means"},
    )
    show.csv_button(table.reset_index(), "compare-settings")


def comparison(groups: list[Group], summaries: Summaries) -> None:
    """Every section takes the same groups in the same order, so that a further one is a line here."""
    told = st.container()
    split, metric = choices(summaries)
    with told:
        what_to_know(groups, summaries, split)
    if is_external(split):
        summaries = on_other_data(summaries, {group.name: figures_on(group, split) for group in groups}, split)
    short = labels(summaries)
    rule = {show.chosen_on(about["selection"]["rule"], split): None for about in summaries.values()}
    data = {show.data_title(about): None for about in summaries.values()}
    counting = "finished " * any(about["under_way"] for about in summaries.values())
    at = f"each {counting}seed's selected epoch, {' or '.join(rule)}"
    where = plots.split_title(split)
    where = f"External test {where}" if is_external(split) else f"{where} split of {', '.join(data)}"
    origin = f"{where} · {at}"
    overview(summaries, short, split, origin)
    ahead = st.container()  # filled last: its draws take a second or more, and the page stands meanwhile
    curves(groups, short, split, metric, origin)
    if any(about["best_seed"] is not None for about in summaries.values()):
        costs(summaries, short, split, metric, origin)
    settings(groups, short)
    show.picture_format()
    with ahead:
        verdicts(groups, short, split, metric, origin)


inside_app()
st.header("Compare")
groups, summaries = readable(chosen_groups())
if len(groups) < FEWEST:
    st.info(f"Choose {FEWEST} to {MOST} groups above to see them side by side.", icon=":material/compare_arrows:")
else:
    comparison(groups, summaries)
