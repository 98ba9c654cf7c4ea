"""The view in the address: opening it sets the widgets, a reload keeps them, Back undoes the last choice.

Only the server writes it, always whole, from what it knows of every widget. Streamlit's own `bind="query-params"` lets
the browser write: a widget that comes to another place of the page, because something above it goes, is there twice for
a moment, and the one that leaves takes away the tie between the widget and the address. The next choice then shows, but
a reload forgets it. How many steps of Back an address makes is the browser's part (history.js). Each of `one`,
`several`, `number`, `text` and `flag` belongs into a widget's `key=`; that widget takes no default of its own.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

STATE = "address"
UNDER_WAY_SECONDS = 5.0  # how long an address may take to the browser

Params = dict[str, list[str]]


@dataclass(frozen=True)
class Choice:
    """How a widget's value stands in the address. The default does not stand there."""

    default: Any
    texts: Callable[[Any], list[str]]
    value: Callable[[list[str]], Any]  # raises ValueError for what the widget does not offer
    offered: Callable[[Any], bool]


@dataclass
class View:
    """One tab's page and its parameters.

    `told` are the addresses that the browser may show, each with the time it was sent: a report among them can be older
    than what was chosen since, any other one was asked for by a person. `asked` are widgets that have to take their
    value from the address. `left` holds for each page what was chosen there, for when it is visited again. `opened`
    counts the addresses that were asked for. With `waits` the address is told when the page has been drawn; while it
    is `held`, not at all.
    """

    page: str | None = None
    params: Params = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    told: list[tuple[float, Params]] = field(default_factory=list)
    left: dict[str | None, Params] = field(default_factory=dict)
    opened: int = 0
    waits: bool = False
    held: bool = False

    def open(self, page: str, reported: Params, from_history: bool) -> None:
        """Show what the address asks for; a page that is opened without parameters is as it was left."""
        if page == self.page:
            self.asked = set(self.choices)
        else:
            self.left[self.page] = {key: self.params[key] for key in self.choices if key in self.params}
            self.page, self.choices, self.asked = page, {}, set()
            if not reported and not from_history:
                self.params = dict(self.left.get(page, {}))
                return
        self.params = dict(reported)
        self.opened += 1

    def hold(self, key: str) -> None:
        """Take over the value that a widget has."""
        choice = self.choices[key]
        value = st.session_state.get(key, choice.default)
        if value == choice.default or not choice.offered(value):
            self.params.pop(key, None)
        else:
            self.params[key] = choice.texts(value)

    def awaits(self, reported: Params) -> bool:
        """Whether the browser can show `reported` without a person having asked for it."""
        now, known = time.monotonic(), [params for _, params in self.told]
        if reported in known:
            del self.told[: known.index(reported)]
        while len(self.told) > 1 and now - self.told[1][0] > UNDER_WAY_SECONDS:
            del self.told[0]
        return any(params == reported for _, params in self.told)


def view() -> View:
    return st.session_state.setdefault(STATE, View())


def arrive(page: str) -> None:
    """At the beginning of each run of a page: what was asked for, or what has been chosen since."""
    shown, reported = view(), in_browser()
    from_history = bool(get_script_run_ctx().is_history_navigation)
    if page != shown.page or from_history or not shown.awaits(reported):
        shown.open(page, reported, from_history)
        shown.told = [(time.monotonic(), reported)]
        if shown.params != reported:  # as it was left: for whoever chooses something while it is drawn
            tell()
    else:
        for key in shown.choices.keys() - shown.asked:
            if key in st.session_state:
                shown.hold(key)
        if not shown.waits:
            tell()
    shown.waits = False


def in_browser() -> Params:
    """The address as the browser reported it, or as it has been told since in this run."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def tell() -> None:
    """Send the address where it is, or may become, another one.

    `arrive` tells what was chosen, before a page is drawn, for whoever reloads it at once; `frame.run` tells the rest,
    when it has been drawn. A part of a page that runs alone, and a page that waits at its end, call it themselves.
    """
    shown = view()
    if shown.held:
        return
    if in_browser() != shown.params or not shown.told or shown.told[-1][1] != shown.params:
        st.query_params.from_dict(shown.params)
        shown.told.append((time.monotonic(), dict(shown.params)))


def wait() -> None:
    """In the first run of a tab, before a page is drawn: tell nothing until `go_on` is called. Later without effect."""
    view().held = view().page is None


def go_on() -> None:
    """Tell what was held back."""
    if view().held:
        view().held = False
        tell()


def get(name: str) -> str | None:
    """A parameter of the address."""
    found = view().params.get(name)
    return found[-1] if found else None


def opened() -> int:
    """How many addresses were asked for in this tab: another number, another view."""
    return view().opened


def put(name: str, value: str, waits: bool = False) -> None:
    """Set a parameter that belongs to no widget. `waits`: other choices go with it, all in one step of Back."""
    shown = view()
    shown.params[name], shown.waits = [value], waits


def drop(*names: str) -> None:
    for name in names:
        view().params.pop(name, None)


def one(key: str, options: Sequence[Any], title: Callable[[Any], str] = str, default: Any = ...) -> str:
    """For a widget with one of `options`, at first `default` (the first one); in the address by its title."""
    by_title = {title(option): option for option in options}
    first = options[0] if default is ... else default
    return _kept(
        key,
        Choice(
            first,
            lambda value: [title(value)],
            lambda texts: _looked_up(by_title, texts[-1]),
            lambda value: value == first or value in options,
        ),
    )


def several(
    key: str, options: Iterable[Any], title: Callable[[Any], str] = str, default: Sequence[Any] = ()
) -> str:
    """For a widget with any number of `options`, at first those of `default`; none stands as an empty text."""
    by_title = {title(option): option for option in options}
    known = set(by_title.values())
    return _kept(
        key,
        Choice(
            list(default),
            lambda value: [title(option) for option in value] or [""],
            lambda texts: [by_title[text] for text in dict.fromkeys(texts) if text in by_title],
            lambda value: known.issuperset(value),
        ),
    )


def number(
    key: str,
    default: float | None = None,
    low: float | None = None,
    high: float | None = None,
    whole: bool = False,
) -> str:
    """For a widget with a number between two bounds."""

    def within(value: float | None) -> bool:
        return value is None or ((low is None or value >= low) and (high is None or value <= high))

    def value(texts: list[str]) -> float:
        found = int(texts[-1]) if whole else float(texts[-1])
        if not within(found):
            raise ValueError(found)
        return found

    return _kept(key, Choice(default, lambda value: [f"{value:.12g}"], value, within))


def text(
    key: str, default: str = "", written: Callable[[str], str] = str, read: Callable[[str], str] = str
) -> str:
    """For a field of free text, which stands in the address as it is `written`; `read` raises ValueError for what that
    never wrote."""
    texts = (lambda value: [written(value)]), (lambda texts: read(texts[-1]))
    return _kept(key, Choice(default, *texts, lambda value: isinstance(value, str)))


def flag(key: str) -> str:
    """For a switch that is off at first."""
    return one(key, (False, True), lambda value: str(value).lower())


def _looked_up(by_title: dict[str, Any], title: str) -> Any:
    if title not in by_title:
        raise ValueError(title)
    return by_title[title]


def _kept(key: str, choice: Choice) -> str:
    """Give the widget its value where it has none, and the address the widget's; returns the key."""
    shown = view()
    new = key not in shown.choices or key in shown.asked or key not in st.session_state
    shown.choices[key] = choice
    shown.asked.discard(key)
    if new:
        try:
            value = choice.value(shown.params[key]) if key in shown.params else choice.default
        except ValueError:
            value = choice.default
        st.session_state[key] = value
    elif not choice.offered(st.session_state[key]):
        st.session_state[key] = choice.default  # chosen among other options
    shown.hold(key)
    return key
