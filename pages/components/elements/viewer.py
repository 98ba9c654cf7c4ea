"""One image, large, under its name: zoom, window and level, inversion, all in the browser, and the verdict on it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import streamlit as st

from pages.components.elements import events

HERE = Path(__file__).parent
HTML = """<div class="viewer">
<div class="name"><h3><span class="dot"></span><span class="true"></span></h3>
<p><span class="answer"></span> <span class="says"></span></p><p class="about"></p></div>
<div class="stage"><canvas role="img" tabindex="0"></canvas><p class="problem"></p><span class="reading"></span></div>
<div class="judging"><span class="standing" role="status"></span>
<span class="group verdicts" role="group" aria-label="Your verdict"></span>
<button type="button" class="undo">Undo</button>
<label class="noted" title="This browser keeps it until it is recorded with a verdict."><span>Note</span>
<input type="text" maxlength="2000" autocomplete="off"></label></div>
<div class="tools">
<span class="group layers" role="group" aria-label="Which picture"></span>
<span class="group"><button type="button" class="out" aria-label="Zoom out">−</button>
<button type="button" class="in" aria-label="Zoom in">+</button>
<button type="button" class="invert" aria-pressed="false">Invert</button>
<button type="button" class="reset">Reset</button></span>
<label title="Window: how many greys lie between black and white">Contrast (window)
<input type="range" class="window" min="8" max="510" step="2"></label>
<label title="Level: the grey in the middle">Brightness (level)
<input type="range" class="level" min="0" max="255" step="1"></label>
<span class="group map"><button type="button" class="of" aria-pressed="true"></button>
<label title="How strongly the map covers the picture">Strength
<input type="range" class="strength" aria-label="Strength of the map" min="5" max="100" step="5"></label>
<button type="button" class="line" aria-pressed="true">Outline</button></span>
</div></div>"""
_PARTS = ("viewer_notes.js", "viewer_map.js", "viewer.js")
_viewer = st.components.v2.component(
    "colora.viewer",
    html=HTML,
    css=(HERE / "viewer.css").read_text(),
    js="\n".join([events.SCRIPT, *((HERE / name).read_text() for name in _PARTS)]),  # one module: the last part exports
)


@dataclass(frozen=True)
class Name:
    """What stands over the picture, in the same element, so that it can never be another image's."""

    true: str  # class; of an image that nobody has labelled the one that the models call it
    colour: str  # its own
    right: bool | None  # whether the models say so too; None of an image that nobody has labelled
    says: str  # what they say, in words
    about: str  # id, split, patient


@dataclass(frozen=True)
class Overlay:
    """A map over the square in the picture's middle that a network sees: which one, its name, its colours (data URI),
    and lines of (x, y), in shares of the square."""

    id: str
    title: str
    image: str
    lines: list[list[tuple[float, float]]]


@dataclass(frozen=True)
class LargeImage:
    """`layers`: title -> data URI, the first is shown first; without any, `problem` says why. What lies over all of
    them, and can be faded, is `overlay`."""

    id: str
    name: Name
    layers: dict[str, str]
    problem: str
    alt: str
    overlay: Overlay | None = None


@dataclass(frozen=True)
class Verdicts:
    """What can be decided, {id: (title, meaning)}, on which data and by whom (None: nobody yet); what they have
    decided, that in words, and its note. `draft` is the name under which the browser keeps a note that is not recorded
    yet; `event` what Undo takes back, if the verdict was given in this tab."""

    choices: dict[str, tuple[str, str]]
    data: str
    reader: str | None
    draft: str
    verdict: str | None = None
    standing: str = ""
    note: str = ""
    event: str | None = None


NO_VERDICTS = Verdicts({}, "", None, "")


@dataclass(frozen=True)
class Pressed:
    """A verdict, or "undo", and what was on the screen when the reader pressed: the image whose picture it was, of
    which data, for whom, with what note, and what Undo would take back."""

    verdict: str
    seen: str
    data: str
    reader: str | None
    note: str
    event: str | None


def viewer(
    key: str,
    image: LargeImage,
    on_step: Callable[[int], None],
    on_back: Callable[[], None],
    verdicts: Verdicts = NO_VERDICTS,
    on_judge: Callable[[Pressed], None] = lambda _: None,
    on_unheard: Callable[[], None] = lambda: None,
) -> None:
    """`on_judge` gets each verdict; `on_step` +1 or -1 for an arrow key, which goes on from what is open when it is
    called, and that can be further on than what is drawn; `on_back` is called for Escape.

    `on_unheard` is called where a verdict has come that no callback could take: to a session that is new, or after the
    viewer had left the page. Without `verdicts` there is nothing to judge."""

    def judge(given: dict[str, Any]) -> None:
        on_judge(Pressed(*(given.get(part.name) for part in fields(Pressed))))  # an older page sends less

    def judged() -> None:
        if not events.take(key, "judge", judge):
            on_unheard()

    given = _viewer(
        key=key,
        data={
            "key": key,
            "heard": events.heard(key),
            "id": image.id,
            "name": asdict(image.name),
            "layers": [{"title": title, "image": uri} for title, uri in image.layers.items()],
            "problem": image.problem,
            "alt": image.alt,
            "overlay": None if image.overlay is None else asdict(image.overlay),
            "verdicts": None
            if verdicts is NO_VERDICTS
            else [{"id": id, "title": title, "about": about} for id, (title, about) in verdicts.choices.items()],
        }
        | {
            name: getattr(verdicts, name)
            for name in ("data", "reader", "draft", "verdict", "standing", "note", "event")
        },
        on_judge_change=judged,
        on_step_change=lambda: events.take(key, "step", on_step),
        on_back_change=lambda: events.take(key, "back", lambda _: on_back()),
    )
    if "judge" in events.lost(key, given):
        on_unheard()
