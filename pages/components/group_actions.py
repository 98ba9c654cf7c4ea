"""What can be done with groups of runs as wholes: open, compare, copy, annotate, remove, and undo that."""

import streamlit as st

from colora.errors import UserError
from colora.notes import LONGEST
from colora.overview import Line
from colora.queue.trash import listed
from colora.runs import Group
from pages.components import command, show
from pages.components.origin import ask_anew
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
    one, names = len(chosen) == 1, ",".join(line.name for line in chosen)
    several = 2 <= len(chosen) <= MOST_COMPARED
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Open", icon=":material/open_in_new:", disabled=not one, help="Tick one group.", key="open-one"):
            open_group(chosen[0])
        help_text = f"Side by side; tick 2 to {MOST_COMPARED} groups."
        if st.button("Compare", icon=":material/compare:", disabled=not several, help=help_text, key="compare"):
            st.switch_page("pages/compare.py", query_params={"groups": names})
        help_text = "Opens Launch with the settings of this group; tick one."
        if st.button("Copy …", icon=":material/content_copy:", disabled=not one, help=help_text, key="clone"):
            clone(chosen[0].name)
        help_text = "Write down what this group is for, or what came out; tick one."
        if st.button("Note …", icon=":material/edit_note:", disabled=not one, help=help_text, key="note"):
            edit_note(chosen[0].group, chosen[0].notes)
        help_text = "To the trash; Undo brings them back."
        if st.button("Remove …", icon=":material/delete:", disabled=not chosen, help=help_text, key="remove"):
            confirm_remove([line.group for line in chosen])
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
    if st.button("Save the note", type="primary", key="save-note"):
        try:
            command.run_colora(["note", str(group.path), f"--text={written}"])
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
    if st.button("Remove", type="primary", key="confirm-remove"):
        remove(groups, leave)


def remove(groups: list[Group], leave: bool) -> None:
    """To the trash, one after another, and to Overview, which offers to undo it; stops at the first refusal."""
    gone = []
    try:
        for group in groups:
            command.run_colora(["rm", str(group.path)])
            gone.append(group.name)
    except UserError as error:
        show.say(error)
        st.session_state["removed"] = gone
        return
    st.session_state["removed"] = gone
    st.switch_page("pages/overview.py") if leave else st.rerun()


def undo_removal() -> None:
    """After groups were removed in this tab: the way back, while they are in the trash."""
    there = {entry.name for entry in listed(runs_dir())} if st.session_state.get("removed") else set()
    names = [name for name in st.session_state.get("removed", ()) if name in there]
    if not names:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        verb = "is" if len(names) == 1 else "are"
        st.info(f"**{show.literal(', '.join(names))}** {verb} in the trash.", icon=":material/delete:")
        if st.button("Undo", icon=":material/undo:", key="undo"):
            try:
                for name in list(names):
                    command.run_colora(["rm", "--undo", str(runs_dir() / name)])
                    st.session_state["removed"] = names = [other for other in names if other != name]
            except UserError as error:
                show.say(error)
            else:
                st.rerun()
