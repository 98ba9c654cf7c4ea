"""What became of a run whose job has ended without the run's own last word, in words a person can act on."""

from typing import Any

from colora.engines.slurm.jobs import Job
from colora.engines.slurm.site import seconds_of

ROUND_SECONDS = 60  # SLURM looks at time limits every half minute, and rounds them up to minutes

LOST = ("NODE_FAIL", "BOOT_FAIL", "COMPLETED", "REVOKED")  # the machine's doing, or nobody's; else `failed`


def ending(
    job: Job | None, task: str, status: dict[str, Any], request: dict[str, Any], last: dict[str, Any], output: str
) -> dict[str, Any]:
    """{"state", "reason"} by what SLURM says of the job, None where it has forgotten it.

    `request` is what the job had asked for (a Site's fields), `last` the task's own record of its end ({} without one),
    `output` the last lines that the job printed before any training began.
    """
    again = f"Resume continues after epoch {status['epoch']}."
    state = job.state if job else _by_record(request, last)
    where = f"job {task}" + (f" on {job.node}" if job and job.node else "")
    if state == "CANCELLED":
        return {"state": "stopped", "reason": f"Its {where} was cancelled with SLURM's own commands. {again}"}
    sentence = _sentence(state, where, request, last)
    if job and job.reason not in ("", job.state) and state not in EXPLAINED:
        sentence += f" SLURM's reason: {job.reason}."
    quoted = f"\n{output}" if output and state in ("FAILED", "COMPLETED") else ""
    return {"state": "lost" if state in LOST or state is None else "failed", "reason": f"{sentence} {again}{quoted}"}


EXPLAINED = ("TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "CANCELLED")


def _by_record(request: dict[str, Any], last: dict[str, Any]) -> str | None:
    """The state that the task's own record of its end tells, where SLURM tells nothing any more."""
    if last.get("oom_kills"):
        return "OUT_OF_MEMORY"
    if "SIGTERM" in last.get("told", ()) and last["seconds"] >= seconds_of(request["time"]) - ROUND_SECONDS:
        return "TIMEOUT"
    return None


def _sentence(state: str | None, where: str, request: dict[str, Any], last: dict[str, Any]) -> str:
    if state is None:
        told = " It had been asked to end, as happens to preempted jobs." if "SIGTERM" in last.get("told", ()) else ""
        return f"SLURM knows nothing of its {where} any more, and keeps no accounting that would tell why.{told}"
    return {
        "TIMEOUT": f"SLURM ended its {where} at the time limit of {request['time']}, before it had stopped by itself. "
        "A step, or reading the images, takes longer than signal_seconds "
        f"({request['signal_seconds']}): raise that, or the time.",
        "OUT_OF_MEMORY": f"SLURM ended its {where} for using more than the {request['memory']} of memory it had asked "
        "for: raise memory for this group, or lower the batch size.",
        "NODE_FAIL": f"The node of its {where} failed.",
        "BOOT_FAIL": f"The node of its {where} did not start.",
        "PREEMPTED": f"Its {where} was preempted, and SLURM did not queue it again.",
        "DEADLINE": f"Its {where} met its deadline.",
        "COMPLETED": f"Its {where} ended without having trained.",
        "FAILED": f"Its {where} ended with an error before the training could say why.",
    }.get(state, f"SLURM ended its {where}: {state}.")


WAITS = {
    "Resources": "for free nodes or GPUs",
    "Priority": "for jobs of higher priority",
    "JobArrayTaskLimit": "for other seeds of this group (parallel)",
    "BeginTime": "for its earliest start",
    "Dependency": "for another job",
    "JobHeldUser": "held by its user: scontrol release",
    "JobHeldAdmin": "held by an administrator",
    "ReqNodeNotAvail": "for nodes that are down or reserved",
    "PartitionTimeLimit": "its time limit exceeds the partition's",
    "PartitionNodeLimit": "it asks for more nodes than the partition has",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition is inactive",
    "NodeDown": "a node that it needs is down",
    "QOSMaxGRESPerUser": "for your other jobs' GPUs",
    "QOSMaxJobsPerUserLimit": "for your other jobs",
    "AssocGrpCPULimit": "for your account's other jobs",
    "AssocGrpGRES": "for your account's other GPUs",
}


def waits_for(reason: str) -> str:
    """`"Resources"` -> `"for free nodes or GPUs (Resources)"`: SLURM's reason for waiting, explained where known."""
    code = reason.partition(",")[0].strip("()")
    if code in ("", "None"):
        return "SLURM has not looked at it yet"
    return f"{WAITS[code]} ({reason})" if code in WAITS else reason
