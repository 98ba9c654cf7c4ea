"""A page that renews itself while something runs, without a polling fragment, which would go on after its page is gone.

The script stays at its end and looks now and then; Streamlit ends it as soon as someone acts or leaves.
"""

import time
from collections.abc import Callable
from typing import Any

import streamlit as st

from pages.components import address
from pages.components.data.downloads import NOT_BUSY

LOOK_SECONDS = 2.0
YIELD_SECONDS = 0.25  # how long an action may wait for the script to let go


def follow(drawn: Any, stamp: Callable[[], Any]) -> None:
    """The page's last call: shows it anew once `stamp()` is no longer what it was drawn with."""
    address.tell()
    st.html(NOT_BUSY)
    place = st.empty()
    while stamp() == drawn:
        for _ in range(round(LOOK_SECONDS / YIELD_SECONDS)):
            time.sleep(YIELD_SECONDS)
            place.empty()  # where Streamlit can end this script
    st.rerun()
