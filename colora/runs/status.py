"""What a run folder says of its run: status.json and the epochs in metrics.jsonl, read, and checked for damage.

A listing asks this of thousands of runs at each refresh. So each file is checked once for each state of it, and paths
are joined as text, in a fifth of the time of a Path.
"""

import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from colora.system.errors import UserError
from colora.system.files import REMEMBERED_FILES, read_json, read_json_lines, read_remembered, remembered
from colora.system.process import is_identity

ACTIVE = ("starting", "running", "stopping")
ENDED_EARLY = ("stopped", "failed", "lost")  # resume continues these
STATES = ("queued", *ACTIVE, "stopped", "done", "failed", "lost", "damaged")
STATUS_KEYS = {"state", "epoch", "epochs", "step", "steps", "process", "heartbeat", "reason"}


def queued_status(epochs: int, epoch: int = 0) -> dict[str, Any]:
    return {
        "state": "queued",
        "epoch": epoch,
        "epochs": epochs,
        "step": 0,
        "steps": 0,
        "process": None,
        "heartbeat": time.time(),
        "started": None,
        "finished": None,
        "reason": None,
    }


def read_status(folder: Path) -> dict[str, Any]:
    """status.json as it stands, a copy. Raises UserError where it is missing or damaged."""
    return dict(read_remembered(_status, os.path.join(folder, "status.json")))


@lru_cache(maxsize=REMEMBERED_FILES)
def _status(path: str, stamp: Any) -> dict[str, Any]:
    status = read_json(path)
    if not isinstance(status, dict) or not status.keys() >= STATUS_KEYS or not _is_status(status):
        raise UserError(f"{path} cannot be read as a status; the run folder is damaged.")
    if status["process"] is not None and not is_identity(status["process"]):
        raise UserError(f"{path} does not say whose process it is; the run folder is damaged.")
    return status


def _is_status(status: dict[str, Any]) -> bool:
    """Whether the values of a status.json, which may be damaged, are of the kinds that readers count on."""
    counts = (status[key] for key in ("epoch", "epochs", "step", "steps"))
    return (
        status["state"] in STATES
        and all(type(count) is int and count >= 0 for count in counts)
        and isinstance(status["heartbeat"], int | float)
        and isinstance(status["reason"], str | None)
    )


def check_epochs(folder: Path, status: dict[str, Any]) -> None:
    """Raises UserError where metrics.jsonl does not hold each epoch once, or of a run that has ended not all."""
    path = os.path.join(folder, "metrics.jsonl")
    least = 0 if status["state"] in ACTIVE else status["epoch"]
    try:
        finished = remembered(_finished_epochs, path)
    except FileNotFoundError:
        finished = 0
    if finished is None or finished < least:
        raise UserError(f"{path} does not hold every epoch from 1 to {least} once; the run folder is damaged.")


@lru_cache(maxsize=REMEMBERED_FILES)
def _finished_epochs(path: str, stamp: Any) -> int | None:
    """How many epochs a metrics.jsonl holds; None where it does not hold each from the first one once."""
    found = [row.get("epoch") for row in read_json_lines(path)]
    return len(found) if found == list(range(1, len(found) + 1)) else None
