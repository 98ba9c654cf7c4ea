"""Who reads at this tab: the person signed in, else a name that the browser keeps.

A session ends with its server, the tab does not. So the name lies in the browser: the tab has its own, and a new tab
begins with the one that was typed last. A session that is new asks the tab first, and until it has answered nothing is
recorded: the account's name would be another reader's. The tab answers with a token of its own too, by which a verdict
says where it was given.
"""

import re
import uuid
from pathlib import Path

import streamlit as st

from colora.distillation import verdicts
from colora.runs import audit
from colora.system.errors import UserError
from pages.components import show
from pages.components.elements.events import sent

HERE = Path(__file__).parent
NAME, TYPED, TAB, ASKED, PROBLEM = "reader-name", "reader-typed", "reader-tab", "reader-asked", "reader-problem"
FIELD_PIXELS = 300  # wide, however long a sentence under it is
TOKEN = re.compile(r"[0-9a-f]{32}")
_kept = st.components.v2.component("colora.who", html="<span hidden></span>", js=(HERE / "who.js").read_text())


def reader() -> str | None:
    """Whose verdicts these are; None until the tab has said it."""
    if TAB not in st.session_state:
        return None
    return verdicts.own_reader() if audit.signed_in() else st.session_state[NAME]


def tab() -> str | None:
    """The token of this browser tab, which outlives the server; None until the tab has said it."""
    return st.session_state.get(TAB)


def who_reads() -> None:
    """Say who reads, with the field to change it where nobody signs in, and agree with the browser on it. Stands once
    on every page that needs `reader`."""
    who = reader()
    with st.container(horizontal=True, gap=None):  # the browser's element, which is not seen, takes no line of its own
        if who is None:
            st.caption("Asking the browser whose verdicts these are …", width="content")
        elif not audit.signed_in():
            with (
                st.popover(f"You are {show.brief(who)}", icon=":material/person:", type="tertiary", key="who"),
                st.container(width=FIELD_PIXELS),
            ):
                name_field(who)
        browser(who)


def name_field(who: str) -> None:
    if "reader" not in st.session_state:
        st.session_state["reader"] = who
    st.text_input(
        "Reader",
        key="reader",
        persist_state="session",
        on_change=take_typed_name,
        help="Each reader's verdicts are kept apart. Letters, digits, dots, dashes, underscores and spaces.",
    )
    if problem := st.session_state.get(PROBLEM):
        show.mark(f"{problem} Until then you are {who}.")


def take_typed_name() -> None:
    take_name(st.session_state["reader"].strip(), typed=True)


def take_name(name: str, typed: bool) -> None:
    """A name that cannot be a reader's is said at the field and not taken."""
    try:
        verdicts.check_reader(name)
    except UserError as error:
        st.session_state[PROBLEM] = str(error)
        return
    st.session_state[NAME], st.session_state[TYPED] = name, typed
    st.session_state.pop(PROBLEM, None)


def browser(who: str | None) -> None:
    """Tell the tab the name, or ask it for the one that it has."""

    def answered() -> None:
        if not (said := sent("who-browser", "said")) or TAB in st.session_state:
            return
        st.session_state[NAME] = verdicts.own_reader()
        if name := said.get("name"):
            take_name(name, typed=False)
        if TOKEN.fullmatch(said["tab"]):
            st.session_state[TAB] = said["tab"]

    if ASKED not in st.session_state:
        st.session_state[ASKED] = uuid.uuid4().hex  # another session's question has another number
    _kept(
        key="who-browser",
        data={
            "session": st.session_state[ASKED],
            "known": who is not None,
            "name": "" if audit.signed_in() else who or "",
            "typed": st.session_state.get(TYPED, False),
        },
        on_said_change=answered,
    )
