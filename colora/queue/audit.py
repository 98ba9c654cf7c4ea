"""Who did what to the runs of a folder: runs/.colora/audit.jsonl, which is only ever added to."""

import getpass
import os
import socket
import time
from pathlib import Path
from typing import Any

from colora.files import append_json, read_json_lines


def own_folder(runs_dir: Path) -> Path:
    """runs/.colora: what belongs to no group. A group's name never starts with a dot."""
    folder = Path(runs_dir) / ".colora"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def record(runs_dir: Path, action: str, group: str, seeds: list[int], **detail: Any) -> None:
    """One line: time (UTC), user (signed in to the app, else the operating system's), host, what and to whom."""
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "user": os.environ.get("COLORA_USER") or getpass.getuser(),
        "host": socket.gethostname(),
        "action": action,
        "group": group,
        "seeds": seeds,
        "detail": detail,
    }
    append_json(own_folder(runs_dir) / "audit.jsonl", line)


def recorded(runs_dir: Path) -> list[dict[str, Any]]:
    """Every line so far, the oldest first."""
    return read_json_lines(Path(runs_dir) / ".colora" / "audit.jsonl")
