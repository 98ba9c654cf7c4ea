"""The processes that hold groups' models, for all sessions: `colora worker`, one a group, begun when a page needs it.

Each ends by itself when nobody asks for a while, and with the server; here it is ended when another group's is needed
and there are enough, when the group's files change, and when an image takes too long. The server imports no torch.
"""

import json
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, Queue
from threading import Lock, Thread
from typing import Any

import streamlit as st

from colora.runs.documents import contained
from colora.runs.finished import finished
from colora.runs.folder import Group
from colora.system.errors import UserError
from pages.components.command import Unanswered, command_of, document_of, not_started
from pages.components.runs import file_stamp

AT_ONCE = 2  # groups; each has its models in memory
READY_SECONDS = 180  # to load torch and the models, on a machine that is busy
ANSWER_SECONDS = 600  # ten seeds of a large network at 512 px take minutes for some pages
REFUSED = 2  # exit code of a command that a person can put right
TOO_MUCH = 3  # as `colora.prediction.worker` has it, which imports torch
NAME = "colora worker"
FILES = ("model.safetensors", "config.json")  # of a seed


Command = tuple[Sequence[str], dict[str, Any]]


class _Ended(Unanswered):
    """While it was asked, and not over the question: another one is asked at once."""


@dataclass
class Worker:
    """One process, asked by one session at a time. `loaded`: it has said that its models are there."""

    process: subprocess.Popen
    loaded: bool = False
    used: float = 0.0  # time.monotonic()
    lock: Lock = field(default_factory=Lock)
    over: bool = False  # it has ended, or is about to
    _answers: Queue = field(default_factory=Queue)
    _last: deque = field(default_factory=lambda: deque(maxlen=20))
    _asked: int = 0

    @classmethod
    def started(cls, command: Sequence[str], where: dict[str, Any]) -> "Worker":
        """By `command_of`."""
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, **where)
        except (OSError, ValueError) as error:
            raise not_started(NAME, error) from error
        worker = cls(process, used=time.monotonic())
        Thread(target=worker._hear, name="colora-worker-answers", daemon=True).start()
        Thread(target=worker._overhear, name="colora-worker-log", daemon=True).start()
        return worker

    def _hear(self) -> None:
        for line in self.process.stdout:
            if line.endswith(b"\n"):  # killed while it wrote, it leaves half of one
                self._answers.put(line)
        self.process.wait()
        self._answers.put(None)  # it has ended

    def _overhear(self) -> None:
        for line in self.process.stderr:
            self._last.append(line.decode(errors="replace"))

    @property
    def alive(self) -> bool:
        return not self.over and self.process.poll() is None

    def ask(self, request: dict[str, Any], data: bytes = b"") -> dict[str, Any]:
        """Its answer to an image. Raises UserError with its refusal, and Unanswered where it has ended over it."""
        with self.lock:
            if self.over:  # over the question of another session, while this one waited
                raise _Ended(f"{NAME} has just ended. Try again.")
            if not self.loaded:
                self.loaded = self._next(READY_SECONDS)["ready"]
            self._asked += 1
            self.used = time.monotonic()
            with suppress(OSError):  # it has just ended; what it said last is heard below
                self.process.stdin.write(json.dumps(request | {"id": self._asked}).encode() + b"\n" + data)
                self.process.stdin.flush()
            told = self._next(ANSWER_SECONDS)
            if told.get("id") != self._asked:
                self.end()
                raise Unanswered(f"{NAME} answered another question than this one; it was ended. Try again.")
        if "refused" in told:
            raise UserError(told["refused"])
        return told

    def _next(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=seconds)
        except Empty:
            self.end()
            raise Unanswered(f"{NAME} has not answered within {seconds:.0f} s; it was ended. Try again.") from None
        if line is not None:
            return json.loads(line)
        wanted, self.over = self.over, True
        code = self.process.wait()
        if wanted:
            raise _Ended(f"{NAME} was ended meanwhile, since another group was needed or this one changed. Try again.")
        if code == TOO_MUCH:
            raise UserError("This takes more memory than one image may: a smaller image takes less.")
        if code == 0:
            raise _Ended(f"{NAME} had just ended, since nobody had asked for a while. Try again.")
        document_of(NAME, code, "", "".join(self._last))  # raises what its exit code and its last line mean
        raise AssertionError(code)

    def end(self) -> None:
        """Ends exactly this process, which holds nothing that must be kept; its handle knows it from any other."""
        self.over = True
        self.process.kill()


class _Workers:
    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, tuple[Any, Worker]] = {}  # by the group's path: the state of its files, and its process

    def of(self, group: Group, command: Command | None = None) -> Worker:
        """`command` as `_command` has it, from any thread but the page's own."""
        stamps = stamps_of(group)
        with self._lock:
            known = self._known.get(str(group.path))
            if known and known[0] == stamps and known[1].alive:
                return known[1]
            if known:
                known[1].end()
                del self._known[str(group.path)]
            while len(self._known) >= AT_ONCE:
                self._known.pop(min(self._known, key=self._since))[1].end()
            worker = Worker.started(*command or _command(group))
            self._known[str(group.path)] = stamps, worker
            return worker

    def warm(self, group: Group) -> None:
        """Begins to load the group's models, if nobody has yet; not again where they were refused, which each drawing
        of a page would do."""
        with self._lock:
            stamps, worker = self._known.get(str(group.path), (None, None))
        if worker and stamps == stamps_of(group) and (worker.alive or worker.process.poll() == REFUSED):
            return
        self.of(group)

    def _since(self, path: str) -> tuple[bool, float]:
        """Orders them by who is needed least: one that nobody asks now, the longest unused first."""
        worker = self._known[path][1]
        return worker.lock.locked(), worker.used

    def end_all(self) -> None:
        with self._lock:
            for _, worker in self._known.values():
                worker.end()
                worker.process.wait()
            self._known.clear()


@st.cache_resource(show_spinner=False)
def workers() -> _Workers:
    """The ones of this server."""
    return _Workers()


def ask(group: Group, request: dict[str, Any], data: bytes = b"") -> dict[str, Any]:
    """What the group's models see in an image: its bytes, or a path in the request. Raises UserError with a sentence,
    and Unanswered."""
    return asks(group)(request, data)


def asks(group: Group) -> Callable[[dict[str, Any], bytes], dict[str, Any]]:
    """`ask`, for another thread than the page's own."""
    known, command = workers(), _command(group)

    def answer(request: dict[str, Any], data: bytes) -> dict[str, Any]:
        try:
            return known.of(group, command).ask(request, data)
        except _Ended:
            return known.of(group, command).ask(request, data)

    return answer


def _command(group: Group) -> Command:
    return command_of(["worker", str(group.path), f"--identity={group.identity}"], flags=())


def stamps_of(group: Group) -> Any:
    """What a worker has loaded: the models of the seeds that count."""
    with contained(group.path):
        return group.identity, [(run.seed, *(file_stamp(run.path / f) for f in FILES)) for run in finished(group)]
