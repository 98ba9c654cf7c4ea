"""A file with several pages is a volume: every B-scan in a strip, and the volume's own answer by a stated rule."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from colora.plots import class_colour
from colora.prediction.volume import volume_answer
from colora.system.errors import UserError
from pages.components import show
from pages.components.command import Unanswered
from pages.components.elements.gallery import gallery, tile_of
from pages.components.explain.inquiries import inquiries
from pages.components.predict.scans import Answers, Scan, ask_again

STRIP = 40  # tiles of the strip
OPEN = "open-pages"  # {scan id: the page that is shown large}


def open_page(scan: Scan) -> int:
    return st.session_state.setdefault(OPEN, {}).get(scan.id, 0)


def turn_to(scan: Scan, page: int | str) -> None:
    st.session_state.setdefault(OPEN, {})[scan.id] = int(page)


def step(scan: Scan, pages: int, is_open: Callable[[], bool], beyond: Callable[[int], None], by: int) -> None:
    """To the next or the last B-scan; from the first and the last one `beyond` the volume, and also where that is not
    what `is_open` any more."""
    if is_open() and 0 <= open_page(scan) + by < pages:
        turn_to(scan, open_page(scan) + by)
    else:
        beyond(by)


def volume(scan: Scan, pages: int, answers: Answers) -> Callable[[], None]:
    """The strip and the answer where every page is known; returns what is to be done when the page is drawn: to ask for
    the others, with progress, and then to draw anew."""
    place = st.container()
    if not answers.pages_known(scan, pages):
        bar = place.empty()
        return partial(_ask, scan, pages, answers, bar)
    found: list[dict[str, Any]] = []
    for told in answers.pages(scan, pages):
        if isinstance(told, UserError):
            with place:
                show_refusal(told, scan)
            return lambda: None
        found += told
    with place:
        _answer(found)
        _strip(scan, found)
    return lambda: None


def show_refusal(error: UserError, scan: Scan) -> None:
    """Why there is no answer; what nobody could answer can be tried again."""
    show.say(error, icon=":material/broken_image:")
    if isinstance(error, Unanswered):
        st.button("Try again", icon=":material/refresh:", key="again", on_click=ask_again, args=(scan.id,))


def _ask(scan: Scan, pages: int, answers: Answers, bar: Any) -> None:
    done = 0
    bar.progress(0.0, text=f"Predicting every page: 0 of {pages:,}")
    for told in answers.pages(scan, pages):
        if isinstance(told, UserError):
            break
        done += len(told)
        bar.progress(min(done / pages, 1.0), text=f"Predicting every page: {done:,} of {pages:,}")
        if inquiries().newer():
            break
    st.rerun()


def _answer(found: list[dict[str, Any]]) -> None:
    """By the rule of `prediction.volume`, which stands beside it."""
    whole = volume_answer(found)
    called = ", ".join(f"{n:,} {name}" for name, n in whole["called"].items())
    st.markdown(f"**The volume, {whole['frames']:,} pages**: called {show.literal(called)}")
    named = pd.Index(["the volume"], name="Answer to")  # a heading without a text is none to a screen reader
    table = pd.DataFrame([{name: f"{p:.3f}" for name, p in whole["by_class"].items()}], index=named)
    show.table(table, border="horizontal", alt="The volume's answer for each class")
    doubted = f" {whole['doubted']:,} pages are not to be relied on." if whole["doubted"] else ""
    st.caption(
        f"Rule: {whole['rule']}. So they do not add up to 1, and a healthy class is high as soon as so many "
        "pages look healthy. The models were trained and tested on single images: no figure says how good this rule is "
        f"on volumes.{doubted}"
    )


def _strip(scan: Scan, found: list[dict[str, Any]]) -> None:
    """Some pages on either side of the one that is large: a thousand tiles at each key would be some megabytes."""
    tiles, first = [], max(0, min(open_page(scan) - STRIP // 2, len(found) - STRIP))
    for page, told in enumerate(found[first : first + STRIP], start=first):
        called, p = told["mean"]["prediction"], told["mean"]["probabilities"]
        tiles.append(
            tile_of(
                str(page),
                called,
                class_colour(list(p).index(called)),
                told["tile"],
                f"Page {page + 1}: predicted {called}, probability {p[called]:.2f}",
                score=f"{p[called]:.2f}",
                rank=f"{page + 1:,}",
                bar=[{"name": name, "share": p[name], "colour": class_colour(c)} for c, name in enumerate(p)],
                marks=["do not rely"] if told["doubt"]["high"] else [],
            )
        )
    if len(found) > STRIP:
        st.caption(f"Pages {first + 1:,} to {first + len(tiles):,} of {len(found):,}; the keys lead on.")
    with st.container(height=260 if len(tiles) > 8 else "content"):
        shown = str(open_page(scan))
        gallery("pages", tiles, "The pages of this volume", partial(turn_to, scan), chosen=shown, columns=8)
