"""How long a run that lives on this machine has told nothing, and what that may mean.

status.json holds two times of the machine's monotonic clock, which all its processes share and nobody sets: `beat`,
written by a thread of the run every five seconds whatever else it does, and `worked`, when its training itself last
told of a step, a batch of an evaluation or an image that was prepared. A run whose heart has stopped does nothing at
all; one whose training has stopped may wait for a driver that does not answer. A run that an older version has started
has the wall clock's `heartbeat` alone.
"""

import time
from pathlib import Path
from typing import Any

from colora.runs.proof import is_own
from colora.runs.verdict import process_file
from colora.system.process import is_halted

HALTED_SECONDS = 10  # two heartbeats: somebody may only have looked at it with a debugger
SILENT_SECONDS = 60  # twelve: a busy machine or a disk that is slow to sync keeps one or two waiting
DERIVED = ("silent", "silent_says")  # what `silence` adds, which is in no file
STILL_SECONDS = 600  # longer than the longest step or reading of images that was measured


def times() -> dict[str, float]:
    """What a writer of status.json adds to it to say that the run lives and works now."""
    return {"heartbeat": time.time(), "beat": time.monotonic(), "worked": time.monotonic()}


def ages(status: dict[str, Any]) -> tuple[float, float]:
    """Seconds since (the last heartbeat, the last word of the training itself) of a run on this machine; the second is
    0 where it is not known."""
    now, beat = time.monotonic(), status.get("beat")
    if beat is None:
        return max(0.0, time.time() - status["heartbeat"]), 0.0
    return max(0.0, now - beat), max(0.0, now - status.get("worked", beat))


def silence(folder: Path, status: dict[str, Any]) -> dict[str, Any]:
    """{"silent": seconds, "silent_says": a sentence with what to do} of an active run of this machine that lives; {}
    where it tells of itself as it should."""
    beat, worked = ages(status)
    if max(beat, worked) < HALTED_SECONDS:
        return {}
    child = process_file(folder).get("child")
    process = child if is_own(child, folder) else status["process"]  # before its first word that names the guard
    if not is_own(process, folder):
        return {}
    pid, ending = process["pid"], (folder / "stop").exists()
    end = "it is being ended" if ending else "stop this run, which ends it, and resume it"
    if beat >= HALTED_SECONDS and is_halted(process):
        go_on = "" if ending else f"let it go on with kill -CONT {pid}, or "
        return _told(beat, f"its process {pid} is halted by a signal: {go_on}{end}")
    if beat >= SILENT_SECONDS:
        return _told(beat, f"its process {pid} lives and does nothing, as where a driver or a disk hangs: {end}")
    if worked >= STILL_SECONDS:
        why = f"its process {pid} lives, but a step or the reading of images does not end; if this lasts: {end}"
        return _told(worked, why)
    return {}


def _told(seconds: float, why: str) -> dict[str, Any]:
    return {"silent": round(seconds), "silent_says": f"silent for {seconds:.0f} s: {why}."}
