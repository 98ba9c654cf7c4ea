"""One task of an array, on its node: trains its seed, and writes down how that ended.

    python -m colora.engines.slurm.task GROUP_DIR SUBMISSION      (SLURM_ARRAY_TASK_ID is the seed)

It starts `python -m colora train --run-dir DIR` and stands between that and SLURM's signals:
    SIGINT    a person stops the run (colora stop): it finishes its step and is `stopped`
    SIGTERM   SLURM takes the node back: it finishes its step and is `queued`, and goes on where SLURM runs it again
    SIGUSR1   the time limit is near: the same, and this task asks SLURM to run it again
A task runs as often as SLURM likes: a seed that is done or stopped, or that a later submission trains, is left alone.
Writes process.json and exit.json as a run's guard on one machine does (colora.queue.guard).
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from colora.queue.guard import identity_or_none, oom_kills
from colora.runs.documents import queue_file, status_file
from colora.runs.proof import is_own
from colora.runs.verdict import verdict
from colora.system.errors import UserError
from colora.system.file_rights import write_as
from colora.system.files import open_log, write_json
from colora.system.process import is_visible, own_process

ATTRIBUTES_SECONDS = 75  # a network file system may show a file's old self for a minute
POLL_SECONDS = 1
REQUEUE_SECONDS = 60  # for SLURM to answer
REQUEUED_WAIT_SECONDS = 120  # and to end this task after it agreed to run it again
PASSED_ON = {signal.SIGUSR1: signal.SIGTERM, signal.SIGTERM: signal.SIGTERM, signal.SIGINT: signal.SIGINT}

Command = Callable[[Path], list[str]]


def train_command(run: Path) -> list[str]:
    return [sys.executable, "-m", "colora", "train", "--run-dir", str(run)]


def main(arguments: list[str], command: Command = train_command) -> int:
    """0 where the seed is done, stopped, or waits to go on; else the training's exit code, or 1."""
    group, submission = Path(arguments[0]), int(arguments[1])
    write_as(group.parent)
    folder = group / f"seed-{int(os.environ['SLURM_ARRAY_TASK_ID']):02d}"
    told: list[int] = []
    child: subprocess.Popen | None = None

    def tell(number: int, _: Any) -> None:
        told.append(number)
        if child is not None:
            child.send_signal(PASSED_ON[number])

    for number in PASSED_ON:
        signal.signal(number, tell)
    began = time.monotonic()
    if not is_ours(folder, submission) or not may_begin(folder):
        return 0
    own = own_process()
    claim = announce(folder, own)
    before, first_epoch = oom_kills(), status_file(folder)["epoch"]
    if not told:
        with open_log(folder / "log.txt") as log:
            child = subprocess.Popen(
                command(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"COLORA_GUARD": str(own["pid"]), "COLORA_TASK": task_name()},
            )
    known = identity_or_none(child.pid) if child else None
    write_json(folder / "process.json", claim | {"child": known})
    if child and told:  # between the question and the start
        child.send_signal(PASSED_ON[told[-1]])
    code = child.wait() if child else 0
    ending = {
        "guard": own,
        "child": known,
        "code": code if code >= 0 else None,
        "signal": -code if code < 0 else None,
        "oom_kills": oom_kills() - before,
        "finished": time.time(),
        "seconds": time.monotonic() - began,
        "told": [signal.Signals(number).name for number in told],
    }
    write_json(folder / "exit.json", ending)
    return conclude(folder, told, code, first_epoch)


def task_name() -> str:
    return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"


def is_ours(folder: Path, submission: int) -> bool:
    """Whether the run is this submission's. An older number may be what the file system remembers, so it is awaited."""
    end = time.monotonic() + ATTRIBUTES_SECONDS
    while True:
        try:
            number = queue_file(folder).get("submission") or 0
        except UserError:  # not there yet
            number = 0
        if number >= submission or time.monotonic() > end:
            break
        time.sleep(POLL_SECONDS)
    if number != submission:
        print(f"{folder} belongs to submission {number}, not to {submission}: left alone.", flush=True)
    return number == submission


def may_begin(folder: Path) -> bool:
    """Whether the run is to be trained: not done, no wish to stop it, and no other process at it."""
    status = status_file(folder)
    if (folder / "stop").exists() and status["state"] != "done":
        reason = f"Stopped on request. Resume continues after epoch {status['epoch']}."
        write_json(folder / "status.json", status | {"state": "stopped", "process": None, "reason": reason})
        (folder / "stop").unlink(missing_ok=True)
        return False
    if status["state"] in ("done", "stopped"):
        print(f"{folder} is {status['state']}: nothing to do.", flush=True)
        return False
    process, heartbeat = status["process"], status["heartbeat"]
    if status["state"] == "queued" or process is None or (is_visible(process) and not is_own(process, folder)):
        return True
    end = time.monotonic() + ATTRIBUTES_SECONDS
    while time.monotonic() < end:  # SLURM gave up the node of its last process; does that one know?
        time.sleep(POLL_SECONDS)
        if status_file(folder)["heartbeat"] != heartbeat:
            print(f"{folder} is being trained on {process['host']}, whatever SLURM says: left alone.", flush=True)
            return False
    return True


def announce(folder: Path, own: dict[str, Any]) -> dict[str, Any]:
    """process.json and status.json in this task's name, until the training process writes its own."""
    log = folder / "log.txt"
    claim = {
        "guard": own,
        "child": None,
        "slot": f"{task_name()} on {socket.gethostname()}",
        "started": time.time(),
        "log_offset": log.stat().st_size if log.exists() else 0,
    }
    (folder / "exit.json").unlink(missing_ok=True)
    write_json(folder / "process.json", claim)
    begun = {"state": "starting", "process": own, "reason": None, "heartbeat": time.time()}
    write_json(folder / "status.json", status_file(folder) | begun)
    return claim


def conclude(folder: Path, told: list[int], code: int, first_epoch: int) -> int:
    """Write down what the training process had no time to say, and ask for another turn where its time was up."""
    status = status_file(folder)
    if status["state"] not in ("queued", "stopped", "done", "failed"):
        status = status | last_word(folder, status, told) | {"process": None, "finished": time.time()}
        write_json(folder / "status.json", status)
        (folder / "stop").unlink(missing_ok=True)
    if status["state"] == "queued" and signal.SIGUSR1 in told:
        return another_turn(folder, status, told, first_epoch)
    return 0 if status["state"] in ("queued", "stopped", "done") else code if code > 0 else 1


def last_word(folder: Path, status: dict[str, Any], told: list[int]) -> dict[str, Any]:
    """{"state", "reason"} of a training process that is gone without a word of its own."""
    again = f"after epoch {status['epoch']}"
    if signal.SIGINT in told or (folder / "stop").exists():
        return {"state": "stopped", "reason": f"Stopped on request. Resume continues {again}."}
    if told:
        return {"state": "queued", "reason": f"SLURM took its place back; it goes on {again} when it is run again."}
    found = verdict(folder, status)
    said, line, details = found["reason"].partition("\n")
    if "memory" in said:
        said += " Or raise memory, which its SLURM job asks for."
    return found | {"reason": said + line + details}


def another_turn(folder: Path, status: dict[str, Any], told: list[int], first_epoch: int) -> int:
    """scontrol requeue of this very task. A turn too short for one epoch would only be followed by the same."""
    again, trouble = f"Resume continues after epoch {status['epoch']}.", None
    if status["epoch"] <= first_epoch:
        trouble = "Not one epoch was finished within the job's time limit, so it would never come to an end: raise it."
    else:
        refusal = requeue()
        if refusal:
            trouble = f"The job's time limit is over and SLURM does not run it again ({refusal})."
    if trouble is None:
        end = time.monotonic() + REQUEUED_WAIT_SECONDS
        while signal.SIGTERM not in told and time.monotonic() < end:
            time.sleep(POLL_SECONDS / 10)
        return 0
    write_json(folder / "status.json", status | {"state": "failed", "reason": f"{trouble} {again}"})
    return 1


def requeue() -> str:
    """Ask SLURM to run this task again; what it says against that, or nothing."""
    command = ["scontrol", "requeue", task_name()]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=REQUEUE_SECONDS)
    except FileNotFoundError:
        return "there is no scontrol on this node"
    except subprocess.TimeoutExpired:
        return f"scontrol has not answered within {REQUEUE_SECONDS} s"
    return (asked.stderr.strip() or f"exit code {asked.returncode}") if asked.returncode else ""


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:  # a damaged file of the run
        sys.exit(str(error))
