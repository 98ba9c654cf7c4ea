"""Which process a file speaks of, whether it still lives, and how to end exactly that one.

A pid alone is no identity: it is used again. Pid, start time, host, boot and pid namespace together are one. On Linux
the start time is field 22 of /proc/PID/stat in ticks since boot, which stays put when the wall clock is set. Linux is
tested; elsewhere psutil's start time, within a second, is the best effort, and tells one boot from another as well.
psutil is imported only where it is needed.
"""

import getpass
import os
import signal
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

Identity = dict[str, Any]
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # what Windows calls terminate
ASK = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM)  # to end by itself; Windows' goes to a process group
LARGEST_PID = 2**31 - 1
WITHIN = 0 if sys.platform == "linux" else 1  # by how much two start times of one process may differ


@cache
def boot_id() -> str:
    """Changes with every start of the machine; empty where the system gives its starts no name."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


@cache
def pid_namespace() -> str | None:
    """In which world a pid counts: a container has its own. None where there is no such thing."""
    path = "/proc/self/ns/pid"
    return os.readlink(path) if sys.platform == "linux" and os.path.islink(path) else None


def _stat(pid: int) -> list[str] | None:
    """Linux' /proc/PID/stat from field 3, the state, on; None for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # the last is another user's, who hides it
        return None


def _start_time(pid: int) -> float | None:
    """Comparable only with itself, on the same boot; None for a process that is gone or a zombie."""
    if sys.platform == "linux":
        fields = _stat(pid)
        return None if fields is None or fields[0] in "ZX" else float(fields[19])
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def identity(pid: int) -> Identity:
    """{"pid", "started", "host", "boot_id", "pid_namespace"} of a living process; ProcessLookupError if it is gone."""
    started = _start_time(pid)
    if started is None:
        raise ProcessLookupError(pid)
    where = {"host": socket.gethostname(), "boot_id": boot_id(), "pid_namespace": pid_namespace()}
    return {"pid": pid, "started": started, **where}


def is_identity(value: Any) -> bool:
    """Whether a value out of a file, which may be damaged, can be taken for one."""
    wanted = {"pid": int, "started": int | float, "host": str, "boot_id": str}
    if not isinstance(value, dict) or not all(isinstance(value.get(key), kind) for key, kind in wanted.items()):
        return False
    return 0 < value["pid"] <= LARGEST_PID and isinstance(value.get("pid_namespace"), str | None)


def own_process() -> Identity:
    return identity(os.getpid())


def is_visible(known: Identity) -> bool:
    """Whether this process could see the one that `identity` described: on this host, in this pid namespace."""
    if known["host"] != socket.gethostname():
        return False
    return known.get("pid_namespace") in (None, pid_namespace()) or known["boot_id"] != boot_id()


def is_alive(known: Identity | None) -> bool:
    """Whether the process that `identity` described lives. One that cannot be seen from here is believed."""
    if known is None:
        return False
    if not is_visible(known):
        return True
    return known["boot_id"] == boot_id() and _equal(_start_time(known["pid"]), known["started"])


def lives_here(known: Identity | None) -> bool:
    """Whether this process can be seen from here, and lives."""
    return known is not None and is_visible(known) and is_alive(known)


def age_seconds(known: Identity) -> float:
    """How long ago a living process of this host was started; the time in which the machine slept counts."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME) - known["started"] / os.sysconf("SC_CLK_TCK")
    return time.time() - known["started"]


def is_halted(known: Identity) -> bool:
    """Whether this living process is stopped by a signal, as by Ctrl-Z, kill -STOP or a debugger."""
    if sys.platform == "linux":
        fields = _stat(known["pid"])
        return fields is not None and fields[0] in "Tt" and float(fields[19]) == known["started"]
    import psutil

    try:
        return is_alive(known) and psutil.Process(known["pid"]).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def command_line(pid: int) -> list[str]:
    """The words that a process was started with; none of one that is gone, that may not be looked at, or that has just
    begun, whose words are not there yet."""
    if sys.platform == "linux":
        try:
            return [os.fsdecode(word) for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]]
        except OSError:
            return []
    import psutil

    try:
        return psutil.Process(pid).cmdline()
    except psutil.Error:
        return []


def working_folder(pid: int) -> str | None:
    """Where a process works; None where that cannot be seen."""
    if sys.platform == "linux":
        try:
            return os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            return None
    import psutil

    try:
        return psutil.Process(pid).cwd() or None
    except psutil.Error:
        return None


def same(one: Identity | None, other: Identity | None) -> bool:
    """Whether two identities are of one process."""
    if one is None or other is None:
        return False
    alike = all(one[key] == other[key] for key in ("pid", "host", "boot_id"))
    return alike and _equal(one["started"], other["started"])


def _equal(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= WITHIN


def tree(known: Identity) -> list[Identity]:
    """A living process of this host and everything that it has started, and those have, and so on."""
    import psutil

    if not is_alive(known):
        return []
    try:
        pids = [child.pid for child in psutil.Process(known["pid"]).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
    found = [known]
    for pid in pids:
        try:
            found.append(identity(pid))
        except ProcessLookupError:
            continue  # it has ended meanwhile
    return found


def resident_bytes(known: Identity) -> int:
    """Memory of this process; 0 where it is gone."""
    import psutil

    try:
        return psutil.Process(known["pid"]).memory_info().rss if is_alive(known) else 0
    except psutil.NoSuchProcess:
        return 0


def send(known: Identity, number: int) -> bool:
    """Signal exactly this process; False where it is gone. A handle keeps a new process from being taken for it."""
    if not hasattr(os, "pidfd_open"):
        if not is_alive(known):
            return False
        try:
            os.kill(known["pid"], number)
        except OSError:  # gone meanwhile; on Windows also one that has another console
            return False
        return True
    try:
        handle = os.pidfd_open(known["pid"])
    except ProcessLookupError:
        return False
    try:
        if not is_alive(known):
            return False
        signal.pidfd_send_signal(handle, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)


def own_session(console: str = "none") -> dict[str, Any]:
    """Arguments of Popen for a session, on Windows a process group, of the new process's own.

    console, on Windows: "none"; "own", without a window; or "shared", in which this process can ask it to end.
    """
    if sys.platform == "win32":
        consoles = {"none": subprocess.DETACHED_PROCESS, "own": subprocess.CREATE_NO_WINDOW, "shared": 0}
        return {"creationflags": consoles[console] | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def os_user() -> str:
    """The operating system's user; `uid-1000` where it has no name, as in a container run under a foreign number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def cpu_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
