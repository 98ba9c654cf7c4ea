"""A grid of images as one element of the page: tiles to choose from, with the keyboard too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from colora.system.errors import UserError
from pages.components.elements import events

HERE = Path(__file__).parent
_gallery = st.components.v2.component(
    "colora.gallery",
    html='<div class="gallery" role="group"></div>',
    css=(HERE / "gallery.css").read_text(),
    js=events.SCRIPT + (HERE / "gallery.js").read_text(),
)


def tile_of(
    id: str, name: str, colour: str, picture: str | UserError | None, alt: str, **more: Any
) -> dict[str, Any]:
    """A tile for `gallery`: the class that its first line names, in its colour, under the picture (a data URI) or why
    there is none; `more` are the rest of its parts: predicted and right, score, rank, notes, bar, marks."""
    shown = isinstance(picture, str)
    usual = {"predicted": None, "right": None, "score": "", "rank": "", "notes": [], "bar": [], "marks": []}
    return {
        "id": id,
        "image": picture if shown else None,
        "problem": "" if shown else "…" if picture is None else str(picture),
        "true": {"name": name, "colour": colour},
        "alt": alt,
        **usual,
        **more,
    }


def gallery(
    key: str,
    tiles: list[dict[str, Any]],
    label: str,
    on_open: Callable[[str], None],
    on_turn: Callable[[int], None] | None = None,
    chosen: str | None = None,
    columns: int = 5,
) -> None:
    """Tiles as `tile_of` makes them. `on_open` gets the id of the image that a person chose.

    `on_turn` gets +1 or -1 for a key that turns a page, from the one that is open when it is called; `chosen` is
    marked; `columns` is how many stand side by side on a wide screen.
    """

    given = _gallery(
        key=key,
        data={
            "key": key,
            "heard": events.heard(key),
            "tiles": tiles,
            "label": label,
            "turns": on_turn is not None,
            "chosen": chosen,
            "columns": columns,
        },
        on_open_change=lambda: events.take(key, "open", on_open),
        on_turn_change=lambda: events.take(key, "turn", on_turn or (lambda _: None)),
    )
    events.lost(key, given)
