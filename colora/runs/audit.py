"""Who did what to the runs of a folder: runs/.colora/audit.jsonl, which is only ever added to."""

import json
import os
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from colora.runs.documents import STRICT, Text
from colora.system.files import append_json, read_file, read_remembered
from colora.system.process import os_user
from colora.system.typed import one_line

LONGEST_USER = 200  # characters
REMEMBERED_LOGS = 16


class Line(TypedDict):
    """One act."""

    __pydantic_config__ = STRICT
    time: Text
    user: Text
    host: Text
    action: Text
    group: Text
    seeds: list[int]
    detail: dict[str, Any]


_LINE = TypeAdapter(Line)


def nobody() -> None:
    """Who has signed in, outside the app."""


signed_in: Callable[[], str | None] = nobody  # the app puts in who has signed in to the session that asks


def acting_user() -> str:
    """Who does this: who is signed in to the app, or whom COLORA_USER names, or the operating system's user."""
    return one_line(signed_in() or os.environ.get("COLORA_USER") or os_user())[:LONGEST_USER]


def own_folder(runs_dir: Path) -> Path:
    """runs/.colora: what belongs to no group. A group's name never starts with a dot."""
    folder = Path(runs_dir) / ".colora"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cuts_folder(runs_dir: Path) -> Path:
    """runs/.colora/cuts, of NAME.json; it need not exist."""
    return Path(runs_dir) / ".colora" / "cuts"


def uploads_folder(runs_dir: Path) -> Path:
    """runs/.colora/uploads, of folders of images that came in through the browser; it need not exist."""
    return Path(runs_dir) / ".colora" / "uploads"


def this_moment() -> str:
    """ISO 8601 in UTC, to the millisecond: two of what one person does have different ones."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record(runs_dir: Path, action: str, group: str, seeds: list[int], **detail: Any) -> None:
    """One line: time (UTC), user, host, what and to whom."""
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "user": acting_user(),
        "host": socket.gethostname(),
        "action": action,
        "group": group,
        "seeds": seeds,
        "detail": detail,
    }
    append_json(own_folder(runs_dir) / "audit.jsonl", line)


def recorded(runs_dir: Path) -> list[dict[str, Any]]:
    """Every line so far, the oldest first; what is none, as half of one that a crash left, is passed over. Raises
    UserError where the file cannot be read."""
    path = Path(runs_dir) / ".colora" / "audit.jsonl"
    return read_remembered(_recorded, path) if os.path.lexists(path) else []


@lru_cache(maxsize=REMEMBERED_LOGS)
def _recorded(path: str, stamp: Any) -> list[dict[str, Any]]:
    lines = []
    for line in read_file(path).splitlines():
        try:
            lines.append(_LINE.validate_python(json.loads(line)))
        except (ValueError, RecursionError):
            continue
    return lines
