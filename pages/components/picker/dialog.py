"""A folder or a file of the server picked by clicks, beside a field that takes its path: what there is, how many images
of which classes a folder holds, which network a file of weights fits. Nobody who may not name data has the button, and
what may not be named is not shown.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from colora.data.browsing import Listing, list_folder, typable
from colora.data.listing import shown
from colora.runs.access import may_be_named, why_not
from colora.system.errors import UserError
from colora.system.storage import file_size, size_text
from colora.system.table_file import ENDINGS as OF_TABLES
from colora.system.typed import is_dir, visible
from pages.components import picking, show
from pages.components.beside import Job
from pages.components.picker import counted, fits
from pages.components.picker.places import PICKS_FOLDERS, beginning, places, title_of
from pages.components.picking import Picker

ROWS = 20  # entries at a time
MOST_ABOVE = 6  # folders above the one that is shown
LOOK_SECONDS = 2.0
TITLES = {
    "folder": "Pick a folder of images",
    "images": "Pick a folder of images",
    "table": "Pick a table of images",
    "npz": "Pick a file of images",
    "weights": "Pick a file of weights",
}
ENDINGS = {"table": OF_TABLES, "npz": (".npz",), "weights": (".safetensors", ".pth", ".pt", ".bin", ".ckpt")}
ODD = "A field cannot hold this name as it is: rename it, or a folder above it."


def browse(kind: str, key: str, then: Callable[[], None] = lambda: None) -> None:
    """The button beside the field whose value stands in the session under `key`, and the picker that it opens. `kind`:
    "folder" with classes, "images" without, "table", "npz", "weights". `then` is what the field does on a change."""
    if why_not("name"):
        return
    st.button(
        "Browse",
        icon=":material/folder_open:",
        key=f"browse-{key}",
        on_click=_open,
        args=(kind, key, then),
        help=f"{TITLES[kind]} on the computer that runs this app.",
    )
    picker = picking.current()
    if picker and (picker.kind, picker.key) == (kind, key):
        picking.drawn(picker)
        st.dialog(TITLES[kind], width="large", icon=":material/folder_open:", on_dismiss=picking.close)(_draw)()


def _open(kind: str, key: str, then: Callable[[], None]) -> None:
    picking.begin(kind, key, beginning(kind, str(st.session_state.get(key) or "")), then)


def _draw() -> None:
    picker = picking.current()
    if picker is None:  # something was picked, or it was cancelled
        st.rerun()
    with st.container(horizontal=True):
        for number, place in enumerate(places(picker.kind)):
            _place(number, place)
    if picker.where is not None:
        _folder(picker, picker.where)
    else:
        st.caption("Choose where to begin.")
    st.button("Cancel", key="picker-cancel", on_click=picking.close)


def _place(number: int, place: Path) -> None:
    """One to begin at; a root that is not there is said to be so."""
    there = is_dir(place)
    st.button(
        show.brief(_said(title_of(place))),
        key=f"picker-place-{number}",
        icon=":material/home_storage:" if there else ":material/error:",
        on_click=picking.go,
        args=(place,),
        disabled=not there,
        help=show.literal(_said(place)) + ("" if there else ": there is no such folder now."),
    )


def _folder(picker: Picker, where: Path) -> None:
    _above(where)
    try:
        listing = list_folder(where, ENDINGS.get(picker.kind, ()))
    except UserError as error:
        show.say(_said(str(error)))
        return
    entries = [(where / name, True) for name in listing.folders] + [(where / name, False) for name in listing.files]
    pages = max(1, -(-len(entries) // ROWS))
    page = min(picker.page, pages - 1)
    listed = entries[page * ROWS : (page + 1) * ROWS]
    with st.container(gap="xsmall"):
        if picker.kind in PICKS_FOLDERS:
            _folders(picker.kind, where, [path for path, _ in listed])
        else:
            _files(picker.kind, listed)
    if not entries:
        files = f", and no files with the ending {' or '.join(ENDINGS[picker.kind])}" if picker.kind in ENDINGS else ""
        st.caption(show.literal(f"There are no folders in it{files}."))
    _turning(page, pages, listing)


def _above(where: Path) -> None:
    """The way from the first folder that may be named down to this one, each a button, and the one above it."""
    way = [where]
    while way[0].parent != way[0] and may_be_named(way[0].parent):
        way.insert(0, way[0].parent)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Up",
            key="picker-up",
            icon=":material/arrow_upward:",
            on_click=picking.go,
            args=(where.parent,),
            disabled=len(way) < 2,
        )
        if len(way) > MOST_ABOVE:
            st.caption("…", width="content")
        for number, folder in enumerate(way[-MOST_ABOVE:-1]):
            at = {"on_click": picking.go, "args": (folder,), "type": "tertiary"}
            st.button(show.brief(_said(folder.name or str(folder))), key=f"picker-above-{number}", **at)
            if folder.name:
                st.caption("/", width="content")
        st.markdown(f"**{show.brief(_said(where.name or str(where)))}**", width="content")


def _folders(kind: str, where: Path, paths: list[Path]) -> None:
    """The folder itself with what it holds, and those in it; in each of these one can go on."""
    counts = counted.counts_of([*paths, where])
    *below, own = counts
    with _row("own"):
        _about(kind, own)
        _take(where, "this", "Take this folder", primary=True)
    for number, (path, count) in enumerate(zip(paths, below, strict=True)):
        with _row(number):
            _into(number, path)
            _about(kind, count)
            _take(path, number)
    _renew(counts)


def _about(kind: str, count: counted.Count) -> None:
    found = counted.known(count)
    if kind == "images" and found and found.images:
        st.caption(f"{found.images:,} image{'s' * (found.images != 1)}")
    else:
        st.caption(
            show.literal(_said(counted.says(count))), help=show.literal(_said(found.sentence)) if found else None
        )


def _files(kind: str, listed: list[tuple[Path, bool]]) -> None:
    files = [path for path, folder in listed if not folder]
    said, job = _said_of(kind, files)
    for number, (path, folder) in enumerate(listed):
        with _row(number):
            if folder:
                _into(number, path)
                continue
            st.markdown(f":material/draft: {show.brief(_said(path.name))}", width="content")
            more = f" · {said[path]}" if path in said else ""
            st.caption(show.literal(f"{size_text(file_size(path))}{more}"))
            _take(path, number)
    _renew([job.answer] if job else [])


def _said_of(kind: str, files: list[Path]) -> tuple[dict[Path, str], Job | None]:
    """Which network each file of weights fits; the process that is still at it."""
    if kind != "weights" or not files:
        return {}, None
    try:
        answers, job = fits.fits_of(files)
    except UserError as error:
        show.say(fits.why_not(error), st.warning, ":material/error:")
        return {}, None
    return {path: fits.says(answer) for path, answer in zip(files, answers, strict=True)}, job


def _row(which: int | str) -> DeltaGenerator:
    return st.container(horizontal=True, vertical_alignment="center", key=f"picker-row-{which}")


def _into(number: int, path: Path) -> None:
    st.button(
        show.brief(_said(path.name)),
        key=f"picker-into-{number}",
        icon=":material/folder:",
        type="tertiary",
        on_click=picking.go,
        args=(path,),
    )


def _take(path: Path, which: int | str, label: str = "Take", primary: bool = False) -> None:
    odd = not typable(path)
    st.button(
        label,
        key=f"picker-take-{which}",
        type="primary" if primary else "secondary",
        on_click=picking.take,
        args=(path,),
        disabled=odd,
        help=ODD if odd else show.literal(_said(path)),
    )


def _turning(page: int, pages: int, listing: Listing) -> None:
    if pages > 1:
        with st.container(horizontal=True, vertical_alignment="center"):
            turn = {"on_click": picking.turn}
            st.button("Previous", key="picker-previous", args=(page - 1,), disabled=page == 0, **turn)
            st.button("Next", key="picker-next", args=(page + 1,), disabled=page == pages - 1, **turn)
            st.caption(f"Page {page + 1:,} of {pages:,}", width="content")
    if listing.more:
        st.caption("There is more in this folder than can be listed: type the path of what is missing here.")


def _renew(awaited: list) -> None:
    """Draws the page, and the picker with it, once more when something is known that is waited for now."""
    waiting = [one for one in awaited if not one.done()]
    if waiting:
        st.fragment(partial(_look, waiting), run_every=LOOK_SECONDS)()


def _look(waiting: list) -> None:
    if any(one.done() for one in waiting):
        st.rerun()


def _said(path: str | os.PathLike[str]) -> str:
    """A path, a name, or a sentence with some, on one line, with the escapes of what cannot be read."""
    return visible(shown(os.fspath(path)))
