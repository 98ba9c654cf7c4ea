"""A group may be removed, in another browser or in a terminal, while a page draws it."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import streamlit as st

from colora.errors import UserError


def unless_removed(draw: Callable[..., None]) -> Callable[..., None]:
    """`draw(path, ...)`, or the whole page anew where the group at `path` has gone, as that page then says."""

    @wraps(draw)
    def drawn(path: Path, *rest: Any) -> None:
        try:
            if not path.is_dir():
                raise FileNotFoundError(path)
            draw(path, *rest)
        except (UserError, FileNotFoundError):
            if path.is_dir():
                raise
            st.rerun()

    return drawn
