"""The order of what waits. The run folders are the queue: queue.json in each holds its place, nothing else does.

order      lower comes first; all seeds of a group are queued with one
priority   higher comes before any order
queued     seconds since 1970, for people
host, user who starts it: a supervisor acts only for its own user on its own host
"""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from colora.runs.documents import queue_file
from colora.runs.folder import Run
from colora.runs.listing import run_folders, written_state
from colora.system.errors import UserError
from colora.system.files import write_json
from colora.system.process import is_visible, os_user

NOWHERE = {"order": float("inf"), "priority": 0, "queued": None, "host": None, "user": None}


def place(folder: Path) -> dict[str, Any]:
    """A run's queue.json; the end of the queue where it has none, or one that cannot be read."""
    try:
        return NOWHERE | queue_file(folder)
    except UserError:
        return NOWHERE


def is_mine(folder: Path) -> bool:
    """Whether this user, on this host, is to look after a run: who queued it, or whose process it has been.

    Never one that another engine starts.
    """
    if Run(folder).engine != "local":
        return False
    known = place(folder)
    if known["host"] is not None:
        return known["host"] == socket.gethostname() and known["user"] == os_user()
    try:
        process = Run(folder).written_status()["process"]
    except UserError:
        return False
    return process is None or is_visible(process)


def waiting(runs_dir: Path) -> list[Path]:
    """The runs queued here, in the order in which they start: priority, then order, then group, then seed."""
    queued = (folder for folder in run_folders(runs_dir) if written_state(folder) == "queued")
    return in_order(folder for folder in queued if Run(folder).engine == "local")


def in_order(folders: Iterator[Path]) -> list[Path]:
    return sorted(folders, key=key)


def key(folder: Path) -> tuple:
    """Where a run stands among others: of no two runs the same."""
    known = place(folder)
    return -known["priority"], known["order"], folder.parent.name, Run(folder).seed


def last_place(runs_dir: Path, priority: int = 0) -> dict[str, Any]:
    """The place behind everything that has ever been queued here; not a time, since clocks are set back."""
    orders = [known["order"] for folder in run_folders(runs_dir) if (known := place(folder))["queued"] is not None]
    return {
        "order": max(orders, default=0) + 1,
        "priority": priority,
        "queued": time.time(),
        "host": socket.gethostname(),
        "user": os_user(),
    }


def move(runs_dir: Path, folders: list[Path], end: str | None = None, priority: int | None = None) -> None:
    """Put waiting runs "first" or "last" among those of equal priority, or give them another priority."""
    orders = [place(folder)["order"] for folder in run_folders(runs_dir) if place(folder)["queued"] is not None]
    for folder in folders:
        changed = dict(place(folder)) if place(folder)["queued"] is not None else last_place(runs_dir)
        if priority is not None:
            changed["priority"] = priority
        if end is not None:
            changed["order"] = min(orders, default=1) - 1 if end == "first" else max(orders, default=0) + 1
        write_json(folder / "queue.json", changed)
