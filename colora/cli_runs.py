"""The commands for the lives of runs: stop, resume, retry, rm, note, trash, queue, supervise, train. No torch."""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from colora.config import parse_seeds
from colora.engines import engine_named, engine_of
from colora.errors import UserError
from colora.queue import order
from colora.queue.verdict import short
from colora.runs import ACTIVE, Group, open_group

FOLLOW_SECONDS = 0.2
LOOK_SECONDS = 2  # how often a command that waits sees to it that a supervisor works

_told: dict[Path, str] = {}  # group -> why its cluster has not answered, as it was printed last


def add_run_commands(command: Callable, with_json: Callable) -> None:
    """Registers them; `command` and `with_json` are the command line's own."""

    def on_group(name: str, run: Callable, about: str, of: str = "runs/NAME") -> argparse.ArgumentParser:
        sub = with_json(command(name, run, about))
        sub.add_argument("group", type=Path, help=of)
        return sub

    def on_folder(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
        sub.add_argument("--runs-dir", type=Path, default=Path("runs"), help="folder of all groups (default runs)")
        return sub

    stop = on_group("stop", _stop, "stop a group's running and waiting seeds after their current step")
    stop.add_argument("--no-wait", action="store_true", help="only ask; do not wait until all have stopped")
    on_group("resume", _resume, "continue a group's stopped, failed and lost seeds after their last epoch")
    retry = on_group("retry", _retry, "train a group's stopped, failed, lost and damaged seeds from the beginning")
    retry.add_argument("--seeds", help="only these, such as 0-9 or 0,3,5; also seeds that are new to the group")
    rm = on_group("rm", _rm, "move a group to the trash of its runs folder")
    rm.add_argument("--undo", action="store_true", help="bring back the group of this name that was removed last")

    note = on_group("note", _note, "what people have noted about a group; with --text, replace it")
    note.add_argument("--text", help="the new note; empty: none")

    trash = on_folder(with_json(command("trash", _trash, "what was removed: list it, or delete it for good")))
    trash.add_argument("job", choices=("list", "empty"), nargs="?", default="list")
    queue = on_folder(with_json(command("queue", _queue, "what runs and waits, in order; `queue move` changes it")))
    queue.add_argument("job", choices=("list", "move"), nargs="?", default="list")
    queue.add_argument("target", nargs="?", metavar="NAME[/seed-NN]", help="the waiting group or seed to move")
    end = queue.add_mutually_exclusive_group()
    end.add_argument("--first", dest="end", action="store_const", const="first", help="before all others")
    end.add_argument("--last", dest="end", action="store_const", const="last", help="behind all others")
    queue.add_argument("--priority", type=int, help="higher ones start first, whatever the order")

    about = "start what is queued; other commands start it themselves, on the slots that were asked for last"
    supervise = on_folder(command("supervise", _supervise, about))
    for flag, name, kind, about in (
        ("--gpus", "gpus", _gpus, "numbers, as 0,1, or none, or all that are found (default)"),
        ("--slots-per-gpu", "per_gpu", int, "runs at a time on each GPU (default 1)"),
        ("--slots", "cpu_slots", int, "train on the CPU, so many runs at a time (default 1)"),
    ):
        supervise.add_argument(flag, dest=name, type=kind, default=argparse.SUPPRESS, help=about)
    train = command("train", _train, None)  # started by a run's guard, for one seed
    train.add_argument("--run-dir", type=Path, required=True)


def _gpus(text: str) -> list[str] | None:
    if text.strip() == "all":
        return None
    return [] if text.strip() == "none" else [name.strip() for name in text.split(",") if name.strip()]


def _stop(args: argparse.Namespace) -> int:
    group = open_group(args.group)
    engine = engine_of(group)
    states = engine.stop(group, 0 if args.no_wait else engine.STOP_WAIT_SECONDS)
    document = {"name": group.name, "seeds": {str(seed): state for seed, state in states.items()}}
    said = ", ".join(f"seed {seed} {state}" for seed, state in states.items())
    return _say(args, document, f"{group.name}: {said}")


def _resume(args: argparse.Namespace) -> int:
    group = open_group(args.group)
    started = {"name": group.name, **engine_of(group).resume(group)}
    seeds = ", ".join(map(str, started["seeds"])) or "that wait"
    return _say(args, started, f"{group.name}: seeds {seeds} continue in the background")


def _retry(args: argparse.Namespace) -> int:
    group = open_group(args.group)
    seeds = parse_seeds(args.seeds) if args.seeds else None
    started = {"name": group.name, **engine_of(group).retry(group, seeds)}
    return _say(args, started, f"{group.name}: seeds {', '.join(map(str, started['seeds']))} begin anew")


def _rm(args: argparse.Namespace) -> int:
    from colora.queue.trash import remove, restore

    if args.undo:
        path = restore(args.group.parent, args.group.name)
        return _say(args, {"name": path.name, "path": str(path)}, f"{path} is back")
    group = open_group(args.group)
    place = remove(group)
    said = f"{group.name} is in the trash; colora rm --undo {group.path} brings it back"
    return _say(args, {"name": group.name, "trash": str(place)}, said)


def _note(args: argparse.Namespace) -> int:
    from colora.notes import read_notes, write_notes

    group = open_group(args.group)
    if args.text is not None:
        write_notes(group, args.text)
    text = read_notes(group).strip()
    return _say(args, {"name": group.name, "notes": text}, text or f"Nothing is noted about {group.name}.")


def _trash(args: argparse.Namespace) -> int:
    from colora.queue.trash import empty, listed

    if args.job == "empty":
        count = empty(args.runs_dir)
        return _say(args, {"deleted": count}, f"{count} deleted")
    entries = [entry | {"path": str(entry["path"])} for entry in listed(args.runs_dir)]
    text = "\n".join(f"{entry['name']}  removed {entry['removed']}" for entry in entries)
    return _say(args, entries, text or "Nothing is there.")


def _queue(args: argparse.Namespace) -> int:
    from colora.queue.view import rows

    if args.job == "move":
        if not args.target or (args.end is None and args.priority is None):
            raise UserError("Say what to move and where: colora queue move NAME[/seed-NN] --first|--last|--priority N.")
        target = args.target.removeprefix(f"{args.runs_dir}/")
        known = args.runs_dir / target.partition("/")[0]
        engine = engine_of(Group(known)) if (known / "group.json").is_file() else engine_named("local")
        engine.move(args.runs_dir, target, args.end, args.priority)
    else:
        for group in unfinished_elsewhere(args.runs_dir):
            look_beyond(group)
    found = rows(args.runs_dir)
    lines = [
        f"{row['place'] or '':>4}  {row['group']}/seed-{row['seed']:02d}  {row['state']:<8} priority {row['priority']}"
        f"  {row['note']}".rstrip()
        for row in found
    ]
    return _say(args, found, "\n".join(lines) or f"Nothing runs or waits in {args.runs_dir}.")


def _supervise(args: argparse.Namespace) -> int:
    from colora.queue.slots import asked_slots, keep_asked, make_slots
    from colora.queue.supervisor import Supervisor, supervise

    if not args.runs_dir.is_dir():
        raise UserError(f"There is no runs folder {args.runs_dir}: launch something, or name another with --runs-dir.")
    if asked := {name: vars(args)[name] for name in ("gpus", "per_gpu", "cpu_slots") if name in vars(args)}:
        keep_asked(args.runs_dir, asked)
    try:
        if not supervise(Supervisor(args.runs_dir, make_slots(**asked_slots(args.runs_dir)))):
            print(f"A supervisor works on {args.runs_dir} already.")
    except KeyboardInterrupt:
        print("\nthe supervisor has ended; what runs goes on, and the next one takes it over", file=sys.stderr)
        return 130
    return 0


def _train(args: argparse.Namespace) -> int:
    from colora.train import train_run

    asked: list[int] = []
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):  # the last is Windows'
        if number := getattr(signal, name, None):
            signal.signal(number, lambda received, _: asked.append(received))

    def taken_back() -> bool:
        """Whether SLURM, and not a person, wants the run to end (colora.engines.slurm.task)."""
        return "COLORA_TASK" in os.environ and set(asked) == {signal.SIGTERM} and not (args.run_dir / "stop").exists()

    return train_run(args.run_dir, lambda: bool(asked), taken_back)


def follow(group: Group, start: Callable[[], None]) -> int | None:
    """Start a group and stay until all its seeds have ended, with a bar; the exit code where Ctrl-C or SIGTERM stopped
    it before."""
    engine = engine_of(group)
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        start()
        with _Progress(group) as progress:
            looked = time.monotonic()
            while (now := Group(group.path)).active:
                progress.update(now)
                if time.monotonic() - looked > LOOK_SECONDS:
                    looked = time.monotonic()
                    engine.look(group) if group.engine == "local" else look_beyond(now)
                time.sleep(FOLLOW_SECONDS)
            progress.update(now)
    except KeyboardInterrupt:
        print("\nstopping after the current step", file=sys.stderr)
        engine.stop(Group(group.path), engine.STOP_WAIT_SECONDS)
        print(f"stopped; continue with: colora resume {group.path}", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return None


def look_beyond(group: Group) -> None:
    """Ask a cluster about a group's unfinished seeds. Without its answer the run folders are what is told."""
    if group.engine == "local" or not group.active:
        return
    try:
        engine_of(group).look(group)
        _told.pop(group.path, None)
    except UserError as error:
        said = f"Not asked: {' '.join(str(error).split())}"
        if _told.get(group.path) != said:
            print(said, file=sys.stderr)
        _told[group.path] = said


def unfinished_elsewhere(runs_dir: Path) -> list[Group]:
    """The groups whose seeds wait or run on a cluster."""
    names = {
        folder.parent for folder in order.run_folders(runs_dir) if order.written_state(folder) in ("queued", *ACTIVE)
    }
    return [group for path in sorted(names) if (group := Group(path)).engine != "local"]


class _Progress:
    """A bar over epochs and seeds on stderr, with time left."""

    def __init__(self, group: Group):
        from tqdm import tqdm

        total = len(group.runs) * group.config.epochs
        shape = "{l_bar}{bar}| {n:.1f}/{total:.0f} epochs [{elapsed}<{remaining}]{postfix}"
        self.bar = tqdm(total=total, desc=group.name, bar_format=shape, file=sys.stderr, disable=None)

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.close()

    def update(self, group: Group) -> None:
        from colora.results import preparing

        done = 0.0
        for run in group.runs:
            status = run.status
            done += status["epoch"] + (status["step"] / status["steps"] if status["steps"] else 0)
            if status["state"] in ("starting", "running"):
                now = preparing(run)
                self.bar.set_postfix_str(f"seed {run.seed}" + (f", {now}" if now else ""), refresh=False)
        self.bar.n = min(done, self.bar.total)
        self.bar.refresh()


def report_end(group: Group) -> int:
    """The exit code of a group that has ended; the first reason for what is not done goes to stderr."""
    unfinished = [run for run in group.runs if run.state != "done"]
    if unfinished:
        run = unfinished[0]
        print(f"colora launch: seed {run.seed} {run.state}: {short(run.status['reason'])}", file=sys.stderr)
    return 1 if unfinished else 0


def _say(args: argparse.Namespace, document: Any, text: str) -> int:
    print(json.dumps(document, indent=1, allow_nan=False) if args.json else text)
    return 0
