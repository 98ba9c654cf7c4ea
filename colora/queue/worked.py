"""Somebody works the queue: whoever looks at it sees to that, where runs wait and no supervisor works.

A supervisor that was killed, or a machine that was started anew, leaves runs that wait for nobody. So the app's server
asks when it starts, then now and then, and for each page that shows what waits; and so do `list`, `show` and `queue`.
Where a supervisor works this reads two small files. Where none can be started, runs wait with that reason.
"""

import math
import os
import time
from pathlib import Path
from threading import Lock, Thread

from colora.queue.supervisor import START_WAIT_SECONDS, ensure_supervisor, finds_work, supervising
from colora.system.process import is_halted

COMMAND_WAIT_SECONDS = 20  # how long a command that lists waits for a supervisor to begin
KEEP_SECONDS = 30  # a server looks at least so often, though nobody opens a page
FRESH_SECONDS = 2  # and no more often, however many pages ask
RETRY_SECONDS = 30  # nor where a supervisor could not be started

_found: dict[Path, str | None] = {}  # runs folder -> what `see_to` has found last in this process
_looks: dict[Path, "_Look"] = {}
_lock = Lock()


def see_to(runs_dir: Path, wait: float = START_WAIT_SECONDS) -> str | None:
    """A sentence why nobody trains what waits here for this user and host; None where a supervisor works, if need be a
    new one, which is given `wait` seconds to begin, or where nothing waits. Raises nothing."""
    runs_dir = Path(runs_dir).absolute()
    try:
        why = _see_to(runs_dir, wait)
    except Exception as error:  # whatever it is, whoever looks at runs is to see them, and this beside them
        why = " ".join(str(error).split()) or type(error).__name__
    _found[runs_dir] = why
    return why


def _see_to(runs_dir: Path, wait: float) -> str | None:
    if known := supervising(runs_dir):
        if not is_halted(known):
            return None
        pid = known["pid"]
        return f"The supervisor of {runs_dir}, process {pid}, is halted by a signal: kill -CONT {pid} lets it go on."
    if not finds_work(runs_dir):
        return None
    if not os.access(runs_dir, os.W_OK):
        return f"{runs_dir} cannot be written to by this user, so that nothing can be trained in it."
    ensure_supervisor(runs_dir, wait)
    return None


def found(runs_dir: Path) -> str | None:
    """What `see_to` has found last in this process; None where it was not asked."""
    return _found.get(Path(runs_dir).absolute())


class _Look(Thread):
    """One `see_to` of a server, beside its pages."""

    def __init__(self, runs_dir: Path):
        super().__init__(name="colora-queue", daemon=True)
        self.runs_dir, self.counts_until = runs_dir, math.inf  # by time.monotonic()

    def run(self) -> None:
        why = see_to(self.runs_dir)
        self.counts_until = time.monotonic() + (RETRY_SECONDS if why else FRESH_SECONDS)


def begin(runs_dir: Path) -> None:
    """`see_to`, beside a server's page, for what was queued this very moment: an earlier look has not seen it."""
    with _lock:
        _look_anew(Path(runs_dir).absolute())


def _look_anew(runs_dir: Path) -> None:
    """Called with the lock."""
    _looks[runs_dir] = _Look(runs_dir)
    _looks[runs_dir].start()


def watched(runs_dir: Path) -> str | None:
    """The same for a server, whose pages must not wait: as it was found last, and looked at anew beside them."""
    runs_dir = Path(runs_dir).absolute()
    with _lock:
        if runs_dir not in _looks or time.monotonic() > _looks[runs_dir].counts_until:
            _look_anew(runs_dir)
    return found(runs_dir)
