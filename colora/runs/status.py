"""What a run folder says of its run: status.json, and whether the epochs in metrics.jsonl agree with it."""

import time
from pathlib import Path
from typing import Any, get_args

from colora.runs.documents import State, metrics_file
from colora.system.errors import UserError

ACTIVE = ("starting", "running", "stopping")
ENDED_EARLY = ("stopped", "failed", "lost")  # resume continues these
STATES = get_args(State)


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


def check_epochs(folder: Path, status: dict[str, Any]) -> None:
    """Raises UserError where metrics.jsonl does not hold each epoch once, or of a run that has ended not all."""
    least, found = 0 if status["state"] in ACTIVE else status["epoch"], len(metrics_file(folder))
    if found < least:
        raise UserError(f"{folder}/metrics.jsonl holds {found} of {least} finished epochs; the run folder is damaged.")
