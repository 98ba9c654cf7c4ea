"""A group may be removed, or made anew, in another browser or in a terminal, while a page draws it."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import streamlit as st

from colora.runs.folder import Group, same_group
from colora.system.errors import UserError


def unless_removed(draw: Callable[..., None]) -> Callable[..., None]:
    """`draw(group, ...)` of the group read anew, or the whole page anew where it has gone, as that page then says."""

    @wraps(draw)
    def drawn(group: Group, *rest: Any) -> None:
        try:
            draw(same_group(group.path, group.identity), *rest)
        except (UserError, FileNotFoundError):
            if Group(group.path).identity == group.identity:
                raise
            st.rerun()

    return drawn
