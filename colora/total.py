"""What several groups that wait in one queue take together, from what each takes."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from colora.duration import duration
from colora.storage import check_room, size_text

if TYPE_CHECKING:
    from colora.preflight import Preflight


@dataclass(frozen=True)
class Total:
    groups: int
    runs: int
    disk_bytes: int
    disk_free_bytes: int
    seconds: float | None  # until all runs are done, once the first has started; None where one's time is not known

    def says(self) -> str:
        """One line for people."""
        time = "time is known after an epoch" if self.seconds is None else duration(self.seconds)
        disk = f"{size_text(self.disk_bytes)} of disk ({size_text(self.disk_free_bytes)} free)"
        return f"All {self.groups} groups, {self.runs} runs: {disk}, {time}."


def total(found: Sequence["Preflight"]) -> Total:
    """Of at least one group, in the order of the queue: each run begins where a slot is free first."""
    slots = [0.0] * found[0].slots
    known = all(one.seconds_per_seed is not None for one in found)
    for one in found if known else ():
        for _ in range(one.seeds):
            heapq.heapreplace(slots, slots[0] + one.seconds_per_seed)
    return Total(
        groups=len(found),
        runs=sum(one.seeds for one in found),
        disk_bytes=sum(one.seeds * one.estimate.disk_bytes for one in found),
        disk_free_bytes=min(one.disk_free_bytes for one in found),
        seconds=max(slots) if known else None,
    )


def check_disk(found: Sequence["Preflight"], runs_dir: Path) -> None:
    """Raises UserError where groups of which each fits onto the disk do not fit together."""
    all_of_them, place = total(found), Path(runs_dir).absolute()
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    check_room(there, all_of_them.disk_bytes, f"The {all_of_them.runs} runs", "choose another --runs-dir")
