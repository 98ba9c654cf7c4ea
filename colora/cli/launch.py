"""`launch`: one config over several seeds, or a group for each of several values, queued with what they will take."""

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from colora.cli.asked import add_config, add_seeds, asked_groups, asked_seeds, not_used, tell_unused, tell_unusual
from colora.cli.printing import print_json, show_groups
from colora.cli.progress import Bar
from colora.cli.runs import follow, report_end
from colora.engines.engine import ENGINES, engine_named
from colora.runs.folder import Group
from colora.runs.limits import limits_of_texts
from colora.settings.config import RunConfig

if TYPE_CHECKING:
    from colora.training.preflight import Preflight


def add_launch_command(command: Callable, with_json: Callable) -> None:
    """Registers it; `command` and `with_json` are the command line's own."""
    launch = with_json(command("launch", _launch, "train one config over several seeds"))
    launch.add_argument("--name", required=True, help="name of the new group of runs")
    add_seeds(launch)
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
    about = "end a seed whose training tells nothing for so long, at least 30 s; not with SLURM"
    launch.add_argument("--max-silence", metavar="SECONDS", help=about)
    about = "end a seed that runs longer, counted anew from each resume; on SLURM use --slurm time=2:00:00"
    launch.add_argument("--max-hours", metavar="HOURS", help=about)
    launch.add_argument("--wait", action="store_true", help="stay until all seeds are done, with a progress bar")
    add_config(launch)


def _launch(args: argparse.Namespace) -> int:
    from colora.engines.launch import launch_groups
    from colora.engines.slurm.site import asked_from

    configs = asked_groups(args)
    seeds, estimates = asked_seeds(args), Estimates(args.json)
    limits = limits_of_texts({"max_silence": args.max_silence, "max_hours": args.max_hours})
    with Bar("ImageNet weights") as bar:
        wanted = (args.engine, asked_from(args.slurm), limits)
        groups = launch_groups(args.runs_dir, configs, seeds, bar, args.priority, estimates.tell, *wanted)
    estimates.tell_total()
    tell_unused(args, configs)
    tell_unusual(configs, len(seeds))
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
        one = len(seeds) == 1
        how = f"{'waits' if one else 'wait'} in SLURM as job {row.get('job')}"
        if "job" not in row:
            how = "is queued and trains in its turn" if one else "are queued and train in turn"
        print(f"{row['name']}: {len(seeds)} {'seed' if one else 'seeds'} {how}; see colora show {row['path']}")
    return 0


class Estimates(dict[str, "Preflight"]):
    """What each group will take, by its name; told as it becomes known, unless one JSON document is to be all."""

    def __init__(self, silent: bool):
        super().__init__()
        self.silent = silent

    def tell(self, name: str, found: "Preflight") -> None:
        self[name] = found
        if not self.silent and not found.refused:
            print(f"{name}: {found.says()}", flush=True)

    def tell_total(self) -> None:
        """One line for several groups together."""
        from colora.training.total import total

        if len(self) > 1 and not self.silent:
            print(total(list(self.values())).says(), flush=True)

    def document(self, name: str) -> dict[str, Any] | None:
        return self[name].as_dict() if name in self else None
