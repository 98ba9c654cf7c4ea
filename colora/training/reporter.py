"""What a run that trains tells the others, and what it heeds: status.json with its heartbeat, and the wish to stop."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from colora.runs.folder import Run, own_process, write_json

HEARTBEAT_SECONDS = 5  # at least so often, also while a long step or evaluation tells nothing


@dataclass
class Reporter:
    """Writes status.json; the run is its only writer while it lives."""

    run: Run
    status: dict[str, Any] = field(init=False)
    lock: Any = field(default_factory=threading.Lock)
    written: float = 0.0  # on the monotonic clock

    def __post_init__(self) -> None:
        old = self.run.status
        self.status = old | {"state": "starting", "reason": None, "finished": None, "process": own_process()}
        self.status |= {"started": time.time(), "preparing": None}
        self.write()

    def write(self, **changes: Any) -> None:
        with self.lock:
            self.status |= changes | {"heartbeat": time.time()}
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
                        self.write()
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


class Stopped(Exception):
    """A person, or a signal, asked this run to stop."""


def heed(run: Run, reporter: Reporter, should_stop: Callable[[], bool], where: str) -> None:
    """Raises Stopped, saying whose wish it was and `where` it met the run, if a person or a signal wants an end."""
    asked = run.stop_requested
    if asked or should_stop():
        reporter.write(state="stopping", preparing=None)
        raise Stopped(f"{'Stopped on request' if asked else 'Ended by a signal (a shutdown, or Ctrl-C)'} {where}")
