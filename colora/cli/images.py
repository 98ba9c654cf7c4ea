"""`colora distil`, `colora cut`, `colora verdicts`: from a group's predictions to the next training set. No torch."""

import argparse
import shlex
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from colora.cli.groups import add_group, add_runs_dir, default_runs_dir, group_of
from colora.cli.printing import print_json, say
from colora.data.cuts import ALONE
from colora.data.rules import EXCLUDABLE, OF_PREDICTIONS
from colora.engines.engine import engine_of
from colora.runs.folder import Group
from colora.settings.catalog import SCORES, VERDICTS
from colora.settings.config import launch_arguments
from colora.settings.seeds import parse_seeds
from colora.system.errors import UserError
from colora.system.typed import shortened

WHOSE_HELP = (
    "best (on validation), mean (over seeds), held-out (the seeds that left the image out, where there are folds, and "
    "the default there), or a seed's number"
)
RULE_FLAGS = ("score", "drop", "keep", "drop_share", "keep_share", "lowest", "highest", "seed")


def add_image_commands(command: Callable, with_json: Callable) -> None:
    """Registers them; `command` and `with_json` are the command line's own."""
    distil = with_json(
        command("distil", _distil, "cut the training set by how unsure a group's models are of its images")
    )
    add_group(distil, "name or path of the group, of which a seed is done")
    distil.add_argument("--name", required=True, help="name of the new cut")
    distil.add_argument("--rule", dest="kind", choices=OF_PREDICTIONS, help="how each class is divided (default rank)")
    distil.add_argument("--drop", type=int, metavar="N", help="rank: discard the N hardest of each class (paper: 10)")
    distil.add_argument("--keep", type=int, metavar="N", help="rank: keep the next N (paper: 7040); random: draw N")
    distil.add_argument("--score", metavar="NAME", help=f"what sorts: {', '.join(SCORES)} (default entropy)")
    distil.add_argument("--whose", help=WHOSE_HELP)
    distil.add_argument(
        "--pool", choices=("run", "train"), default="run",
        help="run: the images that the group trained on (default); train: the whole train split",
    )  # fmt: skip
    distil.add_argument("--drop-share", type=float, metavar="X", help="share: discard this share of each class")
    distil.add_argument("--keep-share", type=float, metavar="X", help="share: keep the next, as a share of each class")
    distil.add_argument("--lowest", type=float, metavar="X", help="threshold: smallest score that is kept")
    distil.add_argument("--highest", type=float, metavar="X", help="threshold: largest score that is kept")
    distil.add_argument("--seed", type=int, metavar="N", help="random: another seed draws others (default 0)")
    distil.add_argument("--exclude", type=_names, metavar="A,B", help=f"verdicts to leave out: {', '.join(EXCLUDABLE)}")
    distil.add_argument("--correct-labels", action="store_true", help="train with the right labels that readers gave")
    distil.add_argument("--readers", type=_names, metavar="A,B", help="whose verdicts count (default everyone's)")
    distil.add_argument("--replace", action="store_true", help="replace another cut of this name")
    distil.add_argument("--preview", action="store_true", help="only say what would be kept; save nothing")

    cut = command("cut", _cut_list, "the saved cuts: show, list, compare, rm")
    jobs = cut.add_subparsers(dest="job", required=True, metavar="show|list|compare|rm")

    def job(of: Any, name: str, run: Callable, about: str) -> argparse.ArgumentParser:
        sub = with_json(of.add_parser(name, help=about, description=about))
        add_runs_dir(sub)
        sub.set_defaults(run=run)
        return sub

    job(jobs, "show", _cut_show, "a cut's rule, source, counts and hash").add_argument("name", help="or its .json file")
    job(jobs, "list", _cut_list, "every saved cut")
    about = (
        "train what credits the distillation: balanced, distilled, random of the same size, full fine-tuning on the cut"
    )
    compare = job(jobs, "compare", _cut_compare, about)
    compare.add_argument("name")
    compare.add_argument("--prefix", help="of the new groups' names (default the cut's name)")
    compare.add_argument("--seeds", help="such as 0-9 (default those of the cut's group)")
    compare.add_argument("--full-lr", type=float, help="rate of full fine-tuning (default 0.0001)")
    compare.add_argument("--identity", metavar="ID", help="do nothing where another cut has the name by now")
    compare.add_argument("--plan", action="store_true", help="only say which groups it needs; launch nothing")
    rm = job(jobs, "rm", _cut_rm, "move a cut to the trash; groups trained on it keep their copy")
    rm.add_argument("name")
    rm.add_argument("--undo", action="store_true", help="bring back the cut of this name that was removed last")

    verdicts = command("verdicts", _verdicts_list, "what readers decided about single images: list, export, import, rm")
    parts = verdicts.add_subparsers(dest="job", required=True, metavar="list|agreement|export|import|rm")
    job(parts, "list", _verdicts_list, "every reader, with how many verdicts stand")
    agreement = job(parts, "agreement", _verdicts_agreement, "Cohen's kappa of two readers")
    agreement.add_argument("readers", nargs=2, metavar="READER")
    export = job(parts, "export", _verdicts_export, "write what stands as CSV")
    export.add_argument("file", type=Path)
    export.add_argument("--reader", help="only this reader's (default everyone's)")
    load = job(parts, "import", _verdicts_import, "add the verdicts of a table in the form of export (CSV, Excel ...)")
    load.add_argument("file", type=Path)
    load.add_argument("--reader", help="in whose name (default the file's column reader)")
    back = job(parts, "rm", _verdicts_rm, "take verdicts back that fit all that is named; --undo brings them back")
    back.add_argument("--reader", help="only this reader's (default everyone's)")
    back.add_argument("--image", metavar="ID", help="only those on this image")
    at = "given {} this time, as 2026-01-31 or 2026-01-31T12:00, in UTC where it names no zone"
    back.add_argument("--after", metavar="TIME", type=_time, help=at.format("at or after"))
    back.add_argument("--before", metavar="TIME", type=_time, help=at.format("before"))
    back.add_argument("--undo", action="store_true", help="bring back what the last removal took, or the one named")
    back.add_argument("removal", metavar="REMOVAL", nargs="?", help="with --undo: what `rm` has printed")


def _time(text: str) -> datetime:
    from colora.distillation.removal import moment

    try:
        return moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a time is such as 2026-01-31T12:00; got '{shortened(text)}'") from error


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _distil(args: argparse.Namespace) -> int:
    from colora.data.cuts import save_cut
    from colora.data.rules import make_rule
    from colora.distillation.distil import distil
    from colora.distillation.scores import read_predictions

    group = group_of(args)
    given = {name: value for name in ("kind", *RULE_FLAGS) if (value := getattr(args, name)) is not None}
    verdicts = {"exclude": args.exclude or [], "correct_labels": args.correct_labels, "readers": args.readers}
    rule = make_rule(**given, **verdicts)
    cut = distil(read_predictions(group, "train"), args.name, rule, _whose(args.whose), args.pool)
    path = None if args.preview else save_cut(group.path.parent, cut, args.replace)
    if args.json:
        return print_json(cut.model_dump() | {"path": str(path) if path else None})
    print(_said(cut))
    print("  Not saved." if path is None else f"  Saved as {path}\n  Train on it: {_launch_command(group, cut.name)}")
    return 0


def _launch_command(group: Group, cut: str) -> str:
    """As the cut's group was launched, with the cut in place of its training set."""
    config = group.config.model_copy(update={"cut": cut} | ALONE)
    arguments = launch_arguments(cut, config, group.info["seeds"])
    if group.path.parent != default_runs_dir():
        arguments += ["--runs-dir", str(group.path.parent)]
    return shlex.join(["colora", *arguments])


def _whose(text: str | None) -> Any:
    if text in (None, "best", "mean", "held-out"):
        return text
    if not text.isdecimal():
        raise UserError(f"--whose is best, mean, held-out or a seed's number, got '{text}'.", field="whose")
    return int(text)


def _said(cut: Any) -> str:
    """A cut as lines for people."""
    kept = ", ".join(f"{name} {n:,}" for name, n in zip(cut.class_names, cut.counts["kept"], strict=True))
    pool = "the images it trained on" if cut.pool == "run" else "the whole train split"
    lines = [
        f"{cut.name}: {len(cut.image_ids):,} images ({kept})",
        f"  Rule: {cut.rule.says()}.",
        f"  {cut.source_says}; pool: {pool}, {sum(cut.counts['pool']):,} images.",
        f"  Data: {cut.data_source} at {cut.image_size} px, train split{', SYNTHETIC' if cut.synthetic else ''}.",
        f"  Hash: {cut.hash}",
    ]
    if cut.labels:
        lines.append(f"  Corrected labels: {len(cut.labels):,}.")
    return "\n".join(lines + [f"  Note: {note}" for note in cut.notes])


def _cut_show(args: argparse.Namespace) -> int:
    from colora.data.cuts import read_cut

    cut = read_cut(args.runs_dir, args.name)
    if args.json:
        return print_json(cut.model_dump())
    print(_said(cut))
    return 0


def _cut_list(args: argparse.Namespace) -> int:
    from colora.data.cuts import list_cuts

    rows = list_cuts(args.runs_dir)
    if args.json:
        return print_json(rows)
    for row in rows:
        about = (
            row["reason"] or f"{row['hash'][:12]}  {row['images']:>7,} images  {row['made_from']}: {row['says']}"
        )
        print(f"{row['name']:<24} {about}")
    print("" if rows else f"No cut in {args.runs_dir} yet.", end="" if rows else "\n")
    return 0


def _cut_compare(args: argparse.Namespace) -> int:
    from colora.data.cuts import read_cut, same_cut, save_cut
    from colora.distillation.comparison import FULL_LR, plan_comparison
    from colora.engines.launch import launch

    known = args.identity is not None
    cut = same_cut(args.runs_dir, args.name, args.identity) if known else read_cut(args.runs_dir, args.name)
    seeds = parse_seeds(args.seeds) if args.seeds else None
    rate = FULL_LR if args.full_lr is None else args.full_lr
    plan = plan_comparison(args.runs_dir, cut, args.prefix or cut.name, seeds, rate)
    if not args.plan:
        save_cut(args.runs_dir, plan.random_cut)
        missing = [arm for arm in plan.arms if not arm.exists]
        for group in [launch(args.runs_dir, arm.group, arm.config, plan.seeds) for arm in missing]:
            engine_of(group).start(group)
    document = {
        "cut": cut.name,
        "hash": cut.hash,
        "launched": not args.plan,
        "groups": [arm.as_dict() for arm in plan.arms],
    }
    if args.json:
        return print_json(document)
    for arm in plan.arms:
        print(f"{arm.role:<12} {arm.group:<40} {arm.about}{' (there already)' if arm.exists else ''}")
    return 0


def _cut_rm(args: argparse.Namespace) -> int:
    from colora.data.cuts import remove_cut, restore_cut

    if args.undo:
        path = restore_cut(args.runs_dir, args.name)
        return say(args, {"name": args.name, "path": str(path)}, f"{path} is back")
    place = remove_cut(args.runs_dir, args.name)
    said = f"{args.name} is in the trash; colora cut rm --undo {args.name} brings it back"
    return say(args, {"name": args.name, "trash": str(place)}, said)


def _verdicts_list(args: argparse.Namespace) -> int:
    from colora.distillation.verdicts import current, problems

    table = current(args.runs_dir)
    rows = [
        {"reader": reader, "images": len(theirs), **{verdict: int((theirs == verdict).sum()) for verdict in VERDICTS}}
        for reader, theirs in table.groupby("reader")["verdict"]
    ]
    lines = [
        f"{row['reader']:<24} {row['images']:>6,} images: "
        + ", ".join(f"{VERDICTS[verdict].lower()} {row[verdict]:,}" for verdict in VERDICTS)
        for row in rows
    ] or [f"No verdict in {args.runs_dir} yet."]
    found = problems(args.runs_dir)
    return say(args, {"readers": rows, "problems": found}, "\n".join(lines + [f"Note: {line}" for line in found]))


def _verdicts_agreement(args: argparse.Namespace) -> int:
    from colora.distillation.verdicts import agreement

    found = agreement(args.runs_dir, *args.readers)
    return say(args, found, found["says"])


def _verdicts_export(args: argparse.Namespace) -> int:
    from colora.distillation.verdicts_csv import export_csv

    count = export_csv(args.runs_dir, args.file, args.reader)
    return say(args, {"file": str(args.file), "verdicts": count}, f"{args.file}: {count:,} verdicts")


def _verdicts_import(args: argparse.Namespace) -> int:
    from colora.distillation.verdicts_csv import import_csv

    found = import_csv(args.runs_dir, args.file, args.reader)
    return say(args, found, f"{found['added']:,} verdicts added, {found['known']:,} stood already")


def _verdicts_rm(args: argparse.Namespace) -> int:
    from colora.distillation.removal import bring_back, remove

    which = (args.reader, args.image, args.after, args.before)
    if args.undo:
        if any(which):
            raise UserError("--undo goes with a removal alone: colora verdicts rm --undo [REMOVAL].")
        found = bring_back(args.runs_dir, args.removal)
        lines = [f"{_counted(found['restored'])} stand{'s' * (found['restored'] == 1)} again"]
    elif args.removal:
        raise UserError(f"'{shortened(args.removal)}' names a removal, which goes with --undo.", field="removal")
    elif (found := remove(args.runs_dir, *which))["removal"] is None:
        lines = ["No verdict fits; nothing was taken back."]
    else:
        earlier = f", and {found['earlier']:,} that had been replaced" if found["earlier"] else ""
        back = f"colora verdicts rm --undo {found['removal']} brings them back"
        lines = [f"{_counted(found['removed'])} taken back{earlier}; {back}"]
    return say(args, found, "\n".join(lines + [f"Note: {problem}" for problem in found["problems"]]))


def _counted(count: int) -> str:
    return f"{count:,} verdict{'' if count == 1 else 's'}"
