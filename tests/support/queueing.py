"""Groups of stand-in runs, a supervisor over them, and the end of everything that a test has started, by pid."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from colora.queue import order
from colora.queue.supervisor import supervising
from colora.runs.folder import Group, Run, create_group, write_json
from colora.runs.listing import run_folders
from colora.runs.verdict import process_file
from colora.settings.config import RunConfig
from colora.system.process import cpu_count, is_alive, send, tree

STAND_IN = Path(__file__).with_name("stand_in.py")
PATIENCE_SECONDS = 180  # for what takes a second on a machine with nothing else to do


def wait_for(condition, seconds: float = PATIENCE_SECONDS, what: Any = "") -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain {what() if callable(what) else what}"
        time.sleep(0.02)


@contextmanager
def in_time(seconds: float = 2 * PATIENCE_SECONDS) -> Iterator[None]:
    """A command that runs in this very process and does not come to its end gets a Ctrl-C; then the test fails."""
    late = threading.Event()

    def interrupt() -> None:
        late.set()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    timer = threading.Timer(seconds, interrupt)
    timer.start()
    try:
        yield
    except KeyboardInterrupt:
        if not late.is_set():
            raise
    finally:
        timer.cancel()
    assert not late.is_set(), f"it did not end within {seconds} s"


def busy() -> float:
    """By how much longer things may take than promised, where this machine has more work than cores."""
    return max(1.0, 2 * os.getloadavg()[0] / cpu_count()) if hasattr(os, "getloadavg") else 1.0


def promised(seconds: float, rounds: int) -> float:
    """The long loops hold the queue to its word; the short ones run on any machine, and only look that it ends."""
    return seconds * busy() if rounds >= 10 else 120 * busy()


class Lab:
    """A runs folder of stand-in runs."""

    def __init__(self, runs_dir: Path):
        self.runs_dir, self.started = runs_dir, []

    def group(self, name: str, seeds: int = 1, priority: int = 0, **plan) -> Group:
        config = RunConfig(epochs=plan.get("epochs", 2))
        place = order.last_place(self.runs_dir, priority)
        group = create_group(self.runs_dir, name, config, list(range(seeds)), place)
        self.plan(group, **plan)
        return group

    def plan(self, group: Group, **plan) -> None:
        """How the group's runs behave when they are started next."""
        for run in group.runs:
            write_json(run.path / "plan.json", plan)

    def supervise(
        self, slots: int = 1, term_after: float = 20, kill_after: float = 5, linger: float = 60
    ) -> subprocess.Popen:
        arguments = [str(self.runs_dir), str(slots), str(term_after), str(kill_after), str(linger)]
        with open(self.runs_dir.parent / "supervisor.log", "ab") as log:
            supervisor = subprocess.Popen(
                [sys.executable, str(STAND_IN), "supervise", *arguments], stdout=log, stderr=log, start_new_session=True
            )
        self.started.append(supervisor)
        return supervisor

    def log(self) -> str:
        path = self.runs_dir.parent / "supervisor.log"
        return path.read_text() if path.exists() else ""

    def until(self, group: Group, *states: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the group's seeds are in these states."""
        self.wait(lambda: self.states(group) == list(states), seconds, lambda: (self.states(group), states, self.log()))

    def wait(self, condition, seconds: float = PATIENCE_SECONDS, what: Any = "") -> None:
        wait_for(condition, seconds, what)

    def states(self, group: Group) -> list[str]:
        return [run.state for run in Group(group.path).runs]

    def trainer(self, run: Run) -> dict[str, Any]:
        """The identity of a run's training process, once it has started."""
        self.wait(lambda: is_alive(process_file(run.path).get("child")))
        return process_file(run.path)["child"]

    def close(self) -> None:
        """End everything, by identity."""
        for supervisor in self.started:
            supervisor.kill()
            supervisor.wait()
        if known := supervising(self.runs_dir):
            send(known, signal.SIGKILL)
        for folder in run_folders(self.runs_dir):
            known = process_file(folder)
            for root in (known.get("guard"), known.get("child")):
                if root and root["pid"] != os.getpid():
                    members = tree(root)
                    for member in members:
                        send(member, signal.SIGKILL)
                    wait_for(lambda members=members: not any(map(is_alive, members)))
