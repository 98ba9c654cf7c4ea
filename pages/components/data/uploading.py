"""Scans that are dropped into a page: a zip or a folder, unpacked beside the page into a folder that can be trained on.

What was dropped is unpacked in a thread of the server, so that the page is served meanwhile and a click does not begin
it anew; it goes on where the tab is closed. The field is empty again at once, and when all is written the server
forgets what it held in memory.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

from colora.data.listing import SUFFIXES
from colora.data.uploads.kept import Upload, same_upload
from colora.data.uploads.take import take_files, take_zip
from colora.runs import access
from colora.system.download import Progress
from colora.system.errors import UserError
from colora.system.storage import Stop, size_text
from colora.system.table_file import ENDINGS
from pages.components import show
from pages.components.data.downloads import Shown, amount
from pages.components.runs import runs_dir

KINDS = {"zip": "A zip file", "folder": "A folder"}
TYPES = {"zip": ["zip"], "folder": [ending.removeprefix(".") for ending in (*SUFFIXES, *ENDINGS)]}
LABELS = {"zip": "Zip of scans", "folder": "Folder of scans"}
HOW = {
    "zip": "With one sub-folder of images for each class, below train, val and test or not.",
    "folder": "With one sub-folder of images for each class. Choose it with the button: of a folder that is dropped, "
    "the browser does not tell the sub-folders. Its images and tables are sent, one by one, and nothing else: hundreds "
    "come in much faster as a zip.",
}
MOST_MEGABYTES = 500  # which the field says as it is: of the 512 that the server takes it would say "1GB"
SOON_SECONDS = 0.3  # what is unpacked as fast is waited for
Taken = tuple[Upload, bool]  # and whether it was there already


@dataclass(eq=False)
class Incoming:
    """One zip or folder on its way in: how far it is, and in the end what it has become."""

    doing: str = "Unpacking"
    done: int = 0
    total: int = 0
    stopped: bool = False
    told: bool = False
    answer: "Future[Taken]" = field(default_factory=Future)

    def tell(self, doing: str, done: int, total: int | None) -> None:
        self.doing, self.done, self.total = doing, done, total or 0

    @property
    def under_way(self) -> bool:
        return not self.answer.done()

    @property
    def problem(self) -> BaseException | None:
        """What it has ended with; None while it is under way, and where all went well."""
        return self.answer.exception() if self.answer.done() else None

    @property
    def share(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0

    def says(self) -> str:
        """`Unpacking: 1.2 of 5.5 MB`, `Saving: 1,200 of 5,000 files`."""
        if not self.total:
            return f"{self.doing} …"
        files = f"{self.done:,} of {self.total:,} files"
        return f"{self.doing}: {files if self.doing == 'Saving' else amount(self.done, self.total)}"


def drop(key: str, shown: Shown, then: Callable[[Upload], None] = lambda _: None) -> Upload | None:
    """Where a zip or a folder is dropped; returns what was brought in here last, as long as it is there. What is under
    way, `shown` follows at the page's end. `then` is called once with what has come in, before the page is drawn anew:
    to fill a field that names it."""
    incoming: Incoming | None = st.session_state.get(incoming_key(key))
    under_way = incoming is not None and incoming.under_way
    done = incoming is not None and not under_way and incoming.problem is None
    with st.expander("Bring in others", icon=":material/upload:") if done else st.container():
        _field(key, disabled=under_way)
    if incoming is None:
        return None
    if under_way:
        with st.container(horizontal=True, vertical_alignment="center"):
            shown.look(incoming, st.empty())
            st.button(
                "Cancel",
                icon=":material/cancel:",
                key="stop-upload",
                on_click=setattr,
                args=(incoming, "stopped", True),
                disabled=incoming.stopped,
            )
        return None
    return _ended(key, incoming, then)


def _field(key: str, disabled: bool) -> None:
    """What takes a zip or a folder, for whoever may bring something in."""
    said = access.why_not("upload")
    kind = st.segmented_control(
        "Bring in",
        list(KINDS),
        label_visibility="collapsed",
        default="zip",
        required=True,
        format_func=KINDS.get,
        key=f"{key}-kind",
        persist_state="session",
    )
    widget = f"{key}-{kind}-{st.session_state.get(_turn(key), 0)}"
    st.file_uploader(
        LABELS[kind],
        TYPES[kind],
        accept_multiple_files="directory" if kind == "folder" else False,
        key=widget,
        on_change=_begin,
        args=(key, kind, widget),
        disabled=bool(said) or disabled,
        max_upload_size=most_megabytes(),
        help=show.literal(said) if said else None,
    )
    st.caption(
        f"{HOW[kind]} Up to {most_megabytes():,} MB: put a larger set onto the computer that runs this app, and name "
        "its folder."
    )


def incoming_key(key: str) -> str:
    """Of the session's state: what was dropped last at a place."""
    return f"{key}-incoming"


def _turn(key: str) -> str:
    return f"{key}-turn"


def most_megabytes() -> int:
    """Of a zip, or of all files of a folder: in MB of 2**20 bytes, as Streamlit counts them."""
    return min(MOST_MEGABYTES, int(st.get_option("server.maxUploadSize")))


def _begin(key: str, kind: str, widget: str) -> None:
    """What was chosen is on its way, and the field is another one, without it."""
    chosen = st.session_state[widget]
    files = chosen if isinstance(chosen, list) else [chosen] if chosen else []
    if not files:
        return
    st.session_state[_turn(key)] = st.session_state.get(_turn(key), 0) + 1
    incoming = st.session_state[incoming_key(key)] = Incoming()
    thread = Thread(target=_take, args=(incoming, runs_dir(), kind, files), name="colora-upload", daemon=True)
    add_script_run_ctx(thread, get_script_run_ctx())  # in whose session it happens: whose rights count
    thread.start()
    wait([incoming.answer], SOON_SECONDS)


def _take(incoming: Incoming, folder: Path, kind: str, files: Sequence[Any]) -> None:
    try:
        incoming.answer.set_result(_taken(folder, kind, files, incoming.tell, lambda: incoming.stopped))
    except Exception as error:  # the page that shows it raises what is no sentence
        incoming.answer.set_exception(error)
    finally:
        _forget(files)


def _taken(folder: Path, kind: str, files: Sequence[Any], on_progress: Progress, should_stop: Stop) -> Taken:
    if kind == "zip":
        return take_zip(folder, files[0], files[0].name, on_progress, should_stop)
    if sum(file.size for file in files) > most_megabytes() << 20:
        raise UserError(
            f"The folder holds more than {most_megabytes():,} MB: put it onto the computer that runs this app, and "
            "name it as the folder of images."
        )
    return take_files(folder, [(file.name, file) for file in files], on_progress, should_stop)


def _forget(files: Sequence[Any]) -> None:
    """The server would hold them for as long as the tab is open."""
    context = get_script_run_ctx()
    for file in files:
        file.close()
        if context and hasattr(context.uploaded_file_mgr, "remove_file"):  # Streamlit's own has it
            context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)


def _ended(key: str, incoming: Incoming, then: Callable[[Upload], None]) -> Upload | None:
    if problem := incoming.problem:
        if not isinstance(problem, UserError):
            raise problem
        show.say(problem, st.info if incoming.stopped else st.error)
        return None
    upload, again = incoming.answer.result()
    if not incoming.told:
        incoming.told = True
        then(upload)
        st.rerun()
    try:
        same_upload(upload)
    except UserError:  # removed since, here or elsewhere
        del st.session_state[incoming_key(key)]
        return None
    already = " The same images were here already, so nothing was added." if again else ""
    size = size_text(upload.about["bytes"])
    st.success(
        f"**{show.literal(upload.name)}**: {show.literal(upload.says())}, {size}.{already}", icon=":material/check:"
    )
    if left_out := upload.says_left_out():
        st.caption(show.literal(left_out))
    return upload
