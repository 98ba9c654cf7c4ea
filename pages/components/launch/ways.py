"""The two ways to set up a launch: Simple asks three questions, All settings shows every field; one state for both."""

import streamlit as st

from colora.settings.presets import OWN_IMAGES

SIMPLE, ALL = "Simple", "All settings"
KEY = "launch-ways"
BRING, PLACE, BEFORE, GENERATED = FROM = (
    "Bring them here",
    "On this computer",
    "Used before",
    "Generated, to try it",
)
OWN = "own"  # the level of settings that were made under All settings


def choose() -> bool:
    """The switch between the two; whether it stands at Simple."""
    st.session_state.setdefault(KEY, SIMPLE)
    st.segmented_control(
        "Ways",
        [SIMPLE, ALL],
        key=KEY,
        required=True,
        label_visibility="collapsed",
        persist_state="session",
    )
    return simple()


def simple() -> bool:
    return st.session_state[KEY] == SIMPLE


def choose_for(preset: str | None) -> None:
    """As suits what the form was just filled from: a preset by its name, or a group or a cut, which have settings of
    their own."""
    st.session_state[KEY] = SIMPLE if preset == OWN_IMAGES.name else ALL
