"""The bar at the bottom of the Launch form, always in view: what will run and the button, or what stands in the way."""

from collections.abc import Collection, Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from colora.settings.config import KNOWN_WEIGHTS, WITH_PATH, RunConfig
from colora.system.typed import shortened
from pages.components import show
from pages.components.launch import fields, form, kept, limits, thorough, ways

REFUSED = "launch-refused"
OTHERS = {"name": "Name", "seeds": "Random seeds", "weights": "Weights to start from"}
OTHERS |= {field: label for field, (label, _) in limits.FIELDS.items()}
IN_SIMPLE = {"dataset": "Which scans", "name": "What it is called"}
LOOK = {"type": "primary", "icon": ":material/play_arrow:"}


def place() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Where it says something, and where its button is."""
    with st.bottom:
        line = st.container(horizontal=True, vertical_alignment="center", key="launch-bar")
    return line.container(), line.container(width="content")


def name_of(field: str, values: form.Values) -> str:
    """A field by its label on the page; of one with a path that of the path."""
    kind = values["dataset"].partition(":")[0]
    if ways.simple() and field in IN_SIMPLE:
        return IN_SIMPLE[field]
    if field == "dataset" and kind in WITH_PATH:
        return fields.SOURCE_PATHS[kind][0]
    if field == "weights" and values["weights"] not in KNOWN_WEIGHTS:
        return "Weights file"
    return OTHERS.get(field) or fields.label(field)


def stands_in_the_way(
    wanting: Collection[str], wrong: Collection[str], asked: Collection[str], values: form.Values
) -> None:
    """What is still to be said, put right, or answered, and a button that cannot be pressed yet."""
    says, button = place()
    parts = {"Still to be said": wanting, "To be put right": wrong, "To be answered": asked}
    told = [f"{what}: {_listed(those, values)}" for what, those in parts.items() if those]
    with says:
        st.markdown(f":material/edit: {'. '.join(told)}.")
    with button:
        st.button("Launch", disabled=True, key="launch-button", **LOOK)


def will_run(names: list[str], seeds: int, configs: Sequence[RunConfig]) -> str:
    """What is launched, in one line of Markdown."""
    what = f"**{show.literal(names[0])}**" if len(names) == 1 else f"**{len(names)} groups**"
    runs = seeds * len(names)
    of = f"{runs} trainings" if runs > 1 else "1 training"
    networks = " or ".join(dict.fromkeys(f"{show.model_title(c.backbone)} at {c.image_size} px" for c in configs))
    return f"{what} · {of} · {show.literal(shortened(networks))}"


def refuse(said: str) -> None:
    """Why the launch that was just asked for is none."""
    st.session_state[REFUSED] = said, _as_typed()


def show_refusal() -> None:
    """As long as the form is as it was then: the page draws itself anew meanwhile, as it measures."""
    said, typed = st.session_state.get(REFUSED, ("", None))
    if said and typed == _as_typed():
        show.say(f"Not launched. {said}")
    else:
        st.session_state.pop(REFUSED, None)
        st.empty()


def _as_typed() -> dict[str, Any]:
    """Without what the level decides, which changes by itself."""
    leveled = thorough.by_level()
    return {part: value for part, value in kept.now().items() if not (leveled and thorough.decides(part))}


def _listed(those: Collection[str], values: form.Values) -> str:
    return ", ".join(dict.fromkeys(f"**{show.literal(name_of(field, values))}**" for field in those))
