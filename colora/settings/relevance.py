"""Which settings a run uses. One table, which the form, `launch`, the comparison, `show` and the checksum all read.

A setting that changes nothing of what a run computes is not used by it: varied, it would give groups with the same
bits; told apart by it, two equal groups would look different. Every setting stands in ALWAYS or in RULES, so that a new
one has to be thought of. A rule may call a setting used that happens to change nothing (a network cut before its batch
norm), never the other way round. Imports no torch.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from colora.settings.catalog import BACKBONES
from colora.settings.config import FILES, KNOWN_WEIGHTS, SOURCES, RunConfig

Values = Mapping[str, Any]  # of every setting; those of a form that is being filled in may be wrong, or None


@dataclass(frozen=True)
class Rule:
    """When a setting is not used, and why: a sentence without its full stop, to be filled with the settings."""

    unused: Callable[[Values], bool]
    why: str


def _source(values: Values) -> str:
    return values["dataset"].partition(":")[0]


def _backbone(values: Values) -> str:
    return values["backbone"].partition(":")[0]


def _no_batch_norm(values: Values) -> bool:
    about = BACKBONES.get(_backbone(values))
    return about is not None and not about.batch_norm


def _no_linear_layers(values: Values) -> bool:
    about = BACKBONES.get(_backbone(values))
    return about is not None and not about.linear


def _nothing_follows_a_merge(values: Values) -> bool:
    """The first merge comes after the last step, or never. How many steps there are is known when a run starts."""
    every, epochs = values["merge_every"], values["epochs"]
    return values["merge_unit"] == "epochs" and None not in (every, epochs) and every >= epochs


ADAPTERS = Rule(lambda v: v["method"] != "colora", "method {method} has no adapters")
SPLIT = Rule(
    lambda v: _source(v) not in FILES, "only a folder or a table is split here, and {source} brings its own splits"
)
LINKS = Rule(lambda v: _source(v) not in FILES, "only a folder or a table has links, and {source} is none")

RULES: dict[str, tuple[Rule, ...]] = {
    "data_dir": (Rule(lambda v: _source(v) in SOURCES, "it is where MedMNIST's sets lie, and {source} is none"),),
    "layout": (Rule(lambda v: _source(v) != "folder", "it is about a folder's sub-folders, and {source} is none"),),
    "columns": (Rule(lambda v: _source(v) != "table", "it is about a table, and {source} is none"),),
    "patient_pattern": (SPLIT,),
    "ignore_splits": (SPLIT,),
    "split_seed": (SPLIT,),
    "data_roots": (LINKS,),
    "per_class": (
        Rule(lambda v: v["train_set"] != "balanced", "it is the n of the balanced set, and train_set is {train_set}"),
    ),
    "partial_weights": (
        Rule(lambda v: v["weights"] in KNOWN_WEIGHTS, "it is about a weights file, and weights is {weights}"),
    ),
    "order": (ADAPTERS,),
    "rank": (ADAPTERS,),
    "pointwise_rank": (ADAPTERS,),
    "layers": (ADAPTERS, Rule(_no_linear_layers, "{network} has convolutions alone outside the head")),
    "bias": (ADAPTERS,),
    "targets": (ADAPTERS,),
    "merge_every": (ADAPTERS,),
    "merge_unit": (ADAPTERS,),
    "optimizer_at_merge": (
        ADAPTERS,
        Rule(_nothing_follows_a_merge, "merging every {merge_every} of {epochs} epochs, nothing trains after a merge"),
    ),
    "lr": (
        Rule(
            lambda v: v["method"] == "head" and v["lr_head"] is not None,
            "method head with lr_head trains the head alone, at that rate",
        ),
    ),
    "batch_norm": (Rule(_no_batch_norm, "{network} has no batch norm"),),
}
ALWAYS = frozenset(
    {
        "dataset", "class_names", "train_set", "cut", "folds", "image_size", "augment", "backbone", "weights", "method",
        "epochs", "batch_size", "lr_head", "schedule", "eps", "train_figures", "selection",
        "device", "precision", "threads",
    }
)  # fmt: skip

DECIDING = (  # which settings the rules look at
    "dataset", "train_set", "backbone", "weights", "method", "merge_every", "merge_unit", "epochs", "lr_head",
)  # fmt: skip


def unused(values: Values) -> dict[str, str]:
    """{setting: why it is not used beside the others, without a full stop}."""
    words = {**values, "source": _source(values), "network": _backbone(values)}
    return {
        field: next(rule.why for rule in rules if rule.unused(values)).format(**words)
        for field, rules in RULES.items()
        if any(rule.unused(values) for rule in rules)
    }


def in_effect(config: RunConfig) -> dict[str, Any]:
    """The settings that a run of this config uses, in their declared order."""
    values = config.model_dump()
    idle = unused(values)
    return {field: value for field, value in values.items() if field not in idle}


def config_checksum(config: RunConfig) -> str:
    """SHA-256, 64 hex digits, of the settings in effect as canonical JSON: equal where two configs train alike.

    What comes to the same is written alike: a head without a rate of its own has lr's, and method head has that rate
    alone; a merge later than the last epoch never comes; a pointwise factor without a rank is whole, and without folds
    nothing is left out, as before there were these settings: the checksums of that time hold.
    """
    content = in_effect(config)
    content["lr_head"] = config.lr if config.lr_head is None else config.lr_head
    if config.method == "head":
        content.pop("lr", None)
    if config.method == "colora" and config.merge_unit == "epochs" and config.merge_every > config.epochs:
        content["merge_every"] = None
    for later in ("pointwise_rank", "folds"):
        if content.get(later) is None:
            content.pop(later, None)
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()  # a path may not be UTF-8
