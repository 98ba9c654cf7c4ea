"""Scans that came in through the browser, on the Data page: bring in more, look at them, remove and put back."""

import streamlit as st

from colora.data.uploads.kept import Upload, groups_on, list_uploads, remove_upload
from colora.runs.trash import Entry
from colora.system.errors import UserError
from colora.system.storage import size_text
from pages.components import acting, show, undo
from pages.components.data import carried
from pages.components.data.downloads import Shown
from pages.components.data.uploading import drop, incoming_key
from pages.components.paged import page_number
from pages.components.runs import runs_dir

DROP = "data-upload"
NEXT = "images-next"  # what the field of the folder is to hold when the page is drawn anew
REMOVED = "removed-upload"
UPLOADS = "uploads"  # where it is said that something was pressed in vain
ROWS, MOST_NAMED = 10, 20


def fill_field() -> None:
    """Before the field of the folder is drawn: what has come in, or come back, since; empty of what has gone."""
    if (place := st.session_state.pop(NEXT, None)) is not None:
        st.session_state[carried.PATHS["folder"]] = place


def was_dropped() -> bool:
    """Whether something was brought in on this page, in this tab."""
    return incoming_key(DROP) in st.session_state


def scans_brought_in(shown: Shown) -> None:
    """The place to drop them, and what is here already."""
    drop(DROP, shown, _look_at)
    acting.say(UPLOADS)
    undo_removal()
    uploads = list_uploads(runs_dir())
    if not uploads:
        return
    st.markdown("**Scans brought in**")
    place = st.container()
    number = page_number("uploads-page", -(-len(uploads) // ROWS))
    with place:
        for upload in uploads[(number - 1) * ROWS : number * ROWS]:
            _row(upload)


def _look_at(upload: Upload) -> None:
    st.session_state[NEXT] = str(upload.place)


def _row(upload: Upload) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"upload-{upload.name}"):
        if upload.problem:
            show.say(f"{upload.name}: {upload.problem}", icon=":material/broken_image:")
        else:
            about = upload.about
            st.markdown(f"**{show.literal(upload.name)}**", width="content")
            st.caption(
                f"{show.literal(upload.says())} · {size_text(about['bytes'])} · "
                f"{show.literal(show.time_text(about['created']))}, {show.literal(upload.by)}",
                width="content",
            )
            query = {"set": carried.set_title("folder"), carried.PATHS["folder"]: str(upload.place)}
            st.page_link("pages/data.py", label="Look at it", icon=":material/visibility:", query_params=query)
        about_it = {"needs": "upload-rm", "icon": ":material/delete:", "type": "tertiary"}
        if chosen := acting.button("Remove …", [upload], f"remove-upload-{upload.name}", UPLOADS, **about_it):
            confirm_remove(*chosen)


@st.dialog("Remove?", icon=":material/delete:", on_dismiss="rerun")
def confirm_remove(upload: Upload) -> None:
    name = f"**{show.literal(upload.name)}**"
    st.markdown(f"{name} will go to the trash. At the foot of *Overview* it can be put back, or removed for good.")
    if groups := groups_on(runs_dir(), upload):
        more = f" and {len(groups) - MOST_NAMED:,} more" if len(groups) > MOST_NAMED else ""
        named = ", ".join(map(show.literal, groups[:MOST_NAMED]))
        st.warning(
            f"Trained or tested on it: {named}{more}. Their results stay, but their images would not be shown any "
            "more, and no run of theirs could go on.",
            icon=":material/warning:",
        )
    with st.container(horizontal=True):
        about_it = {"needs": "upload-rm", "type": "primary"}
        if chosen := acting.button("Remove", [upload], "confirm-remove-upload", acting.DIALOG, **about_it):
            _remove(*chosen)
        if st.button("Cancel", key="keep-upload"):
            st.rerun()


def _remove(upload: Upload) -> None:
    try:
        place = remove_upload(runs_dir(), upload)
    except UserError as error:
        show.say(error)
        return
    st.session_state[REMOVED] = Entry(place)
    if st.session_state.get(carried.PATHS["folder"]) == str(upload.place):
        st.session_state[NEXT] = ""
    st.rerun()


def undo_removal() -> None:
    """That scans were taken away in this tab, and the way back."""
    if (entry := undo.removed(REMOVED)) is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(f"The scans **{show.literal(entry.own_name)}** are in the trash.", icon=":material/delete:")
        pressed = acting.button("Undo", [entry], "undo-upload", UPLOADS, needs="put-back", icon=":material/undo:")
        if pressed and (back := undo.take_back(REMOVED, entry)):
            st.session_state[NEXT] = str(back)
            st.rerun()
