"""What was typed on the Launch form, in the address, so that a reload, Back and a colleague find it as it was.

Only what differs from what the form was filled with (`origin`) stands there, each part under "with." and its name, as
`?start=my-images&with.lr=0.01`. It is put in as it stands in the widgets, mistakes included; what no widget offers is
passed over.
"""

import json
import re
import typing
from collections.abc import Container
from contextlib import suppress
from typing import Any, Literal

import streamlit as st

from colora.settings.catalog import BACKBONES
from colora.settings.thoroughness import LEVELS
from pages.components import address
from pages.components.launch import fields, form, several, thorough, ways

WITH, OPENED = "with.", "launch-opened"
OTHERS = ("name", "seeds", "max_silence", "max_hours", "level", "ways", "from")  # beside the settings: "launch-..."
OFFERED = {"level": (*LEVELS, ways.OWN), "ways": (ways.SIMPLE, ways.ALL), "from": ways.FROM}
WHOLE = re.compile(r"-?\d{1,16}", re.ASCII)
LONGEST = 2_000  # letters of one part: longer ones are kept in the session alone


def now() -> dict[str, Any]:
    """{part: what stands in its widget}."""
    found = {place.removeprefix("launch."): value for place, value in form.typed().items()}
    return found | {name: value for name in OTHERS if (value := st.session_state.get(f"launch-{name}")) is not None}


def keep(filled: dict[str, Any]) -> None:
    """Into the address what is not as it was `filled`, but for what the chosen level decides; told at once, since the
    page goes on drawing for seconds."""
    address.drop(*_parts())
    usual = {"level": "good"} if ways.simple() else {}  # as whoever comes without an address finds it
    for part, value in now().items():
        text = value if isinstance(value, str) else json.dumps(value)
        decided = thorough.by_level() and thorough.decides(part)
        if not decided and value != filled.get(part, usual.get(part, "")) and len(text) <= LONGEST:
            address.put(f"{WITH}{part}", text)
    address.tell()


def take(filled: dict[str, Any]) -> None:
    """From an address that was asked for, once; what it does not name is as it was `filled`. Settings that a level
    would decide are one's own, where no level is named."""
    if st.session_state.get(OPENED) == address.opened():
        return
    st.session_state[OPENED] = address.opened()
    parts = {name.removeprefix(WITH): address.get(name) or "" for name in _parts()}
    if not parts:
        return
    for part, value in filled.items():
        st.session_state[_place(part)] = value
    if any(map(thorough.decides, parts)):
        st.session_state[thorough.KEY] = ways.OWN
    for part, text in parts.items():
        _put(part, text)
    several.begin()


def _parts() -> list[str]:
    return [name for name in address.view().params if name.startswith(WITH)]


def _place(part: str) -> str:
    return f"launch-{part}" if part in OTHERS else f"launch.{part}"


def _put(part: str, text: str) -> None:
    """Into the widget's place, where the widget takes it."""
    if part in OTHERS:
        if text in OFFERED.get(part, (text,)):
            st.session_state[_place(part)] = text
    elif (place := _place(part)) in form.typed():
        with suppress(ValueError):
            st.session_state[place] = _value(part, text)


def _value(part: str, text: str) -> Any:
    """What the widget has for a text. Raises ValueError for what it does not offer."""
    field, _, detail = part.partition(".")
    if part == "several":
        return [one for one in _listed(text) if one in form.FIELDS and one not in form.COMMAS]
    if detail == "several":
        options = several.options(field)
        return text if options is None else [one for one in _listed(text) if one in options or field in several.FREE]
    if detail:
        return text
    offered = {"dataset": fields.SOURCE_TITLES, "backbone": BACKBONES, "weights": fields.WEIGHT_TITLES}.get(field)
    kind = form.kind(field)
    if offered is None and kind is Literal:
        offered = typing.get_args(form.FIELDS[field].annotation)
    if offered is not None:
        return _one_of(offered, text)
    if kind is bool:
        return _one_of({"true": True, "false": False}, text)
    if kind is int and field not in form.COMMAS:
        return None if text == "null" else _whole(text)
    return text


def _one_of(offered: Container[str], text: str) -> Any:
    if text not in offered:
        raise ValueError(text)
    return offered[text] if isinstance(offered, dict) and isinstance(offered[text], bool) else text


def _whole(text: str) -> int:
    if not WHOLE.fullmatch(text) or abs(number := int(text)) >= 2**53:  # the largest of a browser's
        raise ValueError(text)
    return number


def _listed(text: str) -> list[Any]:
    """The texts and answers of a list, each once."""
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested") from error
    if not isinstance(found, list):
        raise ValueError("no list")
    return list(dict.fromkeys(one for one in found if isinstance(one, str | bool)))
