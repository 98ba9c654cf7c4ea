"""The Simple form: which scans, what the training is called, how thorough. It fills the same fields as All settings."""

import re
from collections.abc import Callable
from pathlib import PurePath

import streamlit as st

from colora.data.uploads.names import name_of
from pages.components.data import carried, counts
from pages.components.data.downloads import Shown
from pages.components.launch import bar, fields, form, origin, scans, thorough
from pages.components.show import literal

NAMED = "launch-named"  # the data after which the form has named the training, and that name


def begin() -> tuple[form.Values, thorough.Offers]:
    """The form's values, with those that the chosen level makes here, and a name that goes with the scans; and what
    each level means. As Launch is pressed, what was on the page is launched, though more was measured since."""
    values = form.read()
    follow(values)
    offered = thorough.offers(values, counts.counted_classes(values))
    if not st.session_state.get("launch-button"):
        thorough.settle(offered)
    return form.read(), offered


def draw(
    values: form.Values,
    offered: thorough.Offers,
    found: dict[str, str],
    below: dict[str, Callable[[str | None], None]],
    shown: Shown,
) -> None:
    """The three questions, and whatever else is wrong or asked about, which came from All settings."""
    scans.choose(values, shown)
    if "dataset" not in form.wanting(values):
        below.get("dataset", fields.mark)(_by_name(found.get("dataset"), values["dataset"]))
    fields.launch_name("What is it called?", "The name under which you find it again.", found)
    thorough.choose(offered)
    for field in dict.fromkeys([*found, *below]):
        if field not in ("dataset", "name"):
            with st.container():
                st.caption(f"**{literal(bar.name_of(field, values))}** (under All settings)")
                below.get(field, fields.mark)(found.get(field))
                if field in carried.CARRIED and values[field] != (usual := form.FIELDS[field].default):
                    back = {"on_click": form.put, "args": (field, usual), "key": f"usual-{field}"}
                    st.button("Take that setting back", icon=":material/undo:", **back)


def _by_name(said: str | None, dataset: str) -> str | None:
    """A sentence about what was brought in: by its name, and not by its place on the server."""
    place = dataset.partition(":")[2]
    return said.replace(place, PurePath(place).name) if said and dataset in scans.uploads() else said


def follow(values: form.Values) -> None:
    """The name goes with the scans, until somebody types one."""
    dataset, now = values["dataset"], st.session_state["launch-name"]
    kind, _, place = dataset.partition(":")
    if not (place or kind == carried.PHANTOM):
        return
    name = _name_of(kind, place)
    if NAMED not in st.session_state and re.fullmatch(rf"{re.escape(name)}(-\d+)?", now):  # since a reload
        st.session_state[NAMED] = dataset, now
    named = st.session_state.get(NAMED, (None, None))
    if named[0] != dataset and now in (named[1], origin.current().typed.get("name")):
        st.session_state["launch-name"] = origin.free_name(name)
        st.session_state[NAMED] = dataset, st.session_state["launch-name"]


def _name_of(kind: str, place: str) -> str:
    """After the folder, or the file without its ending."""
    path = PurePath(place)
    return name_of(path.name if kind == "folder" else path.stem, "my-images") if place else "try-it"
