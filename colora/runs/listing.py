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

from colora.runs.folder import ACTIVE, Group, Run, run_folder, seeds_of
from colora.runs.proof import is_own
from colora.runs.verdict import process_file
from colora.system.errors import UserError
from colora.system.files import REMEMBERED_FILES, read_json, remembered
from colora.system.process import Identity
from colora.system.typed import is_dir


def list_groups(runs_dir: Path) -> list[Group]:
    """Every group, last launched first. A folder without group.json, or whose name starts with a dot, is no group."""
    if not is_dir(runs_dir):
        return []
    found = {}
    for path in Path(runs_dir).iterdir():
        with suppress(FileNotFoundError, NotADirectoryError):  # no group, or removed at this moment
            if not path.name.startswith("."):
                found[path] = remembered(_launched, path / "group.json"), path.name
    return [Group(path) for path in sorted(found, key=found.get, reverse=True)]


@lru_cache(maxsize=REMEMBERED_FILES)
def _launched(path: str, stamp: Any) -> float:
    """When the group of a group.json was launched, in seconds since 1970. The file's own time says that only of a
    damaged one: a retry with more seeds writes the file anew, and a copy has another time."""
    try:
        created = datetime.fromisoformat(read_json(path)["created"])
    except (UserError, KeyError, TypeError, ValueError):
        return os.stat(path).st_mtime
    return (created if created.tzinfo else created.replace(tzinfo=UTC)).timestamp()


def listing(runs_dir: Path) -> list[dict[str, Any]]:
    """One row a group, last launched first: name, state, seeds, done (how many of them), apart (the seeds not trained
    on what the others were), created, reason (of damage)."""
    rows = []
    for group in list_groups(runs_dir):
        row: dict[str, Any] = {"name": group.name, "state": "damaged", "seeds": 0, "done": 0, "apart": []}
        row |= {"created": None}
        try:
            states = [run.state for run in group.runs]
            row |= {"state": group.state, "seeds": len(states), "done": states.count("done"), "reason": None}
            row |= {"apart": [run.seed for run in group.apart], "created": group.info["created"]}
        except UserError as error:
            row |= {"state": "damaged", "reason": str(error)}
        except KeyError:
            row |= {"state": "damaged", "reason": f"{group.path / 'group.json'} does not say when it was made."}
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
            seeds = seeds_of(read_json(path := Path(group, "group.json")), path)
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
