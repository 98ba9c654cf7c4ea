"""What the settings on the Launch form take, from what was measured once and from what is free at this moment."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from colora.data.counts import ClassCounts
from colora.data.cuts import Cut
from colora.data.sizes import sizes_of
from colora.runs.listing import trainings
from colora.settings.config import RunConfig
from colora.system.busy import NOTICED
from colora.system.devices import Gpu
from colora.training.estimate import (
    Trial,
    disk_bytes,
    free_bytes,
    largest_batch_size,
    lower_what,
    memory_bytes,
    seed_seconds,
)
from pages.components.machine import machine_now
from pages.components.runs import runs_dir


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
    tried = with_free_memory(Trial(**answer["measured"]))
    sizes = sizes_of(classes, config, len(cut.image_ids) if cut else None) if classes else None
    count = len(config.class_names or (classes.class_names if classes else ())) or 4
    times = [seed_seconds(tried, config, sizes, idle) if sizes else None for idle in (False, True)]
    needed = memory_bytes(tried, config, sizes)
    return Taken(tried, answer["slots"], needed, disk_bytes(tried, config, sizes, count), *times)


def with_free_memory(tried: Trial) -> Trial:
    """Of a GPU with the memory that is free now, where the driver tells it: an answer may be hours old."""
    gpu = gpu_of(tried.device) if tried.gpu_bytes is not None else None
    return replace(tried, gpu_free_bytes=min(gpu.memory - gpu.memory_used, tried.gpu_bytes)) if gpu else tried


def gpu_of(device: str) -> Gpu | None:
    """The GPU that a run on `device` ("cuda", "cuda:1") takes, as it is now; None where the driver names none so."""
    place, visible = int(device.partition(":")[2] or 0), os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible is not None else []
    number = names[place].strip() if place < len(names) else str(place)
    return next((gpu for gpu in machine_now(runs_dir()).gpus if str(gpu.index) == number), None)


def busy_now(device: str) -> str | None:
    """`95 % of the processor are taken, as now`: what slows a run on `device`; None where that is little."""
    if device == "cpu":
        share, what = machine_now(runs_dir()).cpu_busy, "processor"
    else:
        gpu = gpu_of(device)
        share, what = (gpu.busy if gpu else None) or 0.0, "GPU"
    return f"{share:.0%} of the {what} are taken, as now" if share >= NOTICED else None


def too_much(row: Taken, config: RunConfig, folder: Path) -> str | None:
    """What to lower where a run would not fit now, not even when those that train have ended; None if it would."""
    free = free_bytes(row.tried, ())
    if row.memory_bytes > free:  # only then are all runs looked through
        free = free_bytes(row.tried, trainings(folder)[row.slots - 1 :])
    if row.memory_bytes <= free:
        return None
    return lower_what(largest_batch_size(row.tried, config, row.memory_bytes, free))
