"""The frame around every page: navigation, and how a page asks to be shown inside it."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import StopException

from pages.components import acting, address


def navigation(hidden: bool = False) -> st.Page:
    """The page that the address asks for, in the order of the work: set up, watch, read.

    They have no icons: a page's icon becomes the tab's too, and the browser would fetch that from Google. The first
    page is at the root, which is the only address that Streamlit gives it; under its name the same page is found too.
    """
    return st.navigation(
        [
            st.Page("pages/overview.py", title="Overview", url_path="root", default=True),
            st.Page("pages/launch.py", title="Launch"),
            st.Page("pages/data.py", title="Data"),
            st.Page("pages/monitor.py", title="Monitor"),
            st.Page("pages/compare.py", title="Compare"),
            st.Page("pages/evaluate.py", title="Evaluate"),
            st.Page("pages/images.py", title="Images"),
            st.Page("pages/predict.py", title="Predict"),
            st.Page("pages/distil.py", title="Distil"),
            st.Page("pages/overview.py", title="Overview", url_path="overview", visibility="hidden"),
        ],
        position="hidden" if hidden else "top",
    )


def run(page: st.Page) -> None:
    """Draw the page, then write what it shows into the address, also where it ended early."""
    try:
        page.run()
    except StopException:
        address.tell()
        raise
    address.tell()


def one_of(places: int, shown: int) -> DeltaGenerator:
    """The place number `shown` of several, of which one is filled at a time.

    What is in the others disappears at once. What is in this one stays while it is drawn again: an `st.empty` filled
    anew takes its elements off the page first, and a reader's zoom or the keyboard's focus with them.
    """
    return [st.container() if number == shown else st.empty() for number in range(places)][shown]


def inside_app() -> None:
    """Each page's first call: see to it that app.py runs around it, and that it shows what its address asks for.

    Until app.py has run once, Streamlit takes a folder named `pages` for its older kind of multipage app, and
    runs the page of a reloaded or shared address alone, without the notice. Naming the pages ends that; then
    all runs again. What was pressed in vain is said at the top.
    """
    page = st.session_state.pop("inside-app", None)
    if page is None:
        navigation()
        st.rerun()
    address.arrive(page)
    acting.begin()
