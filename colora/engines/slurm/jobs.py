"""What SLURM says of array tasks: squeue in JSON or, on old versions, in columns of our own; sacct for what is gone."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from colora.engines.slurm.client import call
from colora.engines.slurm.site import Site
from colora.errors import UserError

JSON_SINCE = (23, 2)  # before, squeue --json tells of every job of the cluster, whichever were asked for
COLUMNS = "%i|%T|%N|%S|%r"
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


def ask(site: Site, job_ids: Iterable[str]) -> dict[str, Job]:
    """{"12_3": Job} of every task that the controller still knows, for some minutes also of those that have ended."""
    wanted = sorted(set(job_ids))
    if not wanted:
        return {}
    chosen = ["--states=all", f"--jobs={','.join(wanted)}"]
    try:
        if _version(tuple(site.ssh)) >= JSON_SINCE:
            return from_json(call(site, ["env", "SLURM_BITSTR_LEN=0", "squeue", "--json", *chosen]), set(wanted))
        return from_columns(call(site, ["squeue", "--noheader", "--array", f"--format={COLUMNS}", *chosen]))
    except UserError as error:
        if "Invalid job id" in str(error):  # what squeue says where the only job is gone
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
        task, state, node, start, reason = line.strip().split("|", 4)
        jobs[task] = Job(task, state, node, "" if start == "N/A" else start, "" if reason == "None" else reason)
    return jobs


def from_json(text: str, wanted: set[str]) -> dict[str, Job]:
    """The tasks in squeue's JSON, of whichever version; tasks that wait together come as one entry with a range."""
    jobs = {}
    for entry in json.loads(text)["jobs"]:
        array = str(_number(entry.get("array_job_id")) or _number(entry["job_id"]))
        if array not in wanted:
            continue
        single = _number(entry.get("array_task_id"))
        together = entry.get("array_task_string")
        states = entry["job_state"]
        state = (states if isinstance(states, str) else states[0]).upper()
        start = _number(entry.get("start_time")) or 0
        for number in expand(together) if together else [single]:
            task = array if number is None else f"{array}_{number}"
            jobs[task] = Job(
                task,
                state,
                entry.get("nodes") or "",
                datetime.fromtimestamp(start).isoformat() if start else "",
                "" if (reason := entry.get("state_reason") or "") == "None" else reason,
            )
    return jobs


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
    """What the accounting knows of a job that the controller has forgotten; nothing where there is no accounting."""
    command = ["sacct", "--parsable2", "--noheader", "--allocations", "--array", f"--jobs={job_id}"]
    try:
        text = call(site, [*command, "--format=JobID,State,NodeList"])
    except UserError:  # no sacct, or no accounting behind it: SLURM works without
        return {}
    jobs = {}
    for line in text.splitlines():
        task, state, node = line.split("|")
        jobs[task] = Job(task, state.split()[0], node, reason=state)
    return jobs
