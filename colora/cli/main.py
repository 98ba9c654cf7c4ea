"""The command line. `--json` prints one JSON document on stdout and nothing else; errors are one line on stderr.

Exit codes: 0 done, 1 something failed, 2 a mistake a person can put right.
"""

import argparse
import sys
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from colora.cli.arguments import Parser
from colora.cli.cluster import add_cluster_command
from colora.cli.files import Bar, add_file_commands
from colora.cli.groups import add_group, add_groups, add_runs_dir, group_of, groups_of
from colora.cli.images import add_image_commands
from colora.cli.launch import BY_NAME, Estimates, asked_groups, not_used, tell_unused
from colora.cli.launch import asked_config as _config
from colora.cli.runs import add_run_commands, follow, look_beyond, report_end
from colora.cli.show import print_json, show_evaluation, show_groups, show_predictions
from colora.engines.engine import ENGINES, engine_named
from colora.runs.folder import Group
from colora.runs.listing import listing
from colora.runs.siblings import seeds_text
from colora.settings.catalog import NOTICE
from colora.settings.config import RunConfig, absolute_paths, parse_seeds
from colora.settings.work import MODEL
from colora.system import processor
from colora.system.errors import UserError
from colora.system.storage import FORBIDDEN, FULL, NO_PLACE, size_text
from colora.system.typed import shortened


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    processor.prepare()
    args = _parser().parse_args(arguments)
    try:
        return args.run(args)
    except UserError as error:
        print(f"colora {args.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, `head` for one, has had enough
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print(f"\ncolora {args.command}: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in (*FULL, *FORBIDDEN, *NO_PLACE):
            raise
        why = "the disk is full: free some space" if error.errno in FULL else "there is no permission"
        if error.errno in NO_PLACE:
            why = f"there can be no such place ({error.strerror})"
        what = shortened(str(error.filename)) if error.filename else "a file"
        print(f"colora {args.command}: {what} cannot be read or written: {why}.", file=sys.stderr)
        return 2


def _parser() -> Parser:
    parser = Parser(prog="colora", description=f"CoLoRA fine-tuning of CNNs on retinal OCT images. {NOTICE}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Any, about: str | None) -> Parser:
        sub = commands.add_parser(name, help=about, description=about) if about else commands.add_parser(name)
        sub.set_defaults(run=run)
        return sub

    def with_json(sub: Parser) -> Parser:
        sub.add_argument("--json", action="store_true", help="print one JSON document")
        return sub

    launch = with_json(command("launch", _launch, "train one config over several seeds"))
    launch.add_argument("--name", required=True, help="name of the new group of runs")
    _add_seeds(launch)
    launch.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="SETTING=A,B,...",
        help="one group for each value, named NAME-SETTING-VALUE; several --vary make every combination. Values with "
        """commas as a JSON list: 'targets=["all","conv1,layer2.*"]'; an empty one is none""",
    )
    launch.instead = dict.fromkeys(RunConfig.model_fields, "; several values go into --vary")
    launch.add_argument("--priority", type=int, default=0, help="higher ones start first (default 0)")
    launch.add_argument("--engine", choices=list(ENGINES), default="local", help="this machine's queue, or SLURM")
    launch.add_argument(
        "--slurm",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="for this launch, as time=2:00:00 (docs/cluster.md)",
    )
    launch.add_argument("--wait", action="store_true", help="stay until all seeds are done, with a progress bar")
    _add_config(launch)

    show = with_json(command("show", _show, "the state and figures of groups, per seed and over seeds"))
    add_groups(show)
    groups = with_json(command("list", _list, "every group of a runs folder"))
    add_runs_dir(groups)
    evaluate = with_json(command("evaluate", _evaluate, "the selected models of groups on other labelled images"))
    add_groups(evaluate)
    evaluate.add_argument("--dataset", required=True, help="octmnist, npz:FILE, folder:DIR (all of it) or phantom")
    evaluate.add_argument("--data-dir", help="folder of MedMNIST's files (default the group's own)")
    evaluate.add_argument("--split", default="test", choices=("train", "val", "test"), help="of a file with splits")
    evaluate.add_argument("--class-names", type=_names, help="the data's classes in label order: CNV,DME,...")
    predict = with_json(command("predict", _predict, "probabilities and entropy of single images"))
    add_group(predict)
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    about = "what `launch` would take of memory, disk and time; trains a few steps, queues nothing"
    _add_seeds(before := with_json(command("preflight", _preflight, about)))
    before.add_argument("--classes", type=int, help="where the data are not here yet (default: counted, else 4)")
    _add_config(before)
    params = with_json(command("params", _params, "count a model's parameters; needs no weights"))
    params.add_argument("--classes", type=int, default=4)
    _add_config(params, only=MODEL)
    bench = with_json(command("bench", _bench, "time training steps of the methods against each other"))
    bench.add_argument("--methods", type=_names, default=["full", "head", "colora", "lora"], help="lora is PEFT's, r=8")
    bench.add_argument("--repeats", type=int, default=7, help="rounds (default 7)")
    bench.add_argument("--compile", action="store_true", help="under torch.compile, whose first steps take minutes")
    timed = (
        "backbone",
        "image_size",
        "batch_size",
        "order",
        "rank",
        "bias",
        "targets",
        "device",
        "precision",
        "threads",
    )
    _add_config(bench, only=timed)
    add_run_commands(command, with_json)
    add_file_commands(command, with_json)
    add_image_commands(command, with_json)
    add_cluster_command(command, with_json)
    return parser


def _add_seeds(parser: Parser) -> None:
    parser.add_argument("--seeds", help="such as 0-9 or 0,3,5 (default 0-2, or the preset's)")
    parser.add_argument("--preset", choices=list(BY_NAME), help="start from the settings of the form's preset")
    add_runs_dir(parser)


def _seeds(args: argparse.Namespace) -> list[int]:
    return parse_seeds(args.seeds or (BY_NAME[args.preset].seeds if args.preset else "0-2"))


def _add_config(parser: Parser, only: Sequence[str] = tuple(RunConfig.model_fields)) -> None:
    """One flag for each setting of RunConfig, with the setting's own description as help."""
    for name in only:
        field = RunConfig.model_fields[name]
        flag = "--" + name.replace("_", "-")
        about = str(field.description).replace("%", "%%")
        if field.annotation is bool:
            parser.add_argument(flag, dest=name, action="store_true", default=None, help=about)
            continue
        choices = typing.get_args(field.annotation) if typing.get_origin(field.annotation) is typing.Literal else None
        default = "" if field.default is None else f" (default {field.default})"
        parser.add_argument(flag, dest=name, metavar=_metavar(field.annotation, choices), help=about + default)


def _metavar(annotation: Any, choices: tuple[str, ...] | None) -> str:
    if choices:
        return "{" + ",".join(choices) + "}"
    if isinstance(annotation, types.UnionType):
        annotation = typing.get_args(annotation)[0]
    return {int: "N", float: "X", str: "TEXT"}.get(annotation, "A,B,...")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _launch(args: argparse.Namespace) -> int:
    from colora.engines.launch import launch_groups
    from colora.engines.slurm.site import asked_from

    configs = asked_groups(args)
    seeds, estimates = _seeds(args), Estimates(args.json)
    with Bar("ImageNet weights") as bar:
        wanted = (args.engine, asked_from(args.slurm))
        groups = launch_groups(args.runs_dir, configs, seeds, bar, args.priority, estimates.tell, *wanted)
    estimates.tell_total()
    tell_unused(args, configs)
    begun: dict[str, dict[str, Any]] = {}

    def start() -> None:
        for group in groups:
            begun[group.name] = engine_named(args.engine).start(group, args.priority)
            if remark := begun[group.name].get("remark"):
                print(f"{group.name}: SLURM remarks: {remark}", file=sys.stderr)

    if args.wait:
        code = follow(groups, start)
        if code is None:
            show_groups(groups, args.json, as_list=bool(args.vary))
        return max(report_end(Group(group.path)) for group in groups) if code is None else code
    start()
    started = [
        {
            "name": group.name,
            "path": str(group.path),
            "seeds": seeds,
            "estimate": estimates.document(group.name),
            "not_used": not_used(args, group.config),
            **begun[group.name],
        }
        for group in groups
    ]
    if args.json:
        print_json(started if args.vary else started[0])
        return 0
    for row in started:
        how = f"wait in SLURM as job {row['job']}" if "job" in row else "are queued and train in turn"
        print(f"{row['name']}: {len(seeds)} seeds {how}; see colora show {row['path']}")
    return 0


def _show(args: argparse.Namespace) -> int:
    groups = groups_of(args)
    for group in groups:
        look_beyond(group)
    show_groups(groups, args.json, as_list=len(groups) > 1)
    return 0


def _list(args: argparse.Namespace) -> int:
    rows = listing(args.runs_dir)
    if args.json:
        print_json(rows)
        return 0
    for row in rows:
        seeds = f"{row['done']} of {row['seeds']} done"
        mixed = f"  mixed: {seeds_text(row['apart'])} trained otherwise" if row["apart"] else ""
        print(f"{row['name']:<40} {row['state']:<8} {seeds:<13} {row['created'] or row['reason']}{mixed}")
    print("" if rows else f"No group in {args.runs_dir} yet.", end="" if rows else "\n")
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    groups, results = groups_of(args), []
    from colora.training.predict import evaluate_group

    for group in groups:
        with Bar(group.name, unit="") as bar:
            results.append(evaluate_group(group, args.dataset, args.split, args.class_names, args.data_dir, bar))
        if not args.json:
            show_evaluation(results[-1])
    if args.json:
        print_json(results if len(groups) > 1 else results[0])
    return 0


def _predict(args: argparse.Namespace) -> int:
    group = group_of(args)
    from colora.training.predict import predict_images

    result = predict_images(group, args.images)
    if args.json:
        print_json(result)
        return 0
    show_predictions(result)
    return 0


def _preflight(args: argparse.Namespace) -> int:
    """Exit code 0 also where it cannot fit: `refused` is the answer."""
    from colora.engines.launch import look_ahead

    config = absolute_paths(_config(args))
    found = look_ahead(config, len(_seeds(args)), args.runs_dir, args.classes)
    if args.json:
        print_json(found.as_dict())
    else:
        print(found.says() + (f"\nIt would be refused: {found.refused}" if found.refused else ""))
    return 0


def _params(args: argparse.Namespace) -> int:
    config = _config(args)
    from colora.adapters.model import count_parameters
    from colora.networks.backbones import build_meta
    from colora.networks.methods import apply_method

    if args.classes < 2:
        raise UserError(f"At least 2 classes are needed, got {args.classes}.")
    model = build_meta(config.backbone, args.classes, config.image_size)
    apply_method(model, config, seed=0)
    counts = count_parameters(model)
    about = {
        "backbone": config.backbone,
        "method": config.method,
        "image_size": config.image_size,
        "classes": args.classes,
    }
    if args.json:
        print_json(about | counts)
    else:
        print(
            "\n".join(
                f"{name:<10} {value if isinstance(value, str) else format(value, ',')}"
                for name, value in (about | counts).items()
            )
        )
    return 0


def _bench(args: argparse.Namespace) -> int:
    from colora.training.bench import bench

    result = bench(_config(args), args.methods, args.repeats, args.compile)
    if args.json:
        print_json(result)
        return 0
    how = f"{result['device']}, compiled" if result["compiled"] else result["device"]
    print(f"{result['backbone']}, {result['image_size']} px, batch {result['batch_size']}, {how}")
    for row in result["results"]:
        ratio = f"{row['ratio_to_full']:.3f} of full" if "ratio_to_full" in row else ""
        print(f"  {row['method']:<7} {row['seconds']:.3f} s  {ratio}  peak {size_text(row['peak_mib'] * 2**20)}")
    return 0
