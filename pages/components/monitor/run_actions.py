"""What can be done with one group's seeds: stop, resume, begin anew, move in the queue; and the group's own buttons."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from colora.engines import view
from colora.engines.engine import engine_of
from colora.queue.actions import goes_on
from colora.runs.folder import ENDED_EARLY, Group
from colora.system.errors import UserError
from pages.components import acting, command, group_actions, show

SHOWN_PLACES = 50  # of the queue
AGAIN = (*ENDED_EARLY, "damaged")  # what can begin anew


def do(doing: str, run: Callable[..., Any], *arguments: Any) -> None:
    """Run a command and show the page anew, or the sentence of its refusal."""
    try:
        with st.spinner(doing):
            run(*arguments)
    except UserError as error:
        show.say(error)
    else:
        st.rerun()


@st.dialog("Stop this group?", icon=":material/stop_circle:", on_dismiss="rerun")
def confirm_stop(group: Group) -> None:
    group_actions.in_dialog()
    st.markdown(
        f"Every waiting and running seed of **{show.literal(group.name)}** stops. Finished epochs are kept; the epoch "
        "under way is done again when you resume."
    )
    if acting.button("Stop the seeds", [group], "confirm-stop", acting.DIALOG, needs="stop", type="primary"):
        do("The running seed finishes its step …", command.on_group, group, "stop")


@st.dialog("Resume this group?", icon=":material/resume:", on_dismiss="rerun")
def confirm_resume(group: Group) -> None:
    group_actions.in_dialog()
    st.markdown(f"**{show.literal(group.name)}**:")
    going_on = [run for run in group.runs if run.state in ENDED_EARLY]
    for run in going_on:
        epoch = run.status["epoch"]
        where = f"goes on after epoch {epoch} of {run.status['epochs']}" if epoch else "begins"
        st.markdown(f"- Seed {run.seed} ({run.state}) {where}.")
    if not going_on:
        st.markdown("The waiting seeds are started in their turn.")
    if acting.button("Resume", [group], "confirm-resume", acting.DIALOG, needs="resume", type="primary"):
        do("Starting again …", command.on_group, group, "resume")


@st.dialog("Train these seeds from the beginning?", icon=":material/restart_alt:", on_dismiss="rerun")
def confirm_retry(group: Group) -> None:
    group_actions.in_dialog()
    seeds = [str(run.seed) for run in group.runs if run.state in AGAIN]
    st.markdown(
        f"Seeds {', '.join(seeds)} of **{show.literal(group.name)}** begin anew. What they have so far goes to the "
        "trash of the runs folder. *Resume* would keep their finished epochs."
    )
    if acting.button("Begin anew", [group], "confirm-retry", acting.DIALOG, needs="retry", type="primary"):
        do("Starting anew …", command.on_group, group, "retry")


@st.dialog("Place in the queue", icon=":material/low_priority:", width="medium", on_dismiss="rerun")
def move(group: Group) -> None:
    """The queue, and where this group's waiting seeds are to stand in it."""
    group_actions.in_dialog()
    runs_dir, here = group.path.parent, group.engine == "local"
    waiting = [row for row in view.rows(runs_dir) if row["state"] == "queued" and bool(row["place"]) == here]
    own = [row for row in waiting if row["group"] == group.name]
    if not own:
        st.info(f"Nothing of {show.literal(group.name)} waits any more.", icon=":material/info:")
        return
    st.markdown(f"The waiting seeds of **{show.literal(group.name)}** among all that waits:")
    columns = ["place", "group", "seed", "priority"] if here else ["group", "seed", "priority", "note"]
    alt = "What waits, in the order in which it starts" if here else "What waits in SLURM, and for what"
    st.dataframe(pd.DataFrame(waiting[:SHOWN_PLACES])[columns], hide_index=True, alt=alt, height="content")
    if len(waiting) > SHOWN_PLACES:
        st.caption(f"And {len(waiting) - SHOWN_PLACES} more.")
    st.caption(
        "A higher priority starts first; among equals the order counts. What runs already is not interrupted."
        if here
        else "SLURM orders what waits. A priority below 0 lets other jobs go first; one above 0 is for SLURM's "
        "administrators. *To the front* puts these before your own other jobs, where the cluster allows it."
    )
    priority = st.number_input("Priority of this group", value=own[0]["priority"], step=1, key="priority")
    target = ["queue", "move", group.name, f"--identity={group.identity}", "--runs-dir", str(runs_dir)]
    with st.container(horizontal=True):
        where: dict[str, Any] = {"at": acting.DIALOG, "needs": "move"}
        if acting.button("To the front", [group], "move-first", icon=":material/vertical_align_top:", **where):
            do("Moving …", command.run_colora, [*target, "--first"])
        if acting.button("To the end", [group], "move-last", icon=":material/vertical_align_bottom:", **where):
            do("Moving …", command.run_colora, [*target, "--last"])
        unknown = priority is None
        if acting.button("Set the priority", [group], "set-priority", type="primary", disabled=unknown, **where):
            do("Moving …", command.run_colora, [*target, f"--priority={priority}"])


def actions(group: Group) -> None:
    """Stop what runs; resume what ended before its time, or begin it anew; move what waits; remove what has ended."""
    group_actions.no_dialog()
    states = {run.state for run in group.runs}
    forgotten = "queued" in states and engine_of(group).forgotten(group)

    def pressed(
        label: str, key: str, icon: str, meaning: str | None = None, needs: str | None = None
    ) -> tuple[Group, ...] | None:
        return acting.button(label, [group], key, needs=needs, icon=icon, help=meaning)

    with st.container(horizontal=True, vertical_alignment="center"):
        if any(map(goes_on, group.runs)) and (
            there := pressed("Stop …", "stop", ":material/stop:", needs="stop")
        ):
            confirm_stop(*there)
        if states & set(ENDED_EARLY) or forgotten:
            meaning = "Seeds that stopped, failed or were lost go on after their last finished epoch."
            label = "Run the missing seeds …" if "done" in states else "Resume …"
            if there := pressed(label, "resume", ":material/resume:", meaning, "resume"):
                confirm_resume(*there)
        if states & set(AGAIN):
            meaning = "The same seeds from the first epoch on."
            if there := pressed("Begin anew …", "retry", ":material/restart_alt:", meaning, "retry"):
                confirm_retry(*there)
        meaning = "The order in which waiting seeds start."
        if "queued" in states and (there := pressed("Queue …", "queue", ":material/low_priority:", meaning, "move")):
            move(*there)
        meaning = "Opens Launch with the settings of this group."
        if there := pressed("Copy …", "clone", ":material/content_copy:", meaning, "launch"):
            group_actions.clone(there[0].name)
        if not group.active and (there := pressed("Remove …", "remove", ":material/delete:", needs="rm")):
            group_actions.confirm_remove(list(there), leave=True)
        if any(run.status["epoch"] for run in group.runs):
            st.page_link(
                "pages/evaluate.py", label="Evaluate", icon=":material/analytics:", query_params={"group": group.name}
            )
