"""What SLURM says of array tasks: squeue in JSON or, on old versions, in columns of our own; sacct for what is gone."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from colora.engines.slurm.client import Refused, call
from colora.engines.slurm.site import Site
from colora.system.errors import UserError

JSON_SINCE = (23, 2)  # before, squeue --json tells of every job of the cluster, whichever were asked for
COLUMNS = "%i|%T|%N|%S|%r"
WHOLE = ["env", "SLURM_BITSTR_LEN=0"]  # or a long list of an array's tasks ends in "..."
NO_ACCOUNTING = re.compile(r"storage is disabled|sacct\W*: (command )?not found|sacct\W*: no such file", re.IGNORECASE)
MORE_TELLING = ("COMPLETING", "CONFIGURING", "STOPPED")  # than the state that squeue's JSON names beside them
FINISHED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
}  # fmt: skip
WAITING = {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}


@dataclass(frozen=True)
class Job:
    """One array task as SLURM sees it: "12_3", its state, node, start, and reason for waiting or ending."""

    task: str
    state: str
    node: str = ""
    start: str = ""  # local time of the cluster, ISO 8601; "" where unknown
    reason: str = ""

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def waiting(self) -> bool:
        return self.state in WAITING

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class Unreadable(UserError):
    """An answer of SLURM's in a shape that is not known here."""

    def __init__(self, whose: str, found: Any):
        super().__init__(f"{whose} answered what cannot be read here: {found}.", field="engine")


_without_json: set[tuple[str, ...]] = set()  # the ssh prefixes behind which squeue's JSON has failed this process


def ask(site: Site, job_ids: Iterable[str]) -> dict[str, Job]:
    """{"12_3": Job} of every task that the controller still knows, for some minutes also of those that have ended."""
    wanted = sorted(set(job_ids))
    if not wanted:
        return {}
    chosen = ["--states=all", f"--jobs={','.join(wanted)}"]
    columns = ["squeue", "--noheader", "--array", f"--format={COLUMNS}", *chosen]
    ssh = tuple(site.ssh)
    try:
        if ssh in _without_json or _version(ssh) < JSON_SINCE:
            return from_columns(call(site, columns))
        try:
            return from_json(call(site, [*WHOLE, "squeue", "--json", *chosen]), set(wanted))
        except (Refused, Unreadable) as error:  # built without it, or a shape of later years: the columns stay
            if "Invalid job id" in str(error):
                raise
            jobs = from_columns(call(site, columns))
            _without_json.add(ssh)
            return jobs
    except Refused as error:
        if "Invalid job id" in error.said:  # what squeue says where the only job is gone
            return {}
        raise


@lru_cache
def _version(ssh: tuple[str, ...]) -> tuple[int, ...]:
    said = call(Site(ssh=list(ssh)), ["squeue", "--version"])
    found = re.search(r"(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def from_columns(text: str) -> dict[str, Job]:
    """The tasks in squeue's output of `COLUMNS`, one line a task."""
    jobs = {}
    for line in text.splitlines():
        try:
            task, state, node, start, reason = line.strip().split("|", 4)
        except ValueError as error:
            raise Unreadable("squeue", repr(line)) from error
        jobs[task] = Job(task, state, node, "" if start == "N/A" else start, "" if reason == "None" else reason)
    return jobs


def from_json(text: str, wanted: set[str]) -> dict[str, Job]:
    """The tasks in squeue's JSON, of whichever version. Raises Unreadable for what is none of them."""
    try:
        return {job.task: job for entry in json.loads(text)["jobs"] for job in _tasks(entry, wanted)}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise Unreadable("squeue --json", repr(error)) from error


def _tasks(entry: dict[str, Any], wanted: set[str]) -> Iterator[Job]:
    """Those of one entry: tasks that wait together come as one with a range."""
    array = str(_number(entry.get("array_job_id")) or _number(entry["job_id"]))
    if array not in wanted:
        return
    single = _number(entry.get("array_task_id"))
    together = entry.get("array_task_string")
    start = _number(entry.get("start_time")) or 0
    for number in expand(together) if together else [single]:
        yield Job(
            array if number is None else f"{array}_{number}",
            _state(entry["job_state"]),
            entry.get("nodes") or "",
            datetime.fromtimestamp(start).isoformat() if start else "",
            "" if (reason := entry.get("state_reason") or "") == "None" else reason,
        )


def _state(said: str | list[str]) -> str:
    """One word, as squeue's columns have it: since 23.11 the JSON has a list, of the state and what goes on with it."""
    states = [said.upper()] if isinstance(said, str) else [word.upper() for word in said]
    return next((word for word in MORE_TELLING if word in states), states[0])


def _number(value: Any) -> int | None:
    """A number of squeue's JSON: plain, or since 23.02 with whether it is set."""
    if isinstance(value, dict):
        return value["number"] if value.get("set") else None
    return value


def expand(text: str) -> list[int]:
    """`"0,3-9:3%2"` -> [0, 3, 6, 9]: SLURM's way to write the tasks of an array."""
    numbers: list[int] = []
    for part in text.partition("%")[0].split(","):
        span, _, step = part.partition(":")
        first, _, last = span.partition("-")
        numbers += range(int(first), int(last or first) + 1, int(step or 1))
    return numbers


def remembered(site: Site, job_id: str) -> dict[str, Job]:
    """What the accounting knows of a job that the controller has forgotten; nothing where there is no accounting.

    Raises UserError where there is one that does not answer.
    """
    command = [*WHOLE, "sacct", "--parsable2", "--noheader", "--allocations", f"--jobs={job_id}"]
    try:
        return from_accounting(call(site, [*command, "--format=JobID,State,NodeList"]))
    except Refused as error:
        if NO_ACCOUNTING.search(error.said):  # SLURM works without
            return {}
        raise


def from_accounting(text: str) -> dict[str, Job]:
    """The tasks in sacct's lines of task, state and node; those that never began stand together: `12_[1-4%2]`."""
    jobs = {}
    for line in text.splitlines():
        try:
            name, state, node = line.strip().split("|")
            array, _, together = name.partition("_[")
            tasks = [f"{array}_{number}" for number in expand(together.rstrip("]"))] if together else [name]
            word = state.split()[0]  # "CANCELLED by 1000"
        except (ValueError, IndexError) as error:
            raise Unreadable("sacct", repr(line)) from error
        jobs |= {task: Job(task, word, "" if node == "None assigned" else node, reason=state) for task in tasks}
    return jobs
