"""Where the Launch form begins: a preset, or a copy of a group that there is."""

import streamlit as st

from colora.config import format_seeds, parse_seeds
from colora.cuts import list_cuts
from colora.errors import UserError
from colora.presets import PRESETS, Preset
from colora.runs import NAME, open_group
from colora.typed import bare, exists, shortened
from colora.vary import suffix
from pages.components import address, form, show
from pages.components.runs import reading, runs_dir

TITLES = {preset.title: preset for preset in PRESETS}


def free_name(name: str, endings: tuple[str, ...] = ("",)) -> str:
    """`name`, with the next number if a group has it already, alone or with one of the endings."""
    names = (name if n == 1 else f"{name}-{n}" for n in range(1, 10_000))
    return next(n for n in names if not any(exists(runs_dir() / (n + ending)) for ending in endings))


def choose_start() -> None:
    """The presets; taking one fills the whole form. The address may name a group to copy, and a cut to train on."""
    if form.key("dataset") not in st.session_state:
        _start_from(PRESETS[0])
    elif st.session_state.pop("launched", False):
        name = st.session_state["launch-name"]
        st.session_state["launch-name"] = free_name(name, endings(form.series(form.read())))
    _copy_asked_for()
    st.selectbox(
        "Start from",
        list(TITLES),
        key="launch-preset",
        index=None if "launch-copied" in st.session_state else 0,
        placeholder="a preset",
        on_change=_preset_chosen,
        persist_state="session",
        help="Fills the whole form; everything can be changed then.",
    )
    if preset := TITLES.get(st.session_state["launch-preset"]):
        st.caption(preset.about)
    elif copied := st.session_state.get("launch-copied"):
        st.caption(f":material/content_copy: The settings of **{show.literal(copied)}**.")
    of_cut, note = st.session_state.get("launch-note", (None, ""))
    if of_cut and of_cut == st.session_state[form.key("cut")]:
        show.say(note, st.warning, ":material/edit:")


def _preset_chosen() -> None:
    if preset := TITLES.get(st.session_state["launch-preset"]):
        _start_from(preset)
        st.session_state.pop("launch-copied", None)
        address.drop("clone", "cut")


def _start_from(preset: Preset) -> None:
    form.fill(preset.values)
    st.session_state["launch-name"], st.session_state["launch-seeds"] = free_name(preset.name), preset.seeds


def _copy_asked_for() -> None:
    """`?clone=GROUP`, once in a tab for each visit that names it; `&cut=NAME` sets that, too."""
    asked = address.get("clone")
    if not asked or st.session_state.get("launch-copied") == asked:
        return
    try:
        if not NAME.fullmatch(asked):
            raise UserError(f"'{shortened(asked)}' is no name of a group.")
        group = open_group(runs_dir() / asked)
        with reading(group):
            values, seeds = group.config.model_dump(), group.info["seeds"]
    except UserError as error:
        show.say(f"No copy. {error}")
        return
    if cut := address.get("cut"):
        values |= {"cut": cut, "train_set": "complete", "per_class": None}  # the cut names the images itself
    form.fill(values)
    st.session_state["launch-name"], st.session_state["launch-seeds"] = free_name(asked), format_seeds(seeds)
    st.session_state["launch-preset"], st.session_state["launch-copied"] = None, asked


def endings(series: dict[str, list]) -> tuple[str, ...]:
    """What is added to the name for each value of the field that has several; one empty ending without such a field."""
    field, values = next(iter(series.items()), (None, []))
    return tuple(f"-{suffix(field, value)}" for value in values) or ("",)


def problems(series: dict[str, list]) -> dict[str, str]:
    """{"name", "seeds", "cut": sentence} of what is wrong beside the settings' own mistakes."""
    found, name = {}, bare(st.session_state["launch-name"])
    taken = [name + ending for ending in endings(series) if exists(runs_dir() / (name + ending))]
    if not all(NAME.fullmatch(name + ending) for ending in endings(series)):
        found["name"] = (
            "Use up to 80 letters, digits, dots, dashes and underscores, beginning with a letter or a digit; no spaces."
        )
    elif taken:
        free = free_name(name, endings(series))
        found["name"] = f"A group named '{taken[0]}' exists already; '{free}' is free."
    try:
        parse_seeds(st.session_state["launch-seeds"])
    except UserError as error:
        found["seeds"] = str(error)
    preset = TITLES.get(st.session_state["launch-preset"])
    if preset and preset.distilled and not st.session_state[form.key("cut")].strip():
        found["cut"] = _cut_wanted()
    return found


def _cut_wanted() -> str:
    """Which distilled cuts there are to choose from, or how to come to one."""
    names = [row["name"] for row in list_cuts(runs_dir()) if not row["reason"]]
    if names:
        return f"Name the distilled cut to train on: {', '.join(names[:8])}."
    return "There is no distilled cut yet: train the balanced set first, then make one from that group."
