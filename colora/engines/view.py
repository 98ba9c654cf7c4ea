"""The queue as people see it: what runs, what waits, at which place and for what, and what waits for nobody."""

from pathlib import Path
from typing import Any

from colora.engines.engine import engine_named, engine_of
from colora.queue import order
from colora.runs.folder import ACTIVE, Group, Run
from colora.runs.listing import run_folders, written_state
from colora.system.errors import UserError


def rows(runs_dir: Path, why: str | None = None) -> list[dict[str, Any]]:
    """One row a running or waiting seed: group, seed, state, place, priority, note.

    The place counts from 1 among those that wait for this machine; a cluster has an order of its own. `why` nobody
    trains what waits here, as `queue.worked` has found.
    """
    found = [(folder, written_state(folder)) for folder in run_folders(runs_dir)]
    runs = [Run(folder) for folder, state in found if state in ACTIVE]
    running = [_row(run, None, run.status.get("silent_says", "")) for run in runs if run.state in ACTIVE]
    elsewhere = [Run(folder) for folder, state in found if state == "queued" and Run(folder).engine != "local"]
    running += [_row(run, None, engine_named(run.engine).note(run)) for run in elsewhere]
    waiting = []
    for number, folder in enumerate(order.waiting(runs_dir), start=1):
        waiting.append(_row(Run(folder), number, note(folder, number, why)))
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


def note(folder: Path, place: int, why: str | None = None) -> str:
    """What a waiting run waits for."""
    if not order.is_mine(folder):
        return _elsewhere(folder)
    if why:
        return f"waits, nobody trains: {why}"
    return "next" if place == 1 else f"{place - 1} before it"


def _elsewhere(folder: Path) -> str:
    known = order.place(folder)
    return f"queued by {known['user']} on {known['host']}: it starts there, or here once it is resumed"


def unattended(group: Group, why: str | None) -> str | None:
    """`waits, nobody trains: ...` of a group with seeds that wait and that nobody here is going to start; None
    otherwise, and of a damaged one, which is said elsewhere. `why` as of `rows`."""
    try:
        queued = [run for run in group.runs if run.state == "queued"]
    except UserError:
        return None
    if not queued:
        return None
    if group.engine != "local":
        none = engine_of(group).forgotten(group)
        return "waits, nobody trains: not submitted to SLURM; colora resume does" if none else None
    others = [run for run in queued if not order.is_mine(run.path)]
    if why and len(others) < len(queued):
        return f"waits, nobody trains: {why}"
    return f"waits, nobody trains here: {_elsewhere(others[0].path)}" if others else None
