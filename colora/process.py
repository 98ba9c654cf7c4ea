"""Which process a file speaks of, and whether it still lives.

A pid alone is no identity: it is used again. Pid, start time, host and boot together are one. On Linux the start time
is field 22 of /proc/PID/stat in ticks since boot, which stays put when the wall clock is set.
"""

import os
import socket
import sys
from functools import cache
from pathlib import Path
from typing import Any

import psutil


@cache
def boot_id() -> str:
    """Changes with every start of the machine."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else str(int(psutil.boot_time()))


def _start_time(pid: int) -> float | None:
    """Comparable only with itself, on the same boot; None for a process that is gone or a zombie."""
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else float(fields[19])
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time())
    except psutil.NoSuchProcess:
        return None


def identity(pid: int) -> dict[str, Any]:
    """{"pid", "started", "host", "boot_id"} of a living process; ProcessLookupError if it is gone."""
    started = _start_time(pid)
    if started is None:
        raise ProcessLookupError(pid)
    return {"pid": pid, "started": started, "host": socket.gethostname(), "boot_id": boot_id()}


def is_alive(known: dict[str, Any] | None) -> bool:
    """Whether the process that `identity` described lives. One of another host cannot be seen and is believed."""
    if known is None:
        return False
    if known["host"] != socket.gethostname():
        return True
    return known["boot_id"] == boot_id() and _start_time(known["pid"]) == known["started"]


def cpu_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
