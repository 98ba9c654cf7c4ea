"""One group while it learns: states, progress, curves and log, fresh while something runs."""

from typing import Any

import streamlit as st

from colora import plots
from colora.engines import view
from colora.queue import worked
from colora.results.overview import Line
from colora.results.summary import data_found, preparing, progress
from colora.runs.documents import DATA, contained
from colora.runs.finished import counted, says_reached
from colora.runs.folder import Group
from colora.runs.siblings import apart_rows, says_apart
from colora.runs.trained_said import says_few_reached, says_trained
from colora.system.duration import duration
from colora.system.errors import UserError
from pages.components import address, cluster, elsewhere, group_actions, leaks, show, sign_in
from pages.components.frame import inside_app
from pages.components.monitor.run_actions import actions
from pages.components.monitor.seen import Seen, curves_of, seen, waiting_rows
from pages.components.removed import unless_removed
from pages.components.runs import chosen_group, file_stamp, show_damage

REFRESH_SECONDS = 2
CURVES = {
    "accuracy": "Share of images whose most probable class is the true one (accuracy). Higher is better.",
    "loss": "How far the predicted probabilities are from the truth (cross-entropy, nats). Lower is better.",
    "auc": "How well a class is told from the others at any threshold (one-vs-rest AUC). Higher is better.",
}
SPREAD = "Bold: median over {}; dark: middle half (IQR); light: whole range."
EACH_EPOCH = " Every epoch is over the seeds that have finished it, done or not: {}."
MERGES = " Triangles: epochs after which the updates were merged into the kernels."


def about(line: Line) -> dict[str, Any]:
    """What `show.about_line` tells, without reading a single figure."""
    source, synthetic = line.data
    config = line.config
    return {
        "data": {
            "source": source,
            "synthetic": synthetic,
            "image_size": config["image_size"],
            "folds": config.get("folds"),  # older groups have written none
            "cut": line.cut,
        },
        "selection": {"rule": config["selection"]},
        "backbone": config["backbone"],
        "method": config["method"],
        "launched_by": line.launched_by,
        "created": line.created,
    }


def overall(group: Group, left: dict[int, float | None]) -> None:
    """The group's state, its progress over all seeds and the time left, that of the seed which ends last."""
    done = sum(run.state == "done" for run in group.runs)
    text = f"{done} of {len(group.runs)} seeds done"
    if group.active:
        seconds = None if None in left.values() else max(left.values())
        text += " · time left is known after an epoch" if seconds is None else f" · {duration(seconds)} left"
    with st.container(horizontal=True, vertical_alignment="center"):
        show.state_badge(group.state)
        st.caption(text, width="content")
    st.progress(sum(progress(run) for run in group.runs) / len(group.runs))
    for run in group.runs:
        if now := preparing(run):
            st.caption(f"Seed {run.seed}: {show.literal(now)}")
        if told := run.status.get("silent_says"):
            st.warning(f"**Seed {run.seed}** is {show.literal(told)}", icon=":material/volume_off:")
    if any(run.state == "queued" for run in group.runs):
        place_in_queue(group)


def place_in_queue(group: Group) -> None:
    """Where the waiting seeds stand, or why nobody is going to train them."""
    waiting = waiting_rows(group)
    own = [row for row in waiting if row["group"] == group.name]
    if own and (told := view.unattended(group, worked.watched(group.path.parent))):
        st.warning(show.literal(told[0].upper() + told[1:]), icon=":material/hourglass_disabled:")
    elif own:
        places = ", ".join(f"seed {row['seed']} at place {row['place']}" for row in own)
        priority = f" · priority {own[0]['priority']}" if own[0]["priority"] else ""
        st.caption(f"In the queue: {places} of {len(waiting)}{priority}")


def reasons(group: Group) -> None:
    """Why seeds ended before their time, in words; equal reasons once."""
    said: dict[tuple[str, str], list[int]] = {}
    for run in group.runs:
        if run.status["reason"]:
            said.setdefault((run.state, run.status["reason"]), []).append(run.seed)
    for (state, reason), seeds in said.items():
        who = f"Seed {seeds[0]}" if len(seeds) == 1 else f"Seeds {', '.join(map(str, seeds))}"
        sentence, _, details = reason.partition("\n")
        tell = st.error if state in ("failed", "lost", "damaged") else st.info
        tell(f"**{who} {state}.** {show.literal(sentence)}", icon=show.STATES[state][1])
        if details:
            with st.expander("Last lines of its log"):
                st.code(details, language=None, wrap_lines=True)


def weights_trained(group: Group) -> None:
    """How much of the network the adapters reach and train, as the first seed that has started counted it."""
    counts = next((run.resolved.parameters for run in group.runs if run.state != "damaged" and run.resolved), {})
    if said := says_trained(counts):
        st.caption(show.literal(said))
    if few := says_few_reached(counts):
        st.warning(show.literal(few), icon=":material/warning:")


def curves(group: Group, now: Seen) -> None:
    """Loss, accuracy and AUC over the epochs; single seeds where someone asks for them."""
    origin = f"Train, validation and test splits of {show.data_title(about(Line(group)))} · all epochs, none selected"
    seeds: list[int] = []
    if len(group.runs) > 1:
        known = [run.seed for run in group.runs]
        seeds = st.pills("Single seeds", known, selection_mode="multi", key=address.several("single", known))
    drawn = curves_of(group, seeds, origin)
    grid = st.grid(3, min_column_width=300)
    for metric, says in CURVES.items():
        figure, table = drawn[metric]
        with grid.cell():
            show.show_figure(
                figure,
                plots.METRIC_NAMES[metric],
                says,
                f"{plots.METRIC_NAMES[metric]} on train, validation and test over epochs, {group.name}",
                table,
                f"{group.name}-{metric}-curves",
                origin,
            )
    st.caption(behind(now.epochs, len(group.runs)) + (MERGES if now.merged else ""))


def behind(epochs: list[int], seeds: int) -> str:
    """How the curves are to be read, and of how many of the group's `seeds` they are; `epochs` that each of those which
    count has finished."""
    reached = sum(epoch > 0 for epoch in epochs)
    said = SPREAD.format(counted(reached, seeds)) if reached > 1 else f"The line is of {counted(reached, seeds)}."
    return said + (EACH_EPOCH.format(says_reached(epochs, seeds)) if len(set(epochs)) > 1 else "")


def log(group: Group) -> None:
    """The end of one seed's log, read only while it is unfolded."""
    unfolded = st.expander("Log", icon=":material/notes:", key="log", on_change="rerun")
    if not unfolded.open:
        return
    with unfolded:
        by_seed = {run.seed: run for run in group.runs}
        telling = [r.seed for r in group.runs if r.state in ("failed", "running", "starting")] or list(by_seed)
        seed = st.selectbox("Seed", list(by_seed), index=list(by_seed).index(telling[0]), key=f"log-seed-{group.name}")
        st.code(by_seed[seed].log_tail() or "This seed has written nothing yet.", language=None, wrap_lines=True)


def standing(group: Group) -> tuple[Any, ...]:
    """What the page's head and buttons depend on: whether something runs, whether the queue is worked, and the check of
    the data, which the first seed writes anew."""
    return group.active, worked.watched(group.path.parent) is None, file_stamp(group.path / DATA)


@unless_removed
def live(group: Group, drawn: tuple[Any, ...]) -> None:
    """Everything that changes while the group runs, read anew at each call."""
    sign_in.still()
    try:
        with contained(group.path):
            now = seen(group)
    except UserError as error:
        show_damage(group, error)
        return
    overall(group, now.left)
    if told := says_apart({"apart": apart_rows(group)}):
        st.warning(show.literal(told), icon=":material/call_split:")
    reasons(group)
    weights_trained(group)
    rule = group.config.selection
    word = show.optimistic(rule)
    st.dataframe(
        now.table,
        hide_index=True,
        key="seeds",
        placeholder="–",
        alt=f"The seeds of {group.name}",
        column_config={
            "State": show.STATE_COLUMN,
            "Progress": st.column_config.ProgressColumn(format="%d%%", max_value=100),
            "Images/s": st.column_config.NumberColumn(format="%.1f", help="Training images a second, last epoch"),
            "Validation accuracy": st.column_config.NumberColumn(format="%.3f"),
            "Test accuracy": st.column_config.NumberColumn(
                f"Test accuracy,{word}" if word else None, format="%.3f", help=show.OPTIMISTIC if word else None
            ),
        },
    )
    best = f"each seed's best epoch so far, {show.chosen_on(rule)}"
    show.csv_button(now.table.assign(State=now.table["State"].str[0]), f"{group.name}-seeds", best)
    st.caption(
        f"Accuracies are of {best}. Only seeds that are done count in figures over seeds, on *Overview*, *Evaluate* "
        "and *Compare*."
    )
    cluster.show_jobs(group)
    if any(now.epochs):
        curves(group, now)
    else:
        st.info("The curves begin when the first epoch is finished.", icon=":material/show_chart:")
    log(group)
    address.tell()
    if drawn != standing(group) and not group_actions.dialog_is_open():
        st.rerun()  # the whole page once more, with other buttons


inside_app()
st.header("Monitor")
group = chosen_group("monitor")
try:
    with contained(group.path):
        told, data = about(Line(group)), data_found(group)
except UserError as error:
    show_damage(group, error)
    st.stop()
show.about_line(told)
leaks.line_and_banner(group, data)
drawn = standing(group)
actions(group)
st.fragment(live, run_every=REFRESH_SECONDS if group.active else None)(group, drawn)
show.picture_format()
if not group.active:
    elsewhere.renew_at_changes(group)
