"""The runs folder as the pages see it: which groups there are, which one is looked at, what is damaged."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import streamlit as st

from colora.errors import UserError
from colora.results import group_summary
from colora.runs import Group, list_groups
from pages.components import address, show

ROOT = Path(__file__).parent.parent.parent  # where app.py is
DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
)  # what a half-written or foreign file can lead to


def runs_dir() -> Path:
    """COLORA_RUNS_DIR, or `runs` beside app.py."""
    return Path(os.environ.get("COLORA_RUNS_DIR") or ROOT / "runs").expanduser().absolute()


@contextmanager
def reading(group: Group) -> Iterator[None]:
    """Whatever goes wrong while a group's files are read becomes a UserError with a sentence."""
    try:
        yield
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(
            f"{group.path} does not hold what this version writes ({type(error).__name__}: "
            f"{str(error).partition(chr(10))[0]}); the folder is damaged."
        ) from error


def file_stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of last change: what a cached reading of a file is keyed by."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_size, stat.st_mtime_ns


def summary(group: Group) -> dict[str, Any]:
    """`results.group_summary`, computed anew only when a file of the group or a process's life has changed.

    Raises UserError where the folder is damaged.
    """
    files = ("status.json", "config.json", "metrics.jsonl")
    with reading(group):
        stamps = [(run.state, *(file_stamp(run.path / name) for name in files)) for run in group.runs]
        return _summary(group, str(group.path), file_stamp(group.path / "group.json"), stamps)


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
    """The group named in the address, or else the newest, and a chooser. Ends the page where there is none.

    `what` completes "There is nothing to ... yet."
    """
    groups = {group.name: group for group in list_groups(runs_dir())}
    if not groups:
        st.info(f"There is nothing to {what} yet: no run has been launched.", icon=":material/info:")
        st.page_link("pages/launch.py", label="Launch a first run", icon=":material/play_arrow:")
        st.stop()
    asked = address.get("group") or st.session_state.get("last-group")
    if asked and asked not in groups:
        place = show.literal(runs_dir())
        st.warning(f"There is no group named '{show.brief(asked)}' in {place}. This is the newest one instead.")
    name = asked if asked in groups else next(iter(groups))
    st.session_state["last-group"] = st.session_state["group"] = name
    if address.get("group") != name:
        address.put("group", name)
        address.tell()  # now, for whoever chooses something while the page is drawn
    st.selectbox("Group of runs", list(groups), key="group", on_change=_follow_choice)
    return groups[name]


def _follow_choice() -> None:
    """The address names the group, so that a reload or a shared link shows the same one."""
    address.put("group", st.session_state["group"], waits=True)
