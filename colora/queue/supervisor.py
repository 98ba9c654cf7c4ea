"""One process for each runs folder, user and host that starts what is queued and sees every run to its end.

It holds an OS lock for life, so that there is one; whoever queues a run does so first and then calls
`ensure_supervisor`. It may be killed at any moment: the runs go on under their guards, and the next one adopts them.
It ends by itself when nothing has been left to do for a while.
"""

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from colora.queue import order
from colora.queue.detach import detached
from colora.queue.slots import Slot, asked_slots, make_slots
from colora.queue.tended import Tended, as_written
from colora.runs.documents import contained
from colora.runs.folder import ACTIVE, Run
from colora.runs.listing import run_folders, written_state
from colora.runs.lock import editing, info_path, log_path, supervisor_lock, try_lock
from colora.runs.silence import times
from colora.runs.verdict import memory_left, process_file
from colora.system.errors import UserError
from colora.system.files import open_log, read_json, why, write_bytes, write_json
from colora.system.installation import ROOT
from colora.system.process import Identity, identity, is_alive, is_visible, lives_here, own_process, own_session

TURN_SECONDS = 0.5
SHARE = 10  # a turn is followed by a pause this many times as long, so that very many runs cost no core
LINGER_SECONDS = 10  # how long nothing must be left to do before it ends
START_WAIT_SECONDS = 60
START_TRIES = 3
PATIENT_SECONDS = 5  # how often a supervisor that is to stay looks whether another one has ended
TERM_AFTER_SECONDS = 60  # after the wish to stop: a step may take long
KILL_AFTER_SECONDS = 20  # after SIGTERM

SAY = partial(print, flush=True)

Command = Callable[[Path], list[str]]


def train_command(run: Path) -> list[str]:
    return [sys.executable, "-m", "colora", "train", "--run-dir", str(run)]


class Supervisor:
    """`turn()` looks at everything once, and starts what has a slot. The caller holds the lock."""

    def __init__(
        self,
        runs_dir: Path,
        slots: list[Slot],
        command: Command = train_command,
        term_after: float = TERM_AFTER_SECONDS,
        kill_after: float = KILL_AFTER_SECONDS,
        tell: Callable[[str], None] = SAY,
    ):
        self.runs_dir, self.slots, self.command = Path(runs_dir).absolute(), slots, command
        self.term_after, self.kill_after, self.tell = term_after, kill_after, tell
        self.tended: dict[Path, Tended] = {}
        self.trouble: dict[Path, str] = {}

    def turn(self) -> bool:
        """Whether anything of this user and host waits or runs."""
        for tended in list(self.tended.values()):  # first, since a run that has just ended may wait again
            with self._trouble_told(tended.run):
                self._tend(tended)
        queued = []
        for folder in self._folders():
            with self._trouble_told(folder):
                if folder not in self.tended and self._waits(folder):
                    queued.append((order.key(folder), folder))
        for _, folder in sorted(queued):
            if (slot := self._free_slot()) is None:
                break
            with self._trouble_told(folder):
                self._start(folder, slot)
        return bool(self.tended or queued)

    def _folders(self) -> list[Path]:
        """Every run folder, as far as they can be listed."""
        found: list[Path] = []
        with self._trouble_told(self.runs_dir):
            found.extend(run_folders(self.runs_dir))
        return found

    def _waits(self, folder: Path) -> bool:
        """Whether a run is to be started. One that lives is adopted, and one that has ended is settled."""
        state = written_state(folder)
        if state not in ("queued", *ACTIVE) or not order.is_mine(folder) or self._adopt(folder):
            return False
        if state in ACTIVE or (folder / "stop").exists():
            self._settle(folder)
            return False
        return True

    @contextmanager
    def _trouble_told(self, folder: Path) -> Iterator[None]:
        """A full disk, or a folder that may not be written: told when it is new, and tried again at the next turn, so
        that one run's trouble keeps no other from being looked after."""
        try:
            yield
        except Exception as error:  # whatever it is, it is this run's alone
            said = f"{_name(folder)}: {type(error).__name__}: {error}"
            if self.trouble.get(folder) != said:
                self.trouble[folder] = said
                known = isinstance(error, OSError | UserError)
                with suppress(OSError):  # of a disk that is full the log may tell nothing either
                    self.tell(said if known else f"{said}\n{traceback.format_exc()}")
            self._say_why_it_waits(folder, error)

    def _say_why_it_waits(self, folder: Path, error: Exception) -> None:
        """A run that cannot be started says so itself, to whoever looks at it and not at this log; also one that was
        resumed since, and whose status.json is new."""
        about = f"{error.filename}: {why(error)}" if isinstance(error, OSError) and error.filename else why(error)
        reason = f"It cannot be started ({about}); this is tried again."
        with suppress(OSError, UserError), editing(self.runs_dir), contained(folder):
            written = as_written(folder)
            if written.get("state") == "queued" and written["reason"] != reason:
                write_json(folder / "status.json", written | {"reason": reason})

    def _free_slot(self) -> Slot | None:
        taken = [tended.slot for tended in self.tended.values()]
        over = taken.count(None)  # adopted without a slot of their own: they count all the same
        free = [slot for slot in self.slots if slot.name not in taken]
        return free[0] if len(free) > over else None

    def _adopt(self, folder: Path) -> bool:
        """Take over a run whose guard or training process lives, from a supervisor that does not."""
        process, known = as_written(folder).get("process"), process_file(folder)
        if process and not is_visible(process):
            return False
        tended = Tended(folder, known.get("slot"), known.get("guard"))
        if not tended.lives():
            return False
        free = {slot.name for slot in self.slots} - {other.slot for other in self.tended.values()}
        if tended.slot not in free:
            tended.slot = min(free, default=None)
        self.tended[folder] = tended
        self.tell(f"{_name(folder)}: adopted")
        return True

    def _tend(self, tended: Tended) -> None:
        stop = tended.run / "stop"
        if not stop.exists() and tended.ending_since is None and (limit := tended.beyond()):
            write_bytes(stop, limit.encode())
            self.tell(f"{_name(tended.run)}: {limit}")
        if stop.exists() or tended.ending_since is not None:
            gone = tended.see_to_its_end(self.term_after, self.kill_after)
        else:
            gone = not tended.lives()
        if gone:
            self._settle(tended.run)
            del self.tended[tended.run]

    def _settle(self, folder: Path) -> None:
        """Write down what became of a run that no process belongs to any more, or of a wish to stop a waiting one."""
        with editing(self.runs_dir):
            written, followed = as_written(folder), Run(folder).status
            if written.get("state") == "queued" and (folder / "stop").exists():
                end = {"state": "stopped", "reason": "Stopped on request before it started."}
            elif written.get("state") in ACTIVE and followed["state"] == "queued":
                write_json(folder / "status.json", followed)
                return
            elif written.get("state") in ACTIVE and followed["state"] not in ACTIVE:
                end = {"state": followed["state"], "reason": followed["reason"]}
            else:
                if written and written["state"] not in ("queued", *ACTIVE):
                    (folder / "stop").unlink(missing_ok=True)  # it came too late
                    said, left = written["reason"] or "", memory_left(folder)
                    if written["state"] == "stopped" and left not in said:
                        write_json(folder / "status.json", written | {"reason": f"{said} {left}"})
                return
            if end["state"] == "damaged":
                return  # nothing that is damaged is written over
            write_json(folder / "status.json", written | end | {"process": None, "finished": time.time()})
            (folder / "stop").unlink(missing_ok=True)
        self.tell(f"{_name(folder)}: {end['state']}. {end['reason']}")

    def _start(self, folder: Path, slot: Slot) -> None:
        with editing(self.runs_dir):
            written = as_written(folder)
            if written.get("state") != "queued" or (folder / "stop").exists():
                return
            with open_log(folder / "log.txt") as log:
                guard = subprocess.Popen(
                    [sys.executable, "-m", "colora.queue.guard", str(folder), "--", *self.command(folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=ROOT,
                    env=os.environ | slot.environment,
                    close_fds=True,
                    **own_session("own"),
                )
                offset = log.tell()
            try:
                known = identity(guard.pid)
                started = {"state": "starting", "process": known, "reason": None, **times()}
                write_json(folder / "status.json", written | started)
                # Last, since it lets the guard go on: from then on status.json is the training process's.
                claim = {"guard": known, "child": None, "slot": slot.name, "started": time.time(), "log_offset": offset}
                write_json(folder / "process.json", claim)
            except OSError:
                guard.kill()  # unnamed, it has started nothing
                guard.wait()
                raise
        self.tended[folder] = Tended(folder, slot.name, known, guard)
        self.trouble.pop(folder, None)  # the same one would be news again
        self.tell(f"{_name(folder)}: started in {slot.name}")


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def finds_work(runs_dir: Path) -> bool:
    """Whether a supervisor of this user and host would find a run to start or to look after; looks only."""
    return any(map(_is_work, run_folders(runs_dir)))


def _is_work(folder: Path) -> bool:
    with suppress(UserError), contained(folder):  # its own pages say what is wrong with it
        return written_state(folder) in ("queued", *ACTIVE) and order.is_mine(folder)
    return False


def supervise(supervisor: Supervisor, linger: float = LINGER_SECONDS, patient: bool = False) -> bool:
    """Work until nothing has been left to do for `linger` seconds. False, at once, where another supervisor works;
    a `patient` one waits until that has ended.

    Before it goes it lets go of the lock and looks once more, so that a run queued in between is not left waiting.
    """
    lock = supervisor_lock(supervisor.runs_dir)
    while not try_lock(lock):
        if not patient:
            return False
        time.sleep(PATIENT_SECONDS)
    about = {"process": own_process(), "runs_dir": str(supervisor.runs_dir), "started": time.time()}
    write_json(info_path(supervisor.runs_dir), about | {"slots": [slot.name for slot in supervisor.slots]})
    idle_since = time.monotonic()
    while True:
        begin = time.monotonic()
        busy = supervisor.turn()
        now = time.monotonic()
        idle_since = now if busy else idle_since
        if now - idle_since > linger:
            lock.release()
            if not finds_work(supervisor.runs_dir) or not try_lock(lock):
                return True
            idle_since = time.monotonic()
        time.sleep(max(TURN_SECONDS, SHARE * (now - begin)))


def supervising(runs_dir: Path) -> Identity | None:
    """The process of the supervisor that looks after a runs folder on this host, for information; None without one."""
    with suppress(UserError):
        process = read_json(info_path(runs_dir))["process"]
        if lives_here(process):
            return process
    return None


def slot_names(runs_dir: Path) -> list[str]:
    """Where runs train at the same time: under the supervisor that works, else under the one that would be started."""
    if supervising(runs_dir):
        with suppress(UserError, KeyError):
            return read_json(info_path(runs_dir))["slots"]
    return [slot.name for slot in make_slots(**asked_slots(runs_dir))]


def ensure_supervisor(runs_dir: Path, wait: float = START_WAIT_SECONDS) -> int:
    """See to it that a supervisor works on a runs folder, and return its pid. Queue first, then call this.

    Raises UserError with its last words where it does not start.
    """
    runs_dir, log = Path(runs_dir).absolute(), log_path(runs_dir)
    end, known, tries = time.monotonic() + wait, None, 0
    while True:
        lock = supervisor_lock(runs_dir)
        if not try_lock(lock, 0):
            if working := supervising(runs_dir):
                return working["pid"]
        else:
            lock.release()
            if not is_alive(known):  # it may have found the lock taken by such a look as this
                if tries == START_TRIES:
                    raise UserError(f"The supervisor of {runs_dir} ends at once ({_last_words(log)}); see {log}.")
                pid, tries, known = _begun(runs_dir, log), tries + 1, None
                with suppress(ProcessLookupError):
                    known = identity(pid)
        if time.monotonic() > end:
            took = f"did not start within {wait:.0f} s ({_last_words(log)})"
            raise UserError(f"The supervisor of {runs_dir} {took}; see {log}.")
        time.sleep(0.05)


def _begun(runs_dir: Path, log: Path) -> int:
    try:
        return detached(log, [sys.executable, "-m", "colora", "supervise", "--runs-dir", str(runs_dir)])
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
        raise UserError(f"The supervisor of {runs_dir} cannot be started ({said}).") from error


def _last_words(log: Path) -> str:
    said = log.read_text(errors="replace") if log.exists() else ""
    return (said.strip().splitlines() or ["it said nothing"])[-1]
