"""The other data that a group was tested on, on Evaluate: what they are, and taking a test away."""

from typing import Any

import streamlit as st

from colora.runs.external import ExternalTest, external_test, remove_external, says_untested
from colora.runs.folder import Group
from colora.runs.trash import Entry
from colora.system.errors import UserError
from pages.components import acting, show, undo

REMOVED = "removed-test"
TO_SPLIT = "to-split"


def about_test(group: Group, about: dict[str, Any], split: str) -> bool:
    """What figures on these data rest on; False where the test's file is damaged, so that there are none."""
    found = about["external"][split]
    if "problem" in found:
        show.say(found["problem"], icon=":material/broken_image:")
    else:
        part = "" if found["split"] == "all" else f", their {show.literal(found['split'])} split"
        when = show.literal(show.time_text(found["tested"]))
        with st.container(horizontal=True, vertical_alignment="center"):
            if found["synthetic"]:
                show.synthetic_badge()
            st.caption(
                f"Other data: {show.literal(found['source'])}{part}, {found['images']:,} images; tested by "
                f"{show.literal(found['tested_by'])}, {when}. No weight, epoch or threshold "
                "was chosen on them.",
                width="content",
            )
        if found["warnings"]:
            st.warning("\n\n".join(map(show.literal, found["warnings"])), icon=":material/warning:")
        if said := says_untested(group, split):
            show.say(said, st.info, ":material/update:")
    test = external_test(group, split)
    label = "Remove this test"
    meaning = "To the trash; Undo brings it back."
    about_it = {"needs": "test-rm", "icon": ":material/delete:", "type": "tertiary", "help": meaning}
    if pressed := acting.button(label, [test], "remove-test", **about_it):
        remove(*pressed)
    return "problem" not in found


def remove(test: ExternalTest) -> None:
    try:
        place = remove_external(test)
    except UserError as error:
        show.say(error)
        return
    st.session_state[REMOVED] = Entry(place)
    st.rerun()


def undo_removal(group: Group) -> None:
    """That a test of this group was taken away in this tab, and the way back."""
    entry = undo.removed(REMOVED)
    if entry is None or entry.group != group.name:
        return
    title = f"{entry.title[0].upper()}{entry.title[1:]}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(f"**{show.literal(title)}** is in the trash.", icon=":material/delete:")
        pressed = acting.button("Undo", [entry], "undo-test", needs="put-back", icon=":material/undo:")
        if pressed and (back := undo.take_back(REMOVED, entry)):
            st.session_state[TO_SPLIT] = f"external/{back.name}"
            st.rerun()
