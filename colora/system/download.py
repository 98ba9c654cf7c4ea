"""Public files over HTTP: streamed to FILE.part, resumed where they were cut off, checked, then renamed.

A file at its place is complete. What is not complete is at FILE.part, and the next `fetch` continues it.
"""

import hashlib
import http.client
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from colora.system.errors import Cancelled, UserError
from colora.system.file_rights import like_its_folder
from colora.system.installation import VERSION
from colora.system.storage import (
    ELSEWHERE,
    Stop,
    check_room,
    disk_errors,
    file_size,
    locked,
    made_folder,
    never,
    size_text,
)

CHUNK = 1 << 20
TIMEOUT_SECONDS = 20  # without a byte
TRIES = 4  # without progress, of a host that has answered; one that never has is asked twice
BACKOFF_SECONDS = 1.0  # doubled from try to try
WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)

Progress = Callable[[str, int, int | None], None]
"""(state, bytes so far, bytes in all or None where unknown); states: waiting, downloading, verifying, unpacking."""


def quiet(state: str, done: int, total: int | None) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class RemoteFile:
    """A file that a public host offers, and its place on this machine."""

    url: str
    checksum: str  # "md5:HEX", or "sha256:HEX", of which the first digits are enough
    path: Path
    elsewhere: str = ELSEWHERE  # what to do where that place has no room or no permission

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    @property
    def checksum_text(self) -> str:
        """`MD5 c68d92d5...`, as a person compares it."""
        algorithm, _, expected = self.checksum.partition(":")
        return f"{'MD5' if algorithm == 'md5' else 'SHA-256'} {expected}" + ("" if algorithm == "md5" else "...")

    def by_hand(self) -> str:
        """The end of a sentence: how to carry the file to a machine without a network."""
        return f"fetch {self.url} on a machine with a network ({self.checksum_text}) and put it at {self.path}"


class _Interrupted(Exception):
    """No more bytes from the host for now, or for good."""

    def __init__(self, reason: str, final: bool = False):
        super().__init__(reason)
        self.final = final


def fetch(file: RemoteFile, on_progress: Progress = quiet, should_stop: Stop = never, room: int = 0) -> Path:
    """The complete, checked file: downloaded, or continued, unless it is there already.

    `room` bytes must stay free beside it. Of two processes the second waits and finds the file there. Raises Cancelled
    where `should_stop` says so, UserError for a host, checksum or disk that fails; what had arrived is kept.
    """
    if not file.url.startswith(("https://", "http://")):
        raise UserError(f"{file.url} is no http or https address.")
    made_folder(file.path.parent, file.elsewhere)
    with locked(file.path, should_stop, on_wait=lambda: on_progress("waiting", file_size(file.part), None)):
        if file.path.exists():
            verify(file, on_progress, should_stop)
            return file.path
        _download(file, on_progress, should_stop, room)
        found = found_checksum(file, file.part, on_progress, should_stop)
        if not matches(file, found):
            file.part.unlink()
            raise UserError(
                f"{file.path.name} arrived damaged: {file.checksum_text} was expected, {found} was found. It was "
                f"deleted: try again. If that does not help, something between {_host(file)} and this machine changes "
                f"it: {file.by_hand()}."
            )
        with disk_errors(file.path, file.elsewhere):
            os.replace(file.part, file.path)
    return file.path


def verify(file: RemoteFile, on_progress: Progress = quiet, should_stop: Stop = never) -> None:
    """Raises UserError where the file at its place is not the one that the host offers."""
    found = found_checksum(file, file.path, on_progress, should_stop)
    if not matches(file, found):
        raise UserError(
            f"{file.path} ({size_text(file_size(file.path))}) is damaged or another file: {file.checksum_text} was "
            f"expected, {found} was found. Delete it and get it again."
        )


def matches(file: RemoteFile, found: str) -> bool:
    return found.startswith(file.checksum.partition(":")[2])


def found_checksum(file: RemoteFile, path: Path, on_progress: Progress = quiet, should_stop: Stop = never) -> str:
    """Hex digest of all of `path`, by the file's algorithm."""
    digest = hashlib.new(file.checksum.partition(":")[0], usedforsecurity=False)
    done, total = 0, file_size(path)
    with _readable(path), open(path, "rb") as source:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            on_progress("verifying", done, total)
            if should_stop():
                raise Cancelled(f"Cancelled while {path.name} was checked; nothing is lost.")
    return digest.hexdigest()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}).") from error


def _download(file: RemoteFile, on_progress: Progress, should_stop: Stop, room: int) -> None:
    """All of the file in `file.part`, in as many connections as it takes."""
    tries, answered, farthest = 0, False, file_size(file.part)
    while True:
        try:
            with _answer(file) as response:
                answered = True
                _receive(response, file, on_progress, should_stop, room)
            return
        except _Interrupted as cut:
            have = file_size(file.part)
            tries = 1 if have > farthest else tries + 1
            farthest = max(farthest, have)
            if cut.final or tries >= (TRIES if answered else 2):
                raise UserError(_gave_up(file, str(cut), have)) from cut
            _pause(BACKOFF_SECONDS * 2 ** (tries - 1), file, should_stop)


@contextmanager
def _answer(file: RemoteFile) -> Iterator[HTTPResponse]:
    """The host's answer to a request for what is still missing. Raises _Interrupted where there is none."""
    have = file_size(file.part)
    request = Request(file.url, headers={"User-Agent": f"colora-studio/{VERSION}", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urlopen(request, timeout=TIMEOUT_SECONDS)
    except HTTPError as error:
        if error.code != 416 or not have:
            error.close()
            final = error.code not in WORTH_ANOTHER_TRY
            raise _Interrupted(f"{_host(file)} answers {error.code} {error.reason}", final) from error
        response = error  # the part kept here has all bytes, or more than there are
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise _Interrupted(f"{_host(file)} does not answer: {reason}") from error
    with response:
        yield response


def _receive(response: HTTPResponse, file: RemoteFile, on_progress: Progress, should_stop: Stop, room: int) -> None:
    """Append what the host sends to the part, or begin it anew where the host sends all of it."""
    have = file_size(file.part)
    start, total = _extent(response, file)
    if response.status == 416:
        if total == have:
            return
        file.part.unlink()  # no beginning of the file that the host has now
        raise _Interrupted("the part kept here does not fit the file there")
    if start not in (0, have):
        raise _Interrupted(f"{_host(file)} sends from byte {start} what was wanted from byte {have}", final=True)
    missing = 0 if total is None else total - start
    free_again = have if start == 0 else 0  # a part begun anew gives its room back
    check_room(file.path.parent, missing + room - free_again, file.path.name, file.elsewhere)

    kept = f" What has arrived is kept: the next try continues {file.part.name}."
    have = start
    with disk_errors(file.part, file.elsewhere, kept), open(file.part, "ab" if start else "wb", buffering=0) as part:
        like_its_folder(file.part)
        while True:
            on_progress("downloading", have, total)
            if should_stop():
                raise Cancelled(f"Cancelled. {size_text(have)} of {file.path.name} are kept; the next try continues.")
            chunk = _read(response, file)
            if not chunk:
                break
            have += _write(part, chunk)
        os.fsync(part.fileno())
    if total is not None and have < total:
        raise _Interrupted(f"the connection to {_host(file)} broke off")


def _extent(response: HTTPResponse, file: RemoteFile) -> tuple[int, int | None]:
    """(first byte of the answer, bytes of the whole file or None where the host does not tell)."""
    if response.status not in (206, 416):
        length = response.headers.get("Content-Length")
        return 0, int(length) if length else None
    told = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
    if response.status == 206 and not (told and told[1]):
        raise _Interrupted(f"{_host(file)} sends a part and does not say which", final=True)
    total = int(told[2]) if told and told[2] != "*" else None
    return int(told[1] or 0) if told else 0, total


def _read(response: HTTPResponse, file: RemoteFile) -> bytes:
    try:
        return response.read1(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(f"the connection to {_host(file)} broke off ({error})") from error


def _write(part, chunk: bytes) -> int:
    """All of the chunk: an unbuffered write may take less on a disk that is nearly full."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[part.write(rest) :]
    return len(chunk)


def _pause(seconds: float, file: RemoteFile, should_stop: Stop) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if should_stop():
            raise Cancelled(f"Cancelled. {size_text(file_size(file.part))} of {file.path.name} are kept.")
        time.sleep(min(0.1, seconds))


def _gave_up(file: RemoteFile, reason: str, have: int) -> str:
    kept = f" {size_text(have)} have arrived and are kept; the next try continues there." if have else ""
    return f"{file.path.name} could not be downloaded: {reason}.{kept} Try again later, or {file.by_hand()}."


def _host(file: RemoteFile) -> str:
    return file.url.split("/")[2]
