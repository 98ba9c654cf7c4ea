"""From the flags of a command to settings and groups, and what `launch` tells of the groups before they start."""

import argparse
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from colora.settings.config import RunConfig, make_config
from colora.settings.presets import PRESETS
from colora.settings.relevance import unused
from colora.settings.vary import groups_of, parse_all, settled
from colora.system.errors import UserError

if TYPE_CHECKING:
    from colora.training.preflight import Preflight

BY_NAME = {preset.name: preset for preset in PRESETS}


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
    if not hasattr(args, "weights"):  # params and bench count and time; they take no weights
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
