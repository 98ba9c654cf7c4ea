"""What was removed, at the foot of Overview: what, when, by whom, how large; put it back, or delete it for good.

Nothing of the trash is read while its part of the page is folded.
"""

import hashlib
from pathlib import Path

import pandas as pd
import streamlit as st

from colora.runs import trash
from colora.runs.trash import Entry
from colora.system.errors import UserError
from colora.system.storage import size_text
from pages.components import acting, address, show
from pages.components.group_actions import in_dialog
from pages.components.paged import page_number
from pages.components.runs import runs_dir

ROWS = 20  # entries on one page of the table; of no others the size is asked
KEPT_SIZES = 1_000
TRASH = "trash"  # where it is said that something was pressed in vain


def show_trash() -> None:
    unfolded = st.expander("Trash", icon=":material/delete:", key=address.flag("trash"), on_change="rerun")
    if not unfolded.open:
        return
    with unfolded:
        if said := st.session_state.pop("trash-said", None):
            show.say(said, st.success, ":material/check:")
        if problem := st.session_state.pop("trash-problem", None):
            show.say(problem)
        acting.say(TRASH)
        entries = trash.listed(runs_dir())[::-1]
        if not entries:
            st.caption("The trash is empty. What you remove waits here until you put it back or delete it for good.")
            return
        contents(entries)


def contents(entries: list[Entry]) -> None:
    """The newest first, some at a time."""
    place = st.container()
    number = page_number("trash-page", -(-len(entries) // ROWS))
    shown = entries[(number - 1) * ROWS : number * ROWS]
    with place:
        buttons = st.container(horizontal=True, vertical_alignment="center")
        ticked = table(shown)
        with buttons:
            toolbar(ticked, entries)
    st.caption(
        "Tick what to put back or to delete. A seed that was trained anew stays here as it was before: it is not put "
        "back, and can be deleted."
    )


def table(shown: list[Entry]) -> list[Entry]:
    """The entries on show; returns the ticked ones."""
    who = trash.removers(runs_dir())
    rows = [
        {
            "What": entry.title,
            "Removed": show.time_text(entry.removed) if entry.removed else "unknown",
            "By": who.get(entry.path.name, "unknown"),
            "Size": size_text(_size(str(entry.path))),
        }
        for entry in shown
    ]
    names = "/".join(entry.path.name for entry in shown)
    ticked = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        key=f"trash-{hashlib.sha256(names.encode()).hexdigest()[:12]}",  # so that no tick passes to another entry
        alt="What is in the trash",
        height="content",
    )
    return [shown[row] for row in ticked.selection.rows if row < len(shown)]


@st.cache_data(show_spinner=False, max_entries=KEPT_SIZES)
def _size(path: str) -> int:
    """Bytes; what lies in the trash does not change."""
    return trash.size_of(Entry(Path(path)))


def toolbar(ticked: list[Entry], entries: list[Entry]) -> None:
    whole = bool(ticked) and all(entry.kind in trash.COMES_BACK for entry in ticked)
    about = {"icon": ":material/undo:", "disabled": not whole, "help": "Tick groups, cuts, tests or scans."}
    if back := acting.button("Put back", ticked, "put-back", TRASH, needs="put-back", **about):
        put_back(back)
        st.rerun()
    meaning = "Tick what will not be needed any more."
    about = {"icon": ":material/delete_forever:", "disabled": not ticked, "help": meaning}
    if chosen := acting.button("Remove for good …", ticked, "delete", TRASH, some=True, needs="delete", **about):
        confirm_delete(list(chosen))
    about = {"some": True, "needs": "empty-trash", "type": "tertiary"}
    if all_of_it := acting.button("Empty the trash …", entries, "empty-trash", TRASH, **about):
        confirm_delete(list(all_of_it))


def put_back(entries: tuple[Entry, ...]) -> None:
    """Under their own names, or, where those are taken again, under the next free ones; stops at the first refusal."""
    done = []
    try:
        for entry in entries:
            back = trash.put_back(runs_dir(), entry, trash.free_name(runs_dir(), entry))
            done.append(back.stem if entry.kind == "cut" else back.name)
    except UserError as error:
        st.session_state["trash-problem"] = str(error)
    if done:
        st.session_state["trash-said"] = f"Back again: {', '.join(done)}."


@st.dialog("Remove for good?", icon=":material/delete_forever:", on_dismiss="rerun")
def confirm_delete(entries: list[Entry]) -> None:
    in_dialog()
    some = ", ".join(entry.title for entry in entries[:ROWS])
    more = f" and {len(entries) - ROWS:,} more" if len(entries) > ROWS else ""
    size = size_text(sum(_size(str(entry.path)) for entry in entries))
    st.text(f"{some}{more}: {size}.")
    st.markdown("**This cannot be undone.**")
    about = {"some": True, "needs": "delete", "type": "primary"}
    if chosen := acting.button("Remove for good", entries, "confirm-delete", acting.DIALOG, **about):
        delete(list(chosen))
        st.rerun()


def delete(entries: list[Entry]) -> None:
    """What somebody else has put back or deleted meanwhile is said, and the rest deleted all the same."""
    gone, problems = [], []
    for entry in entries:
        try:
            trash.delete(runs_dir(), entry)
            gone.append(entry)
        except UserError as error:
            problems.append(str(error))
    if problems:
        st.session_state["trash-problem"] = " ".join(problems)
    if gone:
        st.session_state["trash-said"] = f"Deleted for good: {', '.join(entry.title for entry in gone[:ROWS])}."
