"""What a person did in one of the app's own elements (gallery, viewer, reader's name), as its script sends it.

Of two sendings before a run Streamlit keeps the later one, and it may hand over one twice: a verdict was lost by the
key that came after it, and one key went two images on. So the scripts that send more than one thing number what they
send, and repeat it until it is `heard` (events.js).
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

SCRIPT = (Path(__file__).parent / "events.js").read_text()


def sent(key: str, event: str) -> Any:
    """The value that came with `event` of the element `key`; None where it sent none, and where the element has left
    the page meanwhile: what a browser sends can come after a run that did not draw it, which drops the element's state
    and not its callbacks."""
    state = st.session_state.get(key)
    return state.get(event) if state else None


def take(key: str, event: str, act: Callable[[Any], None]) -> bool:
    """Calls `act` with each value that came with `event` and was not taken before, in their order. Whether that could
    be told: False where the element has left the page.

    Each counts as taken after its act: what ends a callback in between lets the browser repeat it.
    """
    given, numbers = sent(key, event), heard(key)
    for one in _new(numbers, event, given or ()):
        act(one["value"])
        numbers[event] = one["number"]
    return given is not None


def lost(key: str, given: Mapping[str, Any]) -> set[str]:
    """The events that an element was `given` by a session that had no callback for them yet; they are not taken later
    either. To be called when it is drawn."""
    numbers, found = heard(key), set()
    for event, value in given.items():
        for one in _new(numbers, event, value or ()):
            numbers[event] = one["number"]
            found.add(event)
    return found


def _new(numbers: Mapping[str, int], event: str, given: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in given if one["number"] > numbers.get(event, 0)]


def heard(key: str) -> dict[str, int]:
    """The highest number of each event that was taken, for the element's script."""
    return st.session_state.setdefault(f"{key}-heard", {})
