"""What was found in the data of a result before training: one line at its head, and a banner where they leak."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from colora.runs.data_said import one_line
from colora.runs.folder import Group
from pages.components import show
from pages.components.data.carried import for_data_page


def line_and_banner(group: Group, found: dict[str, Any]) -> None:
    """Both, of one group; `found` as `results.summary.data_found` has it, or a summary's `data`."""
    data_lines([group], [found])
    banner([group], [found])


def data_lines(groups: Sequence[Group], found: Sequence[dict[str, Any]]) -> None:
    """How the data were split, whose they are and what the check found, once where it is the same; nothing of a group
    that kept no check."""
    lines: dict[str, list[Group]] = {}
    for group, own in zip(groups, found, strict=True):
        if own["check"]:
            lines.setdefault(one_line(own["check"]), []).append(group)
    if lines:
        st.caption("  \n".join(f"{_names(whose, groups)}{show.literal(said)}" for said, whose in lines.items()))


def banner(groups: Sequence[Group], found: Sequence[dict[str, Any]]) -> None:
    """A warning for each way in which the data of results leak, with the way to the list of what does."""
    leaking: dict[str, list[Group]] = {}
    for group, own in zip(groups, found, strict=True):
        if own["leak"]:
            leaking.setdefault(own["leak"], []).append(group)
    for number, (said, whose) in enumerate(leaking.items()):
        with st.container(key=f"leak-{number}"):
            st.warning(f"{_names(whose, groups)}{show.literal(said)}", icon=":material/content_copy:")
            st.page_link(
                "pages/data.py",
                label="What was found, on the Data page",
                icon=":material/database:",
                query_params=for_data_page(whose[0].config),
            )


def _names(whose: Sequence[Group], groups: Sequence[Group]) -> str:
    """Which of several groups it is said of."""
    return f"**{', '.join(show.literal(group.name) for group in whose)}**: " if len(groups) > 1 else ""
