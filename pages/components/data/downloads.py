"""Files of public hosts on the pages: what is here, a button for what is not, and progress while it comes.

A download is a process of its own (`queue.transfers`), so it goes on when the page is left. The page that shows one
runs on at its end (`follow`) and fills the places it has drawn; Streamlit interrupts that as soon as someone acts or
leaves. A polling fragment would go on after its page is gone.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from colora.data.medmnist import damages, on_disk, remote_file
from colora.networks.weights import damage, remote_weights, weights_on_disk
from colora.queue.transfers import Transfer, cancel, downloads, start_download, transfer_id
from colora.settings.catalog import split_backbone
from colora.settings.medmnist_info import info
from colora.system.download import Progress, RemoteFile
from colora.system.duration import duration
from colora.system.errors import UserError
from colora.system.storage import size_text
from colora.system.typed import exists, is_file
from pages.components import acting, address, picking, show
from pages.components.beside import NOT_BUSY, POLL_SECONDS
from pages.components.runs import file_stamp

DOING = {
    "starting": "Starting",
    "waiting": "Waits for another download of this file",
    "downloading": "Downloading",
    "verifying": "Checking",
    "unpacking": "Unpacking",
}
BADGES = {
    "absent": ("gray", ":material/cloud_download:", "not here"),
    "partial": ("orange", ":material/downloading:", "partly downloaded"),
    "downloaded": ("blue", ":material/inventory_2:", "downloaded, not unpacked"),
    "ready": ("green", ":material/check_circle:", "ready"),
    "active": ("blue", ":material/downloading:", "on its way"),
}
START = {
    "absent": ("Download", ":material/download:"),
    "partial": ("Continue", ":material/resume:"),
    "downloaded": ("Check and unpack", ":material/unarchive:"),
    "again": ("Try again", ":material/refresh:"),
}


@dataclass(frozen=True)
class Target:
    """A set at one size, or a backbone's weights: the file, and what of it is on this computer."""

    kind: str  # "data" or "weights"
    name: str
    size: int | None  # pixels, of data
    data_dir: str | None
    title: str
    file: RemoteFile
    state: str  # "absent", "partial", "downloaded" (of data: not unpacked yet), "ready"
    bytes: int  # here
    whole: str  # what it takes on the disk
    place: Path  # where it is used from
    damages: Callable[[Progress], dict[str, str | None]]  # reads all that is here, {path: what is wrong}

    @property
    def id(self) -> str:
        return transfer_id(self.kind, self.name, self.size, self.file.path.absolute())


def set_target(name: str, size: int, data_dir: str | None) -> Target:
    """Raises UserError where there is no such set."""
    found, facts = on_disk(name, size, data_dir), info(name)
    return Target(
        "data",
        name,
        size,
        data_dir,
        f"{facts.title} at {size} px",
        remote_file(name, size, data_dir),
        "ready" if found.state == "unpacked" else found.state,
        found.unpacked_bytes or found.npz_bytes or found.part_bytes,
        f"{size_text(sum(facts.images.values()) * size**2)} unpacked",
        found.folder if found.unpacked_bytes else found.npz,
        lambda on_progress: damages(name, size, data_dir, on_progress),
    )


def weights_target(spec: str) -> Target:
    """Raises UserError for a backbone without ImageNet weights."""
    found, file = weights_on_disk(spec), remote_weights(spec)
    return Target(
        "weights",
        split_backbone(spec)[0],
        None,
        None,
        f"{found.title}'s ImageNet file",
        file,
        "ready" if found.state == "downloaded" else found.state,
        found.bytes or found.part_bytes,
        size_text(found.whole_bytes),
        found.path,
        lambda on_progress: {str(file.path): damage(spec, on_progress)},
    )


class Followed(Protocol):
    """What goes on beside the page, and is not a download: a look at data, or scans on their way in."""

    @property
    def under_way(self) -> bool: ...

    @property
    def share(self) -> float: ...

    def says(self) -> str: ...


class Shown:
    """The downloads as this run of the page found them, and the places of those that it has drawn; and of
    what else goes on beside the page, which it follows as well."""

    def __init__(self) -> None:
        try:
            self.transfers = {transfer.id: transfer for transfer in downloads()}
        except UserError as error:
            show.say(error)
            self.transfers = {}
        self.places: dict[str, DeltaGenerator] = {}
        self.looks: list[tuple[Followed, DeltaGenerator]] = []

    def active(self, target: Target) -> Transfer | None:
        found = self.transfers.get(target.id)
        return found if found and found.active else None

    def ended(self, target: Target) -> Transfer | None:
        """A download that ended before its time and that nothing on the disk has overtaken."""
        found = self.transfers.get(target.id)
        if found is None or found.active or found.state == "done" or target.state == "ready":
            return None
        path = target.file.path
        return None if is_file(path) and path.stat().st_mtime > found.updated else found

    def progress(self, transfer: Transfer, place: DeltaGenerator) -> None:
        self.places[transfer.id] = place
        _progress(transfer, place)

    def look(self, look: Followed, place: DeltaGenerator) -> None:
        """What is under way."""
        self.looks.append((look, place))
        place.progress(look.share, text=show.literal(look.says()))

    def follow(self) -> None:
        """The page's last call: fresh figures until a download begins or ends, or a look ends; then the page anew. Not
        while somebody picks a folder: that waits for the page's script to end."""
        begun = {known for known, transfer in self.transfers.items() if transfer.active}
        address.tell()
        if self.places or self.looks:
            st.html(NOT_BUSY)
        while (self.places or self.looks) and not picking.is_open():
            time.sleep(POLL_SECONDS)
            if not all(look.under_way for look, _ in self.looks):
                st.rerun()
            for look, place in self.looks:
                place.progress(look.share, text=show.literal(look.says()))
            try:
                now = {transfer.id: transfer for transfer in downloads() if transfer.active}
            except UserError:
                st.rerun()  # which says what is damaged
            if now.keys() != begun:
                st.rerun()
            for known, place in self.places.items():
                _progress(now[known], place)


@acting.as_drawn.register
def _(target: Target) -> Target:
    """What was drawn for a target is that nothing comes yet."""
    if any(known.active for known in downloads() if known.id == target.id):
        raise UserError(f"{target.title} is on its way already, started elsewhere; nothing was done.")
    return target


@acting.as_drawn.register
def _(transfer: Transfer) -> Transfer:
    """Whoever started it again since, has another process."""
    now = next((known for known in downloads() if known.id == transfer.id), None)
    if now is None or not now.active:
        raise UserError(f"The download of {transfer.name} has ended meanwhile; nothing was done.")
    if now.process != transfer.process:
        raise UserError(f"The download of {transfer.name} was started again elsewhere; nothing was done.")
    return now


def _progress(transfer: Transfer, place: DeltaGenerator) -> None:
    share = min(1.0, transfer.bytes / transfer.total) if transfer.total else 0.0
    place.progress(share, text=progress_text(transfer))


def progress_text(transfer: Transfer) -> str:
    """`Downloading: 1.2 of 5.5 GB · 24.3 MB/s · about 3 min left`."""
    text = DOING[transfer.state]
    if transfer.bytes or transfer.total:
        text += f": {amount(transfer.bytes, transfer.total)}"
    if transfer.bytes_per_s:
        text += f" · {size_text(transfer.bytes_per_s)}/s"
        if transfer.total:
            text += f" · {duration((transfer.total - transfer.bytes) / transfer.bytes_per_s)} left"
    return text


def amount(done: int, total: int | None) -> str:
    """`1.2 of 5.5 GB`, `820.0 MB of 5.5 GB`; `1.2 GB so far` where nobody has said how much it will be."""
    if not total:
        return f"{size_text(done)} so far"
    (number, unit), whole = size_text(done).split(), size_text(total)
    return f"{number if whole.endswith(f' {unit}') else f'{number} {unit}'} of {whole}"


def card(target: Target, title: str, shown: Shown) -> None:
    """One file: its state, progress, buttons, place and checksum.

    Every part has its own place whatever the state: while a download is followed, Streamlit clears nothing away.
    """
    active, ended = shown.active(target), shown.ended(target)
    with st.container(border=True, key=f"card-{target.id}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{title}**", width="content")
            colour, icon, words = BADGES["active" if active else target.state]
            st.badge(words, icon=icon, color=colour)
            st.caption(f"takes {target.whole}" if active else _amount_here(target, shown), width="content")
        place = st.empty()
        if active:
            shown.progress(active, place)
        elif ended:
            asked_for = ended.state == "cancelled"
            icon = ":material/pause_circle:" if asked_for else ":material/error:"
            show.say(ended.message, place.info if asked_for else place.error, icon)
        with st.container(horizontal=True):
            _button(target, active, ended)
            _verify_button(target, disabled=bool(active) or target.state not in ("downloaded", "ready"))
        path = target.place if target.state == "ready" else target.file.path
        st.caption(f"{show.literal(path)}  \n{target.file.checksum_text}")


def _amount_here(target: Target, shown: Shown) -> str:
    if target.state != "partial":
        return size_text(target.bytes) if target.bytes else f"takes {target.whole}"
    known = shown.transfers.get(target.id)
    downloading = known and known.total and known.total >= target.bytes and known.state in ("cancelled", "downloading")
    return amount(target.bytes, known.total if downloading else None)


def _button(target: Target, active: Transfer | None, ended: Transfer | None) -> None:
    """Start, continue or cancel, as the state asks; nothing where the file is ready."""
    if active:
        cancel_button(active)
    elif target.state == "ready":
        st.empty()
    else:
        again = ended is not None and ended.state != "cancelled"
        label, icon = START["again" if again else target.state]
        start_button(target, label, icon)


def start_button(target: Target, label: str = "Download", icon: str = ":material/download:") -> None:
    about = {"needs": "download", "icon": icon, "help": f"{target.title}: {target.whole}"}
    if acting.button(label, [target], f"start-{target.id}", **about):
        try:
            with st.spinner("Starting …"):
                start_download(target.kind, target.name, target.size, target.data_dir)
        except UserError as error:
            show.say(error)
            return
        st.rerun()


def cancel_button(transfer: Transfer) -> None:
    meaning = "Stops the download. What has arrived is kept, and Continue goes on from there."
    about = {"needs": "download", "icon": ":material/cancel:", "help": meaning}
    if acting.button("Cancel", [transfer], f"cancel-{transfer.id}", **about):
        try:
            with st.spinner("Stopping …"):
                cancel(transfer.id)
        except UserError as error:
            show.say(error)
            return
        st.rerun()


def _verify_button(target: Target, disabled: bool) -> None:
    """Reads what is here, which takes a while for gigabytes, and keeps the answer while the files are the same."""
    files = (target.file.path, target.place)
    key, stamp = f"verified-{target.id}", (target.state, target.bytes, *map(file_stamp, files))
    pressed = st.button(
        "Verify",
        icon=":material/fact_check:",
        key=f"verify-{target.id}",
        disabled=disabled,
        help="Reads all of it and compares it with the published checksum.",
    )
    place = st.empty()
    if pressed and not disabled:
        bar = place.progress(0.0, text="Reading …")

        def tell(_: str, done: int, total: int | None) -> None:
            bar.progress(done / total if total else 0.0, text=f"Reading: {amount(done, total)}")

        st.session_state[key] = stamp, target.damages(tell)
    known, found = st.session_state.get(key, (None, {}))
    if known != stamp:
        return
    wrong = [sentence for sentence in found.values() if sentence]
    if wrong:
        show.say(" ".join(wrong), place.error)
    else:
        place.success("As published.", icon=":material/verified:")


def missing(target: Target, shown: Shown, query: dict[str, str], problem: str) -> None:
    """Under a field whose file is not here: get it, or see how far it is."""
    active, ended = shown.active(target), shown.ended(target)
    place = st.empty()
    if active:
        shown.progress(active, place)
    else:
        why = f" {ended.message}" if ended and ended.state != "cancelled" else ""
        show.mark(f"{problem}{why}", place)
    with st.container(horizontal=True, vertical_alignment="center"):
        if active:
            cancel_button(active)
        else:
            start_button(target, "Continue the download" if target.state == "partial" else "Download it")
        st.page_link("pages/data.py", label="Data page", icon=":material/database:", query_params=query)


def elsewhere(shown: Shown) -> None:
    """Downloads under way that no card shows: of another set, or into another folder."""
    others = [t for t in shown.transfers.values() if t.active and t.id not in shown.places]
    gone = range(len(others), st.session_state.get("others-drawn", 0))
    st.session_state["others-drawn"] = len(others)
    for transfer in others:
        what = f"{info(transfer.name).title} at {transfer.size} px" if transfer.kind == "data" else transfer.name
        with st.container(border=True, key=f"other-{transfer.id}"):
            st.markdown(f"**{show.literal(what)}**, to {show.literal(transfer.path.parent)}")
            shown.progress(transfer, st.empty())
            cancel_button(transfer)
    for _ in gone:
        st.empty()  # takes the place of one that has ended


def by_hand(target: Target) -> None:
    """How to carry the file to a computer without a network, step by step."""
    algorithm, _, checksum = target.file.checksum.partition(":")
    whole = "MD5 (its checksum)" if algorithm == "md5" else "SHA-256 (its checksum), the first digits"
    st.markdown("1. On a computer with a network, download")
    st.code(target.file.url, language=None, wrap_lines=True)
    st.markdown(f"2. Compare its {whole}, and keep its name")
    st.code(f"{checksum}  {target.file.path.name}", language=None, wrap_lines=True)
    st.markdown("3. Put it into this folder of the computer that runs this app")
    st.code(str(target.file.path.parent), language=None, wrap_lines=True)
    if target.kind == "data":
        st.markdown("4. Come back and press **Check and unpack**: a file that differs is refused, with a sentence.")
    else:
        st.markdown("4. Come back and press **Verify**. Each run checks it again when it starts.")


def free_room(folder: Path) -> str:
    """`120.3 GB`: free on the disk of a folder that may not exist yet."""
    there = next(place for place in (folder, *folder.absolute().parents) if exists(place))
    return size_text(shutil.disk_usage(there).free)
