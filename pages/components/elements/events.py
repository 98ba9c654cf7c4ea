"""What a person did in one of the app's own elements (gallery, viewer, reader's name), as its script sends it.

Of two sendings before a run Streamlit keeps the later one, and it may hand over one twice: a verdict was lost by the
key that came after it, and one key went two images on. So the scripts that send more than one thing number what they
send, and repeat it until it is `heard` (events.js).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

FORGET = -1  # what the script still holds is not wanted any more
SCRIPT = (Path(__file__).parent / "events.js").read_text()


def sent(key: str, event: str) -> Any:
    """The value that came with `event` of the element `key`; None where it sent none, and where the element has left
    the page meanwhile: what a browser sends can come after a run that did not draw it, which drops the element's state
    and not its callbacks."""
    state = st.session_state.get(key)
    return state.get(event) if state else None


def told(key: str, event: str) -> list[Any] | None:
    """The values that came with `event`, each once, in their order; None where the element has left the page: they are
    not taken later either."""
    given = sent(key, event)
    if given is None:
        heard(key)[event] = FORGET
        return None
    return taken(key, event, given)


def lost(key: str, given: Mapping[str, Any]) -> set[str]:
    """The events that an element was `given` by a session that had no callback for them yet; they are not taken later
    either. To be called when it is drawn."""
    return {event for event, value in given.items() if value and taken(key, event, value)}


def taken(key: str, event: str, given: Sequence[dict[str, Any]]) -> list[Any]:
    """The values of what was `given` and was not taken before."""
    last = heard(key).get(event, 0)
    new = [one for one in given if one["number"] > last]
    heard(key)[event] = max([last, *(one["number"] for one in new)])
    return [one["value"] for one in new]


def heard(key: str) -> dict[str, int]:
    """The highest number of each event that was taken, for the element's script."""
    return st.session_state.setdefault(f"{key}-heard", {})
