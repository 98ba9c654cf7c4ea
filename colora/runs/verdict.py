"""What became of a run whose process is gone without a word of its own, in words a person can act on."""

import errno
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from colora.runs.proof import is_own
from colora.system.errors import UserError
from colora.system.files import read_json, regular, why
from colora.system.process import is_identity, same
from colora.system.storage import size_text

QUOTED_LINES = 40
TAIL_BYTES = 32_768
LONGEST_WISH = 300  # bytes
FULL_BYTES = 2**20  # with less than this free a disk counts as full
PATIENCE_SECONDS = 120  # for the heartbeat of a run on another host to change, on this process's monotonic clock
FIRST_SIGHT_SECONDS = 600  # a heartbeat that is older by both hosts' wall clocks when first seen is not waited for
WATCH_SECONDS = 15  # three heartbeats
WATCH_POLL_SECONDS = 0.5
BUS = getattr(signal, "SIGBUS", None)  # a mapped file was cut short
FULL_DISK = re.compile(rf"No space left on device|\[Errno {errno.ENOSPC}\]|Disk quota exceeded")

def is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and -(2**53) < value < 2**53


def is_text(value: Any) -> bool:
    return isinstance(value, str)


KINDS: dict[str, Callable[[Any], bool]] = {  # of what is read below from process.json, exit.json and status.json
    "guard": is_identity,
    "child": is_identity,
    "log_offset": is_count,
    "code": is_number,
    "signal": is_count,
    "oom_kills": is_count,
    "gpu_left_mib": is_number,
    "heartbeat": is_number,
    "started": is_number,
}

_heard: dict[str, tuple[float, float]] = {}  # status file -> (heartbeat, when it was last seen to change)
_vouched: dict[str, float] = {}  # run folder -> when a cluster last said to this process that it runs


def process_file(folder: Path) -> dict[str, Any]:
    """process.json of a run; {} where no guard has ever been named, or the file is damaged."""
    return _mapping(folder / "process.json")


def _mapping(path: Path) -> dict[str, Any]:
    """A file's document without what is not of its kind, so that damage hides no process that lives; {} where there is
    none."""
    try:
        found = read_json(path)
    except UserError:
        return {}
    return {k: v for k, v in found.items() if KINDS.get(k, is_text)(v)} if isinstance(found, dict) else {}


def guard_lives(folder: Path) -> bool:
    """Whether a guard of this run is at work: whatever happens to the run, it will be written down."""
    return is_own(process_file(folder).get("guard"), folder)


def processes_live(folder: Path) -> bool:
    """Whether the last guard of this run, or the training process that it started, lives on this host."""
    return guard_lives(folder) or is_own(process_file(folder).get("child"), folder)


def never_named(folder: Path, status: dict[str, Any]) -> bool:
    """Whether a supervisor died between telling that it starts this run and naming the guard, which ended then with
    nothing started: the run waits as before."""
    unstarted = status["state"] == "starting" and status.get("started") is None
    return unstarted and not same(status["process"], process_file(folder).get("guard"))


def fallen_silent(folder: Path, heartbeat: float) -> bool:
    """Whether a run of another host has stopped telling that it lives.

    Clocks of two machines differ, so only a change of the heartbeat counts, timed by this process's own clock. At the
    first sight there is nothing to compare: a heartbeat that is ten minutes old is then taken for the last one, until
    it changes.
    """
    now, key = time.monotonic(), str(folder)
    if key not in _heard:
        old = time.time() - heartbeat > FIRST_SIGHT_SECONDS
        _heard[key] = (heartbeat, now - PATIENCE_SECONDS - 1 if old else now)
    elif _heard[key][0] != heartbeat:
        _heard[key] = (heartbeat, now)
    return now - _heard[key][1] > PATIENCE_SECONDS


def heard(folders: list[Path]) -> list[Path]:
    """Those of runs on other hosts whose heartbeat changes while this process watches: they live, whatever the clocks
    say. Takes WATCH_SECONDS where none does."""
    first, end = {folder: _heartbeat(folder) for folder in folders}, time.monotonic() + WATCH_SECONDS
    while folders and time.monotonic() < end:
        if found := [folder for folder in folders if _heartbeat(folder) != first[folder]]:
            return found
        time.sleep(WATCH_POLL_SECONDS)
    return []


def _heartbeat(folder: Path) -> Any:
    return _mapping(folder / "status.json").get("heartbeat")


def vouch(folder: Path) -> None:
    """A cluster has just said that this run's job runs."""
    _vouched[str(folder)] = time.monotonic()


def may_be_silent(folder: Path) -> bool:
    """Whether a cluster said that it lets this run rest (colora.engines.slurm.records), or just now that it runs."""
    if time.monotonic() - _vouched.get(str(folder), -PATIENCE_SECONDS) < PATIENCE_SECONDS:
        return True
    return _mapping(folder / "job.json").get("state") in ("SUSPENDED", "STOPPED")


def verdict(folder: Path, status: dict[str, Any]) -> dict[str, Any]:
    """{"state", "reason"} of a run on this host that counts as active and whose process is gone."""
    again = f"Resume continues after epoch {status['epoch']}."
    ending, tail = _exit_file(folder, status["process"]), log_tail(folder, QUOTED_LINES, _log_offset(folder))
    if (folder / "stop").exists():
        limit = limit_met(folder)
        reason = f"{limit or 'Stopped on request'}: its process was ended. {again} {memory_left(folder)}"
        return {"state": "failed" if limit else "stopped", "reason": reason.strip()}
    if FULL_DISK.search(tail) or shutil.disk_usage(folder).free < FULL_BYTES:
        sentence = f"The disk of {folder} is full: free some space, then resume this run. {again}"
        return {"state": "failed", "reason": _with(sentence, tail)}
    if ending is None:
        gone = "The process of this run is gone without a word (killed, or the machine restarted)."
        return {"state": "lost", "reason": _with(f"{gone} {again}", tail)}
    return {"state": "failed", "reason": _with(f"{_how(ending)} {again}", tail)}


def limit_met(folder: Path) -> str:
    """Where not a person but a limit of its group wants a run to end: which, and what was measured, as the supervisor
    has written it into the file `stop`; "" otherwise."""
    try:
        file = os.open(folder / "stop", os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # nor does a pipe keep it waiting
    except OSError:  # nobody wants it to end
        return ""
    try:
        return os.read(file, LONGEST_WISH).decode(errors="replace").strip()
    except OSError:  # no file at all: whatever it is, somebody's wish
        return ""
    finally:
        os.close(file)


def memory_left(folder: Path) -> str:
    """A sentence where a run's end has not given all its GPU memory back, as far as its guard could see; else ""."""
    ending = _exit_file(folder, process_file(folder).get("guard"))
    left = ending.get("gpu_left_mib", 0) if ending else 0
    if not left:
        return ""
    more = f"{size_text(left * 2**20)} more of the GPU's memory are taken than before it began"
    return f"{more}: nvidia-smi shows by which process."


def short(reason: str | None) -> str:
    """A reason on one line: its sentence, and of the quoted lines of its log the last."""
    sentence, _, quoted = (reason or "").partition("\n")
    last = quoted.strip().rpartition("\n")[2].strip()
    return f"{sentence} ({last})" if last else sentence


def silent(status: dict[str, Any]) -> dict[str, Any]:
    """{"state", "reason"} of a run of another host that has fallen silent."""
    where = status["process"]["host"]
    sentence = f"Nothing has been heard of this run from {where} for a while, or its folder was copied from there."
    return {"state": "lost", "reason": f"{sentence} Resume continues here after epoch {status['epoch']}."}


def _exit_file(folder: Path, process: dict[str, Any] | None) -> dict[str, Any] | None:
    """exit.json if it is about this process: the training process, or its guard before that had started."""
    ending = _mapping(folder / "exit.json")
    return ending if any(same(ending.get(who), process) for who in ("child", "guard")) else None


def _how(ending: dict[str, Any]) -> str:
    number = ending.get("signal")
    if number is None:
        return f"The training process ended with exit code {ending.get('code')}."
    name = next((f" ({known.name})" for known in signal.Signals if known == number), "")
    killed = f"The training process was killed by signal {number}{name}"
    if ending.get("oom_kills"):
        return f"{killed}: the kernel ended it for lack of memory. Lower the batch size or the image size."
    if number == signal.SIGKILL:
        return f"{killed}, probably out of memory: lower the batch size or the image size."
    if number == BUS:
        return f"{killed}: a file that it read was cut short meanwhile, most likely its data, or the disk failed."
    return f"{killed}."


def _with(sentence: str, quoted: str) -> str:
    return f"{sentence}\n{quoted}" if quoted else sentence


def _log_offset(folder: Path) -> int:
    """Where in log.txt the last start of this run begins, in bytes."""
    return process_file(folder).get("log_offset", 0)


def log_tail(folder: Path, lines: int = 40, since: int = 0) -> str:
    """The last lines of a run's log.txt, of what was written from byte `since` on."""
    return file_tail(folder / "log.txt", lines, since)


def file_tail(path: Path, lines: int, since: int = 0) -> str:
    """The last lines of a text file; empty where there is none, and a sentence where it cannot be read."""
    try:
        with open(regular(path), "rb") as file:
            file.seek(max(since, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            return "\n".join(file.read(TAIL_BYTES).decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        return f"{path} cannot be read: {why(error)}."
