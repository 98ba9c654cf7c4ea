"""What one of the app's own elements (gallery, viewer, reader's name) has sent."""

from typing import Any

import streamlit as st


def sent(key: str, event: str) -> Any:
    """The value that came with `event` of the element `key`; None where it sent none, and where the element has left
    the page meanwhile: what a browser sends can come after a run that did not draw it, which drops the element's state
    and not its callbacks."""
    state = st.session_state.get(key)
    return state.get(event) if state else None
