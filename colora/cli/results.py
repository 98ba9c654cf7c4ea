"""What groups have reached: `show` and `list`; `evaluate`, which takes their models to other labelled images, and
`external`, what was kept of that."""

import argparse
from collections.abc import Callable
from typing import Any

from colora.cli.asked import add_config, asked_config, names, tell_unused
from colora.cli.groups import IDENTITY, add_group, add_groups, add_runs_dir, group_of, groups_of
from colora.cli.printing import print_json, say, show_evaluation, show_groups
from colora.cli.progress import Bar
from colora.cli.runs import look_beyond
from colora.engines.view import unattended
from colora.queue.worked import COMMAND_WAIT_SECONDS, see_to
from colora.runs.data_said import SPLITS
from colora.runs.folder import Group
from colora.runs.listing import listing
from colora.runs.names import EXTERNAL, external_name
from colora.runs.siblings import seeds_text
from colora.system.errors import UserError
from colora.system.typed import one_line

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
    about = "keep the predictions with each group under this name: every figure and page takes them as a split"
    evaluate.add_argument("--keep", metavar="NAME", help=about)
    evaluate.add_argument("--identity", metavar="ID", help=IDENTITY)
    add_config(evaluate, only=OUTSIDE)
    external = command("external", _external_list, "tests on other data that groups keep: list, rm")
    jobs = external.add_subparsers(dest="job", required=True, metavar="list|rm")
    about = {"list": "what a group was tested on, with evaluate --keep", "rm": "move a test to the trash"}
    for name, run in (("list", _external_list), ("rm", _external_rm)):
        job = with_json(jobs.add_parser(name, help=about[name], description=about[name]))
        add_group(job)
        job.set_defaults(run=run)
    job.add_argument("name", metavar="NAME", help="as `external list` prints it")
    job.add_argument("--identity", metavar="ID", help=IDENTITY)


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
            results.append(evaluate_group(group, data, args.split, args.leave_out_unknown, bar, args.keep))
        if not args.json:
            show_evaluation(results[-1])
    if args.json:
        print_json(results if len(groups) > 1 else results[0])
    return 0


def _external_list(args: argparse.Namespace) -> int:
    from colora.runs.external import about_external, external_splits, says_untested

    group = group_of(args)
    rows = []
    for split in external_splits(group):
        row = {"name": external_name(split), "split": split}
        try:
            about = about_external(group, split)
        except UserError as error:
            rows.append(row | {"problem": str(error)})
            continue
        told = {name: about[name] for name in ("source", "images", "seeds", "tested", "tested_by")}
        rows.append(row | told | {"untested": says_untested(group, split)})
    lines = list(map(_external_line, rows))
    return say(args, rows, "\n".join(lines) or f"{group.name} was not tested on other data: evaluate --keep does.")


def _external_line(row: dict[str, Any]) -> str:
    if "problem" in row:
        return f"{row['name']:<20} {one_line(row['problem'])}"
    seeds = seeds_text([seed["seed"] for seed in row["seeds"]])
    line = f"{row['name']:<20} {row['images']:>7,} images of {one_line(row['source'])}, {seeds}, {row['tested'][:10]}, "
    return line + f"by {one_line(row['tested_by'])}" + (f"\n  {row['untested']}" if row["untested"] else "")


def _external_rm(args: argparse.Namespace) -> int:
    from colora.runs.external import external_test, remove_external

    place = remove_external(external_test(group_of(args), f"{EXTERNAL}{args.name}"))
    back = f"colora trash put-back {place.name}"
    return say(args, {"name": args.name, "trash": str(place)}, f"{args.name} is in the trash; {back} brings it back")
