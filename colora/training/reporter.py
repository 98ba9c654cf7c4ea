"""What a run that trains tells the others, and what it heeds: status.json with its heartbeat, and the wish to stop.

Imports no torch: a run tells of itself before it loads that, which takes a minute from a cold network disk.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from colora.runs.folder import ACTIVE, Run, own_process, write_json
from colora.runs.silence import DERIVED, times
from colora.runs.verdict import limit_met
from colora.system.errors import UserError

HEARTBEAT_SECONDS = 5  # at least so often, also while a long step or evaluation tells nothing


@dataclass
class Reporter:
    """Writes status.json; the run is its only writer while it lives."""

    run: Run
    status: dict[str, Any] = field(init=False)
    lock: Any = field(default_factory=threading.Lock)
    written: float = 0.0  # on the monotonic clock
    worked: float = 0.0  # the same, when the training itself last told of its work

    def __post_init__(self) -> None:
        old = {name: value for name, value in self.run.status.items() if name not in DERIVED}
        self.status = old | {"state": "starting", "reason": None, "finished": None, "process": own_process()}
        self.status |= {"started": time.time(), "preparing": None}
        self.write()

    def write(self, **changes: Any) -> None:
        """Tell of the training's work."""
        with self.lock:
            self.worked = time.monotonic()
            self.status |= changes
            self._put()

    def _beat(self) -> None:
        """Tell that this process lives; no more once the run has ended, since then others write."""
        with self.lock:
            if self.status["process"] is not None:
                self._put()

    def _put(self) -> None:
        self.status |= times() | {"worked": self.worked}
        write_json(self.run.path / "status.json", self.status)
        self.written = time.monotonic()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """A thread that writes when nothing else does, so that readers on other hosts see that the run lives."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(HEARTBEAT_SECONDS):
                if time.monotonic() - self.written >= HEARTBEAT_SECONDS:
                    try:
                        self._beat()
                    except OSError as error:  # the loop meets the same trouble, and says so
                        print(f"no heartbeat: {error}", file=sys.stderr, flush=True)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def end(self, state: str, reason: str | None = None) -> None:
        self.write(state=state, reason=reason, process=None, finished=time.time())


@contextmanager
def begun(run_dir: Path) -> Iterator[Reporter | None]:
    """A run's heart beats from here on; None of one that is done. Raises UserError where another process trains it."""
    run = Run(Path(run_dir).absolute())
    if run.state == "done":
        yield None
        return
    if run.state in ACTIVE and str(run.status["process"]["pid"]) != os.environ.get("COLORA_GUARD"):
        raise UserError(f"{run.path} is being trained by process {run.status['process']['pid']} already.")
    reporter = Reporter(run)
    with reporter.beating():
        yield reporter


class Stopped(Exception):
    """A person, a signal, or a limit of its group wants this run to end; `state` is what it is then."""

    def __init__(self, said: str, state: str = "stopped"):
        super().__init__(said)
        self.state = state


def heed(run: Run, reporter: Reporter, should_stop: Callable[[], bool], where: str) -> None:
    """Raises Stopped, saying whose wish it was and `where` it met the run, if anybody wants an end."""
    reporter.worked = time.monotonic()
    asked = run.stop_requested
    if asked or should_stop():
        reporter.write(state="stopping", preparing=None)
        if asked and (limit := limit_met(run.path)):
            raise Stopped(f"{limit}: ended {where}", state="failed")
        raise Stopped(f"{'Stopped on request' if asked else 'Ended by a signal (a shutdown, or Ctrl-C)'} {where}")
