"""What is kept of a group's life in SLURM, all of it in the group's folder.

GROUP/slurm/0001.sh      the script as it was submitted; 0001_3.log is what its task 3 printed outside the training
GROUP/slurm/0001.json    job (its number, or null until SLURM gave one), seeds, request, submitted, user, host
GROUP/seed-03/queue.json the place, and which submission trains this seed: tasks of an earlier one leave it alone
GROUP/seed-03/job.json   task ("12_3"), state, node, start, reason: what SLURM said when it was last asked
"""

import os
from pathlib import Path
from typing import Any

from pydantic import ConfigDict
from typing_extensions import TypedDict

from colora.engines.slurm.jobs import Job
from colora.queue import order
from colora.runs.documents import STRICT, Text, document
from colora.runs.verdict import file_tail
from colora.system.errors import UserError
from colora.system.files import sync_folder, write_json

LOG_LINES = 5


class Submission(TypedDict):
    """GROUP/slurm/0001.json"""

    __pydantic_config__ = STRICT
    job: Text | None
    request: dict[str, Any]


class SaidOfJob(TypedDict):
    """GROUP/seed-03/job.json"""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    task: Text
    state: Text
    node: Text
    start: Text
    reason: Text


def submissions(group: Path) -> list[int]:
    """The numbers of all submissions so far, ascending."""
    return sorted(int(path.stem) for path in (group / "slurm").glob("[0-9]*.sh") if path.stem.isdecimal())


def claim(group: Path) -> int:
    """The number of a new submission. Its script file is made exclusively: of two hosts each gets its own number."""
    folder = group / "slurm"
    folder.mkdir(exist_ok=True)
    number = max(submissions(group), default=0) + 1
    while True:
        try:
            os.close(os.open(script_path(group, number), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            number += 1
            continue
        sync_folder(folder)
        return number


def script_path(group: Path, submission: int) -> Path:
    return group / "slurm" / f"{submission:04d}.sh"


def write_submission(group: Path, submission: int, **about: Any) -> None:
    write_json(group / "slurm" / f"{submission:04d}.json", about)


def submission_of(run: Path) -> dict[str, Any]:
    """{"number", "job", "request", ...} of the submission that a run belongs to; {} where it has none or no job."""
    number = order.place(run).get("submission")
    about = _or_empty(Submission, run.parent / "slurm" / f"{number:04d}.json") if number else {}
    return {"number": number, **about} if about.get("job") else {}


def task_of(run: Path) -> str | None:
    """ "12_3", or None where no job is known."""
    about = submission_of(run)
    return f"{about['job']}_{int(run.name.removeprefix('seed-'))}" if about else None


def write_job(run: Path, job: Job) -> None:
    """Only what has changed is written. A new file in the folder also makes a network file system look at it anew."""
    if read_job(run) != job.as_dict():
        write_json(run / "job.json", job.as_dict())


def read_job(run: Path) -> dict[str, Any]:
    """{"task", "state", "node", "start", "reason"}; {} before SLURM was asked."""
    return _or_empty(SaidOfJob, run / "job.json")


def output(run: Path) -> str:
    """The last lines that the job of a run printed outside the training: a module that is missing, a wrong path."""
    about = submission_of(run)
    path = run.parent / "slurm" / f"{about.get('number') or 0:04d}_{int(run.name.removeprefix('seed-'))}.log"
    return file_tail(path, LOG_LINES).strip()


def _or_empty(kind: type, path: Path) -> dict[str, Any]:
    try:
        return document(kind, path)
    except UserError:  # not there yet, or damaged: SLURM is asked again
        return {}
