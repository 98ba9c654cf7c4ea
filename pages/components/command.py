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
from concurrent.futures import Future, wait
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

import streamlit as st

from colora.networks.weights import remote_weights
from colora.runs import access, audit
from colora.runs.folder import Group
from colora.settings.config import KNOWN_WEIGHTS, RunConfig, setting_flags
from colora.settings.work import MODEL, WEIGHTS, WORK
from colora.system.errors import UserError
from colora.system.files import FileStamp, file_stamp
from colora.system.installation import ROOT
from colora.system.typed import typed_path
from pages.components.runs import runs_dir

KEPT_ANSWERS = 512  # of some kB each
ANSWER_SECONDS = 30  # for which a launch waits, rather than asking the same once more
BUSY_SECONDS = 60  # how long the times of a busy computer are taken for those of now
Question = tuple[str, ...]
Asked = tuple[Question, FileStamp | None]


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
    before: "dict[str, Any] | None" = None  # what was told when it was asked last, where that holds no more

    def latest(self) -> dict[str, Any] | None:
        """What is known as long as the document is not there; None where nothing is, and of a failure."""
        if not self.done():
            return self.before
        return None if self.cancelled() or self.exception() else self.result()


class _Answers:
    """What commands have printed, for all sessions, the last used ones; and one worker that asks, since each question
    imports torch.

    Only what is true of the settings is kept, and what was timed on a busy computer for a minute. A refusal or a
    failure is told to those who wait for it and is forgotten. The worker is a daemon, so that a server that is to end
    does not wait for what nobody will read.
    """

    def __init__(self) -> None:
        self._lock, self._waiting = Lock(), SimpleQueue()
        self._answers: OrderedDict[Asked, Answer] = OrderedDict()
        Thread(target=self._work, name="colora-asks", daemon=True).start()

    def to(self, question: Question, state: FileStamp | None = None) -> Answer:
        """Known, under way, or asked for now; `state` of the file that it is about."""
        asked = question, state
        with self._lock:
            answer = self._answers.get(asked)
            if answer is None or answer.cancelled() or answer.until < time.monotonic():
                before = answer and (answer.before if answer.cancelled() else answer.latest())
                answer = self._answers[asked] = Answer()
                answer.before = before
                self._waiting.put((asked, answer))
            self._answers.move_to_end(asked)
            known = [other for other, told in self._answers.items() if told.done()]
            for other in known[: max(0, len(known) - KEPT_ANSWERS)]:
                del self._answers[other]
            return answer

    def known(self, asked: Asked) -> Answer | None:
        """As it stands, also where it would be asked anew."""
        with self._lock:
            return self._answers.get(asked)

    def _work(self) -> None:
        while True:
            asked, answer = self._waiting.get()
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                found = run_colora(asked[0])
            except Exception as error:  # the page that waits raises it
                with self._lock:
                    self._answers.pop(asked, None)
                answer.set_exception(error)
            else:
                if found.get("busy"):
                    answer.until = time.monotonic() + BUSY_SECONDS
                answer.set_result(found)


@st.cache_resource
def _asked() -> _Answers:
    return _Answers()


def _own() -> dict[Asked, Answer]:
    """What this tab has asked for its present settings."""
    return st.session_state.setdefault("asked", {})


def _answers(*questions: Asked) -> list[Answer]:
    """The documents that these commands print, perhaps not yet there.

    They take seconds, and a page must not stand still for them while someone types. What a tab has been told stands as
    long as its settings do; a failure, until `ask_again`.
    """
    shared, own = _asked(), _own()
    for question in own.keys() - set(questions):
        own.pop(question).cancel()  # for settings that have changed since; spares what is under way or done
    for question in questions:
        if question not in own or own[question].cancelled():
            own[question] = shared.to(*question)
    return [own[question] for question in questions]


def ask_again() -> None:
    """What has failed in this tab is asked anew when its page is drawn next."""
    for question, answer in list(_own().items()):
        if answer.done() and not answer.cancelled() and answer.exception():
            del _own()[question]


def model_questions(
    configs: Sequence[RunConfig], classes: Sequence[int], also: Sequence[RunConfig] = ()
) -> tuple[list[Answer], list[Answer]]:
    """The answers of `colora params` and of `colora preflight` for each of these settings and its number of classes:
    parameters first, they are faster. Of settings that do the same work the answer is the same, and asked for once.
    After them `colora preflight` is asked of those `also`, which have as many classes as the first; `told` tells."""
    further = [_probe(config, classes[0]) for config in also]
    answers = _answers(*_model_questions(configs, classes), *further)
    return answers[: len(configs)], answers[len(configs) : 2 * len(configs)]


def told(config: RunConfig, classes: int) -> Answer | None:
    """What `colora preflight` was asked of these settings, by this tab, which keeps a failure, or by another; None
    where nobody has."""
    asked = _probe(config, classes)
    own = _own().get(asked)
    return own if own is not None and not own.cancelled() else _asked().known(asked)


def model_answers(
    configs: Sequence[RunConfig], classes: Sequence[int]
) -> list[tuple[dict[str, Any], dict[str, Any]]] | None:
    """What `model_questions` tells this tab of each of these settings, waited for a while; None where that is not all
    told, or was not asked."""
    answers = [_own().get(asked) for asked in _model_questions(configs, classes)]
    wait([answer for answer in answers if answer], ANSWER_SECONDS)
    if not all(a and a.done() and not a.cancelled() and a.exception() is None for a in answers):
        return None
    documents = [answer.result() for answer in answers]
    return list(zip(documents[: len(configs)], documents[len(configs) :], strict=True))


def _model_questions(configs: Sequence[RunConfig], classes: Sequence[int]) -> list[Asked]:
    """First all that count parameters and match weights, each by the state of the file, then all that try."""
    pairs = list(zip(configs, classes, strict=True))
    return [_count(config, known) for config, known in pairs] + [_probe(config, known) for config, known in pairs]


def _count(config: RunConfig, classes: int) -> Asked:
    return ("params", "--classes", str(classes), *_flags(config, (*MODEL, *WEIGHTS))), _weights_now(config)


def _probe(config: RunConfig, classes: int) -> Asked:
    here = ("--weights", "none", "--runs-dir", str(runs_dir()))
    return ("preflight", *here, "--classes", str(classes), *_flags(config, WORK)), None


def _weights_now(config: RunConfig) -> FileStamp | None:
    """The state of the file that a run starts from; of one that comes with the app there is nothing to tell."""
    if config.weights == "imagenet":
        return file_stamp(remote_weights(config.backbone).path)
    return None if config.weights in KNOWN_WEIGHTS else file_stamp(typed_path(config.weights))


def _flags(config: RunConfig, fields: Sequence[str]) -> list[str]:
    """Flags of the command line for these settings; one without a value, or that is off, is left out."""
    values = {field: getattr(config, field) for field in fields}
    return setting_flags({field: value for field, value in values.items() if value is not None and value is not False})
