"""What several groups that wait in one queue take together, from what each takes."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from colora.system.duration import span
from colora.system.storage import check_room, size_text
from colora.training.preflight import Preflight


@dataclass(frozen=True)
class Total:
    groups: int
    runs: int
    disk_bytes: int
    disk_free_bytes: int
    seconds: float | None  # until all runs are done, once the first has started; None where one's time is not known
    seconds_idle: float | None  # the same as nothing else ran on this machine

    def says(self) -> str:
        """One line for people."""
        known = self.seconds is not None
        time = span(self.seconds_idle, self.seconds) if known else "time is known after an epoch"
        disk = f"{size_text(self.disk_bytes)} of disk ({size_text(self.disk_free_bytes)} free)"
        return f"All {self.groups} groups, {self.runs} runs: {disk}, {time}."


def total(found: Sequence[Preflight]) -> Total:
    """Of at least one group, in the order of the queue: each run begins where a slot is free first."""
    known = all(one.seconds_per_seed is not None for one in found)
    return Total(
        groups=len(found),
        runs=sum(one.seeds for one in found),
        disk_bytes=sum(one.seeds * one.estimate.disk_bytes for one in found),
        disk_free_bytes=min(one.disk_free_bytes for one in found),
        seconds=_until_done([one.seconds_per_seed for one in found], found) if known else None,
        seconds_idle=_until_done([one.seconds_per_seed_idle for one in found], found) if known else None,
    )


def _until_done(seconds: Sequence[float], found: Sequence[Preflight]) -> float:
    """`seconds` of one seed of each group."""
    slots = [0.0] * found[0].slots
    for each, one in zip(seconds, found, strict=True):
        for _ in range(one.seeds):
            heapq.heapreplace(slots, slots[0] + each)
    return max(slots)


def check_disk(found: Sequence[Preflight], runs_dir: Path) -> None:
    """Raises UserError where groups of which each fits onto the disk do not fit together."""
    all_of_them, place = total(found), Path(runs_dir).absolute()
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    check_room(there, all_of_them.disk_bytes, f"The {all_of_them.runs} runs", "choose another --runs-dir")
