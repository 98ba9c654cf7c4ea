"""Several values of some settings: one group for each combination, under names that say the values.

    {"method": ["colora", "head"], "lr": ["1e-3", "1e-4"]}
    -> NAME-method-colora-lr-0.001, NAME-method-colora-lr-0.0001, NAME-method-head-lr-0.001, NAME-method-head-lr-0.0001

The command line and the form both come here, so that a command which the form shows makes what the form makes.
"""

import json
import shlex
import types
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from colora.settings.catalog import BACKBONES
from colora.settings.config import RunConfig, absolute_paths, make_config
from colora.settings.group_names import named
from colora.settings.relevance import config_checksum, unused
from colora.system.errors import UserError

MOST = 50  # groups at once; a slip of the keyboard makes no thousand
EMPTY = ("", "none")  # of a setting that may be empty
Several = Mapping[str, Sequence[Any]]  # {setting: its values}


def parse_vary(text: str) -> tuple[str, list[Any]]:
    """`"lr=1e-3, 3e-3"` -> `("lr", ["1e-3", "3e-3"])`; values with commas of their own come as a JSON list, as in
    `'targets=["all", "conv1,layer2.*"]'`. Raises UserError for anything else."""
    field, equals, values = text.partition("=")
    field, values = field.strip().replace("-", "_"), values.strip()
    if not equals or field not in RunConfig.model_fields or not values.strip(", "):
        raise UserError(f"'{text}' is no setting with values: write it as lr=1e-3,3e-3 or rank=1,2,4.", field="vary")
    if not values.startswith("["):
        parts = [part.strip() for part in values.removesuffix(",").split(",")]
        return field, [None if optional(field) and part.lower() in EMPTY else part for part in parts]
    try:
        listed = json.loads(values)
    except ValueError as error:
        raise UserError(
            f"'{text}' begins with [ and is no JSON list ({error}): write it as targets=[\"all\",\"conv1,layer2.*\"].",
            field="vary",
        ) from error
    if not listed:
        raise UserError(f"'{text}' has no value.", field="vary")
    return field, listed


def parse_all(texts: Sequence[str]) -> dict[str, list[Any]]:
    """What several --vary ask for: {setting: values}, in their order. Raises UserError for a setting that is there
    twice."""
    several: dict[str, list[Any]] = {}
    for field, values in map(parse_vary, texts):
        if field in several:
            raise UserError(f"{field} is varied twice: write all its values into one --vary.", field="vary")
        several[field] = values
    return several


def vary_flags(several: Several) -> list[str]:
    """The inverse of `parse_all`, as arguments: `["--vary=lr=0.001,0.003"]`."""
    return [f"--vary={field}={_listed(field, values)}" for field, values in several.items()]


def _listed(field: str, values: Sequence[Any]) -> str:
    """With commas between them where that reads back as the same values, else as a JSON list."""
    texts = ["none" if value is None else value if isinstance(value, str) else json.dumps(value) for value in values]
    as_read = [value if value is None else text for value, text in zip(values, texts, strict=True)]
    try:
        plain = parse_vary(f"{field}={','.join(texts)}") == (field, as_read)
    except UserError:
        plain = False
    return ",".join(texts) if plain else json.dumps(list(values), ensure_ascii=False)


def optional(field: str) -> bool:
    """Whether a setting may be empty."""
    return isinstance(RunConfig.model_fields[field].annotation, types.UnionType)


def combinations(several: Several) -> list[dict[str, Any]]:
    """Each combination of the values, the last setting's changing fastest; a single empty one of none. Raises UserError
    for too many."""
    count = prod(len(values) for values in several.values())
    if count > MOST:
        each = " and ".join(f"{field} ({len(values)} values)" for field, values in several.items())
        raise UserError(f"{each} make {count:,} groups; at most {MOST} are made at once.", field=next(iter(several)))
    return [dict(zip(several, values, strict=True)) for values in product(*several.values())]


def settled(values: Mapping[str, Any], several: Collection[str] = (), given: Collection[str] = ()) -> dict[str, Any]:
    """One group's settings, where what nobody asked for by itself (`given`) gives way to what was asked for.

    A cut takes the place of a preset's balanced set; each of several backbones has its own pretrained weights; n of the
    balanced set is for the balanced one of several training sets.
    """
    values = dict(values)
    if values.get("cut") and "train_set" not in {*given, *several}:
        values.pop("train_set", None)
        values.pop("per_class", None)
    if "train_set" in several and "per_class" not in several and values["train_set"] != "balanced":
        values.pop("per_class", None)
    own = "backbone" in several and not {"weights"} & {*given, *several}
    if own and values.get("weights", "imagenet") in ("imagenet", "shipped"):
        about = BACKBONES.get(str(values["backbone"]).partition(":")[0])
        values |= {"weights": about.pretrained} if about else {}
    return values


def groups_of(
    name: str, values: Mapping[str, Any], several: Several, given: Collection[str] = ()
) -> dict[str, RunConfig]:
    """{name of the group: its config} of every combination of `several` over the other settings, `values`; `given` are
    those that were asked for one by one, and not by a preset.

    One group named `name` where nothing is varied. Raises UserError for a value that is wrong or there twice, for a
    setting that is both given and varied, and where two groups would train alike: a varied setting is not used.
    """
    if both := [field for field in several if field in given]:
        raise UserError(f"{both[0]} is given a value and varied: leave one of the two out.", field=both[0])
    configs = [
        make_config(settled({**values, **combination}, several, given))
        for combination in combinations(several)
    ]
    for field, listed in several.items():
        _refuse_twice(field, listed, configs, several)
    _refuse_unused(configs, several)
    groups = dict(zip(named(name, configs, list(several)), configs, strict=True))
    _refuse_alike(groups, several)
    return groups


def _refuse_twice(field: str, listed: Sequence[Any], configs: list[RunConfig], several: Several) -> None:
    step = prod(len(values) for values in list(several.values())[list(several).index(field) + 1 :])
    found: list[Any] = []
    for place, value in enumerate(listed):
        if (plain := getattr(configs[place * step], field)) in found:
            raise UserError(f"{field}: {'none' if value is None else value} is there twice.", field=field)
        found.append(plain)


def _refuse_unused(configs: list[RunConfig], several: Several) -> None:
    """Raises UserError where one of the groups does not use a varied setting, with the launches to make instead."""
    idle = [unused(config.model_dump()) for config in configs]
    for field in several:
        if why := next((reasons[field] for reasons in idle if field in reasons), None):
            using = [config for config, reasons in zip(configs, idle, strict=True) if field not in reasons]
            without = [config for config, reasons in zip(configs, idle, strict=True) if field in reasons]
            raise UserError(_says_unused(field, why, using, without, several), field=field)


def _says_unused(
    field: str, why: str, using: list[RunConfig], without: list[RunConfig], several: Several
) -> str:
    if not using:
        return f"{field} is varied but not used: {why}. Its groups would be equal, so leave it out."
    says = f"{field} is varied, but not all groups use it: {why}. "
    for other in several:
        with_it, rest = (_values_of(other, part) for part in (using, without))
        if other != field and not any(value in rest for value in with_it):
            one = {**several, other: with_it}
            two = {name: values for name, values in {**several, other: rest}.items() if name != field}
            return says + f"Launch twice: with {_shown(one)}, and with {_shown(two)}."
    return says + f"Launch those that use {field} apart from the others."


def _values_of(field: str, configs: list[RunConfig]) -> list[Any]:
    values: list[Any] = []
    for config in configs:
        if (value := getattr(config, field)) not in values:
            values.append(value)
    return values


def _shown(several: Several) -> str:
    return " ".join(f"--vary {shlex.quote(flag.removeprefix('--vary='))}" for flag in vary_flags(several))


def _refuse_alike(groups: dict[str, RunConfig], several: Several) -> None:
    seen: dict[str, str] = {}
    for name, config in groups.items():
        other = seen.setdefault(config_checksum(absolute_paths(config)), name)
        if other != name:
            field = next(field for field in several if getattr(config, field) != getattr(groups[other], field))
            raise UserError(f"{other} and {name} would train alike: leave one of the two out.", field=field)
