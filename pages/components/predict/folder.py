"""A folder of the server's own computer: all its images are predicted beside the page, which may be left meanwhile."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from colora.data.listing import plain
from colora.prediction.table import prediction_table
from colora.runs.access import check_looking, named_place
from colora.runs.folder import Group
from colora.system.errors import UserError
from colora.system.typed import is_dir
from pages.components import acting, address, show
from pages.components.beside import Job, answered, jobs
from pages.components.picker.dialog import browse
from pages.components.predict.known import stamps_of
from pages.components.predict.scans import Scan
from pages.components.predict.volume import turn_to

KEPT_SECONDS = 3600
SHOWN = 5_000  # rows of the table; all are in the file
ROW, SEEN = "folder-row", "folder-row-seen"  # of which folder which image is shown large; which was last
TABLE = "folder-table"


def choose_folder() -> Path | None:
    """The folder that is named; None where none is, or none that may be read here."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        place = address.text("folder")
        typed = st.text_input(
            "A folder of this computer",
            key=place,
            placeholder="/data/scans",
            help="Every image in it and below it. It is read where it lies; nothing is copied.",
        )
        browse("images", place)
    if not typed.strip():
        return None
    try:
        check_looking("name", typed)
        path = named_place(typed, "folder").absolute()
        if not is_dir(path):
            raise UserError(f"There is no folder {path}.")
    except UserError as error:
        show.say(error)
        return None
    return path


def predicted_folder(group: Group, path: Path) -> tuple[dict[str, Any] | None, Job | None]:
    """What the group said of the images in it, None before it was asked; and the job that is at it."""
    key = ("predict", str(group.path), group.identity, str(path))
    job = jobs().get(key)
    start = partial(_start, key, group, path)
    if job is None:
        _button(start, "Predict all images in it", ":material/play_arrow:")
        return None, None
    if job.under_way:
        st.button("Stop", icon=":material/cancel:", key="stop-folder", on_click=job.stop)
        return None, job
    try:
        found = answered(job)
    except UserError as error:
        show.say(error, st.info if job.stopped else st.error)
        _button(start, "Begin again", ":material/refresh:")
        return None, None
    with st.container(horizontal=True, vertical_alignment="center"):
        minutes = int((time.time() - job.at) / 60)
        st.caption(f"Predicted {'just now' if not minutes else f'{minutes:,} min ago'}.", width="content")
        _button(start, "Predict again", ":material/refresh:")
    if job.of != repr(stamps_of(group)):
        st.warning("The group has changed since: predict the folder again.", icon=":material/change_circle:")
    return found, None


def _button(start: Callable[[], Any], label: str, icon: str) -> None:
    if acting.button(label, [], "predict-folder", needs="name", icon=icon) is not None:
        start()
        st.rerun()


def _start(key: Any, group: Group, path: Path) -> None:
    jobs().forget(key)
    st.session_state.pop(ROW, None)
    arguments = ["predict", str(group.path), f"--identity={group.identity}", "--device=cpu", str(path)]
    jobs().start(key, arguments, KEPT_SECONDS, "Loading the models", repr(stamps_of(group)))


def table_of(found: dict[str, Any], path: Path, name: str, origin: str) -> int | None:
    """The table of all answers, of `predicted_folder` for a folder; the number of the image that is to be shown, None
    where there is none."""
    for sentence in found["image_warnings"]:
        st.caption(f":material/info: {show.literal(sentence)}")
    if refused := found["refused"]:
        first = show.literal(refused[0]["reason"])
        st.warning(
            f"{len(refused):,} file{'s' * (len(refused) != 1)} did not open; the CSV names each. The first: {first}",
            icon=":material/broken_image:",
        )
    table = _kept_table(found)
    doubted = int(table["do_not_rely"].eq(True).sum()) if "do_not_rely" in table else 0
    count = len(found["images"])
    st.markdown(f"**{count:,} image{'s' * (count != 1)}**, not to be relied on: {doubted:,}")
    shown = table.head(SHOWN)
    key = f"folder-rows-{found['name']}-{path}"
    st.dataframe(
        shown.assign(image=[Path(path).name for path in shown["image"]]),
        hide_index=True,
        on_select=partial(_follow_row, key, path),
        selection_mode="single-row",
        key=key,
        height=320,
        column_config=columns(shown),
    )
    if len(table) > SHOWN:
        st.caption(f"The first {SHOWN:,} of {len(table):,} rows; the file has all.")
    show.csv_button(table, name, origin)
    of, row = st.session_state.get(ROW, (path, 0))
    row = row if of == path else 0
    if row < count:
        return row
    if row - count < len(refused):
        show.say(plain(refused[row - count]["reason"]), st.info, ":material/broken_image:")
    return None


def _kept_table(found: dict[str, Any]) -> pd.DataFrame:
    """Made once of what this tab shows, not at each drawing: of 100,000 images it takes most of a second."""
    of, table = st.session_state.get(TABLE, (None, None))
    if of is not found:
        table = prediction_table(found)
        st.session_state[TABLE] = found, table
    return table


def _follow_row(key: str, path: Path) -> None:
    if rows := st.session_state[key].selection.rows:
        st.session_state[ROW] = path, rows[0]


def turn_page(scan: Scan, image: dict[str, Any]) -> None:
    """A row that was just chosen shows its own page of a volume; after that the strip's choice counts."""
    key = (scan.id, image.get("page", 0))
    if st.session_state.get(SEEN) != key:
        st.session_state[SEEN] = key
        turn_to(scan, key[1])


def step(path: Path, row: int, count: int, by: int) -> None:
    """To the next or the last image; the table's own choice stays where it is."""
    of, now = st.session_state.get(ROW, (path, row))
    st.session_state[ROW] = path, min(max((now if of == path else row) + by, 0), count - 1)


def is_open(path: Path, row: int) -> bool:
    """Whether the row that was drawn is still the one to be shown."""
    return st.session_state.get(ROW, (path, row)) == (path, row)


def columns(table: pd.DataFrame) -> dict[str, Any]:
    """How the columns are shown: names for people, three digits."""
    number = st.column_config.NumberColumn
    named = {
        "image": "Image",
        "prediction": "Prediction",
        "seeds_agree": "Seeds agree",
        "do_not_rely": "Do not rely",
        "nearest": "Nearest",
        "seen_before": "Seen before",
        "note": "Note",
    }
    shares = {
        "entropy": "Entropy (nats)",
        "more_unsure_than": "More unsure than (of test)",
        "distance": "Distance (place)",
        "disagreement": "Disagreement (place)",
    }
    classes = {name: name.removeprefix("p_") for name in table.columns if str(name).startswith("p_")}
    found: dict[str, Any] = {name: title for name, title in named.items() if name in table}
    return found | {
        name: number(title, format="%.3f") for name, title in {**shares, **classes}.items() if name in table
    }
