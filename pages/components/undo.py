"""What was taken away in this tab, as long as it lies in the trash, and its way back."""

from pathlib import Path

import streamlit as st

from colora.runs.trash import Entry, put_back
from colora.system.errors import UserError
from pages.components import show
from pages.components.runs import runs_dir


def removed(key: str) -> Entry | None:
    """What the session keeps under `key`; None where there is nothing, or where it has left the trash."""
    entry = st.session_state.get(key)
    return entry if entry is not None and entry.path.exists() else None


def take_back(key: str, entry: Entry) -> Path | None:
    """Where it is again; None under the sentence why it is not."""
    try:
        back = put_back(runs_dir(), entry)
    except UserError as error:
        show.say(error)
        return None
    del st.session_state[key]
    return back
