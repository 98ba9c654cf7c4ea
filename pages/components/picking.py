"""Which picker is open in a tab, and where it is. One at a time; it is open as long as its page draws it.

A page that waits or renews itself asks `is_open` and leaves that while somebody picks: what is clicked in a dialog
waits for the page's script to end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.components import acting, address

KEY = "picker"


@dataclass
class Picker:
    """kind: what is picked; key: the session's key of the field that takes it; where: the folder that is shown, None:
    the places to begin at; page: of its entries, from 0; run: the last run of the page that drew it; on: that page;
    then: called once something was picked."""

    kind: str
    key: str
    where: Path | None
    page: int = 0
    run: int = 0
    on: str | None = None
    then: Callable[[], None] = lambda: None


def is_open() -> bool:
    """Also in the run of the page that follows the click on Browse."""
    return current() is not None


def current() -> Picker | None:
    """The one that is open; one that a page has not drawn lately was left with its page."""
    picker = st.session_state.get(KEY)
    return picker if picker and picker.run >= _run() - 1 and picker.on == address.view().page else None


def drawn(picker: Picker) -> None:
    picker.run = _run()


def begin(kind: str, key: str, where: Path | None, then: Callable[[], None]) -> None:
    st.session_state[KEY] = Picker(kind, key, where, run=_run(), on=address.view().page, then=then)


def close() -> None:
    st.session_state.pop(KEY, None)


def go(where: Path | None) -> None:
    """The callback of what leads to another folder."""
    if picker := current():
        picker.where, picker.page = where, 0


def turn(page: int) -> None:
    """The callback of the next and the last page."""
    if picker := current():
        picker.page = page


def take(path: Path) -> None:
    """The callback of what is picked: the field has its path, and the picker is closed."""
    if picker := current():
        st.session_state[picker.key] = str(path)
        close()
        picker.then()


def _run() -> int:
    return st.session_state.get(acting.RUN, 0)
