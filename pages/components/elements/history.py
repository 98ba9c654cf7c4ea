"""One move, one step of the browser's Back: a script in the browser, without which Streamlit makes several of it.

The address of a page opened without parameters names what it shows. The first such address of a tab waits for the
script; whatever a person does before that, sends it without.
"""

from pathlib import Path

import streamlit as st

from pages.components import address

_history = st.components.v2.component("colora.history", js=(Path(__file__).parent / "history.js").read_text())


@st.fragment  # what the script says runs no page again
def one_step_a_move() -> None:
    """Call it before the page is drawn."""
    ready = bool(st.session_state.get("history", {}).get("ready"))
    _history(key="history", data={"ready": ready}, on_ready_change=address.go_on)
    if not ready:
        address.wait()
