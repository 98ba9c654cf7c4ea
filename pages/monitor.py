"""One group while it learns: states, progress, curves and log, fresh while something runs."""

from pathlib import Path

import pandas as pd
import streamlit as st

from colora import plots
from colora.errors import UserError
from colora.queue import view
from colora.queue.supervisor import supervising
from colora.results import band, preparing, progress, run_summary, seconds_left
from colora.runs import ACTIVE, ENDED_EARLY, Group
from pages.components import show
from pages.components.command import run_colora
from pages.components.frame import inside_app
from pages.components.removed import unless_removed
from pages.components.runs import chosen_group, reading, show_damage, summary

REFRESH_SECONDS = 2
CURVES = {
    "accuracy": "Share of images whose most probable class is the true one (accuracy). Higher is better.",
    "loss": "How far the predicted probabilities are from the truth (cross-entropy, nats). Lower is better.",
    "auc": "How well a class is told from the others at any threshold (one-vs-rest AUC). Higher is better.",
}
SPREAD = "Bold: median over the seeds; dark: middle half (IQR); light: whole range."


def command(verb: str, group: Group, doing: str) -> None:
    """Run `colora VERB GROUP` and show the page anew, or the sentence of its refusal."""
    try:
        with st.spinner(doing):
            run_colora([verb, str(group.path)])
    except UserError as error:
        st.error(str(error))
    else:
        st.rerun()


@st.dialog("Stop this group?", icon=":material/stop_circle:")
def confirm_stop(group: Group) -> None:
    st.markdown(
        f"Every waiting and running seed of **{group.name}** stops. Finished epochs are kept; the epoch "
        "under way is done again when you resume."
    )
    if st.button("Stop the seeds", type="primary", key="confirm-stop"):
        command("stop", group, "The running seed finishes its step …")


@st.dialog("Train these seeds from the beginning?", icon=":material/restart_alt:")
def confirm_retry(group: Group) -> None:
    seeds = [str(run.seed) for run in group.runs if run.state in (*ENDED_EARLY, "damaged")]
    st.markdown(
        f"Seeds {', '.join(seeds)} of **{group.name}** begin anew. What they have so far goes to the trash of the "
        "runs folder. *Resume* would keep their finished epochs."
    )
    if st.button("Begin anew", type="primary", key="confirm-retry"):
        command("retry", group, "Starting anew …")


@st.dialog("Remove this group?", icon=":material/delete:")
def confirm_remove(group: Group) -> None:
    st.markdown(f"**{group.name}** goes to the trash of the runs folder. *Overview* then offers to undo it.")
    if st.button("Remove the group", type="primary", key="confirm-remove"):
        try:
            run_colora(["rm", str(group.path)])
        except UserError as error:
            st.error(str(error))
        else:
            st.session_state["removed"] = group.name
            st.switch_page("pages/overview.py")


def actions(group: Group) -> None:
    """Stop what runs; resume what ended before its time, or begin it anew; remove what has ended."""
    states = {run.state for run in group.runs}
    forgotten = "queued" in states and supervising(group.path.parent) is None
    with st.container(horizontal=True, vertical_alignment="center"):
        if states & {"queued", *ACTIVE} and st.button("Stop …", icon=":material/stop:", key="stop"):
            confirm_stop(group)
        if states & set(ENDED_EARLY) or forgotten:
            meaning = "Seeds that stopped, failed or were lost go on after their last finished epoch."
            if st.button("Resume", icon=":material/resume:", key="resume", help=meaning):
                command("resume", group, "Starting again …")
        if states & {*ENDED_EARLY, "damaged"}:
            meaning = "The same seeds from the first epoch on."
            if st.button("Begin anew …", icon=":material/restart_alt:", key="retry", help=meaning):
                confirm_retry(group)
        if not group.active and st.button("Remove …", icon=":material/delete:", key="remove"):
            confirm_remove(group)
        if any(len(run.metrics) for run in group.runs):
            st.page_link(
                "pages/results.py",
                label="Results",
                icon=":material/analytics:",
                query_params={"group": group.name},
            )


def overall(group: Group, left: dict[int, float | None]) -> None:
    """The group's state, its progress over all seeds and the time left."""
    done = sum(run.state == "done" for run in group.runs)
    text = f"{done} of {len(group.runs)} seeds done"
    if group.active:
        known = [seconds for seconds in left.values() if seconds is not None]
        text += (
            f" · {show.duration(sum(known))} left"
            if len(known) == len(left)
            else " · time left is known after an epoch"
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        show.state_badge(group.state)
        st.caption(text, width="content")
    st.progress(sum(progress(run) for run in group.runs) / len(group.runs))
    for run in group.runs:
        if now := preparing(run):
            st.caption(f"Seed {run.seed}: {now}")
    if any(run.state == "queued" for run in group.runs):
        place_in_queue(group)


def place_in_queue(group: Group) -> None:
    """Where the waiting seeds stand, or that nobody is going to start them."""
    waiting = [row for row in view.rows(group.path.parent) if row["place"]]
    own = [row for row in waiting if row["group"] == group.name]
    if any(row["note"] == view.NOBODY for row in own):
        st.warning("Nobody starts the waiting seeds: press *Resume*.", icon=":material/hourglass_disabled:")
    elif own:
        places = ", ".join(f"seed {row['seed']} at place {row['place']}" for row in own)
        st.caption(f"In the queue: {places} of {len(waiting)}")


def seed_table(group: Group, left: dict[int, float | None]) -> pd.DataFrame:
    """One row a seed: where it stands, and the figures of its selected epoch so far."""
    rows, wait = [], 0.0  # the seeds run one after another
    for run in group.runs:
        found, status = run_summary(run), run.status
        waits = status["state"] in (*ACTIVE, "queued")
        wait = None if wait is None or left[run.seed] is None else wait + left[run.seed]
        rows.append(
            {
                "Seed": run.seed,
                "State": [status["state"]],
                "Progress": 100 * progress(run),
                "Epoch": f"{status['epoch']} of {status['epochs']}",
                "Time left": show.duration(wait) if waits and wait is not None else None,
                "Best epoch": found.get("selected_epoch"),
                "Validation accuracy": found["val"]["accuracy"] if "val" in found else None,
                "Test accuracy": found["test"]["accuracy"] if "test" in found else None,
            }
        )
    return pd.DataFrame(rows).astype({"Best epoch": "Int64"})


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
        tell(f"**{who} {state}.** {sentence}", icon=show.STATES[state][1])
        if details:
            with st.expander("Last lines of its log"):
                st.code(details, language=None, wrap_lines=True)


def curves(group: Group, data: str) -> None:
    grid = st.grid(3, min_column_width=300)
    for metric, says in CURVES.items():
        bands = {split: band(group.runs, f"{split}_{metric}") for split in plots.SPLIT_NAMES}
        parts = [table.assign(metric=metric, split=split) for split, table in bands.items() if len(table)]
        with grid.cell():
            show.show_figure(
                plots.learning_curves(bands, metric),
                plots.METRIC_NAMES[metric],
                says,
                f"{plots.METRIC_NAMES[metric]} on train, validation and test over epochs, {group.name}",
                pd.concat(parts, ignore_index=True),
                f"{group.name}-{metric}-curves",
                data,
            )
    st.caption(SPREAD)


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


@unless_removed
def live(path: Path, refreshing: bool) -> None:
    """Everything that changes while the group runs, read anew at each call."""
    group = Group(path)
    try:
        about = summary(group)
        with reading(group):
            left = seconds_left(group.runs)
    except UserError as error:
        show_damage(group, error)
        return
    overall(group, left)
    reasons(group)
    st.dataframe(
        seed_table(group, left),
        hide_index=True,
        key="seeds",
        placeholder="–",
        alt=f"The seeds of {group.name}",
        column_config={
            "State": show.STATE_COLUMN,
            "Progress": st.column_config.ProgressColumn(format="%d%%", max_value=100),
            "Validation accuracy": st.column_config.NumberColumn(format="%.3f"),
            "Test accuracy": st.column_config.NumberColumn(format="%.3f"),
        },
    )
    if any(len(run.metrics) for run in group.runs):
        curves(group, show.data_title(about))
    else:
        st.info("The curves begin when the first epoch is finished.", icon=":material/show_chart:")
    log(group)
    if refreshing != group.active:
        st.rerun()  # the whole page once more: its buttons depend on whether something runs


inside_app()
st.header("Monitor")
group = chosen_group("monitor")
try:
    about = summary(group)
except UserError as error:
    show_damage(group, error)
    st.stop()
show.about_line(about)
actions(group)
st.fragment(live, run_every=REFRESH_SECONDS if group.active else None)(group.path, group.active)
