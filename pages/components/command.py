"""`python -m colora ...` from the pages, for what needs torch and for what must outlive the browser."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any

import streamlit as st

from colora.config import RunConfig
from colora.errors import UserError
from colora.runs import Group
from colora.work import MODEL, WORK
from pages.components.runs import ROOT, runs_dir


def run_colora(arguments: Sequence[str], timeout: float = 120) -> dict[str, Any]:
    """The JSON document that `colora ARGUMENTS --json` prints. Raises UserError with its refusal."""
    command = [sys.executable, "-m", "colora", *arguments, "--json"]
    environment = os.environ | {"COLORA_USER": user} if (user := signed_in()) else None
    options = {"cwd": ROOT, "capture_output": True, "text": True, "env": environment}
    try:
        done = subprocess.run(command, **options, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"colora {arguments[0]} has not answered within {timeout:.0f} s; it was ended.") from error
    except (OSError, ValueError) as error:  # a NUL, or more letters than an argument may have
        raise UserError(f"colora {arguments[0]} cannot be started with what was typed ({error}).") from error
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    if done.returncode == 2:
        raise UserError(last.removeprefix(f"colora {arguments[0]}: "))
    if done.returncode:
        raise UserError(f"colora {arguments[0]} ended with exit code {done.returncode}: {last}")
    return json.loads(done.stdout)


def on_group(group: Group, job: str, *rest: str, timeout: float = 120) -> dict[str, Any]:
    """`colora JOB GROUP ...` on this very group: refused where another one has its name by now."""
    return run_colora([job, str(group.path), f"--identity={group.identity}", *rest], timeout)


def signed_in() -> str | None:
    """Who is signed in to the app, for the audit log; None where nobody signs in."""
    return (st.user.get("email") or st.user.get("name")) if st.user.get("is_logged_in") else None


@st.cache_resource
def _asked() -> tuple[SimpleQueue, dict[tuple[str, ...], Future]]:
    """One worker for all sessions, since each question imports torch; and the answers so far.

    A daemon, so that a server that is to end does not wait for what nobody will read.
    """
    waiting: SimpleQueue = SimpleQueue()
    Thread(target=_work, args=(waiting,), name="colora-asks", daemon=True).start()
    return waiting, {}


def _work(waiting: SimpleQueue) -> None:
    while True:
        question, answer = waiting.get()
        if answer.set_running_or_notify_cancel():
            try:
                answer.set_result(run_colora(question))
            except Exception as error:  # the page that waits raises it
                answer.set_exception(error)


def _answers(*questions: tuple[str, ...]) -> list[Future]:
    """The documents that these commands print, perhaps not yet there; asked for once and kept.

    They take seconds, and a page must not stand still for them while someone types.
    """
    waiting, answers = _asked()
    for question in st.session_state.get("asked", ()):
        if question not in questions and question in answers:
            answers[question].cancel()  # for settings that have changed since; spares what is under way or done
    st.session_state["asked"] = questions
    for question in questions:
        if question not in answers or answers[question].cancelled():
            answers[question] = Future()
            waiting.put((question, answers[question]))
    return [answers[question] for question in questions]


def model_questions(configs: Sequence[RunConfig], classes: Sequence[int]) -> tuple[list[Future], list[Future]]:
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
