"""Hostile commands, by a number: `colora` is called in this process with arguments and files that nobody should trust.

Case n is the same command over the same files on every machine, given the same versions of the libraries: one that goes
wrong is looked at again with `python tests/support/fuzz.py 1 n` (how many, and the first). What kinds of cases there
are: hostile_commands; what must hold of every case: `Outcome.wrong`. Nothing leaves the machine, nothing is trained, no
supervisor is started.
"""

import io
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch
from urllib.error import URLError

from fuzz_place import SMALL, Place
from hostile_commands import KINDS

from colora.cli.main import main
from colora.settings.config import make_config

HANG_SECONDS = 60  # on a busy machine


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    number: int
    kind: str
    arguments: list[str]
    code: Any
    out: str
    err: str
    seconds: float
    harmed: bool

    def wrong(self) -> str | None:
        """What must not be; None where all is well."""
        if self.code not in (0, 1, 2):
            return f"exit code {self.code!r}"
        if "Traceback (most recent call last)" in self.err + self.out or "fault of the program" in self.err:
            return "a fault"
        if self.code == 2 and (self.err.count("\n"), self.err[-1:]) != (1, "\n"):
            return "not one line"
        if self.code == 0 and "--json" in self.arguments and not _is_json(self.out):
            return "no JSON"
        return "a neighbour is harmed" if self.harmed else None

    def __str__(self) -> str:
        shown = " ".join(ascii(text if len(text) < 200 else f"{text[:150]}...{len(text)}") for text in self.arguments)
        return f"case {self.number} ({self.kind}): {self.wrong()}: colora {shown}\n  {self.code} {self.err[-600:]!r}"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return text.isascii()


def run_case(place: Place, number: int) -> Outcome:
    """Case `number`; the caller has `tamed` the machine."""
    rng = Random(number)
    name = rng.choice(list(KINDS))
    place.fresh()
    os.chdir(place.at)
    before = place.neighbour()
    arguments = KINDS[name](place, rng)
    encoding = rng.choice(("utf-8", "ascii", "latin-1"))
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding, write_through=True) for _ in range(2))
    begin = time.monotonic()
    with redirect_stdout(out), redirect_stderr(err), _ended_in_time():
        try:
            code: Any = main(arguments)
        except SystemExit as end:
            code = end.code
        except BaseException as error:
            code = repr(error)
    seconds = time.monotonic() - begin
    told = [stream.buffer.getvalue().decode(encoding) for stream in (out, err)]
    try:
        harmed = place.neighbour() != before
    except Exception:  # whatever it is, the neighbour cannot be read any more
        harmed = True
    return Outcome(number, name, arguments, code, *told, seconds, harmed)


class Hang(BaseException):
    """A command did not come to its end."""


@contextmanager
def _ended_in_time() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise Hang(f"longer than {HANG_SECONDS} s")

    before = {number: signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():  # `colora train` has its own
            signal.signal(number, handler)


@contextmanager
def tamed(folder: Path) -> Iterator[None]:
    """Nothing of this user's is touched, nothing is fetched, trained or started, and no rehearsal is done twice."""
    import colora.training.rehearsal as rehearsal
    from colora.data import phantom
    from colora.system.errors import UserError

    real, kept, here = rehearsal.rehearse, [], os.getcwd()

    def rehearsed(*args: Any) -> Any:
        kept[:] = kept or [real(make_config(SMALL), 4)]
        return kept[0]

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise UserError("Not in a fuzz.")

    def unreachable(*args: Any, **kwargs: Any) -> Any:
        raise URLError("no network")

    own = {"XDG_STATE_HOME": "state", "XDG_CACHE_HOME": "cache", "HOME": "home", "COLORA_CACHE": "prepared"}
    environment = {name: str(folder / place) for name, place in own.items()}
    environment |= {"COLORA_USER": "fuzz", "PATH": "/nowhere"}
    changes = {
        "colora.engines.local.ensure_supervisor": lambda *_: 1,
        "colora.queue.actions.ensure_supervisor": lambda *_: 1,
        "colora.queue.supervisor.supervise": lambda *_: True,
        "colora.cli.launch.follow": lambda *_: 1,
        "colora.training.rehearsal.rehearse": rehearsed,
        "colora.training.bench.bench": refused,
        "colora.training.run.train_run": refused,
        "colora.prediction.worker.serve": refused,
        "colora.system.download.urlopen": unreachable,
        "colora.system.download.BACKOFF_SECONDS": 0.001,
        "colora.data.sources.generate": lambda split, size: phantom.generate(split, size, settings=few),
    }
    few = phantom.SETTINGS.__class__(**{**vars(phantom.SETTINGS), "counts": (24, 24, 24)})
    patches = [patch.dict(os.environ, environment), *(patch(name, new) for name, new in changes.items())]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in reversed(patches):
            one.stop()
        os.chdir(here)


def fuzz(folder: Path, numbers: range) -> Iterator[Outcome]:
    place = Place.make(folder)
    with tamed(folder):
        for number in numbers:
            yield run_case(place, number)


def told(outcomes: list[Outcome]) -> str:
    """The figures of a run, on one line."""
    slow = max(outcomes, key=lambda one: one.seconds)
    codes = ", ".join(f"{sum(one.code == code for one in outcomes):,} with exit code {code}" for code in (0, 1, 2))
    wrong = sum(one.wrong() is not None for one in outcomes)
    return f"{len(outcomes):,} cases: {codes}; {wrong} wrong; the slowest, {slow.number}, took {slow.seconds:.1f} s"


if __name__ == "__main__":
    import tempfile

    HANG_SECONDS = 10
    count, first = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as at:
        outcomes = []
        for outcome in fuzz(Path(at), range(first, first + count)):
            outcomes.append(outcome)
            if outcome.wrong():
                print(outcome, flush=True)
        print(told(outcomes))
