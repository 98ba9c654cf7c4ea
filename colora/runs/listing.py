"""Which groups and runs a runs folder holds: thousands of them in a second, without pandas.

The queue goes through the runs, the command line and the pages through the groups.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from colora.runs.documents import contained, group_file
from colora.runs.folder import ACTIVE, Group, Run, run_folder
from colora.runs.proof import is_own
from colora.runs.verdict import process_file
from colora.system.errors import UserError
from colora.system.files import REMEMBERED_FILES, remembered
from colora.system.process import Identity
from colora.system.typed import is_dir


def list_groups(runs_dir: Path) -> list[Group]:
    """Every group, last launched first. A folder without group.json is none, nor one whose name starts with a dot or
    holds what cannot be shown."""
    return [Group(path) for _, _, path in sorted(_groups(runs_dir), reverse=True)]


def holds_groups(runs_dir: Path) -> bool:
    """Whether there is any, damaged or not: looks no further than the first."""
    return next(_groups(runs_dir), None) is not None


def _groups(runs_dir: Path) -> Iterator[tuple[float, str, Path]]:
    """When it was launched, its name and its folder, of each group."""
    if not is_dir(runs_dir):
        return
    for path in Path(runs_dir).iterdir():
        with suppress(FileNotFoundError, NotADirectoryError):  # no group, or removed at this moment
            if not path.name.startswith(".") and path.name.isprintable():
                yield _launched(path), path.name, path


def _launched(group: Path) -> float:
    """When a group was launched, in seconds since 1970; of a damaged one, when its file was last changed, or what is
    seen of it. Raises FileNotFoundError or NotADirectoryError of what is none."""
    path = group / "group.json"
    try:
        return remembered(_created, path)
    except (FileNotFoundError, NotADirectoryError):
        if not os.path.islink(path):
            raise
        return os.lstat(path).st_mtime  # a link to what is not there
    except UserError:  # its own line says what is wrong with it
        return os.lstat(path).st_mtime
    except OSError:  # a loop of links, or a folder that may not be entered
        return os.lstat(group).st_mtime


@lru_cache(maxsize=REMEMBERED_FILES)
def _created(path: str, stamp: Any) -> float:
    """The file's own time is another: a retry with more seeds writes the file anew, and so does a copy."""
    created = datetime.fromisoformat(group_file(os.path.dirname(path))["created"])
    return (created if created.tzinfo else created.replace(tzinfo=UTC)).timestamp()


def listing(runs_dir: Path) -> list[dict[str, Any]]:
    """One row a group, last launched first: name, state, seeds, done (how many of them), apart (the seeds not trained
    on what the others were), created, reason (of damage)."""
    rows = []
    for group in list_groups(runs_dir):
        row: dict[str, Any] = {"name": group.name, "state": "damaged", "seeds": 0, "done": 0, "apart": []}
        row |= {"created": None}
        try:
            with contained(group.path):
                states = [run.state for run in group.runs]
                row |= {"state": group.state, "seeds": len(states), "done": states.count("done"), "reason": None}
                row |= {"apart": [run.seed for run in group.apart], "created": group.info["created"]}
        except UserError as error:
            row |= {"state": "damaged", "reason": str(error)}
        rows.append(row)
    return rows


def run_folders(runs_dir: Path) -> Iterator[Path]:
    """Every run of a runs folder, as group.json names its seeds; a damaged group is left out, its pages say why."""
    if not Path(runs_dir).is_dir():
        return
    with os.scandir(runs_dir) as entries:
        groups = sorted(entry.path for entry in entries if not entry.name.startswith("."))
    for group in groups:
        try:
            seeds = group_file(group)["seeds"]
        except UserError:
            continue
        yield from (Path(group, run_folder(seed)) for seed in seeds)


def written_state(folder: Path) -> str:
    """The state in status.json, `damaged` where that cannot be read."""
    try:
        return Run(folder).written_status()["state"]
    except UserError:
        return "damaged"


def trainings(runs_dir: Path) -> list[Identity]:
    """The training processes of this folder that live on this machine."""
    folders = [folder for folder in run_folders(runs_dir) if written_state(folder) in ACTIVE]
    return [known for folder in folders if is_own(known := process_file(folder).get("child"), folder)]
