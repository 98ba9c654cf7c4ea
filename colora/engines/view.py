"""The queue as people see it: what runs, what waits, at which place and for what."""

from pathlib import Path
from typing import Any

from colora.engines.engine import engine_named
from colora.queue import order
from colora.queue.supervisor import supervising
from colora.runs.folder import ACTIVE, Run
from colora.runs.listing import run_folders, written_state

NOBODY = "nobody starts it yet: colora resume does"


def rows(runs_dir: Path) -> list[dict[str, Any]]:
    """One row a running or waiting seed: group, seed, state, place, priority, note.

    The place counts from 1 among those that wait for this machine; a cluster has an order of its own.
    """
    found = [(folder, written_state(folder)) for folder in run_folders(runs_dir)]
    runs = [Run(folder) for folder, state in found if state in ACTIVE]
    running = [_row(run, None, run.status.get("silent_says", "")) for run in runs if run.state in ACTIVE]
    elsewhere = [Run(folder) for folder, state in found if state == "queued" and Run(folder).engine != "local"]
    running += [_row(run, None, engine_named(run.engine).note(run)) for run in elsewhere]
    someone = supervising(runs_dir) is not None
    waiting = []
    for number, folder in enumerate(order.waiting(runs_dir), start=1):
        waiting.append(_row(Run(folder), number, note(folder, number, someone)))
    return running + waiting


def _row(run: Run, place: int | None, said: str) -> dict[str, Any]:
    known = order.place(run.path)
    return {
        "group": run.path.parent.name,
        "seed": run.seed,
        "state": run.state,
        "place": place,
        "priority": known["priority"],
        "note": said,
    }


def note(folder: Path, place: int, someone: bool) -> str:
    """What a waiting run waits for."""
    if not order.is_mine(folder):
        known = order.place(folder)
        return f"queued by {known['user']} on {known['host']}: it starts there, or here after colora resume"
    if not someone:
        return NOBODY
    return "next" if place == 1 else f"{place - 1} before it"
