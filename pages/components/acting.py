"""Buttons that act on something: on what was drawn beside them, or on nothing, and then they say so.

After a click Streamlit runs the page again from its top, and what it finds then may be something else: a group was
removed in a terminal, another one was made under its name. So what a button is about goes into its callback while it is
drawn, is looked up before anything is drawn anew, and is handed to whoever acts. A kind of thing that can be acted on
is one more `as_drawn`.
"""

from collections.abc import Iterable
from functools import singledispatch
from typing import Any

import streamlit as st

from colora.data.cuts import Cut, same_cut
from colora.data.uploads.kept import Upload, same_upload
from colora.runs import access
from colora.runs.external import ExternalTest, same_test
from colora.runs.folder import Group, same_group
from colora.runs.trash import Entry, check_there, remover
from colora.system.errors import UserError
from pages.components import show
from pages.components.runs import runs_dir

RUN = "acting-run"  # how often this tab's page has been drawn as a whole
NEVER = (-1, None)
PAGE, DIALOG = "page", "dialog"  # where it is said that nothing was done; a part of a page may have a place of its own


@singledispatch
def as_drawn(thing: Any) -> Any:
    """The same thing, read anew. Raises UserError where it has gone since it was drawn, or another one has its name."""
    raise TypeError(f"Nothing is known of how a {type(thing).__name__} goes.")


@as_drawn.register
def _(group: Group) -> Group:
    return same_group(group.path, group.identity)


@as_drawn.register
def _(cut: Cut) -> Cut:
    return same_cut(runs_dir(), cut.name, cut.identity)


@as_drawn.register
def _(test: ExternalTest) -> ExternalTest:
    return same_test(test)


@as_drawn.register
def _(upload: Upload) -> Upload:
    return same_upload(upload)


@as_drawn.register
def _(entry: Entry) -> Entry:
    check_there(entry)
    return entry


@singledispatch
def owner(thing: Any) -> str | None:
    """Whose a thing is, "" where that is unknown; None of what is nobody's."""
    return None


@owner.register
def _(group: Group) -> str:
    return access.owner_of(group)


@owner.register
def _(cut: Cut) -> str:
    return cut.user


@owner.register
def _(test: ExternalTest) -> str:
    return test.by


@owner.register
def _(upload: Upload) -> str:
    return upload.by


@owner.register
def _(entry: Entry) -> str:
    return remover(runs_dir(), entry)


def why_not(action: str, things: Iterable[Any]) -> str | None:
    """Why whoever has signed in may not do this to one of the things, or, where there is none, at all."""
    owners = [owner(thing) for thing in things] or [None]
    return next(filter(None, (access.why_not(action, whose) for whose in owners)), None)


def button(
    label: str,
    about: Iterable[Any],
    key: str,
    at: str = PAGE,
    some: bool = False,
    needs: str | None = None,
    **options: Any,
) -> tuple[Any, ...] | None:
    """`st.button`; where it was pressed, what it was about when it was drawn, None where one of that has gone since.

    With `some`, what has gone is left out as long as something is left. `needs` is the action of `settings.access` that
    it does: who may not do it cannot press it, and is told why. `options` are the button's own.
    """
    things = bound(about)
    said = why_not(needs, things) if needs else None
    if said:
        options |= {"disabled": True, "help": show.literal(said)}
    clicked = st.button(label, key=key, on_click=press, args=(key, things, at, some), **options)
    if options.get("disabled"):  # since the click: what was ticked stands in another row now, and is meant all the same
        run = st.session_state[RUN]  # in a dialog, which runs alone, that of the page around it
        clicked = st.session_state.get(_pressed(key), NEVER)[0] in ((run - 1, run) if said else (run - 1,))
    found = pressed(key) if clicked else None
    if at == DIALOG:
        say(DIALOG)
    return found


def bound(about: Iterable[Any]) -> tuple[Any, ...]:
    """For the callback of what is drawn now."""
    things = tuple(about)
    for thing in things:
        if isinstance(thing, Group):
            _ = thing.identity  # which is read when it is asked for: now, not at the click
    return things


def press(key: str, things: tuple[Any, ...], at: str = PAGE, some: bool = False) -> None:
    """The callback: keep for `pressed` what is still as it was drawn, or for `say` what is not."""
    there, problems = [], []
    for thing in things:
        try:
            there.append(as_drawn(thing))
        except UserError as error:
            problems.append(str(error))
    found = None if problems and not (some and there) else tuple(there)
    st.session_state[_pressed(key)] = st.session_state.get(RUN, 0), found
    if problems:
        st.session_state[_said(at)] = " ".join(problems)


def pressed(key: str) -> tuple[Any, ...] | None:
    """What `press` has kept, once."""
    return st.session_state.pop(_pressed(key), NEVER)[1]


def begin() -> None:
    """Each page's beginning: what was pressed in vain is said."""
    st.session_state[RUN] = st.session_state.get(RUN, 0) + 1
    say(PAGE, DIALOG)


def say(*places: str) -> None:
    """What was refused before this run of the page, once."""
    for at in places:
        if problem := st.session_state.pop(_said(at), None):
            show.say(problem, st.warning, ":material/warning:")


def _pressed(key: str) -> str:
    return f"acting-{key}"


def _said(at: str) -> str:
    return f"acting-said-{at}"
