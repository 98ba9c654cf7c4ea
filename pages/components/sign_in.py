"""Who has signed in to this session, and the door: without a person who may come in, no page is drawn.

Streamlit signs people in by OpenID Connect (`st.login`) and keeps in a signed cookie what the provider said of them.
Where its secrets have no [auth], nobody signs in and nothing here is to be seen.
"""

import sys
import time
from dataclasses import dataclass

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from colora.runs import access, audit
from colora.runs.access import Person
from colora.settings.access import load_access, show
from colora.system.errors import UserError
from pages.components import doors
from pages.components.runs import runs_dir
from pages.components.show import literal

NOBODY = "nobody signed in"
SAID = "door-said"  # the refusal that this session has in the audit log already


@dataclass(frozen=True)
class Admission:
    """Why no page is drawn (None: one is), whether signing in may help, and who has signed in, where people do."""

    problem: str | None = None
    by_signing_in: bool = False
    person: Person | None = None


def admission() -> Admission:
    """Asked at each run of a page: the rules, and the age of a sign-in, may have changed since."""
    if problem := doors.refused_here():
        return Admission(problem)
    if doors.auth_settings() is None:
        return Admission()
    claims = st.user.to_dict()
    if not claims.get("is_logged_in"):
        return Admission("Sign in to see this app.", True)
    try:
        rules = load_access()
        assert rules is not None  # as `doors.refused_here` has seen to
        return Admission(person=Person(*rules.admit(claims, time.time()), runs_dir()))
    except UserError as error:
        return Admission(str(error), True, Person(show(str(claims.get("email") or NOBODY)), None, runs_dir()))


def person() -> Person | None:
    """Who acts in this session, for `access`: with no role where they may not come in. None where nobody signs in, and
    for the server's own threads, which ask for everybody."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    found = admission()
    return found.person or (Person(NOBODY, None, runs_dir()) if found.problem else None)


def who() -> str | None:
    """The name of who has signed in, for `audit`; None as of `person`."""
    found = person()
    return found.name if found else None


def begin() -> Admission:
    """app.py's first call: from here on each action is asked of the person in whose session it happens."""
    audit.signed_in, access.acting, access.in_app, access.runs_dir = who, person, True, runs_dir
    return admission()


def door(found: Admission, notice: str) -> None:
    """The first line of every page, with who has signed in; where no page may be drawn, why, and the run's end."""
    if found.problem is None and found.person is not None:
        with st.container(horizontal=True, vertical_alignment="center", key="signed-in"):
            st.caption(notice)
            st.caption(f":material/person: {literal(found.person.name)} · {found.person.role}", width="content")
            sign_out()
        return
    st.caption(notice)
    if found.problem is None:
        return
    tell(found)
    if not found.by_signing_in:
        st.error(literal(found.problem), icon=":material/lock:")
        st.stop()
    (st.info if found.person is None else st.error)(literal(found.problem), icon=":material/lock:")
    names = doors.providers(doors.auth_settings() or {})
    with st.container(horizontal=True):
        for name in names:
            label = f"Sign in with {literal(name)}" if len(names) > 1 else "Sign in"
            st.button(label, icon=":material/login:", type="primary", key=f"sign-in-{name}", on_click=st.login,
                      args=(name,))  # fmt: skip
        if found.person is not None:
            sign_out()
    st.stop()


def sign_out() -> None:
    st.button("Sign out", icon=":material/logout:", type="tertiary", key="sign-out", on_click=st.logout)


@st.cache_resource(show_spinner=False)
def _printed() -> set[str]:
    """What the terminal was told, by this server."""
    return set()


def tell(found: Admission) -> None:
    """What is wrong with the server is said in its terminal, once; who was turned away, in the audit log, once a
    session."""
    if not found.by_signing_in and found.problem not in _printed():
        _printed().add(found.problem)
        print(f"Not served: {found.problem}", file=sys.stderr, flush=True)
    if found.person is not None and st.session_state.get(SAID) != found.problem:
        st.session_state[SAID] = found.problem
        audit.record(runs_dir(), "refused", "", [], refused="sign-in", why=found.problem)


def still() -> None:
    """The first call of each part of a page that runs alone: the whole page anew, and so the door, where whoever looks
    may not any more."""
    if admission().problem is not None:
        st.rerun()


def only_for(action: str) -> None:
    """Ends a page that is for nothing but an action, for whom it is not."""
    if said := access.why_not(action):
        st.info(literal(said), icon=":material/lock:")
        st.stop()
