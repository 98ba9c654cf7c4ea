"""What credits a distillation: the groups that tell the cut's share in a result from balancing, size and method.

balanced    as the cut's source group, on the balanced set
distilled   the same, on the cut
random      the same, on as many images of each class drawn at random from the cut's pool
full        full fine-tuning on the cut
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from colora.data.cuts import ALONE, Cut, pinned_cut
from colora.data.rules import make_rule
from colora.distillation.distil import distil, pool_of
from colora.distillation.scores import SeedPredictions, read_predictions
from colora.runs.folder import Group, open_group
from colora.runs.names import check_file_name
from colora.settings.config import RunConfig, make_config
from colora.system.errors import UserError

ANOTHER_PREFIX = "give another --prefix"
FULL_LR = 1e-4  # at Adam's default rate full fine-tuning of a small set collapses


@dataclass(frozen=True)
class Arm:
    """One group of the comparison; `exists`: it was trained or launched before, with exactly this config and cut."""

    role: str
    group: str
    about: str
    config: RunConfig
    exists: bool

    def as_dict(self) -> dict[str, Any]:
        return {"role": self.role, "group": self.group, "about": self.about, "exists": self.exists}


@dataclass(frozen=True)
class Plan:
    """The arms, the seeds of the new groups, and the random cut that is saved with the launch."""

    arms: list[Arm]
    seeds: list[int]
    random_cut: Cut


def plan_comparison(
    runs_dir: Path, cut: Cut, prefix: str, seeds: list[int] | None = None, full_lr: float = FULL_LR
) -> Plan:
    """What a comparison needs; nothing is written. New groups are named PREFIX-ROLE; seeds: default the source group's.

    Raises UserError where the cut's source group is gone or on other data, or a name is taken by something else.
    """
    runs_dir = Path(runs_dir)
    if cut.rule.kind == "random":
        raise UserError(f"The cut {cut.name} was drawn at random: compare one made by a score or by verdicts.")
    if not cut.source.group:
        raise UserError(
            f"The cut {cut.name} was made from {cut.made_from}, so there is no group to compare it with: launch one on "
            "the cut and one without it."
        )
    source = open_group(runs_dir / cut.source.group)
    predictions = read_predictions(source, "train")
    if predictions.data_checksum != cut.data_checksum:
        raise UserError(f"{source.name} is on other data than the cut {cut.name}: make the cut anew.", field="cut")
    base, seeds = source.config.model_copy(update={"cut": None, "folds": None}), seeds or source.info["seeds"]
    drawn = _random_cut(predictions, cut)
    balanced = _changed(base, train_set="balanced", per_class=base.per_class)
    wanted = [
        ("balanced", balanced, None, "as the source group, on the balanced set"),
        ("distilled", _changed(base, **ALONE, cut=cut.name), cut, f"the same, on the cut {cut.name}"),
        ("random", _changed(base, **ALONE, cut=drawn.name), drawn, "the same, on as many images drawn at random"),
    ]
    if base.method != "full":
        full = _changed(base, **ALONE, cut=cut.name, method="full", lr=full_lr, **_colora_defaults())
        wanted.append(("full", full, cut, f"full fine-tuning on the cut {cut.name}, rate {full_lr:g}"))
    for role, *_ in wanted:
        check_file_name(f"{prefix}-{role}", "a group", "prefix")
    arms = [_arm(runs_dir, source, role, f"{prefix}-{role}", *rest, seeds) for role, *rest in wanted]
    return Plan(arms, seeds, drawn)


def _changed(config: RunConfig, **changes: Any) -> RunConfig:
    return make_config(config.model_dump() | changes)


def _colora_defaults() -> dict[str, Any]:
    """What full fine-tuning does not use, as it is by default."""
    fields = RunConfig.model_fields.items()
    return {name: field.default for name, field in fields if field.json_schema_extra["section"] == "CoLoRA"}


def _random_cut(predictions: SeedPredictions, cut: Cut) -> Cut:
    """As many images of each class as the cut has, from its pool; of a class into which labels were corrected at most
    what the pool has."""
    pool = pool_of(predictions.images, cut.pool)
    there = np.bincount(pool["label"], minlength=len(cut.class_names))
    each = np.minimum(cut.counts["kept"], there).tolist()
    whose = cut.source.whose
    rule = make_rule(kind="random", keep_each=each)
    return distil(predictions, f"{cut.name}-random", rule, int(whose) if whose.isdecimal() else whose, cut.pool)


def _arm(
    runs_dir: Path,
    source: Group,
    role: str,
    name: str,
    config: RunConfig,
    cut: Cut | None,
    about: str,
    seeds: list[int],
) -> Arm:
    if role == "balanced" and _is(source, config, cut, seeds):
        return Arm(role, source.name, "the source group itself", config, exists=True)
    if (runs_dir / name / "group.json").exists():
        if not _is(Group(runs_dir / name), config, cut, seeds):
            raise UserError(f"A group named {name} exists and is something else: {ANOTHER_PREFIX}.", field="prefix")
        return Arm(role, name, about, config, exists=True)
    return Arm(role, name, about, config, exists=False)


def _is(group: Group, config: RunConfig, cut: Cut | None, seeds: list[int]) -> bool:
    """Whether a group has this config, this cut's images, and these seeds."""
    pinned = pinned_cut(group.path)
    same_cut = (pinned.hash if pinned else None) == (cut.hash if cut else None)
    return same_cut and group.config == config and set(seeds) <= set(group.info["seeds"])
