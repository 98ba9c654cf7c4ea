"""What the settings on the Launch form take, from what was measured once and from what is free at this moment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colora.config import RunConfig
from colora.cuts import Cut
from colora.data.counts import ClassCounts
from colora.data.sizes import sizes_of
from colora.estimate import Trial, disk_bytes, largest_batch_size, memory_bytes, seed_seconds
from colora.preflight import free_bytes, lower_what, trainings


@dataclass(frozen=True)
class Taken:
    """What one seed takes: bytes, and seconds now and on an idle computer, None where the images are not counted."""

    tried: Trial
    slots: int
    memory_bytes: int
    disk_bytes: int
    seconds: float | None
    idle_seconds: float | None

    @property
    def device(self) -> str:
        return self.tried.device


def taken(answer: dict[str, Any], config: RunConfig, classes: ClassCounts | None, cut: Cut | None) -> Taken:
    """From the answer of `colora preflight` to what these settings take, those that it was not asked for included."""
    tried = Trial(**answer["measured"])
    sizes = sizes_of(classes, config, len(cut.image_ids) if cut else None) if classes else None
    count = len(config.class_names or (classes.class_names if classes else ())) or 4
    times = [seed_seconds(tried, config, sizes, idle) if sizes else None for idle in (False, True)]
    needed = memory_bytes(tried, config, sizes)
    return Taken(tried, answer["slots"], needed, disk_bytes(tried, config, sizes, count), *times)


def too_much(row: Taken, config: RunConfig, runs_dir: Path) -> str | None:
    """What to lower where a run would not fit now, not even when those that train have ended; None if it would."""
    free = free_bytes(row.tried, ())
    if row.memory_bytes > free:  # only then are all runs looked through
        free = free_bytes(row.tried, trainings(runs_dir)[row.slots - 1 :])
    if row.memory_bytes <= free:
        return None
    return lower_what(largest_batch_size(row.tried, config, row.memory_bytes, free))
