"""This machine as an engine: the queue of the runs folder and its supervisor. `colora supervise --gpus 0,1` uses
several GPUs."""

from pathlib import Path
from typing import Any

from colora.queue import order, worked
from colora.queue.actions import STOP_WAIT_SECONDS, ask_to_stop, move, resume, retry, see_stopped, stop
from colora.queue.supervisor import ensure_supervisor, supervising
from colora.runs.folder import Group
from colora.system.errors import UserError

__all__ = [
    "STOP_WAIT_SECONDS",
    "ask_to_stop",
    "check",
    "forgotten",
    "look",
    "move",
    "resume",
    "retry",
    "see_stopped",
    "start",
    "stop",
]


def check(runs_dir: Path, name: str, seeds: list[int], asked: dict[str, Any], priority: int = 0) -> None:
    """The local queue takes everything, but no wishes for a cluster."""
    if asked:
        raise UserError("--slurm goes with --engine slurm: this machine's queue takes no such settings.")


def start(group: Group, priority: int = 0) -> dict[str, Any]:
    """The seeds are queued already, at the place of their priority."""
    return {"pid": ensure_supervisor(group.path.parent)}


def look(group: Group) -> None:
    ensure_supervisor(group.path.parent)


def forgotten(group: Group) -> bool:
    """What is queued here gets a supervisor by itself, as long as one can be started."""
    runs_dir, queued = group.path.parent, [run for run in group.runs if run.state == "queued"]
    if not queued or supervising(runs_dir):
        return False
    return worked.found(runs_dir) is not None or not all(order.is_mine(run.path) for run in queued)
