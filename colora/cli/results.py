"""What groups have reached: `show` and `list`; `evaluate`, which takes their models to other labelled images."""

import argparse
from collections.abc import Callable

from colora.cli.asked import add_config, asked_config, names, tell_unused
from colora.cli.groups import add_groups, add_runs_dir, groups_of
from colora.cli.printing import print_json, show_evaluation, show_groups
from colora.cli.progress import Bar
from colora.cli.runs import look_beyond
from colora.engines.view import unattended
from colora.queue.worked import COMMAND_WAIT_SECONDS, see_to
from colora.runs.data_said import SPLITS
from colora.runs.folder import Group
from colora.runs.listing import listing
from colora.runs.siblings import seeds_text
from colora.system.errors import UserError

OUTSIDE = ("layout", "columns", "patient_pattern", "ignore_splits", "data_roots")  # settings of the data, as a launch's


def add_result_commands(command: Callable, with_json: Callable) -> None:
    """Registers them; `command` and `with_json` are the command line's own."""
    show = with_json(command("show", _show, "the state and figures of groups, per seed and over seeds"))
    add_groups(show)
    groups = with_json(command("list", _list, "every group of a runs folder"))
    add_runs_dir(groups)
    evaluate = with_json(command("evaluate", _evaluate, "the selected models of groups on other labelled images"))
    add_groups(evaluate)
    evaluate.add_argument("--dataset", required=True, help="octmnist, npz:FILE, folder:DIR, table:FILE or phantom")
    evaluate.add_argument("--data-dir", help="folder of MedMNIST's files (default the group's own)")
    evaluate.add_argument(
        "--split", choices=(*SPLITS, "all"), help="default test, or all of data that have no splits of their own"
    )
    evaluate.add_argument("--class-names", type=names, help="the data's classes in label order: CNV,DME,...")
    evaluate.add_argument(
        "--leave-out-unknown", action="store_true", help="leave out images of classes that the models do not know"
    )
    add_config(evaluate, only=OUTSIDE)


def _show(args: argparse.Namespace) -> int:
    groups = groups_of(args)
    for group in groups:
        look_beyond(group)
    for runs_dir in {group.path.parent for group in groups if _needs_a_supervisor(group)}:
        see_to(runs_dir, COMMAND_WAIT_SECONDS)
    show_groups(groups, args.json, as_list=len(groups) > 1)
    return 0


def _list(args: argparse.Namespace) -> int:
    rows = listing(args.runs_dir)
    unfinished = {row["name"] for row in rows if row["done"] < row["seeds"]}
    groups = {name: Group(args.runs_dir / name) for name in unfinished}
    why = see_to(args.runs_dir, COMMAND_WAIT_SECONDS) if any(map(_needs_a_supervisor, groups.values())) else None
    rows = [row | {"unattended": unattended(groups[n], why) if (n := row["name"]) in groups else None} for row in rows]
    if args.json:
        print_json(rows)
        return 0
    for row in rows:
        seeds = f"{row['done']} of {row['seeds']} done"
        mixed = f"  mixed: {seeds_text(row['apart'])} trained otherwise" if row["apart"] else ""
        waits = f"  {row['unattended']}" if row["unattended"] else ""
        print(f"{row['name']:<40} {row['state']:<8} {seeds:<13} {row['created'] or row['reason']}{mixed}{waits}")
    print("" if rows else f"No group in {args.runs_dir} yet.", end="" if rows else "\n")
    return 0


def _needs_a_supervisor(group: Group) -> bool:
    """Whether seeds of a group wait or run on a machine as this one."""
    try:
        return group.engine == "local" and group.active
    except UserError:  # damaged, as its own line says
        return False


def _evaluate(args: argparse.Namespace) -> int:
    groups, results = groups_of(args), []
    tell_unused(args, {"": asked_config(args)})
    asked = {name: getattr(args, name) for name in ("dataset", "data_dir", "class_names", *OUTSIDE)}
    data = {name: value for name, value in asked.items() if value is not None}
    from colora.prediction.outside import evaluate_group

    for group in groups:
        with Bar(group.name, unit="") as bar:
            results.append(evaluate_group(group, data, args.split, args.leave_out_unknown, bar))
        if not args.json:
            show_evaluation(results[-1])
    if args.json:
        print_json(results if len(groups) > 1 else results[0])
    return 0
