"""One run whose processes live, as the supervisor tends it: whether it still does, and how it is brought to an end.

The wish to end it is the file `stop` in its folder; where it was a limit that ended it, the file says which. A run that
sees the file ends by itself after its step. Else it gets SIGTERM after a while, and all that it has started SIGKILL
after another. Only what is certainly the run's own (colora.runs.proof), and what was seen below that, is signalled.
"""

import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from colora.runs.folder import Run
from colora.runs.limits import limits_of
from colora.runs.proof import is_certain, is_own
from colora.runs.silence import ages
from colora.runs.verdict import process_file
from colora.system.errors import UserError
from colora.system.process import ASK, KILL, Identity, age_seconds, is_alive, is_halted, same, send, tree
from colora.system.typed import number_text

CONTINUE = getattr(signal, "SIGCONT", None)  # Windows has none
GUARD_AFTER_SECONDS = 20  # from the last SIGKILL on; a guard needs thirteen of them to see that nothing is left


@dataclass
class Tended:
    """A run that a supervisor has started, or adopted."""

    run: Path
    slot: str | None  # None: adopted, and more run than there are slots
    guard: Identity | None
    process: subprocess.Popen | None = None  # the guard, where this supervisor is its parent
    ending_since: float | None = None  # on the monotonic clock
    terminated: bool = False
    family: dict[int, Identity] = field(default_factory=dict)  # every process seen below a run that is to end

    def trainer(self) -> Identity | None:
        """The living training process, also one that was started by hand; None before it has started."""
        for known in (as_written(self.run).get("process"), process_file(self.run).get("child")):
            if known and not same(known, self.guard) and is_own(known, self.run):
                return known
        return None

    def lives(self) -> bool:
        if self.process is not None and self.process.poll() is None:  # which reaps one that has ended
            return True
        return is_own(self.guard, self.run) or self.trainer() is not None

    def beyond(self) -> str | None:
        """Which limit of its group the run is beyond, and by how much it was measured; None within all of them."""
        limits, known = limits_of(self.run.parent), self.trainer() or self.guard
        if known is None:
            return None
        if limits.max_hours is not None and (hours := age_seconds(known) / 3600) > limits.max_hours:
            return f"It ran for {hours:.2f} h, beyond the limit of {number_text(limits.max_hours)} h (--max-hours)"
        status = as_written(self.run)
        if limits.max_silence is not None and status and (seconds := ages(status)[1]) > limits.max_silence:
            allowed = number_text(limits.max_silence)
            return f"It was silent for {seconds:.0f} s, beyond the limit of {allowed} s (--max-silence)"
        return None

    def see_to_its_end(self, term_after: float, kill_after: float) -> bool:
        """One more look at a run that is to end, of which something may live; whether all of it is gone."""
        self.ending_since = self.ending_since or time.monotonic()
        waited = time.monotonic() - self.ending_since
        guard = self.guard if is_certain(self.guard, self.run) else None
        trainer = known if is_certain(known := self.trainer(), self.run) else None
        below = tree(guard)[1:] if guard else []
        if trainer and not any(same(trainer, member) for member in below):
            below += tree(trainer)
        self.family |= {member["pid"]: member for member in below}
        if CONTINUE is not None:
            for member in filter(is_halted, (*below, *([guard] if guard else []))):
                send(member, CONTINUE)  # or it hears nothing but SIGKILL
        if waited > term_after and not self.terminated and (asked := trainer or next(iter(below), None)):
            self.terminated = send(asked, ASK)
        if waited > term_after + kill_after:
            self.kill()
        if guard and waited > term_after + kill_after + GUARD_AFTER_SECONDS:
            send(guard, KILL)
        return not self.lives() and not self.kill()

    def kill(self) -> bool:
        """SIGKILL to every process seen below the run; whether any of them was still there."""
        left = [member for member in self.family.values() if is_alive(member)]
        for member in left:
            send(member, KILL)
        return bool(left)


def as_written(folder: Path) -> dict[str, Any]:
    """status.json of a run as it stands; {} of one that cannot be read."""
    try:
        return Run(folder).written_status()
    except UserError:
        return {}
