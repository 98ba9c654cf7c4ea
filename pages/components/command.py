"""`python -m colora ...` from the pages, for what needs torch and for what must outlive the browser."""

import errno
import json
import math
import os
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

import streamlit as st

from colora.runs import access, audit
from colora.runs.folder import Group
from colora.settings.config import RunConfig
from colora.settings.work import MODEL, WORK
from colora.system.errors import UserError
from colora.system.installation import ROOT
from pages.components.runs import runs_dir

KEPT_ANSWERS = 512  # of some kB each
BUSY_SECONDS = 60  # how long the times of a busy computer are taken for those of now
Question = tuple[str, ...]


class Unanswered(UserError):
    """The command was killed, ran out of time or broke: nothing is known of what was asked; it can be tried again."""


def command_of(arguments: Sequence[str], flags: Sequence[str] = ("--json",)) -> tuple[list[str], dict[str, Any]]:
    """`colora ARGUMENTS FLAGS` as a process of its own: the command, and where it runs, held to what whoever has
    signed in may do. Asked for where that is known, in the page's own thread."""
    user = {"COLORA_USER": user} if (user := audit.signed_in()) else {}
    environment = os.environ | user | access.passed_on(runs_dir())
    return [sys.executable, "-m", "colora", *arguments, *flags], {"cwd": ROOT, "env": environment}


def run_colora(arguments: Sequence[str], timeout: float = 120) -> dict[str, Any]:
    """The JSON document that `colora ARGUMENTS --json` prints. Raises UserError with its refusal, and Unanswered."""
    name, (command, where) = f"colora {arguments[0]}", command_of(arguments)
    try:
        done = subprocess.run(command, **where, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unanswered(f"{name} has not answered within {timeout:.0f} s; it was ended.") from error
    except (OSError, ValueError) as error:
        raise not_started(name, error) from error
    return document_of(name, done.returncode, done.stdout, done.stderr)


def not_started(name: str, error: OSError | ValueError) -> UserError:
    said = f"{name} cannot be started with what was typed ({error})."
    typed = isinstance(error, ValueError) or error.errno == errno.E2BIG  # a NUL, or too many letters
    return (UserError if typed else Unanswered)(said)


def document_of(name: str, code: int, written: str, said: str) -> dict[str, Any]:
    """What a command that has ended wrote as JSON. Raises UserError with its refusal, the last line that it `said`, and
    Unanswered."""
    last = (said.strip().splitlines() or ["it said nothing"])[-1]
    if code == 2:
        raise UserError(last.removeprefix(f"{name}: "))
    if code < 0:
        raise Unanswered(f"{name} was killed by signal {-code}: {last}")
    if code:
        raise Unanswered(f"{name} ended with exit code {code}: {last}")
    try:
        return json.loads(written)
    except ValueError as error:
        raise Unanswered(f"What {name} has written cannot be read ({error}).") from error


def on_group(group: Group, job: str, *rest: str, timeout: float = 120) -> dict[str, Any]:
    """`colora JOB GROUP ...` on this very group: refused where another one has its name by now."""
    return run_colora([job, str(group.path), f"--identity={group.identity}", *rest], timeout)


class Answer(Future):
    """A document that a command prints, perhaps not yet there; others are given it until `until`."""

    until = math.inf  # by time.monotonic()


class _Answers:
    """What commands have printed, for all sessions, the last used ones; and one worker that asks, since each question
    imports torch.

    Only what is true of the settings is kept, and what was timed on a busy computer for a minute. A refusal or a
    failure is told to those who wait for it and is forgotten. The worker is a daemon, so that a server that is to end
    does not wait for what nobody will read.
    """

    def __init__(self) -> None:
        self._lock, self._waiting = Lock(), SimpleQueue()
        self._answers: OrderedDict[Question, Answer] = OrderedDict()
        Thread(target=self._work, name="colora-asks", daemon=True).start()

    def to(self, question: Question) -> Answer:
        """Known, under way, or asked for now."""
        with self._lock:
            answer = self._answers.get(question)
            if answer is None or answer.cancelled() or answer.until < time.monotonic():
                answer = self._answers[question] = Answer()
                self._waiting.put((question, answer))
            self._answers.move_to_end(question)
            known = [other for other, told in self._answers.items() if told.done()]
            for other in known[: max(0, len(known) - KEPT_ANSWERS)]:
                del self._answers[other]
            return answer

    def _work(self) -> None:
        while True:
            question, answer = self._waiting.get()
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                found = run_colora(question)
            except Exception as error:  # the page that waits raises it
                with self._lock:
                    self._answers.pop(question, None)
                answer.set_exception(error)
            else:
                if found.get("busy"):
                    answer.until = time.monotonic() + BUSY_SECONDS
                answer.set_result(found)


@st.cache_resource
def _asked() -> _Answers:
    return _Answers()


def _own() -> dict[Question, Answer]:
    """What this tab has asked for its present settings."""
    return st.session_state.setdefault("asked", {})


def _answers(*questions: Question) -> list[Answer]:
    """The documents that these commands print, perhaps not yet there.

    They take seconds, and a page must not stand still for them while someone types. What a tab has been told stands as
    long as its settings do; a failure, until `ask_again`.
    """
    shared, own = _asked(), _own()
    for question in own.keys() - set(questions):
        own.pop(question).cancel()  # for settings that have changed since; spares what is under way or done
    for question in questions:
        if question not in own or own[question].cancelled():
            own[question] = shared.to(question)
    return [own[question] for question in questions]


def ask_again() -> None:
    """What has failed in this tab is asked anew when its page is drawn next."""
    for question, answer in list(_own().items()):
        if answer.done() and not answer.cancelled() and answer.exception():
            del _own()[question]


def model_questions(configs: Sequence[RunConfig], classes: Sequence[int]) -> tuple[list[Answer], list[Answer]]:
    """The answers of `colora params` and of `colora preflight` for each of these settings and its number of classes:
    parameters first, they are faster. Of settings that do the same work the answer is the same, and asked for once."""
    known = [("--classes", str(count)) for count in classes]
    here = ("--weights", "none", "--runs-dir", str(runs_dir()))
    counted = [("params", *k, *_flags(config, MODEL)) for config, k in zip(configs, known, strict=True)]
    probed = [("preflight", *here, *k, *_flags(config, WORK)) for config, k in zip(configs, known, strict=True)]
    answers = _answers(*counted, *probed)
    return answers[: len(configs)], answers[len(configs) :]


def _flags(config: RunConfig, fields: Sequence[str]) -> list[str]:
    """Flags of the command line for these settings; one without a value is left out."""
    values = {field: getattr(config, field) for field in fields}
    pairs = [(f"--{field.replace('_', '-')}", str(value)) for field, value in values.items() if value is not None]
    parts = ([f"{flag}={value}"] if value.startswith("-") else [flag, value] for flag, value in pairs)
    return [part for pair in parts for part in pair]
