"""From the flags of a command to settings, seeds and groups: one flag for each setting, with its own description."""

import argparse
import sys
import types
import typing
from collections.abc import Collection, Sequence
from typing import Any

from colora.cli.arguments import Parser
from colora.cli.groups import add_runs_dir
from colora.settings.config import RunConfig, make_config
from colora.settings.presets import PRESETS
from colora.settings.relevance import unused
from colora.settings.seeds import parse_seeds
from colora.settings.unusual import unusual
from colora.settings.vary import groups_of, parse_all, settled
from colora.system.errors import UserError

BY_NAME = {preset.name: preset for preset in PRESETS}


def add_seeds(parser: Parser) -> None:
    """`--seeds`, `--preset` and the runs folder."""
    parser.add_argument("--seeds", help="such as 0-9 or 0,3,5 (default 0-2, or the preset's)")
    parser.add_argument("--preset", choices=list(BY_NAME), help="start from the settings of the form's preset")
    add_runs_dir(parser)


def add_config(parser: Parser, only: Sequence[str] = tuple(RunConfig.model_fields)) -> None:
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


def names(text: str) -> list[str]:
    """The parts of `A,B,...`."""
    return [name.strip() for name in text.split(",")]


def asked_seeds(args: argparse.Namespace) -> list[int]:
    """What --seeds names; by default the preset's, else 0 to 2."""
    return parse_seeds(args.seeds or (BY_NAME[args.preset].seeds if args.preset else "0-2"))


def asked_config(args: argparse.Namespace) -> RunConfig:
    """The one config that the flags, and their preset, ask for. Raises UserError for a wrong one."""
    values, given = _asked(args)
    _check_cut(args, bool(values.get("cut")))
    return make_config(settled(values, given=given))


def asked_groups(args: argparse.Namespace) -> dict[str, RunConfig]:
    """{name: config} of the groups that `launch` is to make. Raises UserError as `vary.groups_of`."""
    values, given = _asked(args)
    several = parse_all(args.vary)
    _check_cut(args, bool(values.get("cut")) or "cut" in several)
    return groups_of(args.name, values, several, given)


def _asked(args: argparse.Namespace) -> tuple[dict[str, Any], Collection[str]]:
    """Settings as `make_config` takes them, and which of them flags gave, and not the preset."""
    preset = getattr(args, "preset", None)
    given = {n: v for n in RunConfig.model_fields if (v := getattr(args, n, None)) is not None}
    values = (dict(BY_NAME[preset].values) if preset else {}) | given
    if not hasattr(args, "weights"):  # bench times, and takes no weights
        values["weights"] = "none"
    return values, given.keys()


def _check_cut(args: argparse.Namespace, named: bool) -> None:
    preset = getattr(args, "preset", None)
    if preset and BY_NAME[preset].distilled and not named:
        raise UserError(f"The preset {preset} trains on a distilled cut: name one with --cut.", field="cut")


def not_used(args: argparse.Namespace, config: RunConfig) -> dict[str, str]:
    """{setting: why it is not used} of those that were asked for by a flag and do nothing in this group."""
    _, given = _asked(args)
    return {field: why for field, why in unused(config.model_dump()).items() if field in given}


def tell_unused(args: argparse.Namespace, configs: dict[str, RunConfig]) -> None:
    """A line on stderr for each setting that was asked for and does nothing, in all of the groups or in some."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, config in configs.items():
        for field, why in not_used(args, config).items():
            found.setdefault((field, why), []).append(name)
    for (field, why), names in found.items():
        by = "" if len(names) == len(configs) else f" by {', '.join(names)}"
        print(f"{field} is not used{by}: {why}.", file=sys.stderr)


def tell_unusual(configs: dict[str, RunConfig], seeds: int) -> None:
    """A line on stderr for each value that hardly anybody means; the browser's form asks about them."""
    said = {f"{field}: {said}": None for config in configs.values() for field, said in unusual(config, seeds).items()}
    for line in said:
        print(line, file=sys.stderr)
