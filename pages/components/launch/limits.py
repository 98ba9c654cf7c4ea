"""When a seed is to be ended though it goes on: what the launch asks of this machine's queue beside its settings."""

import streamlit as st

from colora.runs.limits import Limits
from colora.system.errors import UserError
from colora.system.typed import bare, typed_number
from pages.components import show

FIELDS = {
    "max_silence": (
        "Longest silence (s)",
        "A seed whose training tells nothing for so many seconds, at least 30, is ended: its driver or disk may hang.",
    ),
    "max_hours": ("Longest run (h)", "A seed that runs longer is ended; from a resume on the time counts anew."),
}


def problems() -> dict[str, str]:
    """{field: sentence} of what is wrong with them."""
    found = {}
    for field, text in _typed().items():
        try:
            Limits(**{field: typed_number(text)} if text else {})
        except UserError as error:
            found[field] = str(error)
        except ValueError as error:
            found[field] = f"A limit is a number: {error}."
    return found


def flags() -> list[str]:
    """What they add to the command."""
    return [part for field, text in _typed().items() if text for part in (f"--{field.replace('_', '-')}", text)]


def draw(found: dict[str, str]) -> None:
    """The fields, folded away until one is used."""
    with st.expander("Limits of a seed", expanded=any(_typed().values()), icon=":material/timer_off:"):
        grid = st.grid(2, min_column_width=140)
        for field, (label, about) in FIELDS.items():
            with grid.cell():
                key = f"launch-{field}"
                st.text_input(label, key=key, placeholder="none", help=about, persist_state="session")
                show.mark(found.get(field))
        st.caption("What a limit ends is *failed*, with that reason; *Resume* goes on after its last epoch.")


def _typed() -> dict[str, str]:
    return {field: bare(st.session_state.get(f"launch-{field}") or "") for field in FIELDS}
