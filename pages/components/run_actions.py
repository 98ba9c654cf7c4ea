"""What can be done with one group's seeds: stop, resume, begin anew, move in the queue; and the group's own buttons."""

import pandas as pd
import streamlit as st

from colora.engines import engine_of
from colora.errors import UserError
from colora.queue import view
from colora.queue.actions import goes_on
from colora.runs import ENDED_EARLY, Group
from pages.components import command, group_actions, show

SHOWN_PLACES = 50  # of the queue
AGAIN = (*ENDED_EARLY, "damaged")  # what can begin anew


def do(arguments: list[str], doing: str) -> None:
    """Run `colora ARGUMENTS` and show the page anew, or the sentence of its refusal."""
    try:
        with st.spinner(doing):
            command.run_colora(arguments)
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
    if st.button("Stop the seeds", type="primary", key="confirm-stop"):
        do(["stop", str(group.path)], "The running seed finishes its step …")


@st.dialog("Resume this group?", icon=":material/resume:", on_dismiss="rerun")
def confirm_resume(group: Group) -> None:
    group_actions.in_dialog()
    going_on = [run for run in group.runs if run.state in ENDED_EARLY]
    for run in going_on:
        epoch = run.status["epoch"]
        where = f"goes on after epoch {epoch} of {run.status['epochs']}" if epoch else "begins"
        st.markdown(f"- Seed {run.seed} ({run.state}) {where}.")
    if not going_on:
        st.markdown("The waiting seeds are started in their turn.")
    if st.button("Resume", type="primary", key="confirm-resume"):
        do(["resume", str(group.path)], "Starting again …")


@st.dialog("Train these seeds from the beginning?", icon=":material/restart_alt:", on_dismiss="rerun")
def confirm_retry(group: Group) -> None:
    group_actions.in_dialog()
    seeds = [str(run.seed) for run in group.runs if run.state in AGAIN]
    st.markdown(
        f"Seeds {', '.join(seeds)} of **{show.literal(group.name)}** begin anew. What they have so far goes to the "
        "trash of the runs folder. *Resume* would keep their finished epochs."
    )
    if st.button("Begin anew", type="primary", key="confirm-retry"):
        do(["retry", str(group.path)], "Starting anew …")


@st.dialog("Place in the queue", icon=":material/low_priority:", width="medium", on_dismiss="rerun")
def move(group: Group) -> None:
    """The queue, and where this group's waiting seeds are to stand in it."""
    group_actions.in_dialog()
    runs_dir, here = group.path.parent, group.engine == "local"
    waiting = [row for row in view.rows(runs_dir) if row["state"] == "queued" and bool(row["place"]) == here]
    own = [row for row in waiting if row["group"] == group.name]
    if not own:
        st.info("Nothing of this group waits any more.", icon=":material/info:")
        return
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
    target = ["queue", "move", group.name, "--runs-dir", str(runs_dir)]
    with st.container(horizontal=True):
        if st.button("To the front", icon=":material/vertical_align_top:", key="move-first"):
            do([*target, "--first"], "Moving …")
        if st.button("To the end", icon=":material/vertical_align_bottom:", key="move-last"):
            do([*target, "--last"], "Moving …")
        if st.button("Set the priority", type="primary", key="set-priority", disabled=priority is None):
            do([*target, f"--priority={priority}"], "Moving …")


def actions(group: Group) -> None:
    """Stop what runs; resume what ended before its time, or begin it anew; move what waits; remove what has ended."""
    group_actions.no_dialog()
    states = {run.state for run in group.runs}
    forgotten = "queued" in states and engine_of(group).forgotten(group)
    with st.container(horizontal=True, vertical_alignment="center"):
        if any(map(goes_on, group.runs)) and st.button("Stop …", icon=":material/stop:", key="stop"):
            confirm_stop(group)
        if states & set(ENDED_EARLY) or forgotten:
            meaning = "Seeds that stopped, failed or were lost go on after their last finished epoch."
            label = "Run the missing seeds …" if "done" in states else "Resume …"
            if st.button(label, icon=":material/resume:", key="resume", help=meaning):
                confirm_resume(group)
        if states & set(AGAIN):
            meaning = "The same seeds from the first epoch on."
            if st.button("Begin anew …", icon=":material/restart_alt:", key="retry", help=meaning):
                confirm_retry(group)
        meaning = "The order in which waiting seeds start."
        if "queued" in states and st.button("Queue …", icon=":material/low_priority:", key="queue", help=meaning):
            move(group)
        meaning = "Opens Launch with the settings of this group."
        if st.button("Copy …", icon=":material/content_copy:", key="clone", help=meaning):
            group_actions.clone(group.name)
        if not group.active and st.button("Remove …", icon=":material/delete:", key="remove"):
            group_actions.confirm_remove([group], leave=True)
        if any(run.status["epoch"] for run in group.runs):
            st.page_link(
                "pages/evaluate.py", label="Evaluate", icon=":material/analytics:", query_params={"group": group.name}
            )
