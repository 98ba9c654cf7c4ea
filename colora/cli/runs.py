"""The commands for the lives of runs: stop, resume, retry, rm, note, trash, queue, supervise, train. No torch."""

import argparse
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from colora.cli.groups import IDENTITY, add_groups, add_runs_dir, groups_of, meant, place_of, queued_of
from colora.cli.printing import say
from colora.engines.engine import engine_named, engine_of
from colora.runs.access import nobodys
from colora.runs.folder import ACTIVE, Group
from colora.runs.listing import run_folders, written_state
from colora.runs.verdict import short
from colora.settings.seeds import parse_seeds
from colora.system.errors import UserError
from colora.system.storage import size_text

FOLLOW_SECONDS = 0.2
LOOK_SECONDS = 2  # how often a command that waits sees to it that a supervisor works

_told: dict[Path, str] = {}  # group -> why its cluster has not answered, as it was printed last


def add_run_commands(command: Callable, with_json: Callable) -> None:
    """Registers them; `command` and `with_json` are the command line's own."""

    def on_groups(name: str, run: Callable, about: str) -> argparse.ArgumentParser:
        sub = with_json(command(name, run, about))
        add_groups(sub)
        sub.add_argument("--identity", metavar="ID", help=f"of one group: {IDENTITY}")
        return sub

    def on_folder(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
        add_runs_dir(sub)
        return sub

    stop = on_groups("stop", _stop, "stop the running and waiting seeds of groups after their current step")
    stop.add_argument("--no-wait", action="store_true", help="only ask; do not wait until all have stopped")
    on_groups("resume", _resume, "continue the stopped, failed and lost seeds of groups after their last epoch")
    retry = on_groups(
        "retry", _retry, "train the stopped, failed, lost and damaged seeds of groups from the beginning"
    )
    retry.add_argument("--seeds", help="only these, such as 0-9 or 0,3,5; also seeds that are new to the group")
    rm = on_groups("rm", _rm, "move groups to the trash of their runs folder")
    rm.add_argument("--undo", action="store_true", help="bring back the groups of these names that were removed last")

    note = on_groups("note", _note, "what people have noted about groups; with --text, replace it")
    note.add_argument("--text", help="the new note; empty: none")

    about = "what was removed: list it, put it back, or delete it for good"
    trash = on_folder(with_json(command("trash", _trash, about)))
    trash.add_argument("job", choices=("list", "put-back", "delete", "empty"), nargs="?", default="list")
    about = "what put-back and delete mean, as the list prints it, or a name: what was removed last under it"
    trash.add_argument("entries", metavar="ENTRY", nargs="*", help=about)
    trash.add_argument("--as", dest="new_name", metavar="NAME", help="put one group back under another name")
    queue = on_folder(with_json(command("queue", _queue, "what runs and waits, in order; `queue move` changes it")))
    queue.add_argument("job", choices=("list", "move"), nargs="?", default="list")
    about = "names or paths of waiting groups, or of single seeds, to move; they keep their order"
    queue.add_argument("targets", nargs="*", metavar="GROUP[/seed-NN]", help=about)
    end = queue.add_mutually_exclusive_group()
    end.add_argument("--first", dest="end", action="store_const", const="first", help="before all others")
    end.add_argument("--last", dest="end", action="store_const", const="last", help="behind all others")
    queue.add_argument("--priority", type=int, help="higher ones start first, whatever the order")
    queue.add_argument("--identity", metavar="ID", help=f"of one whole group: {IDENTITY}")

    about = "start what is queued; other commands start it themselves, on the slots that were asked for last"
    supervise = on_folder(command("supervise", _supervise, about))
    for flag, name, kind, about in (
        ("--gpus", "gpus", _gpus, "numbers, as 0,1, or none, or all that are found (default)"),
        ("--slots-per-gpu", "per_gpu", int, "runs at a time on each GPU (default 1)"),
        ("--slots", "cpu_slots", int, "train on the CPU, so many runs at a time (default 1)"),
    ):
        supervise.add_argument(flag, dest=name, type=kind, default=argparse.SUPPRESS, help=about)
    way = supervise.add_mutually_exclusive_group()
    about = "work also when nothing waits, and from the moment on at which another supervisor has ended"
    way.add_argument("--stay", action="store_true", help=about)
    about = "let systemd start it with the machine, as a service of this user (docs/operations.md)"
    way.add_argument("--install", action="store_true", help=about)
    way.add_argument("--uninstall", action="store_true", help="stop and remove that service; what trains goes on")
    train = command("train", _train, None)  # started by a run's guard, for one seed
    train.add_argument("--run-dir", type=Path, required=True)


def _gpus(text: str) -> list[str] | None:
    if text.strip() == "all":
        return None
    return [] if text.strip() == "none" else [name.strip() for name in text.split(",") if name.strip()]


def _stop(args: argparse.Namespace) -> int:
    groups = groups_of(args)
    documents, lines = [], []
    for group, states in zip(groups, stop_together(groups, not args.no_wait), strict=True):
        documents.append({"name": group.name, "seeds": {str(seed): state for seed, state in states.items()}})
        lines.append(f"{group.name}: {', '.join(f'seed {seed} {state}' for seed, state in states.items())}")
    return _say_each(args, documents, lines)


def _resume(args: argparse.Namespace) -> int:
    started = [{"name": group.name, **engine_of(group).resume(group)} for group in groups_of(args)]
    return _say_each(args, started, [f"{_seeds_of(one, 'that wait')} continue in the background" for one in started])


def _retry(args: argparse.Namespace) -> int:
    seeds = parse_seeds(args.seeds) if args.seeds else None
    started = [{"name": group.name, **engine_of(group).retry(group, seeds)} for group in groups_of(args)]
    return _say_each(args, started, [f"{_seeds_of(one)} begin anew" for one in started])


def _seeds_of(started: dict[str, Any], none: str = "") -> str:
    return f"{started['name']}: seeds {', '.join(map(str, started['seeds'])) or none}"


def _rm(args: argparse.Namespace) -> int:
    from colora.runs.trash import remove, restore

    if args.undo:
        paths = [place_of(text, args.runs_dir) for text in args.groups]
        back = [restore(path.parent, path.name) for path in paths]
        return _say_each(args, [{"name": p.name, "path": str(p)} for p in back], [f"{path} is back" for path in back])
    gone = [(group, remove(group)) for group in groups_of(args)]
    documents = [{"name": group.name, "trash": str(place)} for group, place in gone]
    lines = [f"{group.name} is in the trash; colora rm --undo {group.path} brings it back" for group, _ in gone]
    return _say_each(args, documents, lines)


def _note(args: argparse.Namespace) -> int:
    from colora.runs.notes import read_notes, write_notes

    groups = groups_of(args)
    if args.text is not None:
        for group in groups:
            write_notes(group, args.text)
    noted = {group.name: read_notes(group).strip() for group in groups}
    lines = [text or f"Nothing is noted about {name}." for name, text in noted.items()]
    if len(groups) > 1:
        lines = [f"{name}: {text}" for name, text in zip(noted, lines, strict=True)]
    return _say_each(args, [{"name": name, "notes": text} for name, text in noted.items()], lines)


def _trash(args: argparse.Namespace) -> int:
    from colora.runs.trash import delete_all, empty, found, listed, put_back, removers, size_of

    if bool(args.entries) != (args.job in ("put-back", "delete")):
        raise UserError("Name what to put back or delete, and nothing else: colora trash put-back|delete ENTRY ...")
    if args.new_name and (args.job != "put-back" or len(args.entries) > 1):
        raise UserError("--as goes with one entry that is put back.")
    if args.job == "empty":
        count = empty(args.runs_dir)
        return say(args, {"deleted": count}, f"{count} deleted")
    entries = [found(args.runs_dir, text) for text in args.entries]
    if args.job == "put-back":
        paths = [put_back(args.runs_dir, entry, args.new_name) for entry in entries]
        return say(args, [{"path": str(path)} for path in paths], "\n".join(f"{path} is back" for path in paths))
    if args.job == "delete":
        delete_all(args.runs_dir, entries)
        return say(args, {"deleted": len(entries)}, "\n".join(f"{e.title} is deleted for good" for e in entries))
    who = removers(args.runs_dir)
    rows = [e.as_dict() | {"by": who.get(e.path.name), "bytes": size_of(e)} for e in listed(args.runs_dir)]
    lines = [
        f"{row['title']:<40} {row['removed'] or 'unknown time'}, by {row['by'] or 'unknown'}, "
        f"{size_text(row['bytes'])}  {row['entry']}"
        for row in rows
    ]
    return say(args, rows, "\n".join(lines) or "The trash is empty.")


def _queue(args: argparse.Namespace) -> int:
    from colora.engines.view import rows
    from colora.queue.worked import COMMAND_WAIT_SECONDS, see_to

    if args.job == "move":
        if not args.targets or (args.end is None and args.priority is None):
            raise UserError("Say what to move and where: colora queue move NAME[/seed-NN] --first|--last|--priority N.")
        if args.identity is None:
            found = [queued_of(text, args.runs_dir) for text in args.targets]
        else:
            found = [(meant(args.targets, args.runs_dir, args.identity), "")]
        for group, seed in reversed(found) if args.end == "first" else found:
            engine_of(group).move(group.path.parent, f"{group.name}/{seed}".rstrip("/"), args.end, args.priority)
    else:
        for group in unfinished_elsewhere(args.runs_dir):
            look_beyond(group)
    found = rows(args.runs_dir, see_to(args.runs_dir, COMMAND_WAIT_SECONDS))
    lines = [
        f"{row['place'] or '':>4}  {row['group']}/seed-{row['seed']:02d}  {row['state']:<8} priority {row['priority']}"
        f"  {row['note']}".rstrip()
        for row in found
    ]
    return say(args, found, "\n".join(lines) or f"Nothing runs or waits in {args.runs_dir}.")


def _supervise(args: argparse.Namespace) -> int:
    from colora.queue.slots import asked_slots, keep_asked, make_slots
    from colora.queue.supervisor import LINGER_SECONDS, Supervisor, supervise
    from colora.queue.unit import install, uninstall

    if args.uninstall:
        print(uninstall(args.runs_dir.absolute()))
        return 0
    nobodys()
    if not args.runs_dir.is_dir():
        raise UserError(f"There is no runs folder {args.runs_dir}: launch something, or name another with --runs-dir.")
    if asked := {name: vars(args)[name] for name in ("gpus", "per_gpu", "cpu_slots") if name in vars(args)}:
        keep_asked(args.runs_dir, asked)
    if args.install:
        print(install(args.runs_dir.absolute()))
        return 0
    supervisor = Supervisor(args.runs_dir, make_slots(**asked_slots(args.runs_dir)))
    try:
        if not supervise(supervisor, math.inf if args.stay else LINGER_SECONDS, patient=args.stay):
            print(f"A supervisor works on {args.runs_dir} already.")
    except KeyboardInterrupt:
        print("\nthe supervisor has ended; what runs goes on, and the next one takes it over", file=sys.stderr)
        return 130
    return 0


def _train(args: argparse.Namespace) -> int:
    from colora.training.reporter import begun

    nobodys()
    asked: list[int] = []
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):  # the last is Windows'
        if number := getattr(signal, name, None):
            signal.signal(number, lambda received, _: asked.append(received))

    def taken_back() -> bool:
        """Whether SLURM, and not a person, wants the run to end (colora.engines.slurm.task)."""
        return "COLORA_TASK" in os.environ and set(asked) == {signal.SIGTERM} and not (args.run_dir / "stop").exists()

    with begun(args.run_dir) as reporter:
        if reporter is None:
            return 0
        from colora.training.run import train  # torch, which takes its time

        return train(reporter, lambda: bool(asked), taken_back)


def follow(groups: list[Group], start: Callable[[], None]) -> int | None:
    """Start groups of one engine and stay until all their seeds have ended, with a bar; the exit code where Ctrl-C or
    SIGTERM stopped them before."""
    engine = engine_of(groups[0])
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        start()
        with _Progress(groups) as progress:
            looked, left = time.monotonic(), groups
            while left:
                now = [Group(group.path) for group in left]
                progress.update(now)
                left = [group for group in now if group.active]  # one that has ended may be removed
                if time.monotonic() - looked > LOOK_SECONDS:
                    looked = time.monotonic()
                    if engine is engine_named("local"):
                        engine.look(groups[0])  # one supervisor trains them all
                    else:
                        for group in left:
                            look_beyond(group)
                if left:
                    time.sleep(FOLLOW_SECONDS)
    except KeyboardInterrupt:
        print("\nstopping after the current step", file=sys.stderr)
        stop_together(groups)
        print(f"stopped; continue with: colora resume {' '.join(str(g.path) for g in groups)}", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return None


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt  # and no SIGINT, which what a shell starts in the background ignores


def stop_together(groups: list[Group], wait: bool = True) -> list[dict[int, str]]:
    """{seed: state} of each group. All are asked before the first is waited for, so that none starts in its place."""
    asked = [engine_of(group).ask_to_stop(group) for group in groups]
    return [
        engine_of(group).see_stopped(group, runs, engine_of(group).STOP_WAIT_SECONDS if wait else 0)
        for group, runs in zip(groups, asked, strict=True)
    ]


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
        folder.parent for folder in run_folders(runs_dir) if written_state(folder) in ("queued", *ACTIVE)
    }
    return [group for path in sorted(names) if (group := Group(path)).engine != "local"]


class _Progress:
    """A bar over epochs and seeds on stderr, with time left."""

    def __init__(self, groups: list[Group]):
        from tqdm import tqdm

        total = sum(len(group.runs) * group.config.epochs for group in groups)
        self.several, self.done = len(groups) > 1, dict.fromkeys((group.path for group in groups), 0.0)
        shape = "{l_bar}{bar}| {n:.1f}/{total:.0f} epochs [{elapsed}<{remaining}]{postfix}"
        name = f"{len(groups)} groups" if self.several else groups[0].name
        self.bar = tqdm(total=total, desc=name, bar_format=shape, file=sys.stderr, disable=None)

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.close()

    def update(self, groups: list[Group]) -> None:
        from colora.results.summary import preparing

        for group in groups:
            done = 0.0
            for run in group.runs:
                status = run.status
                done += status["epoch"] + (status["step"] / status["steps"] if status["steps"] else 0)
                if status["state"] in ("starting", "running"):
                    now = preparing(run)
                    which = f"{group.name}, " if self.several else ""
                    self.bar.set_postfix_str(f"{which}seed {run.seed}" + (f", {now}" if now else ""), refresh=False)
            self.done[group.path] = done
        self.bar.n = min(sum(self.done.values()), self.bar.total)
        self.bar.refresh()


def report_end(group: Group) -> int:
    """The exit code of a group that has ended; the first reason for what is not done goes to stderr."""
    unfinished = [run for run in group.runs if run.state != "done"]
    if unfinished:
        run = unfinished[0]
        why = f"seed {run.seed} {run.state}: {short(run.status['reason'])}"
        print(f"colora launch: {group.name}, {why}", file=sys.stderr)
    return 1 if unfinished else 0


def _say_each(args: argparse.Namespace, documents: list[Any], lines: list[str]) -> int:
    """A line for each group; as JSON the one document, or a list of several."""
    return say(args, documents[0] if len(documents) == 1 else documents, "\n".join(lines))
