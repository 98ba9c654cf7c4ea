"""Which seeds of a group belong together: those trained on the same images, with the same classes, cut and weights.

Figures over seeds tell how a result varies with the random start, and mean that only where nothing else differs. So a
seed is held to its siblings when it starts (`check_siblings`). A group into which other files came before this was
checked is parted: the set that most finished seeds are of counts, then the one that most have started with, then that
of the lowest seed. Since only what fits this set can start, no later seed takes the figures away from it. The others
stand `apart`: whole, each to be looked at alone, and in no figure over seeds.
"""

from typing import Any

from colora.runs.folder import Group, Run
from colora.runs.ground import FIELDS, OTHER, Ground, apart, ground
from colora.settings.resolved import Resolved
from colora.settings.seeds import format_seeds
from colora.system.errors import UserError


def alike(group: Group, run: Run) -> list[Run]:
    """The seeds that were trained on what `run` was, itself among them."""
    return [other for other in group.runs if other.ground == run.ground]


def apart_rows(group: Group) -> list[dict[str, Any]]:
    """The seeds apart, one a row: seed, state, differs (`on other images`), than (the seeds that it differs from)."""
    if not group.apart:
        return []
    others = [run for run in group.runs if run.ground and run not in group.apart]
    than = [run.seed for run in others]
    return [
        {"seed": run.seed, "state": run.state, "differs": _differs(run.ground, others[0].ground), "than": than}
        for run in group.apart
    ]


def says_apart(about: dict[str, Any]) -> str | None:
    """A sentence on the seeds apart, of a document with `apart`; None where all belong together."""
    rows = about["apart"]
    if not rows:
        return None
    alike: dict[str, list[int]] = {}
    for row in rows:
        alike.setdefault(row["differs"], []).append(row["seed"])
    than = seeds_text(rows[0]["than"])
    each = (f"{seeds_text(who)} {'was' if len(who) == 1 else 'were'} trained {how}" for how, who in alike.items())
    they = "It is in no figure over seeds, but" if len(rows) == 1 else "They are in no figure over seeds, but each"
    return (
        f"A mixed group: {'; '.join(each)} than {than}. {they} can be evaluated alone; for figures over all seeds "
        "launch a new group."
    )


def layers_begun(run: Run, siblings: list[Run]) -> list[str]:
    """The layers that `run` adapts: those with which it began, else those of the siblings that have begun; empty where
    nobody has. `targets` may match others in another version, and seeds of one group have to train the same."""
    out = apart(siblings)
    counting = (other for other in siblings if other.ground and other not in out)
    return next((list(one.resolved.forms) for one in (run, *counting) if one.resolved and one.resolved.forms), [])


def check_siblings(run: Run, siblings: list[Run], resolved: Resolved) -> None:
    """Raises UserError where `run`, as it is about to start, does not fit the seeds of its group that have started."""
    own, out = ground({"resolved": resolved.model_dump(include=set(FIELDS))}), apart(siblings)
    others = [other for other in siblings if other.ground and other not in out]
    if not others or own == others[0].ground:
        return
    config, group = run.config, run.path.parent
    files = (config.dataset, config.dataset, group / "cut.json", config.weights)
    changed = [str(file) for file, a, b in zip(files, own, others[0].ground, strict=True) if a != b]
    raise UserError(
        f"Seed {run.seed} would be trained {_differs(own, others[0].ground)} than "
        f"{seeds_text(sorted(other.seed for other in others))} of {group.name}: {' and '.join(dict.fromkeys(changed))} "
        "changed since. Put the old file back and retry this seed, or launch a new group."
    )


def _differs(own: Ground, other: Ground) -> str:
    return " and ".join(words for words, a, b in zip(OTHER.values(), own, other, strict=True) if a != b)


def seeds_text(seeds: list[int]) -> str:
    """`seed 3`, `seeds 0-2,5`."""
    return f"seed{'s' * (len(seeds) != 1)} {format_seeds(seeds)}"
