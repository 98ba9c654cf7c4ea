"""runs/.colora/trash: what was removed, until it is emptied. Groups lie there as NAME.TIME, retried seeds as
NAME.seed-03.TIME, cuts as the file NAME.cut.TIME."""

import re
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from colora.errors import UserError
from colora.files import sync_folder
from colora.queue.audit import own_folder, record
from colora.queue.lock import editing
from colora.queue.verdict import processes_live
from colora.runs import Group

LAST_MOMENTS_SECONDS = 3
POLL_SECONDS = 0.1
STAMP, STAMPED = "%Y%m%dT%H%M%S%fZ", re.compile(r"\d{8}T\d{12}Z")


def trash_folder(runs_dir: Path) -> Path:
    return Path(runs_dir) / ".colora" / "trash"


def to_trash(runs_dir: Path, folder: Path, name: str) -> Path:
    """Rename `folder`, or a file, into the trash, on the same disk; returns its place there."""
    own_folder(runs_dir)
    trash = trash_folder(runs_dir)
    trash.mkdir(exist_ok=True)
    latest = max((e["removed"] for e in listed(runs_dir) if STAMPED.fullmatch(e["removed"])), default="")
    now = datetime.now(UTC)
    if f"{now:{STAMP}}" <= latest:  # the clock was set back
        now = datetime.strptime(latest, STAMP).replace(tzinfo=UTC) + timedelta(microseconds=1)
    place = trash / f"{name}.{now:{STAMP}}"
    folder.rename(place)
    sync_folder(trash)
    sync_folder(folder.parent)
    return place


def remove(group: Group) -> Path:
    """Move a group to the trash. Raises UserError while something of it waits or runs."""
    runs_dir, end = group.path.parent, time.monotonic() + LAST_MOMENTS_SECONDS
    while not Group(group.path).active and _has_process(group) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)  # its last process is just ending
    with editing(runs_dir):
        fresh = Group(group.path)
        if fresh.active or _has_process(fresh):
            raise UserError(f"{group.name} still waits or runs: stop it first, with colora stop {group.path}")
        place = to_trash(runs_dir, group.path, group.name)
    record(runs_dir, "rm", group.name, [], trash=place.name)
    return place


def _has_process(group: Group) -> bool:
    return any(processes_live(run.path) for run in group.runs)


def restore(runs_dir: Path, name: str) -> Path:
    """Bring back the group of this name that was removed last. Raises UserError where there is none, or one has the
    name again."""
    found = [entry for entry in listed(runs_dir) if entry["name"] == name and entry["group"]]
    target = Path(runs_dir) / name
    if not found:
        raise UserError(f"No removed group named '{name}' is in {trash_folder(runs_dir)}.")
    if target.exists():
        raise UserError(f"{target} exists: it has taken the name of the removed group; remove it first.")
    found[-1]["path"].rename(target)
    sync_folder(target.parent)
    record(runs_dir, "undo", name, [], trash=found[-1]["path"].name)
    return target


def listed(runs_dir: Path) -> list[dict[str, Any]]:
    """What is in the trash, the oldest first: name, removed (YYYYmmddTHHMMSS.fZ), whether a whole group, path."""
    trash = trash_folder(runs_dir)
    entries = []
    for path in trash.iterdir() if trash.is_dir() else []:
        name, _, removed = path.name.rpartition(".")
        entries.append({"name": name, "removed": removed, "group": (path / "group.json").exists(), "path": path})
    return sorted(entries, key=lambda entry: entry["removed"])


def empty(runs_dir: Path) -> int:
    """Delete for good what is in the trash; returns how much it was."""
    entries = listed(runs_dir)
    for entry in entries:
        shutil.rmtree(entry["path"]) if entry["path"].is_dir() else entry["path"].unlink()
    if entries:
        record(runs_dir, "empty-trash", "", [], removed=[entry["path"].name for entry in entries])
    return len(entries)
