"""Which seeds of a group count: figures over seeds are of the finished ones that were trained alike (`siblings`); of
the others those that have not finished are told as under way.

A seed that has not finished stands at an epoch of its own. Pooled with finished ones its figures would compare a short
training with long ones, and be others a minute later. Every page and command that says something over seeds asks here.
"""

from typing import Any

from colora.runs.folder import Group, Run
from colora.runs.siblings import says_apart
from colora.settings.seeds import format_seeds


def is_finished(run: Run) -> bool:
    """Only a seed that is done: one that was stopped, failed or lost may go on, and then select another epoch."""
    return run.state == "done"


def finished(group: Group) -> list[Run]:
    """The seeds that count."""
    return [run for run in group.runs if is_finished(run) and run not in group.apart]


def under_way(group: Group) -> list[dict[str, Any]]:
    """The seeds that may count later, one a row: seed, state, epoch, epochs, says (`stopped at epoch 7 of 12`)."""
    rows = []
    for run in group.runs:
        if not is_finished(run) and run not in group.apart:
            status = run.status
            row = {"seed": run.seed, "state": status["state"], "epoch": status["epoch"], "epochs": status["epochs"]}
            rows.append(row | {"says": standing(row)})
    return rows


def standing(row: dict[str, Any]) -> str:
    """`running at epoch 7 of 12`, of a row with state, epoch (the last that ended) and epochs; before the first epoch
    has ended the state alone."""
    return f"{row['state']} at epoch {row['epoch']} of {row['epochs']}" if row["epoch"] else row["state"]


def counted(count: int, seeds: int) -> str:
    """`3 seeds`, `2 of 3 seeds`: how many stand behind a figure, of how many the group has."""
    return f"{count} seed{'s' * (count != 1)}" if count == seeds else f"{count} of {seeds} seed{'s' * (seeds != 1)}"


def seeds_of(about: dict[str, Any]) -> int:
    """How many seeds the group has, of a document with `finished`, `under_way` and `apart`."""
    return about["finished"] + len(about["under_way"]) + len(about["apart"])


def says_not_counted(about: dict[str, Any]) -> list[str]:
    """A sentence on the seeds apart, and one on those under way, of such a document; none where all seeds count."""
    return [said for said in (says_apart(about), says_under_way(about)) if said]


def says_under_way(about: dict[str, Any]) -> str | None:
    """A sentence on the seeds that have not finished, of such a document; None where all have."""
    count, rows = about["finished"], about["under_way"]
    if not rows:
        return None
    seeds = seeds_of(about)
    if count:
        they = "is finished, and only it counts" if count == 1 else "are finished, and only they count"
        begin = f"{counted(count, seeds)} {they} in figures over seeds."
    else:
        begin = "No seed has finished yet, so there are no figures over seeds."
    alike: dict[str, list[int]] = {}
    for row in rows:
        alike.setdefault(row["says"], []).append(row["seed"])
    each = (f"seed{'s' * (len(who) > 1)} {format_seeds(who)} {says}" for says, who in alike.items())
    return f"{begin} Not finished: {'; '.join(each)}."


def says_reached(epochs: list[int], seeds: int) -> str:
    """`3 of 4 seeds up to epoch 4, 2 up to 7`: how many of the group's `seeds` stand behind each epoch of a curve, of
    the epochs that each one that counts has finished; empty where none has."""
    counts = {step: sum(epoch >= step for epoch in epochs) for step in sorted({epoch for epoch in epochs if epoch})}
    parts = [f"{count} up to {step}" for step, count in counts.items()]
    if parts:
        first, count = next(iter(counts.items()))
        parts[0] = f"{counted(count, seeds)} up to epoch {first}"
    return ", ".join(parts)
