"""`python -m colora ...` from the pages, for what needs torch and for what must outlive the browser."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import streamlit as st

from colora.config import RunConfig
from colora.errors import UserError
from pages.components.runs import ROOT

PARAMETER_FIELDS = ("backbone", "method", "image_size", "order", "rank", "bias", "targets")


def run_colora(arguments: Sequence[str], timeout: float = 120) -> dict[str, Any]:
    """The JSON document that `colora ARGUMENTS --json` prints. Raises UserError with its refusal."""
    command = [sys.executable, "-m", "colora", *arguments, "--json"]
    environment = os.environ | {"COLORA_USER": user} if (user := signed_in()) else None
    options = {"cwd": ROOT, "capture_output": True, "text": True, "env": environment}
    try:
        done = subprocess.run(command, **options, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"colora {arguments[0]} has not answered within {timeout:.0f} s; it was ended.") from error
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    if done.returncode == 2:
        raise UserError(last.removeprefix(f"colora {arguments[0]}: "))
    if done.returncode:
        raise UserError(f"colora {arguments[0]} ended with exit code {done.returncode}: {last}")
    return json.loads(done.stdout)


def signed_in() -> str | None:
    """Who is signed in to the app, for the audit log; None where nobody signs in."""
    return (st.user.get("email") or st.user.get("name")) if st.user.get("is_logged_in") else None


@st.cache_resource
def _counter() -> tuple[ThreadPoolExecutor, dict[tuple[str, ...], Future]]:
    """One worker for all sessions, since each count imports torch; and the answers so far."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="colora-params"), {}


def parameter_counts(config: RunConfig, classes: int) -> Future:
    """The answer of `colora params` for these settings, perhaps not yet there; asked for once and kept.

    Counting takes seconds (it imports torch), and a page must not stand still for it while someone types.
    """
    arguments = ["params", "--classes", str(classes)]
    for field in PARAMETER_FIELDS:
        arguments += [f"--{field.replace('_', '-')}", str(getattr(config, field))]
    question, (worker, answers) = tuple(arguments), _counter()
    if question not in answers or answers[question].cancelled():
        for waiting in answers.values():
            waiting.cancel()  # for settings that have changed since; spares what is under way or done
        answers[question] = worker.submit(run_colora, question)
    return answers[question]
