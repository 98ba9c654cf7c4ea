"""The locks of a runs folder, in the host's own state directory: a shared file system may not know any.

They are the operating system's, so that a process that dies lets go; what stands beside them is information only.
"""

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from colora.system.storage import Stop, locked, never, state_folder

PROBE_SECONDS = 2  # longer than anyone holds the lock only to see whether it is free


def _beside(runs_dir: Path, ending: str) -> Path:
    folder = state_folder("locks")
    whose = f"{socket.gethostname()}:{Path(runs_dir).resolve()}"  # a home, and the state in it, may be several hosts'
    return folder / f"supervisor-{hashlib.sha256(os.fsencode(whose)).hexdigest()[:16]}.{ending}"


def info_path(runs_dir: Path) -> Path:
    return _beside(runs_dir, "json")


def log_path(runs_dir: Path) -> Path:
    return _beside(runs_dir, "log")


def slots_path(runs_dir: Path) -> Path:
    """Where `colora.queue.slots` keeps what was asked for last."""
    return _beside(runs_dir, "slots")


def supervisor_lock(runs_dir: Path) -> FileLock:
    """Held by the supervisor of a runs folder for life; not inherited by what it starts."""
    return FileLock(_beside(runs_dir, "lock"))


def try_lock(lock: FileLock, patience: float = PROBE_SECONDS) -> bool:
    """Whether it could be had within `patience` seconds."""
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        return False
    return True


@contextmanager
def editing(runs_dir: Path, should_stop: Stop = never) -> Iterator[None]:
    """While status.json and queue.json of runs without a process are changed: by one of this user's processes at a
    time. Raises Cancelled where `should_stop` says so while another one is at it."""
    with locked(Path(runs_dir).resolve() / "queue", should_stop):
        yield
