"""What a seed was trained on, and which seeds of a group that parts from the others.

Knows of config.json what `ground` reads, so that a listing of thousands of runs can ask.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

Ground = tuple[Any, ...]
"""What a seed was trained on, in the order of OTHER; random weights and no cut are None."""

OTHER = {
    "data_checksum": "on other images",
    "class_names": "with other classes",
    "cut_hash": "on another cut",
    "weights_checksum": "from other weights",
}
FIELDS = tuple(OTHER)


def ground(document: dict[str, Any]) -> Ground | None:
    """Of a run's config.json, in which a field may be missing that is newer than it; None before the first start."""
    resolved = document.get("resolved")
    return tuple(map(resolved.get, FIELDS)) if resolved else None


class Grounded(Protocol):
    """A seed's run, as far as `apart` asks."""

    seed: int
    state: str
    ground: Ground | None


R = TypeVar("R", bound=Grounded)


def apart(runs: Sequence[R]) -> list[R]:
    """The seeds that do not belong to the set that counts; none that has never started."""
    grounds = [run.ground for run in runs]
    first = next(filter(None, grounds), None)
    if all(own is None or own == first for own in grounds):
        return []
    sets: list[list[R]] = []
    for run in (known := [run for run in runs if run.ground]):
        own = next((one for one in sets if one[0].ground == run.ground), None)
        sets.append([run]) if own is None else own.append(run)
    counts = max(sets, key=lambda one: (sum(r.state == "done" for r in one), len(one), -min(r.seed for r in one)))
    return [run for run in known if run not in counts]
