"""Downloads that outlive the browser: a detached process each, its progress in a small file that every tab reads.

    STATE/transfers/ID.json     state, bytes, message and process identity; only that process writes it
                    ID.cancel   exists: a person wants it to stop
                    ID.log      what the process printed

`colora data get` and `colora weights get` report here wherever they were started, a terminal included.
Imports no torch.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colora.data.medmnist import remote_file
from colora.networks.weights import remote_weights
from colora.runs.access import check_anywhere, record_of_person
from colora.runs.folder import own_process, read_json, write_json
from colora.system.errors import Cancelled, UserError
from colora.system.installation import ROOT
from colora.system.process import is_alive, is_visible, send
from colora.system.storage import locked, state_dir, state_folder

ACTIVE = ("starting", "waiting", "downloading", "verifying", "unpacking")
STATES = (*ACTIVE, "done", "failed", "cancelled", "interrupted")
WRITE_SECONDS = 0.5  # at most so often, but at every change of state
START_WAIT_SECONDS = 60
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Transfer:
    """One download, as its process last told; `interrupted` where that process is gone without a word."""

    id: str
    kind: str  # "data" or "weights"
    name: str  # "octmnist", "vgg16"
    size: int | None  # pixels, of data
    path: Path  # the file that is downloaded
    state: str
    bytes: int = 0  # of the present state: downloading, verifying and unpacking each count from 0
    total: int | None = None
    bytes_per_s: float | None = None
    message: str | None = None
    process: dict[str, Any] | None = None
    updated: float = 0.0

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


def transfer_id(kind: str, name: str, size: int | None, path: Path) -> str:
    """One target, one id: "data-octmnist-224-1f0c9a7b"."""
    place = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:8]
    name = name.partition(":")[0]  # where a backbone is cut is all the same to its file
    return "-".join([kind, name, *([str(size)] if size else []), place])


def start_download(kind: str, name: str, size: int | None = None, data_dir: str | None = None) -> Transfer:
    """A process of its own that gets the set or the weights; the one that runs already, if there is one.

    Returns once that process has said its first word. Raises UserError where there is no such set, or it cannot start.
    """
    check_anywhere("download", name)
    path = _target(kind, name, size, data_dir)
    known, folder = transfer_id(kind, name, size, path), _folder()
    with locked(folder / known):
        if (now := _read(known)) and now.active:
            return now
        _remove(known)
        record_of_person("download", kind=kind, name=name, size=size, path=str(path))
        arguments = [kind, "get", name, *(["--size", str(size), "--data-dir", str(path.parent)] if size else [])]
        with open(folder / f"{known}.log", "wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "colora", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                close_fds=True,
                start_new_session=True,
            )
        return _first_word(known, child)


def _target(kind: str, name: str, size: int | None, data_dir: str | None) -> Path:
    if kind == "weights":
        return remote_weights(name).path.absolute()
    if kind != "data" or size is None:
        raise UserError(f"A download is of data with a size, or of weights; got {kind} {name}, size {size}.")
    return remote_file(name, size, data_dir).path.absolute()


def _first_word(known: str, child: subprocess.Popen) -> Transfer:
    end = time.monotonic() + START_WAIT_SECONDS
    while time.monotonic() < end:
        ended = child.poll() is not None
        if found := _read(known):
            return found
        if ended:
            said = (_folder() / f"{known}.log").read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise UserError(f"The download ended at once: {said[-1]}")
        time.sleep(POLL_SECONDS)
    raise UserError(f"The download has not started within {START_WAIT_SECONDS} s; it may still show up in a while.")


def downloads() -> list[Transfer]:
    """Every download that is under way, or has ended and was not forgotten; the latest first."""
    found = [_read(path.stem) for path in (state_dir() / "transfers").glob("*.json")]
    return sorted((t for t in found if t), key=lambda t: t.updated, reverse=True)


def cancel(known: str, wait: float = 10) -> Transfer | None:
    """Stop a download, and say how it stands once it has stopped, or after `wait` seconds. What has arrived is kept."""
    check_anywhere("download", known)
    now = _read(known)
    if now is None or not now.active:
        return now
    record_of_person("cancel-download", kind=now.kind, name=now.name, size=now.size)
    (_folder() / f"{known}.cancel").touch()
    if is_visible(now.process):
        send(now.process, signal.SIGTERM)  # wakes it where it waits for the network; elsewhere it finds the file
    end = time.monotonic() + wait
    while (now := _read(known)) and now.active and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    return now


def forget(known: str) -> None:
    """Take a download that has ended off the list; files that have arrived stay."""
    check_anywhere("download", known)
    now = _read(known)
    if now and now.active:
        raise UserError(f"{now.name} is still {now.state}: cancel it first.")
    _remove(known)


@contextmanager
def reported(kind: str, name: str, size: int | None, path: Path) -> Iterator["Report"]:
    """While this process downloads `path`, others can see how far it is and ask it to stop."""
    report = Report(transfer_id(kind, name, size, path), kind, name, size, path)
    try:
        yield report
    except (KeyboardInterrupt, Cancelled):
        report.end("cancelled", "Cancelled. What has arrived is kept: the next try continues there.")
        raise
    except UserError as error:
        report.end("failed", str(error))
        raise
    except BaseException as error:
        report.end("failed", f"An unexpected error, {type(error).__name__}: {error}. The log has the details.")
        raise
    report.end("done", None)


class Report:
    """Writes ID.json; a `Progress` and a `Stop` for `colora.system.download.fetch`."""

    def __init__(self, known: str, kind: str, name: str, size: int | None, path: Path):
        self.folder, self.id = _folder(), known
        self.record = {"kind": kind, "name": name, "size": size, "path": str(path.absolute())}
        self.state, self.since, self.first, self.written = "", 0.0, 0, 0.0
        if self._mine():
            (self.folder / f"{known}.cancel").unlink(missing_ok=True)  # meant for an earlier try
        self.progress("starting", 0, None)

    def progress(self, state: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if state != self.state:
            self.state, self.since, self.first, self.written = state, now, done, 0.0
        if not self.written or now - self.written >= WRITE_SECONDS:
            self.written = now
            rate = (done - self.first) / (now - self.since) if now - self.since >= 1 else None
            self._write(state=state, bytes=done, total=total, bytes_per_s=rate, process=own_process())

    def should_stop(self) -> bool:
        return (self.folder / f"{self.id}.cancel").exists()

    def end(self, state: str, message: str | None) -> None:
        self._write(state=state, message=message, bytes_per_s=None, process=None)

    def _write(self, **changes: Any) -> None:
        self.record |= changes | {"updated": time.time()}
        if self._mine():
            write_json(self.folder / f"{self.id}.json", self.record)

    def _mine(self) -> bool:
        """Another process at work on the same file tells how far it is; this one only waits for it."""
        now = _read(self.id)
        return now is None or not now.active or now.process == own_process()


def _folder() -> Path:
    return state_folder("transfers")


def _read(known: str) -> Transfer | None:
    """None where nothing was written yet."""
    folder = state_dir() / "transfers"
    path = folder / f"{known}.json"
    if not path.exists():
        return None
    try:
        record = read_json(path)
        found = Transfer(known, **record | {"path": Path(record["path"])})
    except (UserError, TypeError, KeyError) as error:
        raise UserError(f"{path} is damaged: delete it. What was downloaded is not touched.") from error
    if not found.active or is_alive(found.process):
        return found
    if (folder / f"{known}.cancel").exists():
        state, message = "cancelled", "Cancelled. What has arrived is kept: the next try continues there."
    else:
        state = "interrupted"
        message = (
            "The process of this download is gone (killed, or the machine restarted). Started again, it continues."
        )
    return Transfer(known, **record | {"path": Path(record["path"]), "state": state, "message": message})


def _remove(known: str) -> None:
    for ending in ("json", "cancel", "log"):
        (state_dir() / "transfers" / f"{known}.{ending}").unlink(missing_ok=True)
