"""What a person does to runs: stop, resume, retry, move in the queue. Each is audited, and safe beside a supervisor."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from colora.queue import order
from colora.queue.supervisor import Supervisor, ensure_supervisor, supervising
from colora.runs.access import check, check_group, owner_of
from colora.runs.audit import record
from colora.runs.folder import ACTIVE, ENDED_EARLY, Group, Run, create_run, queued_status, run_folder, same_group
from colora.runs.lock import editing, supervisor_lock, try_lock
from colora.runs.trash import to_trash
from colora.runs.verdict import heard, processes_live
from colora.system.errors import UserError
from colora.system.files import write_json
from colora.system.process import is_visible
from colora.system.storage import check_room, file_size

POLL_SECONDS = 0.2
STOP_WAIT_SECONDS = 90  # longer than a run is given before it is killed


def stop(group: Group, wait: float = STOP_WAIT_SECONDS) -> dict[int, str]:
    """Stop every waiting or running seed; returns each seed's state once all have, or after `wait` seconds.

    A running seed finishes its step and ends, and is killed if it does not; its unfinished epoch is done again on
    resume. `stopped` means that none of its processes lives.
    """
    return see_stopped(group, ask_to_stop(group), wait)


def ask_to_stop(group: Group) -> list[Run]:
    """Leave the wish with every waiting or running seed, and return these."""
    check_group("stop", group)
    asked = sorted(filter(goes_on, group.runs), key=lambda run: run.state != "queued")
    for run in asked:  # first those that wait: none is to start in the place of one that stops
        with suppress(FileNotFoundError):  # removed meanwhile, as the next look at the group says
            (run.path / "stop").touch()
    if asked:
        record(group.path.parent, "stop", group.name, sorted(run.seed for run in asked))
    return asked


def see_stopped(group: Group, asked: list[Run], wait: float = STOP_WAIT_SECONDS) -> dict[int, str]:
    """Wait until seeds that were asked have stopped; the state of every seed then, or after `wait` seconds."""
    if asked:
        _see_to_the_end(group, [run.path for run in asked], wait)
    return {run.seed: run.state for run in Group(group.path).runs}


def goes_on(run: Run) -> bool:
    """Whether something of this run waits or lives; a damaged folder hides it."""
    return run.state in ("queued", *ACTIVE) or (run.state == "damaged" and processes_live(run.path))


def _still_to_stop(folder: Path) -> bool:
    """Whether it goes on against a wish that stands: one that somebody has resumed since is no longer waited for."""
    return goes_on(run := Run(folder)) and (run.stop_requested or run.state == "stopping")


def _see_to_the_end(group: Group, asked: list[Path], wait: float) -> None:
    """Wait for the supervisor to stop these runs; where there is none, do its work, without starting anything."""
    runs_dir, end = group.path.parent, time.monotonic() + wait
    lock, stand_in = supervisor_lock(runs_dir), Supervisor(runs_dir, slots=[], tell=lambda said: None)
    while any(map(_still_to_stop, asked)) and time.monotonic() < end:
        if try_lock(lock, 0):
            try:
                stand_in.turn()
            finally:
                lock.release()
        time.sleep(POLL_SECONDS)
    if any(map(_still_to_stop, asked)):
        ensure_supervisor(runs_dir)


def requeue(group: Group) -> list[int]:
    """Queue every seed that was stopped, failed or was lost, and those queued on another host; returns those seeds.

    Of runs that another host was training it is watched first whether they have really fallen silent. Raises UserError
    where one has not, or the group is gone.
    """
    runs_dir, identity = group.path.parent, group.identity
    if alive := heard([run.path for run in group.runs if _can_go_on(run) and _is_elsewhere(run)]):
        host = Run(alive[0]).written_status()["process"]["host"]
        raise UserError(f"{alive[0].name} of {group.name} still trains on {host}: stop it there, or wait for its end.")
    with editing(runs_dir):
        place = order.last_place(runs_dir)
        again = [run for run in same_group(group.path, identity).runs if _can_go_on(run)]
        for run in again:
            (run.path / "stop").unlink(missing_ok=True)
            write_json(run.path / "queue.json", place)
            write_json(run.path / "status.json", queued_status(run.config.epochs, run.status["epoch"]))
    return [run.seed for run in again]


def _is_elsewhere(run: Run) -> bool:
    """Whether the process that last told of this run cannot be seen from here."""
    process = run.written_status()["process"]
    return process is not None and not is_visible(process)


def _can_go_on(run: Run) -> bool:
    return run.state in ENDED_EARLY or (run.state == "queued" and not order.is_mine(run.path))


def resume(group: Group) -> dict[str, Any]:
    """Continue what did not finish, after its last finished epoch: {"seeds", "pid"} of the supervisor."""
    check_group("resume", group)
    seeds = requeue(group)
    if not seeds and not (any(run.state == "queued" for run in group.runs) and not supervising(group.path.parent)):
        raise UserError(f"{group.name} has no stopped, failed or lost seed to resume: it is {group.state}.")
    record(group.path.parent, "resume", group.name, seeds)
    return {"seeds": seeds, "pid": ensure_supervisor(group.path.parent)}


def retry(group: Group, seeds: list[int] | None = None) -> dict[str, Any]:
    """Train seeds from the beginning: {"seeds", "pid"}. What they had goes to the trash.

    Without `seeds`: those stopped, failed, lost or damaged. Named ones may also be new to the group. Raises UserError
    where one is waiting, running or done.
    """
    check_group("retry", group)
    chosen, new, trash = begin_anew(group, seeds)
    record(group.path.parent, "retry", group.name, chosen, new=new, trash=trash)
    return {"seeds": chosen, "pid": ensure_supervisor(group.path.parent)}


def begin_anew(group: Group, seeds: list[int] | None) -> tuple[list[int], list[int], list[str]]:
    """Fresh folders for these seeds, queued: (all of them, those new to the group, where in the trash the old ones
    are)."""
    runs_dir, config, identity = group.path.parent, group.config, group.identity
    with editing(runs_dir):
        states = {run.seed: run.state for run in same_group(group.path, identity).runs}
        failed = [seed for seed, state in states.items() if state in (*ENDED_EARLY, "damaged")]
        chosen = failed if seeds is None else seeds
        if not chosen:
            raise UserError(f"{group.name} has no stopped, failed, lost or damaged seed to retry: it is {group.state}.")
        for seed in chosen:
            if states.get(seed, "failed") not in (*ENDED_EARLY, "damaged"):
                raise UserError(f"Seed {seed} of {group.name} is {states[seed]}: only what did not finish is retried.")
            if states.get(seed) == "damaged" and processes_live(group.path / run_folder(seed)):
                raise UserError(f"Seed {seed} of {group.name} is damaged, and still runs: stop it first.")
        most = max((_bytes_of(run.path) for run in group.runs), default=0)
        check_room(runs_dir, len(chosen) * most, f"Training {len(chosen)} of its seeds anew", "empty the trash")
        place, trash = order.last_place(runs_dir), []
        for seed in chosen:
            if os.path.lexists(old := group.path / run_folder(seed)):  # a link goes as it is, also one to nothing
                trash.append(to_trash(runs_dir, old, f"{group.name}.{run_folder(seed)}").name)
            create_run(group.path, seed, config, place)
        if new := sorted(set(chosen) - set(states)):
            write_json(group.path / "group.json", group.info | {"seeds": sorted({*states, *new})})
    return chosen, new, trash


def _bytes_of(folder: Path) -> int:
    return sum(file_size(path) for path in folder.rglob("*"))


def move(runs_dir: Path, target: str, end: str | None = None, priority: int | None = None) -> list[Path]:
    """Move a group's waiting seeds ("NAME"), or one ("NAME/seed-03"), in the queue; returns the moved.

    Raises UserError where nothing of it waits.
    """
    group, _, seed = target.partition("/")
    check("move", runs_dir, group, owner_of(Group(runs_dir / group)))
    with editing(runs_dir):
        chosen = [run for run in order.waiting(runs_dir) if run.parent.name == group and seed in ("", run.name)]
        if not chosen:
            raise UserError(f"Nothing of '{target}' waits in {runs_dir}: colora queue lists what does.")
        order.move(runs_dir, chosen, end, priority)
    seeds = [Run(folder).seed for folder in chosen]
    record(runs_dir, "move", group, seeds, **{k: v for k, v in (("end", end), ("priority", priority)) if v is not None})
    return chosen
