"""The scans that a person has chosen in this tab, and what the group says of each.

They lie in the server's memory, for this tab alone, and nowhere else: they are gone with the tab, when they are
removed, or, all at once removed, when others are chosen and they cannot be put back any more. A folder of the server's
own computer is read where it lies instead (`folder`).
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from colora.data.listing import SUFFIXES
from colora.data.prepare import FORMATS
from colora.prediction.answer import Page, answer
from colora.prediction.known import Known
from colora.runs.folder import Group
from colora.system.errors import UserError
from colora.system.storage import size_text
from pages.components import show
from pages.components.command import Unanswered
from pages.components.predict.known import known_of, stamps_of
from pages.components.workers import ask
from pages.components.workers import stamps_of as models_of

ENDINGS = [suffix.removeprefix(".") for suffix in SUFFIXES]
MOST, MOST_BYTES = 200, 400 * 2**20  # of a tab
SAID = "scans-said"  # why not all that were chosen last are there
KEPT = 400  # answers
ORIGINALS, TRIMMED = 24, "trimmed"  # of the last answers, each some 100 kB to some MB; what says that one is without
SCAN = 2  # in a key of an answer: the group's path, the state of its files, the scan, which page
AT_ONCE = 16  # pages of a volume at 224 px, and below that: of larger ones fewer, as their maps take more memory
Told = dict[str, Any] | UserError


@dataclass(frozen=True)
class Scan:
    """One file: its bytes, or where it lies on the server's own computer. `id` tells its content, or that place and the
    state of the file there, and its name."""

    id: str
    name: str
    data: bytes = b""
    path: str | None = None

    @property
    def request(self) -> dict[str, Any]:
        """What `colora worker` is asked with, before the bytes."""
        return {"name": self.name, "bytes": len(self.data)} if self.path is None else {"path": self.path}


def scans() -> dict[str, Scan]:
    """By id, in the order in which they were chosen."""
    return st.session_state.setdefault("scans", {})


def choose_files() -> None:
    """Drop files here; they go into the list below, and the field is empty again."""
    turn = st.session_state.setdefault("scans-turn", 0)
    st.file_uploader(
        "Scans",
        ENDINGS,
        accept_multiple_files=True,
        key=f"scans-{turn}",
        max_upload_size=MOST_BYTES // 2**20,
        on_change=_take,
        args=(f"scans-{turn}",),
        help=f"{', '.join(FORMATS)}; 8 or 16 bits, grey or colour. The server holds them in memory for this tab alone, "
        "and in no file; they are gone with the tab.",
    )
    if said := st.session_state.get(SAID):  # until something else is chosen or removed: the page is drawn several times
        show.say(said, st.warning, ":material/warning:")


def _take(key: str) -> None:
    chosen = scans()
    room = MOST_BYTES - sum(len(scan.data) for scan in chosen.values())
    left_out, first = 0, None
    st.session_state[SAID] = None
    for file in st.session_state[key] or []:
        data = file.getvalue()
        scan = Scan(hashlib.sha256(file.name.encode() + b"\n" + data).hexdigest()[:16], file.name, data)
        if scan.id in chosen:
            continue
        if len(chosen) >= MOST or len(data) > room:
            left_out += 1
            continue
        room -= len(data)
        chosen[scan.id] = scan
        first = first or scan.id
    if left_out:
        st.session_state[SAID] = (
            f"{left_out} more were chosen than one tab takes ({MOST} files, {size_text(MOST_BYTES)} together): name "
            "the folder they lie in instead."
        )
    if first:
        st.session_state["open-scan"] = first
        _drop(st.session_state.pop("scans-removed", {}))  # they cannot be put back any more
    st.session_state["scans-turn"] += 1


def remove(scan_id: str) -> None:
    """One scan from the list; its neighbour is shown then."""
    st.session_state[SAID] = None
    ids = list(scans())
    if scan_id not in ids:  # clicked twice
        return
    place = ids.index(scan_id)
    _drop([scan_id])
    scans().pop(scan_id)
    left = list(scans())
    st.session_state["open-scan"] = left[min(place, len(left) - 1)] if left else None


def remove_all() -> None:
    st.session_state[SAID] = None
    st.session_state["scans-removed"] = dict(scans())
    scans().clear()
    st.session_state["open-scan"] = None


def put_back() -> None:
    """What was removed last, all at once."""
    scans().update(st.session_state.pop("scans-removed", {}))
    st.session_state["open-scan"] = next(iter(scans()), None)


def _drop(ids: Iterable[str], failed_only: bool = False) -> None:
    """The answers to these scans, with their pictures; of these only such as can be tried again."""
    kept: dict[Any, Told] = st.session_state.get("answers", {})
    for key in [key for key in kept if key[SCAN] in ids]:
        if not failed_only or isinstance(kept[key], Unanswered):
            del kept[key]


def ask_again(scan_id: str) -> None:
    """What nobody has answered of a scan is asked anew."""
    _drop([scan_id], failed_only=True)


class Answers:
    """What the group says of scans, as its files are now: each is asked for once in this tab."""

    def __init__(self, group: Group):
        self._group, self._state = group, (str(group.path), repr((stamps_of(group), models_of(group))))
        self._kept: dict[Any, list[dict[str, Any]] | UserError] = st.session_state.setdefault("answers", {})
        self._at_once = max(1, min(AT_ONCE, AT_ONCE * 224**2 // group.config.image_size**2))

    def known(self, scan: Scan) -> bool:
        """Whether its first page was answered, or nobody could."""
        return (*self._state, scan.id, 0) in self._kept

    def to(self, scan: Scan, page: int = 0) -> Told:
        """The answer to a page, or why there is none. With its pictures, of those asked for long ago without the
        original."""
        told = self._asked((*self._state, scan.id, page), scan, {"page": page})
        return told if isinstance(told, UserError) else told[0]

    def large(self, scan: Scan, page: int) -> Told:
        """The same, to be shown large: with all its pictures."""
        told = self.to(scan, page)
        if isinstance(told, dict) and TRIMMED in told:
            del self._kept[*self._state, scan.id, page]
            return self.to(scan, page)
        return told

    def pages(self, scan: Scan, count: int) -> Iterator[list[dict[str, Any]] | UserError]:
        """The answers to all of `count` pages, some at a time, each with its tile."""
        for first in range(0, count, self._at_once):
            more = {"page": first, "pages": self._at_once}
            yield self._asked((*self._state, scan.id, first, self._at_once), scan, more)

    def pages_known(self, scan: Scan, count: int) -> bool:
        """Whether nothing is left to be asked: all are there, or one of them was refused."""
        for first in range(0, count, self._at_once):
            told = self._kept.get((*self._state, scan.id, first, self._at_once))
            if not isinstance(told, list):
                return told is not None
        return True

    def _asked(self, key: Any, scan: Scan, more: dict[str, int]) -> list[dict[str, Any]] | UserError:
        """What nobody could answer is kept too, until it is asked again: a file that a process ends over would end one
        after the other."""
        if key in self._kept:
            return self._kept[key]
        known = known_of(self._group)  # while the worker loads
        request = {**scan.request, **more, "seeds": known.test.seeds, "features_of": known.best.seed}
        try:
            told = ask(self._group, request, scan.data)
            found: list[dict[str, Any]] | UserError = [
                _answer(known, seen) | {"pages": told["pages"]} for seen in told["seen"]
            ]
        except UserError as error:
            found = error
        self._make_room(key)
        self._kept[key] = found
        return found

    def _make_room(self, key: Any) -> None:
        """Of volumes only the pages of one are kept, of pictures the originals of the last ones, and what other groups
        said goes first. What the page draws each time stays, however much it is, or it would be asked for without end:
        the first pages of this tab's scans, and the pages of the volume."""
        volume = len(self._state) + 3  # parts of the key of several pages at once
        if len(key) == volume:
            for other in [other for other in self._kept if len(other) == volume and other[SCAN] != key[SCAN]]:
                del self._kept[other]
        own = [other for other in self._kept if other[:2] == self._state]
        others = [other for other in self._kept if other[:2] != self._state]
        turned = [other for other in own if len(other) < volume and (other[SCAN] not in scans() or other[-1] != 0)]
        spare = [*others, *turned]  # each the oldest first
        for old in spare[: max(0, len(self._kept) - KEPT + 1)]:
            del self._kept[old]
        answers = [found[0] for found in self._kept.values() if isinstance(found, list)]
        whole = [told for told in answers if len(told.get("layers", ())) > 1]
        for told in whole[: max(0, len(whole) - ORIGINALS + (len(key) < volume))]:
            told["layers"] = dict(list(told["layers"].items())[-1:])
            told[TRIMMED] = True


def _answer(known: Known, seen: dict[str, Any]) -> dict[str, Any]:
    """`answer.answer` to what the models see in a page, with the page itself."""
    numbers = {name: np.array(seen.pop(name), dtype=np.float32) for name in ("probabilities", "features")}
    distances, contrast = seen.pop("distances"), seen.pop("contrast")
    own = None if distances is None else np.array(distances)
    return seen | answer(known, Page(**numbers, distances=own, checksum=int(seen["checksum"]), contrast=contrast))
