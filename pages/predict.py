"""One scan, or many: what a group says of images that nobody has labelled, and when not to rely on it."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from colora.data.listing import plain
from colora.plots import class_colour
from colora.prediction.table import prediction_table
from colora.runs.access import named_place
from colora.runs.folder import Group
from colora.system.errors import UserError
from pages.components import address, beside, elsewhere, leaks, show
from pages.components.elements.gallery import gallery, tile_of
from pages.components.explain.inquiries import inquiries
from pages.components.frame import inside_app, one_of
from pages.components.predict import folder, scans, volume
from pages.components.predict.features import without_features
from pages.components.predict.known import about_of
from pages.components.predict.one_answer import one_answer, rests_on, without_answer
from pages.components.runs import chosen_group, file_stamp, show_damage, show_damaged_seeds, summary
from pages.components.workers import workers

WHERE = {"files": "Files", "folder": "A folder of this computer"}


def choose_where() -> str:
    return st.segmented_control(
        "Scans from", list(WHERE), required=True, format_func=WHERE.get, key=address.one("from", list(WHERE), WHERE.get)
    )


def files(group: Group) -> None:
    """Scans from the reader's own computer: the one that is open first, the others after it."""
    scans.choose_files()
    chosen = scans.scans()
    if st.session_state.get("scans-removed") and not chosen:
        st.button("Put the removed scans back", icon=":material/undo:", on_click=scans.put_back, key="scans-back")
    if not chosen:
        st.caption("Drop one scan or several above. The models are being loaded meanwhile.")
        return
    answers = scans.Answers(group)
    ids = list(chosen)
    shown = st.session_state.get("open-scan")
    shown = st.session_state["open-scan"] = shown if shown in chosen else ids[0]
    several = st.container()
    with one_of(2, 1):
        then = opened(group, chosen[shown], answers, ids)
    with several:
        if len(ids) > 1:
            tiles(list(chosen.values()), answers, shown)
        place = st.empty()
    waiting = [scan for scan in chosen.values() if not answers.known(scan)]
    for done, scan in enumerate(waiting):
        place.progress(done / len(waiting), text=f"Predicting the others: {done:,} of {len(waiting):,}")
        answers.to(scan)
        if inquiries().newer():
            st.rerun()
    if waiting and len(ids) > 1:
        st.rerun()
    every_answer(group, list(chosen.values()), answers)
    then()


def every_answer(group: Group, chosen: Sequence[scans.Scan], answers: scans.Answers) -> None:
    """The answers to all scans, as a file; of a volume that to its first page."""
    told = [(scan.name, answers.to(scan)) for scan in chosen if answers.known(scan)]
    found = {
        "images": [
            answer | {"path": name} | ({"page": 0} if answer["pages"] > 1 else {})
            for name, answer in told
            if isinstance(answer, dict)
        ],
        "refused": [{"path": name, "reason": str(error)} for name, error in told if isinstance(error, UserError)],
    }
    if found["images"]:
        origin = rests_on(about_of(group))
        st.markdown("**The answers to all scans**" if len(chosen) > 1 else "**The answer as a table**")
        show.csv_button(prediction_table(found), f"{group.name}-predictions", origin)


def opened(group: Group, scan: scans.Scan, answers: scans.Answers, ids: Sequence[str]) -> Callable[[], None]:
    """One scan with its answer, or why there is none; and what is to be done when all is drawn."""
    place = ids.index(scan.id)

    def step(by: int) -> None:
        now = st.session_state.get("open-scan")
        at = (ids.index(now) if now in ids else place) + by
        st.session_state["open-scan"] = ids[min(max(at, 0), len(ids) - 1)]

    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Remove this scan", icon=":material/close:", key="remove", on_click=scans.remove, args=(scan.id,))
        if len(ids) > 1:
            st.button("Remove all", icon=":material/delete_sweep:", key="remove-all", on_click=scans.remove_all)
            st.markdown(f"**Scan {place + 1:,}** of {len(ids):,}", width="content")
    return answered(group, scan, answers, step, lambda: st.session_state.get("open-scan") == scan.id)


def answered(
    group: Group,
    scan: scans.Scan,
    answers: scans.Answers,
    step: Callable[[int], None],
    is_open: Callable[[], bool],
    checksum: str | None = None,
) -> Callable[[], None]:
    """What the group says of one scan, or of the page of it that is shown; what is to be done when all is drawn.

    `step` goes to another scan, from the one that is open by then, which is this one where `is_open` says so;
    `checksum` is that of its pixels when it was predicted before.
    """
    page = volume.open_page(scan)
    with st.spinner("Predicting …" if workers().of(group).loaded else "Loading the models …"):
        told = answers.large(scan, page)
    if isinstance(told, UserError):
        volume.show_refusal(told, scan)
        without_answer(scan, step)
        return nothing
    if checksum not in (None, told["checksum"]):
        st.warning("This file has changed since the folder was predicted.", icon=":material/change_circle:")
    then = nothing
    if told["pages"] > 1:
        then = volume.volume(scan, told["pages"], answers)
        step = partial(volume.step, scan, told["pages"], is_open, step)
    one_answer(group, about_of(group), told, scan, page, step)
    return then


def nothing() -> None:
    """All is drawn."""


def tiles(chosen: Sequence[scans.Scan], answers: scans.Answers, shown: str) -> None:
    """All of them, small; a click opens one."""
    drawn = [tile_of_scan(scan, answers.to(scan) if answers.known(scan) else None) for scan in chosen]
    opens = partial(st.session_state.__setitem__, "open-scan")
    gallery("scan-tiles", drawn, "The scans and what they are called", opens, chosen=shown, columns=8)


def tile_of_scan(scan: scans.Scan, told: scans.Told | None) -> dict[str, Any]:
    """Picture and answer as one element, so that they cannot be of two scans."""
    if not isinstance(told, dict):
        return tile_of(scan.id, "", "transparent", told, scan.name, notes=[scan.name])
    called, p = told["mean"]["prediction"], told["mean"]["probabilities"]
    marks = ["do not rely"] if told["doubt"]["high"] else []
    notes = [scan.name, *([f"page 1 of {told['pages']:,}"] if told["pages"] > 1 else [])]
    alt = f"{', '.join(notes)}: predicted {called}, probability {p[called]:.2f}"
    colour, score = class_colour(list(p).index(called)), f"{p[called]:.2f}"
    return tile_of(scan.id, called, colour, told["tile"], alt, score=score, notes=notes, marks=marks)


def in_folder(group: Group) -> tuple[beside.Job, Any] | None:
    """Scans of the server's own computer; what is under way, and its place."""
    path = folder.choose_folder()
    if path is None:
        return None
    found, job = folder.predicted_folder(group, path)
    if job is not None:
        return job, st.empty()
    if found is None:
        return None
    row = folder.table_of(found, path, f"{group.name}-predictions", rests_on(found))
    if row is not None:
        image = found["images"][row]
        lies = named_place(image["path"], "folder")  # it may have become a link since the folder was read
        place = plain(image["path"])
        scan = scans.Scan(f"{place} {file_stamp(lies)}", Path(place).name, path=image["path"])
        st.markdown(f"**Row {row + 1:,}** of {len(found['images']):,}")
        folder.turn_page(scan, image)
        checksum = image["checksum"] if volume.open_page(scan) == image.get("page", 0) else None
        step = partial(folder.step, path, row, len(found["images"]))
        is_open = partial(folder.is_open, path, row)
        answered(group, scan, scans.Answers(group), step, is_open, checksum)()
    return None


inside_app()
st.header("Predict")
group = chosen_group("predict with")
followed = None
try:
    about = summary(group)
    if about["finished"]:
        workers().warm(group)  # it loads its models while the page is drawn
    show.about_line(about)
    leaks.line_and_banner(group, about["data"])
    show_damaged_seeds(about)
    show.not_counted(about)
    elsewhere.say_changes(group)
    if not about["finished"]:
        st.info(
            f"A group can predict as soon as one of its seeds is done; this one is {about['state']}.",
            icon=":material/hourglass:",
        )
        st.page_link(
            "pages/monitor.py", label="Watch it", icon=":material/monitoring:", query_params={"group": group.name}
        )
        st.stop()
    making = without_features(group)
    where = choose_where()
    with one_of(2, list(WHERE).index(where)):
        try:
            followed = files(group) if where == "files" else in_folder(group)
        except UserError as error:
            show.say(error)
    followed = followed or making
    show.picture_format()
except UserError as error:
    show_damage(group, error)
if followed:
    beside.follow(*followed, until=inquiries().newer)
