"""Commands that take a while, from pages: in a process beside the server, with its progress and its document.

One goes on when the page that began it is left, and its answer is for all sessions. It is kept for a while, by a key
that tells what was asked, such as the state of the files that it reads.
"""

import json
import os
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock, Semaphore, Thread
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from colora.cli.progress import LINES
from colora.system.errors import Cancelled, UserError
from pages.components import address, picking, show
from pages.components.command import command_of, document_of, not_started

FAILED_SECONDS = 60  # after which what was refused is asked anew
KEPT = 32
AT_ONCE = 2  # processes; the others wait
POLL_SECONDS = 0.4
NOT_BUSY = '<style>[data-testid="stStatusWidget"] {display: none}</style>'
"""Streamlit's sign of a page at work, whose "Stop" would end the page's figures and not what it follows."""
BEGUN = "Reading"  # also what `colora data check` calls reading the names


@dataclass
class Job:
    """One process of `colora NAME ...`: how far it is, and in the end its document, in `answer`."""

    name: str
    seconds: float  # that its answer is kept
    begun: str  # what it does before it says so itself
    of: Any = None  # the state of what it reads, for those who want to tell whether that has changed since
    state: str = ""
    done: int = 0
    total: int | None = None
    answer: Future = field(default_factory=Future)
    ended: float = 0.0  # time.monotonic()
    at: float = 0.0  # time.time(), of its end
    stopped: bool = False
    process: subprocess.Popen | None = None

    @property
    def under_way(self) -> bool:
        return not self.answer.done()

    @property
    def fresh(self) -> bool:
        failed = not self.under_way and self.answer.exception() is not None
        return self.under_way or time.monotonic() - self.ended < (FAILED_SECONDS if failed else self.seconds)

    def says(self) -> str:
        """`Looking at the data: 1,200 of 5,000`."""
        doing = {"": "Waits for its turn", BEGUN: self.begun}.get(self.state, self.state)
        doing = doing[:1].upper() + doing[1:]
        if not self.done:
            return f"{doing} …"
        return f"{doing}: {self.done:,} of {self.total:,}" if self.total else f"{doing}: {self.done:,} files so far"

    @property
    def share(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0

    def stop(self) -> None:
        self.stopped = True
        if self.process is not None:
            self.process.terminate()


class _Jobs:
    """Of all sessions, the last ones."""

    def __init__(self) -> None:
        self.lock, self.turns = Lock(), Semaphore(AT_ONCE)
        self.known: dict[Any, Job] = {}

    def get(self, key: Any) -> Job | None:
        with self.lock:
            job = self.known.get(key)
            return job if job and job.fresh else None

    def last(self, key: Any) -> Job | None:
        """Under way or ended, however long ago, as long as it is among the last ones."""
        with self.lock:
            return self.known.get(key)

    def forget(self, key: Any) -> None:
        """What is known under the key is asked for anew, unless it is under way."""
        with self.lock:
            if (job := self.known.get(key)) and not job.under_way:
                del self.known[key]

    def start(self, key: Any, arguments: Sequence[str], seconds: float, begun: str, of: Any = None) -> Job:
        """The one that is under way, or a new one."""
        with self.lock:
            job = self.known.pop(key, None)
            if job is None or not job.under_way:
                job = Job(f"colora {arguments[0]}", seconds, begun, of)
                command, where = command_of(arguments)
                Thread(target=self._run, args=(job, command, where), name="colora-jobs", daemon=True).start()
            self.known[key] = job
            ended = [other for other, one in self.known.items() if not one.under_way]
            for other in ended[: max(0, len(ended) - KEPT)]:
                del self.known[other]
            return job

    def _run(self, job: Job, command: list[str], where: dict[str, Any]) -> None:
        try:
            with self.turns:
                found = _document(job, command, where)
        except Exception as error:  # the page that shows it raises it
            self._end(job)
            job.answer.set_exception(error)
        else:
            self._end(job)
            job.answer.set_result(found)

    @staticmethod
    def _end(job: Job) -> None:
        job.ended, job.at = time.monotonic(), time.time()


@st.cache_resource(show_spinner=False)
def jobs() -> _Jobs:
    """The one of this server."""
    return _Jobs()


def _document(job: Job, command: list[str], where: dict[str, Any]) -> dict[str, Any]:
    """Raises UserError as `command.document_of`, and Cancelled where a person stopped it."""
    if job.stopped:
        raise Cancelled("Stopped.")
    last: deque[str] = deque(maxlen=20)
    environment = where["env"] | {LINES: "lines"}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        try:
            job.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                cwd=where["cwd"],
                env=environment,
            )
        except (OSError, ValueError) as error:
            raise not_started(job.name, error) from error
        job.state = BEGUN
        with job.process as process:
            if job.stopped:  # between the thread's start and the process's
                process.terminate()
            for line in process.stderr:
                _take(job, line) if line.startswith('{"progress"') else last.append(line)
        if job.stopped:
            raise Cancelled("Stopped.")
        out.seek(0)
        return document_of(job.name, process.returncode, out.read(), "".join(last))


def _take(job: Job, line: str) -> None:
    try:
        told = json.loads(line)
        job.state, job.done, job.total = str(told["progress"]), int(told["done"]), told["total"]
    except (ValueError, KeyError, TypeError):  # a line that was cut short: the next one tells
        return


def answered(job: Job) -> dict[str, Any]:
    """Raises UserError as the command did."""
    try:
        return job.answer.result(timeout=0)
    except OSError as error:
        raise UserError(f"{job.name} could not be run: {os.strerror(error.errno or 0)}.") from error


def follow(job: Job, place: DeltaGenerator, until: Callable[[], bool] = lambda: False) -> None:
    """A page's last call: how far the job is, until it ends or `until` is true; then the page anew. Not while somebody
    picks a folder: that waits for the page's script to end."""
    address.tell()
    st.html(NOT_BUSY)
    if picking.is_open():
        place.progress(job.share, text=show.literal(job.says()))
        return
    while job.under_way and not until():
        place.progress(job.share, text=show.literal(job.says()))
        time.sleep(POLL_SECONDS)
    st.rerun()
