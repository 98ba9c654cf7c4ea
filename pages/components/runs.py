"""The runs folder as the pages see it: which groups there are, which one is looked at, what is damaged."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from colora.results.summary import group_summary
from colora.runs.documents import DATA, EXTERNAL, contained
from colora.runs.external import external_splits
from colora.runs.folder import Group
from colora.runs.listing import list_groups
from colora.runs.names import external_folder
from colora.system.errors import UserError
from colora.system.files import file_stamp
from colora.system.installation import ROOT
from colora.system.typed import at_home
from pages.components import address, show

SHOWN = "shown-group"


class Shown(NamedTuple):
    """What this tab has shown last, by name and identity."""

    name: str
    identity: str


def runs_dir() -> Path:
    """COLORA_RUNS_DIR, or `runs` beside app.py."""
    return at_home(os.environ.get("COLORA_RUNS_DIR") or ROOT / "runs").absolute()


def place_stamps(path: Path) -> list[Any]:
    """Where a path leads, and the state of what lies there: of a file, or of a folder and its sub-folders, the classes.

    Raises UserError where it cannot be looked at.
    """
    try:
        real = Path(os.path.realpath(path))
        inside = [Path(entry.path) for entry in os.scandir(real) if entry.is_dir()] if real.is_dir() else []
        return [(str(place), file_stamp(place)) for place in (real, *sorted(inside))]
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read: {why}.", field="dataset") from error


def summary(group: Group) -> dict[str, Any]:
    """`results.summary.group_summary`, computed anew only when a file of the group or a process's life has changed.

    Raises UserError where the folder is damaged.
    """
    files = ("status.json", "config.json", "metrics.jsonl")
    with contained(group.path):
        stamps = [(run.state, *(file_stamp(run.path / name) for name in files)) for run in group.runs]
        tests = [file_stamp(external_folder(group.path, split) / EXTERNAL) for split in external_splits(group)]
        whole = [*(file_stamp(group.path / name) for name in ("group.json", DATA)), tests]
        return _summary(group, str(group.path), whole, stamps)


@st.cache_data(show_spinner=False, max_entries=256)
def _summary(_group: Group, path: str, group_stamp: Any, run_stamps: Any) -> dict[str, Any]:
    return group_summary(_group)


def show_damage(group: Group, error: UserError) -> None:
    """What is wrong with a group; where it was removed while the page was drawn, the page anew, which says that."""
    if not group.path.is_dir():
        st.rerun()
    why = show.literal(str(error).splitlines()[0])
    st.error(f"**{show.literal(group.name)}** is damaged: {why}", icon=":material/broken_image:")
    st.caption("Other groups are not affected. Restore the file from a copy, or move the folder elsewhere.")


def show_damaged_seeds(about: dict[str, Any]) -> None:
    """Each seed of a group whose folder is damaged, with the sentence that says where."""
    for row in about["seeds"]:
        if row["state"] == "damaged":
            why = show.literal(row["reason"])
            st.error(f"**Seed {row['seed']} is damaged:** {why}", icon=":material/broken_image:")


def chosen_group(what: str) -> Group:
    """`found_group`; ends the page where there is none."""
    group = found_group(what)
    if group is None:
        st.stop()
    return group


def found_group(what: str) -> Group | None:
    """The group named in the address, or else the newest, and a chooser. None where there is none, and where the one
    that the page has shown has gone: no other takes its place, under buttons that were meant for it.

    `what` completes "There is nothing to ... yet."
    """
    groups = {group.name: group for group in list_groups(runs_dir())}
    shown, asked = st.session_state.get(SHOWN), address.get("group")
    if shown and shown.name == asked and asked not in groups:
        gone = f"**{show.literal(asked)}** was removed elsewhere meanwhile."
        st.warning(f"{gone} Choose another group." if groups else gone, icon=":material/warning:")
        st.session_state["group"] = None
        if groups:
            hint = "Choose a group"
            st.selectbox("Group of runs", list(groups), None, key="group", on_change=_follow_choice, placeholder=hint)
        return None
    if not groups:
        st.info(f"There is nothing to {what} yet: no run has been launched.", icon=":material/info:")
        st.page_link("pages/launch.py", label="Launch a first run", icon=":material/play_arrow:")
        return None
    asked = asked or st.session_state.get("last-group")
    if asked and asked not in groups:
        place = show.literal(runs_dir())
        st.warning(f"There is no group named '{show.brief(asked)}' in {place}. This is the newest one instead.")
    name = asked if asked in groups else next(iter(groups))
    st.session_state["last-group"] = st.session_state["group"] = name
    if address.get("group") != name:
        address.put("group", name)
        address.tell()  # now, for whoever chooses something while the page is drawn
    st.selectbox("Group of runs", list(groups), key="group", on_change=_follow_choice)
    group = groups[name]
    if shown and shown.name == name and shown.identity != group.identity:
        st.info(f"**{show.literal(name)}** was made anew elsewhere: this is the new one.", icon=":material/info:")
    st.session_state[SHOWN] = Shown(name, group.identity)
    return group


def _follow_choice() -> None:
    """The address names the group, so that a reload or a shared link shows the same one."""
    address.put("group", st.session_state["group"], waits=True)
