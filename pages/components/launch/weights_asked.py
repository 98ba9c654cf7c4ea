"""Whether a launch would take the file of weights that was chosen, asked beside the form while it is filled in: the
launch's own sentence at the field, and not after a wait; and which network the file fits instead.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

from colora.runs.access import named_place
from colora.settings.config import KNOWN_WEIGHTS
from colora.system.errors import UserError
from colora.system.typed import is_file
from pages.components import acting, show
from pages.components.beside import Job
from pages.components.data.downloads import Shown
from pages.components.picker import fits

AWAITED = "launch-weights-awaited"
Values = dict[str, Any]


def weights_refused(values: Values) -> UserError | None:
    """What a launch of these settings would say of its file of weights, with the field that it is about; None where it
    would take it, as long as that is not known, and of other weights."""
    job = _look(values)
    if job is None or job.under_way:
        return None
    try:
        refused = fits.of_one(job)["refused"][values["backbone"]]
    except UserError:  # which `show_fits` says: nothing is known, and the launch looks for itself
        return None
    return UserError(refused["sentence"], field=refused["field"]) if refused else None


def show_fits(values: Values, key: Callable[[str], str]) -> None:
    """Under the file's field: how far the look is, and which networks the file fits; a click takes one of them."""
    job = _look(values)
    if job is None:
        return
    if job.under_way:
        st.caption(f":material/hourglass_top: Checking whether it fits {show.model_title(values['backbone'])} …")
        return
    try:
        found = fits.of_one(job)
    except UserError as error:
        st.caption(f":material/error: {show.literal(fits.why_not(error))}")
        return
    if not found["refused"][values["backbone"]]:
        st.caption(f":material/check: It fits {show.model_title(values['backbone'])}.")
    elif not found["why"]:
        st.caption(f"This file {show.literal(fits.says(found))}.")
        for fit in found["fits"]:
            st.button(
                f"Take {show.literal(fit['title'])}",
                icon=":material/check:",
                key=f"take-fit-{fit['spec']}",
                on_click=_take,
                args=(fit, key),
            )


def renew() -> None:
    """While the page waits for something else: draws it anew once a look that it waits for has ended."""
    if any(not job.under_way for job in _awaited()):
        st.rerun()


def follow(shown: Shown) -> None:
    """Near the page's end: the looks under way are waited for there."""
    for job in _awaited():
        shown.look(job, st.empty())


def _look(values: Values) -> Job | None:
    """None where there is no file that may be named."""
    if values["weights"] in KNOWN_WEIGHTS or not values["weights"]:
        return None
    try:
        path = named_place(values["weights"], "weights").absolute()
    except UserError:  # which the field's own mark says
        return None
    if not is_file(path):
        return None
    job = fits.examined(path, values["backbone"], bool(values["partial_weights"]))
    if job.under_way and not any(job is other for other in _awaited()):
        _awaited().append(job)
    return job


def _awaited() -> list[Job]:
    """The looks that were under way when this run of the page asked."""
    run = st.session_state.get(acting.RUN, 0)
    if st.session_state.get(AWAITED, (None,))[0] != run:
        st.session_state[AWAITED] = run, []
    return st.session_state[AWAITED][1]


def _take(fit: dict[str, Any], key: Callable[[str], str]) -> None:
    st.session_state[key("backbone")], st.session_state[key("backbone.cut")] = fit["backbone"], fit["cut"] or ""
