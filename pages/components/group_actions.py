"""What can be done with groups of runs as wholes: open, compare, copy, annotate, remove, and undo that."""

from pathlib import Path

import streamlit as st

from colora.results.overview import Line
from colora.runs.folder import Group
from colora.runs.notes import LONGEST, read_notes
from colora.runs.trash import Entry
from colora.system.errors import UserError
from pages.components import acting, command, show
from pages.components.launch.origin import ask_anew
from pages.components.runs import runs_dir

MOST_COMPARED = 8
DIALOG = "dialog-drawn"


def open_group(line: Line) -> None:
    """Evaluate where all is done, else Monitor."""
    try:
        page = "pages/evaluate.py" if line.state == "done" else "pages/monitor.py"
    except UserError:
        page = "pages/monitor.py"  # which says what is damaged
    st.switch_page(page, query_params={"group": line.name})


def clone(name: str) -> None:
    """To the Launch form, filled with a group's settings anew."""
    ask_anew()
    st.switch_page("pages/launch.py", query_params={"clone": name})


def toolbar(chosen: list[Line]) -> None:
    """The buttons for the ticked groups; each says by its help what it wants where it cannot be pressed."""
    no_dialog()
    groups = [line.group for line in chosen]
    one, several = len(groups) == 1, 2 <= len(groups) <= MOST_COMPARED

    def pressed(
        label: str, key: str, icon: str, possible: bool, meaning: str, needs: str | None = None
    ) -> tuple[Group, ...] | None:
        return acting.button(label, groups, key, needs=needs, icon=icon, disabled=not possible, help=meaning)

    with st.container(horizontal=True, vertical_alignment="center"):
        if opened := pressed("Open", "open-one", ":material/open_in_new:", one, "Tick one group."):
            open_group(Line(*opened))
        meaning = f"Side by side; tick 2 to {MOST_COMPARED} groups."
        if compared := pressed("Compare", "compare", ":material/compare:", several, meaning):
            st.switch_page("pages/compare.py", query_params={"groups": ",".join(group.name for group in compared)})
        meaning = "Opens Launch with the settings of this group; tick one."
        if copied := pressed("Copy …", "clone", ":material/content_copy:", one, meaning, "launch"):
            clone(copied[0].name)
        meaning = "Write down what this group is for, or what came out; tick one."
        if noted := pressed("Note …", "note", ":material/edit_note:", one, meaning):
            edit_note(noted[0], read_notes(noted[0]))
        meaning = "To the trash; Undo brings them back."
        if removed := pressed("Remove …", "remove", ":material/delete:", bool(groups), meaning, "rm"):
            confirm_remove(list(removed))
        st.button("Refresh", icon=":material/refresh:", type="tertiary", key="refresh")


def no_dialog() -> None:
    """Before a page's buttons, which may open one."""
    st.session_state[DIALOG] = False


def in_dialog() -> None:
    """Each dialog's first call."""
    st.session_state[DIALOG] = True


def dialog_is_open() -> bool:
    """Whether a dialog was drawn in this run of the page, which showing the page anew would close."""
    return st.session_state[DIALOG]


@st.dialog("Note", icon=":material/edit_note:", on_dismiss="rerun")
def edit_note(group: Group, text: str) -> None:
    in_dialog()
    written = st.text_area(show.literal(group.name), text, max_chars=LONGEST, height=200, key="note-text")
    if acting.button("Save the note", [group], "save-note", acting.DIALOG, needs="note", type="primary"):
        try:
            command.on_group(group, "note", f"--text={written}")
        except UserError as error:
            show.say(error)
        else:
            st.rerun()


@st.dialog("Remove?", icon=":material/delete:", on_dismiss="rerun")
def confirm_remove(groups: list[Group], leave: bool = False) -> None:
    """`leave`: for Overview, from a page that shows the group."""
    in_dialog()
    names = ", ".join(f"**{show.literal(group.name)}**" for group in groups)
    st.markdown(f"{names} will go to the trash. At the foot of *Overview* they can be put back, or removed for good.")
    if acting.button("Remove", groups, "confirm-remove", acting.DIALOG, needs="rm", type="primary"):
        remove(groups, leave)


def remove(groups: list[Group], leave: bool) -> None:
    """To the trash, one after another, and to Overview, which offers to undo it; stops at the first refusal."""
    gone: list[Entry] = []
    try:
        for group in groups:
            gone.append(Entry(Path(command.on_group(group, "rm")["trash"])))
    except UserError as error:
        show.say(error)
        st.session_state["removed"] = gone
        return
    st.session_state["removed"] = gone
    st.switch_page("pages/overview.py") if leave else st.rerun()


def undo_removal() -> None:
    """After groups were removed in this tab: the way back, while they are in the trash."""
    entries = [entry for entry in st.session_state.get("removed", ()) if entry.path.exists()]
    if not entries:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        names, verb = ", ".join(entry.name for entry in entries), "is" if len(entries) == 1 else "are"
        st.info(f"**{show.literal(names)}** {verb} in the trash.", icon=":material/delete:")
        if back := acting.button("Undo", entries, "undo", needs="put-back", icon=":material/undo:"):
            try:
                for entry in back:
                    command.run_colora(["trash", "put-back", entry.path.name, "--runs-dir", str(runs_dir())])
                    entries.remove(entry)
                    st.session_state["removed"] = list(entries)
            except UserError as error:
                show.say(error)
            else:
                st.rerun()
