"""The workers of pages in tests: stand-ins in place of models, and none that outlives its test."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from colora.system.installation import ROOT

STAND_IN = Path(__file__).with_name("stand_in_worker.py")
END_SECONDS = 20


def living_workers() -> list[psutil.Process]:
    """What this process has started and has not ended: `colora worker` and its stand-ins."""
    if childless():
        return []
    return [child for child in psutil.Process().children() if {"worker", str(STAND_IN)} & set(words(child))]


def childless() -> bool:
    """Whether this process has no child at all: the system says so at once, while psutil reads about every process."""
    if not hasattr(os, "waitid"):  # neither macOS nor Windows has it
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline() if process.status() != psutil.STATUS_ZOMBIE else []
    except psutil.NoSuchProcess:
        return []


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + END_SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def no_worker_left(monkeypatch) -> Iterator[None]:
    """Of pages in this process: all are ended with the test, and none has been forgotten."""
    monkeypatch.syspath_prepend(str(ROOT))
    from pages.components.workers import workers

    workers().end_all()
    yield
    workers().end_all()
    until(lambda: not living_workers())


@pytest.fixture
def stand_ins(no_worker_left, monkeypatch) -> None:
    """Every page's workers are stand-ins."""

    def command_of(arguments, flags=()):
        assert arguments[0] == "worker" and arguments[2].startswith("--identity=") and flags == ()
        return [sys.executable, str(STAND_IN), arguments[1]], {"cwd": ROOT, "env": dict(os.environ)}

    monkeypatch.setattr("pages.components.workers.command_of", command_of)
