"""Looks at data that take a while: `colora data check` in a process beside the server, its progress, and its document.

A look goes on when the page is left, and its answer is for all sessions. It is kept until a file at the top of the data
changes, or for a while: what changes deep inside a folder leaves no mark at its top.
"""

import json
import os
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock, Semaphore, Thread
from typing import Any

import streamlit as st

from colora.cli.progress import LINES
from colora.settings.config import DATA_FIELDS, RunConfig, absolute_paths, setting_flags
from colora.settings.medmnist_info import known
from colora.settings.relevance import unused
from colora.system.errors import Cancelled, UserError
from pages.components.command import command_of, document_of, not_started

LOOK_SECONDS = 15 * 60  # that the names of a large folder are taken for those of now
CHECK_SECONDS = 12 * 3600  # that what reading every image has found is
CUT_SECONDS = 3600  # that a page says a cut was made
FAILED_SECONDS = 60  # after which what was refused is looked at anew
KEPT = 32
AT_ONCE = 2  # processes; the others wait
NAME = "colora data"


@dataclass
class Look:
    """One process: how far it is, and in the end its document, in `answer`."""

    seconds: float  # that its answer is kept
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
        doing = {"": "Waits for its turn", "Reading": "Looking at the data"}.get(self.state, self.state)
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


class _Looks:
    """Of all sessions, the last ones."""

    def __init__(self) -> None:
        self.lock, self.turns = Lock(), Semaphore(AT_ONCE)
        self.known: dict[Any, Look] = {}

    def get(self, key: Any) -> Look | None:
        with self.lock:
            look = self.known.get(key)
            return look if look and look.fresh else None

    def start(self, key: Any, arguments: Sequence[str], seconds: float) -> Look:
        """The one that is under way, or a new one."""
        with self.lock:
            look = self.known.pop(key, None)
            if look is None or not look.under_way:
                look = Look(seconds)
                command, where = command_of(arguments)
                Thread(target=self._run, args=(look, command, where), name="colora-looks", daemon=True).start()
            self.known[key] = look
            ended = [other for other, one in self.known.items() if not one.under_way]
            for other in ended[: max(0, len(ended) - KEPT)]:
                del self.known[other]
            return look

    def _run(self, look: Look, command: list[str], where: dict[str, Any]) -> None:
        try:
            with self.turns:
                found = _document(look, command, where)
        except Exception as error:  # the page that shows it raises it
            self._end(look)
            look.answer.set_exception(error)
        else:
            self._end(look)
            look.answer.set_result(found)

    @staticmethod
    def _end(look: Look) -> None:
        look.ended, look.at = time.monotonic(), time.time()


@st.cache_resource(show_spinner=False)
def _looks() -> _Looks:
    return _Looks()


def _document(look: Look, command: list[str], where: dict[str, Any]) -> dict[str, Any]:
    """Raises UserError as `command.document_of`, and Cancelled where a person stopped it."""
    if look.stopped:
        raise Cancelled("Stopped.")
    last: deque[str] = deque(maxlen=20)
    environment = where["env"] | {LINES: "lines"}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        try:
            look.process = subprocess.Popen(
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
            raise not_started(NAME, error) from error
        look.state = "Reading"
        with look.process as process:
            if look.stopped:  # between the thread's start and the process's
                process.terminate()
            for line in process.stderr:
                _take(look, line) if line.startswith('{"progress"') else last.append(line)
        if look.stopped:
            raise Cancelled("Stopped.")
        out.seek(0)
        return document_of(NAME, process.returncode, out.read(), "".join(last))


def _take(look: Look, line: str) -> None:
    try:
        told = json.loads(line)
        look.state, look.done, look.total = str(told["progress"]), int(told["done"]), told["total"]
    except (ValueError, KeyError, TypeError):  # a line that was cut short: the next one tells
        return


def arguments_of(config: RunConfig, *flags: str) -> list[str]:
    """What follows `python -m colora` to check these data; an image size is said of a set that is kept at several."""
    config = absolute_paths(config)
    values, idle = config.model_dump(exclude_defaults=True, include=set(DATA_FIELDS)), unused(config.model_dump())
    left_out = {"dataset", "image_size", *idle}
    given = {field: value for field, value in values.items() if value is not None and field not in left_out}
    if known(config.dataset):
        given["image_size"] = config.image_size
    return ["data", "check", config.dataset, *flags, *setting_flags(given)]


def names_of(config: RunConfig, stamps: Any) -> Look:
    """The look at a large folder or table by names alone; begun where there is none."""
    arguments = arguments_of(config, "--quick")
    key = (*arguments, repr(stamps))
    return _looks().get(key) or _looks().start(key, arguments, LOOK_SECONDS)


def check_of(config: RunConfig, stamps: Any) -> Look | None:
    """The look at every image of these data; None where nobody has asked for it."""
    return _looks().get((*arguments_of(config), repr(stamps)))


def start_check(config: RunConfig, stamps: Any) -> Look:
    arguments = arguments_of(config)
    return _looks().start((*arguments, repr(stamps)), arguments, CHECK_SECONDS)


def cut_of(config: RunConfig, name: str, stamps: Any) -> Look | None:
    """The cut of this name, without the leaks, that is being made or was; None where nobody has asked for it."""
    return _looks().get(_key_of_cut(config, name, stamps))


def start_cut(config: RunConfig, name: str, runs_dir: str, stamps: Any) -> Look:
    """For training at the config's image size."""
    flags = [f"--cut={name}", f"--runs-dir={runs_dir}"]
    arguments = arguments_of(config, *flags)
    if not known(config.dataset):
        arguments.append(f"--image-size={config.image_size}")
    return _looks().start(_key_of_cut(config, name, stamps), arguments, CUT_SECONDS)


def _key_of_cut(config: RunConfig, name: str, stamps: Any) -> Any:
    return ("cut", name, config.image_size, *arguments_of(config), repr(stamps))


def answered(look: Look) -> dict[str, Any]:
    """Raises UserError as the command did."""
    try:
        return look.answer.result(timeout=0)
    except OSError as error:
        raise UserError(f"{NAME} could not be run: {os.strerror(error.errno or 0)}.") from error
