"""Where the Launch form begins: a preset, or what there is already; and what is wrong beside its settings."""

from typing import Any

import streamlit as st

from colora.data.cuts import list_cuts
from colora.data.folds import check_seeds
from colora.runs.names import NAME, RULE
from colora.settings.seeds import parse_seeds
from colora.system.errors import UserError
from colora.system.typed import bare, exists
from pages.components import address, cluster, show
from pages.components.launch import form, kept, limits, origin
from pages.components.launch.origin import TITLES, free_name
from pages.components.runs import runs_dir


def fill() -> None:
    """Before anything of the form is drawn: what the address asks for, a preset, a group to copy, a cut to train on,
    and what was typed."""
    origin.current()
    origin.from_address()
    origin.name_start()
    kept.take(origin.current().typed)
    if st.session_state.pop("launched", False):
        st.session_state["launch-name"] = free_name(name(), form.group_names)


def choose_start() -> None:
    """What the form was filled from, and the presets; taking one fills the whole form."""
    filled = origin.current()
    st.session_state["launch-preset"] = filled.title
    st.selectbox(
        "Start from",
        list(dict.fromkeys([filled.title, *TITLES])) if not filled.preset else list(TITLES),
        key="launch-preset",
        on_change=_chosen,
        persist_state="session",
        help="Fills the whole form; everything can be changed then.",
    )
    st.caption(origin.says(filled))
    if filled.note and filled.asked[1] == st.session_state[form.key("cut")]:
        show.say(filled.note, st.warning, ":material/edit:")


def _chosen() -> None:
    if preset := TITLES.get(st.session_state["launch-preset"]):
        origin.from_preset(preset)
        address.drop("clone", "cut")
        origin.name_start()


def problems(values: form.Values, varied: form.Series) -> dict[str, str]:
    """{"name", "seeds", "cut": sentence} of what is wrong beside the settings' own mistakes."""
    found, named = {}, name()
    names = form.group_names(named)
    taken = [group for group in names if exists(runs_dir() / group)]
    if not all(NAME.fullmatch(group) for group in names):
        found["name"] = f"{RULE[0].upper()}{RULE[1:]}."
    elif taken:
        free = free_name(named, form.group_names)
        found["name"] = f"A group named '{taken[0]}' exists already; '{free}' is free."
    else:
        found |= form.name_too_long(named, values, varied)
    try:
        seeds = parse_seeds(st.session_state["launch-seeds"])
    except UserError as error:
        found["seeds"] = str(error)
    else:
        found |= _folds_problem(seeds, [one["folds"] for one in form.each_group(values, varied)])
    if not cluster.chosen():  # which has a time limit of its own
        found |= limits.problems()
    preset = origin.current().preset
    if preset and preset.distilled and not st.session_state[form.key("cut")].strip():
        found["cut"] = _cut_wanted()
    return found


def name() -> str:
    """As it is meant: nobody sees how many spaces stand between two words."""
    return " ".join(bare(st.session_state["launch-name"]).split())


def seeds() -> int:
    """How many are asked for; one where that cannot be read, which `problems` says."""
    try:
        return len(parse_seeds(st.session_state["launch-seeds"]))
    except UserError:
        return 1


def _folds_problem(seeds: list[int], several: list[Any]) -> dict[str, str]:
    """Where the seeds do not leave out every part; what is no number of folds is marked as such."""
    try:
        for folds in several:
            check_seeds(folds if isinstance(folds, int) else None, seeds)
    except UserError as error:
        return {"folds": str(error)}
    return {}


def wanting(values: form.Values) -> set[str]:
    """What is still to be said, and no mistake: a path that nobody has typed, the cut of a preset that needs one."""
    preset = origin.current().preset
    needs_cut = preset and preset.distilled and not bare(st.session_state[form.key("cut")])
    return form.wanting(values) | ({"cut"} if needs_cut else set())


def _cut_wanted() -> str:
    """Which distilled cuts there are to choose from, or how to come to one."""
    names = [row["name"] for row in list_cuts(runs_dir()) if not row["reason"] and row["source"]["group"]]
    if names:
        return f"Name the distilled cut to train on: {', '.join(names[:8])}."
    return "There is no distilled cut yet: train the balanced set first, then make one from that group."
