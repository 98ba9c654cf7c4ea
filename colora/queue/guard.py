"""A run's own small parent: starts the training process, waits for it, and writes down how it ended.

    python -m colora.queue.guard RUN_DIR -- COMMAND...

    RUN_DIR/process.json   guard, child (identities), slot, started, log_offset; the supervisor names the guard in it
    RUN_DIR/exit.json      guard, child, code (or null), signal (or null), oom_kills, gpu_left_mib, finished

Nothing is started before process.json names this guard: a guard whose supervisor died too early ends without a trace,
so that a run never trains twice. It outlives the supervisor, the server and the terminal. What the training process
has left behind is killed before exit.json is written: on Linux everything below it, on macOS its process group; on a
GPU its memory is waited for. Standard library only, about 10 MB.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from colora.system.cgroup import oom_kills
from colora.system.errors import UserError
from colora.system.files import open_log, read_json, write_json
from colora.system.gpu import left_mib, used_mib
from colora.system.process import ASK, identity, is_identity, own_process, own_session, same

CLAIM_WAIT_SECONDS = 20
POLL_SECONDS = 0.02
LEFT_WAIT_SECONDS = 10
GPU_WAIT_SECONDS = 3  # less than a reader waits for the reason of a death
ASK_AFTER_SECONDS = 60  # on Windows: from the wish to stop until the training process gets CTRL_BREAK
PR_SET_CHILD_SUBREAPER = 36  # of linux/prctl.h


def main(arguments: list[str]) -> int:
    """0 once exit.json is written; 3 where this guard was never named or the command cannot be started."""
    folder, command = Path(arguments[0]), arguments[2:]
    signals = [signal.SIGINT] + [getattr(signal, name) for name in ("SIGHUP",) if hasattr(signal, name)]
    for number in signals:
        signal.signal(number, lambda *_: None)  # a handler, since an ignored signal would stay so in the child
    claim = wait_to_be_named(folder)
    if claim is None:
        print(f"guard {os.getpid()}: not named in {folder / 'process.json'}, so nothing was started.", file=sys.stderr)
        return 3
    become_foster_parent()
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "")  # one number, as the slot says; none on the CPU
    taken = used_mib(gpu) if gpu else None
    before, child = oom_kills(), start(folder, command)
    signal.signal(signal.SIGTERM, lambda number, _: pass_on(child, number))
    known = identity_or_none(child.pid)
    write_json(folder / "process.json", claim | {"child": known})
    code = wait(child, folder / "stop")
    left = 0 if taken is None else left_mib(gpu, taken, [child.pid], GPU_WAIT_SECONDS)
    write_json(
        folder / "exit.json",
        {
            "guard": claim["guard"],
            "child": known,
            "code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "oom_kills": oom_kills() - before,
            "gpu_left_mib": left,
            "finished": time.time(),
        },
    )
    return 0


def wait_to_be_named(folder: Path) -> dict[str, Any] | None:
    """process.json, once the supervisor has named this guard in it."""
    own, end = own_process(), time.monotonic() + CLAIM_WAIT_SECONDS
    while time.monotonic() < end:
        try:
            claim = read_json(folder / "process.json")
        except UserError:  # not there yet
            claim = {}
        if isinstance(claim, dict) and is_identity(claim.get("guard")) and same(claim["guard"], own):
            return claim
        time.sleep(POLL_SECONDS)
    return None


def start(folder: Path, command: list[str]) -> subprocess.Popen:
    """The training process, in a session of its own; what it prints goes into log.txt."""
    with open_log(folder / "log.txt") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"COLORA_GUARD": str(os.getpid())},
            close_fds=True,
            **own_session("shared"),
        )


def pass_on(child: subprocess.Popen, number: int) -> None:
    """The signal, while the child's pid is its own. Popen's own way reaps a child that has just ended, whose exit code
    `wait` is to find."""
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(child.pid, number)


def identity_or_none(pid: int) -> dict[str, Any] | None:
    """None where it has ended already, which its exit code will tell."""
    try:
        return identity(pid)
    except ProcessLookupError:
        return None


def become_foster_parent() -> None:
    """On Linux every process below the run that loses its parent becomes this one's child, in whatever session."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait(child: subprocess.Popen, stop: Path) -> int:
    """Popen's return code, once the child and all that it left behind are gone, or do not die."""
    if not hasattr(os, "killpg"):
        return wait_on_windows(child, stop)
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # unreaped, its pid is still its group's alone
    else:  # macOS before Python 3.13
        child.wait()
    with suppress(ProcessLookupError, PermissionError):  # of the group nobody is left, which macOS says either way
        os.killpg(child.pid, signal.SIGKILL)
    code, end = child.wait(), time.monotonic() + LEFT_WAIT_SECONDS
    while time.monotonic() < end:
        for pid in own_children():
            os.kill(pid, signal.SIGKILL)  # nobody else reaps it, so that the pid is still its own
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:  # none is left
            break
        time.sleep(POLL_SECONDS)
    return code


def wait_on_windows(child: subprocess.Popen, stop: Path) -> int:
    """Only this process shares a console with the child, and so only it can ask the child to end."""
    since = asked = None
    while child.poll() is None:
        time.sleep(1)
        if since is None and stop.exists():
            since = time.monotonic()
        if since is not None and asked is None and time.monotonic() - since > ASK_AFTER_SECONDS:
            asked = child.send_signal(ASK) or True
    return child.wait()


def own_children() -> list[int]:
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
