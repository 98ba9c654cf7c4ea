"""What the Launch form was filled from: a preset, a group, or a cut of a group; and what was changed since.

It lives in `st.session_state` beside the form's values, so that it outlasts a visit to another page. The address names
a preset (`?start=quick-look`), a group and a cut (`?clone=GROUP&cut=NAME`), or data with their settings
(`?dataset=folder:DIR&layout=classes`), for a reload and for whoever the address is sent to; what was changed since
stands there too (`kept`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import streamlit as st

from colora.data.cuts import ALONE, Cut, read_cut
from colora.runs.documents import contained
from colora.runs.folder import open_group
from colora.runs.names import NAME
from colora.settings.config import make_config
from colora.settings.medmnist_info import names as medmnist_names
from colora.settings.presets import OWN_IMAGES, PRESETS, QUICK_LOOK, Preset
from colora.settings.seeds import format_seeds
from colora.system.errors import UserError
from colora.system.typed import bare, exists, shortened
from pages.components import address, show
from pages.components.data import carried
from pages.components.launch import fields, form, kept, thorough, ways
from pages.components.runs import runs_dir

ORIGIN, ASKED, ASKED_DATA, START = "launch-origin", "launch-asked", "launch-asked-data", "start"
TITLES = {preset.title: preset for preset in PRESETS}
BY_NAME = {preset.name: preset for preset in PRESETS}
SHOWN_CHANGES = 4
Asked = tuple[str | None, str | None]  # a group and a cut, as the address names them


@dataclass(frozen=True)
class Origin:
    """`title` is what "Start from" shows; `about` holds as long as the form has the values that it was `filled` with;
    `note` is what could not be taken over with a cut; `typed` is what stood in its widgets then (`kept.now`)."""

    title: str
    about: str
    asked: Asked = (None, None)
    note: str = ""
    filled: dict[str, Any] = field(default_factory=dict)
    typed: dict[str, Any] = field(default_factory=dict)

    @property
    def preset(self) -> Preset | None:
        return TITLES.get(self.title)


def current() -> Origin:
    """Of the form as it was filled last; that is first done here, for one's own images, where nothing else is asked
    for."""
    if ORIGIN not in st.session_state:
        ways.choose_for(OWN_IMAGES.name)
        from_preset(OWN_IMAGES)
    return st.session_state[ORIGIN]


def free_name(name: str, groups: Callable[[str], list[str]] = lambda name: [name]) -> str:
    """`name`, with the next number if there is one of the `groups` that are launched under it already."""
    names = (name if n == 1 else f"{name}-{n}" for n in range(1, 10_000))
    return next(n for n in names if not any(exists(runs_dir() / group) for group in groups(n)))


def from_preset(preset: Preset) -> None:
    values = preset.values | ({"dataset": "folder:"} if preset is OWN_IMAGES else {})  # which one nobody has said yet
    _fill(Origin(preset.title, preset.about), values, preset.name, preset.seeds)


def name_start() -> None:
    """In the address: the preset that the form was filled from, but for the usual one."""
    address.drop(START)
    if (preset := current().preset) and preset is not OWN_IMAGES:
        address.put(START, preset.name)


def from_address() -> None:
    """Fill the form from the preset, the group and the cut, or the data, that the address names, once for each time
    that they are asked for; what stands against it is said."""
    preset = BY_NAME.get(address.get(START) or "")
    if preset and current().preset is not preset:
        ways.choose_for(preset.name)
        from_preset(preset)
    asked = address.get("clone") or None, address.get("cut") or None
    if any(asked) and st.session_state.get(ASKED) != asked:
        try:
            _from_group(asked)
        except UserError as error:
            show.say(f"No copy. {error}")
            return
    if not any(asked):
        _data_from_address()
    group, cut = current().asked
    for name, value in (("clone", group), ("cut", cut)):
        if value:
            address.put(name, value)


def _data_from_address() -> None:
    if (data := carried.from_address(address.get)) is None:
        return
    for name, text in data:
        address.put(name, text)
    if st.session_state.get(ASKED_DATA) == (asked := (data, address.opened())):
        return
    st.session_state[ASKED_DATA] = asked
    try:
        _take_data(make_config(dict(data)).model_dump(include=set(carried.CARRIED)))
    except UserError as error:
        show.say(f"These data cannot be taken over. {error}")


def _take_data(values: dict[str, Any]) -> None:
    """Into the form that somebody has begun to fill, its data alone; into one as it is at first, with what suits one's
    own images."""
    if values["split_seed"] >= 2**53:
        raise UserError(f"The seed of the split, {values['split_seed']}, is larger than a browser's numbers.")
    now = form.read()
    if all(now[field] == value for field, value in values.items()):
        return
    if current().preset is OWN_IMAGES and not changed(current()):
        kind, _, place = values["dataset"].partition(":")
        about = f"The data of the Data page; all else as in the preset {OWN_IMAGES.title}."
        title = f"Data: {Path(place).name or kind}"
        _fill(Origin(title, about), OWN_IMAGES.values | values, OWN_IMAGES.name, OWN_IMAGES.seeds)
    else:
        for field, value in (values | {"cut": None}).items():
            form.put(field, value)


def ask_anew() -> None:
    """Before the Launch page is opened with a group or a cut: what was filled from the same one before is replaced."""
    st.session_state.pop(ASKED, None)


def _from_group(asked: Asked) -> None:
    """Raises UserError where neither group nor cut can be read."""
    name, cut_name, note = *asked, ""
    try:
        name = name or read_cut(runs_dir(), cut_name).source.group
        values, seeds = _settings(name) if name else _checked(cut_name)
    except UserError as error:
        if not cut_name:
            raise
        cut = read_cut(runs_dir(), cut_name)
        values = {"image_size": cut.image_size} | dataset_of(cut)
        seeds = format_seeds(cut.source.seeds) or QUICK_LOOK.seeds
        made = f"The group {cut.source.group}, from which the cut was made," if cut.source.group else "What was checked"
        note = (
            f"{made} cannot be read, so all but the cut and its image size is as usual: choose the network, and the "
            f"data where they are not {cut.data_source}. {error}"
        )
    ways.choose_for(None)
    if not cut_name:
        origin = Origin(f"A copy of {name}", f"The settings of {name}.", asked)
        _fill(origin, values, name, seeds)
    else:
        about = f"The settings of {name}, on the cut {cut_name}."
        if note:
            about = f"The cut {cut_name} and its image size."
        elif not name:
            about = f"The cut {cut_name} and the data that were checked; all else is as usual."
        origin = Origin(f"Cut {cut_name}" + (f" of group {name}" if name else ""), about, asked, note)
        _fill(origin, values | {"cut": cut_name} | ALONE, cut_name if NAME.fullmatch(cut_name) else name, seeds)
    st.session_state[ASKED] = asked


def _settings(name: str) -> tuple[dict[str, Any], str]:
    """A group's settings and seeds. Raises UserError where it cannot be read."""
    if not NAME.fullmatch(name):
        raise UserError(f"'{shortened(name)}' is no name of a group.")
    group = open_group(runs_dir() / name)
    with contained(group.path):
        return group.config.model_dump(), format_seeds(group.info["seeds"])


def _checked(cut_name: str) -> tuple[dict[str, Any], str]:
    """The settings of the data from whose check a cut was made, and usual seeds. Raises UserError for what are none."""
    cut = read_cut(runs_dir(), cut_name)
    found = make_config(cut.source.settings | {"image_size": cut.image_size}).model_dump()
    return {name: found[name] for name in (*cut.source.settings, "image_size")}, QUICK_LOOK.seeds


def dataset_of(cut: Cut) -> dict[str, str]:
    """The setting `dataset` where the cut's own words for its data tell it; of files they lack the place."""
    name = cut.data_source.partition(" (")[0].lower()  # as in OCTMNIST (28 px)
    return {"dataset": name} if name == "phantom" or name in medmnist_names() else {}


def _fill(origin: Origin, values: dict[str, Any], name: str, seeds: str) -> None:
    form.fill(values)
    thorough.forget()
    st.session_state["launch-name"], st.session_state["launch-seeds"] = free_name(name), seeds
    st.session_state[ORIGIN] = replace(origin, filled=_values(), typed=kept.now())
    st.session_state["launch-preset"] = origin.title


def _values() -> dict[str, Any]:
    """What stands in the form, but for the name, which every launch changes."""
    values = form.read()
    return values | form.series(values) | {"seeds": bare(st.session_state["launch-seeds"])}


def changed(origin: Origin) -> list[str]:
    """The labels of the fields on the page that no longer have what they were filled with; where a level decides, of
    those that it leaves."""
    now, plain, leveled = _values(), form.read(), thorough.by_level()
    return [
        "Random seeds" if name == "seeds" else fields.label(name)
        for name, value in now.items()
        if value != origin.filled[name]
        and (name == "seeds" or form.applies(name, plain))
        and not (leveled and thorough.decides(name))
    ]


def says(origin: Origin) -> str:
    """What stands below "Start from": no value that the form does not have any more."""
    told = show.literal(origin.about)
    if names := changed(origin):
        more = f" and {len(names) - SHOWN_CHANGES} more" if len(names) > SHOWN_CHANGES else ""
        told = f":material/edit: Changed since: {', '.join(names[:SHOWN_CHANGES])}{more}."
    synthetic = form.read()["dataset"] == "phantom"
    return f"{told} The figures mean nothing for patients." if synthetic else told
