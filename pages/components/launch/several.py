"""Settings with several values in the Launch form: which of them, and the field that each then has."""

import typing
from collections.abc import Callable
from typing import Any, Literal

import streamlit as st

from colora.settings.catalog import BACKBONES
from colora.settings.config import KNOWN_WEIGHTS
from colora.settings.medmnist_info import names
from colora.settings.vary import optional
from colora.system.typed import number_text
from pages.components.launch import form
from pages.components.launch.form import CHOSEN, COMMAS, FIELDS, applies, chosen, key, kind

FREE = {  # fields whose choices are not all there is, and what else can be typed
    "dataset": "Type folder:DIR or npz:FILE for images of your own.",
    "backbone": "Type resnet18:layer3 for a network that is cut after a block. Each has its own pretrained weights.",
    "weights": "Type the path of a file.",
}


def choose(label: Callable[[str], str], values: form.Values, problem: Callable[[str | None], None]) -> None:
    """Which settings take several values, folded away until there are some."""
    several = chosen()
    with st.expander("Several groups at once", expanded=bool(several), icon=":material/stacks:"):
        st.multiselect(
            "Settings with several values",
            [field for field in FIELDS if field not in COMMAS],
            format_func=label,
            key=CHOSEN,
            on_change=begin,
            placeholder="Choose settings",
            persist_state="session",
            help="Each chosen setting takes several values in its own field, and every combination makes one group. "
            f"{', '.join(map(label, COMMAS))} take several, with commas, without being chosen here.",
        )
        if idle := [label(field) for field in several if not applies(field, values)]:
            problem(f"Not used by this launch, and left out: {', '.join(idle)}.")


def begin() -> None:
    """A setting that was just chosen starts from the value that it had; one that no longer is forgets its values."""
    for field in FIELDS:
        place = key(f"{field}.several")
        if field not in chosen():
            st.session_state[place] = None
        elif st.session_state[place] is None:
            st.session_state[place] = _from_one(field, form.read_one(field))


def _from_one(field: str, value: Any) -> Any:
    if options(field) is not None:
        return [value]
    if isinstance(value, list):
        return ", ".join(value)
    return "" if value is None else number_text(value) if isinstance(value, float) else str(value)


def options(field: str) -> list[Any] | None:
    """What can be chosen; None where the values are typed."""
    if kind(field) is Literal:
        return list(typing.get_args(FIELDS[field].annotation))
    known = {"dataset": ["phantom", *sorted(names())], "backbone": list(BACKBONES), "weights": list(KNOWN_WEIGHTS)}
    return [False, True] if kind(field) is bool else known.get(field)


def draw(field: str, label: str, title: Callable[[Any], str]) -> None:
    """The field of a setting with several values: a choice of some, or their text."""
    about = f"{FIELDS[field].description} Several values make a group each."
    common = {"label": label, "key": key(f"{field}.several"), "help": about, "persist_state": "session"}
    choices = options(field)
    none = " none is for an empty one." if optional(field) else ""
    if choices is not None:
        free = field in FREE
        st.multiselect(
            options=choices,
            format_func=title,
            placeholder="Choose values",
            accept_new_options=free,
            **common | {"help": about + (f" {FREE[field]}" if free else "")},
        )
    elif kind(field) in (int, float):
        st.text_input(placeholder="with commas", **common | {"help": f"{about} With commas between them.{none}"})
    else:
        st.text_area(placeholder="one a line", height=90, **common | {"help": f"{about} One a line.{none}"})
