"""Before a run is queued: what it will take of memory, disk and time, and what cannot fit, with what to lower.

A rehearsal of a few seconds (`rehearsal`) tells of the network, arithmetic (`estimate`) of the rest. Disk is
within some per cent of what is written, memory up to a quarter above what is taken; time is as rough as the computer is
busy, and a range where it is. Imports no torch: what was rehearsed once is held against what is free later, too.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from colora.data.sizes import Sizes
from colora.runs.listing import trainings
from colora.settings.config import RunConfig
from colora.system.busy import NOTICED
from colora.system.duration import span
from colora.system.errors import UserError
from colora.system.process import Identity
from colora.system.storage import check_room, size_text
from colora.training.estimate import (
    Trial,
    disk_bytes,
    epoch_seconds,
    free_bytes,
    largest_batch_size,
    lower_what,
    memory_bytes,
    seed_seconds,
)


@dataclass(frozen=True)
class Estimate:
    """What one seed takes. Bytes and seconds; those per image hold for this machine as busy as it is now."""

    device: str
    memory_bytes: int
    memory_free_bytes: int  # each seed's share, where several train at once
    largest_batch_size: int  # that would fit, 0 if not even the network does
    disk_bytes: int
    seconds_per_image: float  # one training step's share
    eval_seconds_per_image: float  # of a network that only looks


@dataclass(frozen=True)
class Preflight:
    """An estimate against what there is, for a whole group. Times are None where the images cannot be counted.

    Seconds are as busy as this machine is now, `..._idle` as nothing else ran; the same where nothing does.
    """

    estimate: Estimate
    seeds: int
    slots: int  # seeds that train at the same time
    disk_free_bytes: int
    images: dict[str, int] | None  # used, train, val, test
    seconds_per_epoch: float | None
    seconds_per_seed: float | None
    seconds: float | None  # until all seeds are done, once the first has started
    refused: str | None  # what cannot fit, and what to lower
    field: str | None  # the setting that this is about
    seconds_per_epoch_idle: float | None
    seconds_per_seed_idle: float | None
    seconds_idle: float | None
    busy: str | None  # what else this machine does; None where it is idle
    measured: Trial
    classes: int  # of the network that was tried
    at_once: int  # seeds that share the device, for which it was

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the estimate's figures beside the others."""
        values = asdict(self)
        return values.pop("estimate") | values

    def says(self) -> str:
        """One line for people."""
        found, each, known = self.estimate, self.seeds > 1, self.seconds_per_seed is not None
        seed = span(self.seconds_per_seed_idle, self.seconds_per_seed) if known else "time is known after an epoch"
        whole = f"; {span(self.seconds_idle, self.seconds)} for all {self.seeds}" if known and each else ""
        busy = f" (busy now: {self.busy})" if self.busy and " to " in seed + whole else ""
        return (
            f"Estimated{' for each seed' if each else ''}: "
            f"{size_text(found.memory_bytes)} of memory ({size_text(found.memory_free_bytes)} free on {found.device}), "
            f"{size_text(found.disk_bytes)} of disk ({size_text(self.disk_free_bytes)} free), {seed}{whole}{busy}."
        )


def preflight(
    tried: Trial,
    config: RunConfig,
    seeds: int,
    runs_dir: Path,
    sizes: Sizes | None,
    classes: int,
    slots: int = 1,
    at_once: int = 1,  # seeds that share the device's memory
) -> Preflight:
    """From a rehearsal with as many `classes`, for as many seeds `at_once`; what cannot fit is said in `refused`."""
    there = next(folder for folder in (runs_dir.absolute(), *runs_dir.absolute().parents) if folder.exists())
    training = trainings(there)
    found = estimate(tried, config, sizes, classes, training[slots - 1 :], at_once)
    refused = field = None
    try:
        check_fit(config, found, seeds, there, at_once)
    except UserError as error:
        refused, field = str(error), error.field
    rounds = -(-seeds // slots)
    epochs = [epoch_seconds(tried, config, sizes, idle) if sizes else None for idle in (False, True)]
    each = [seed_seconds(tried, config, sizes, idle) if sizes else None for idle in (False, True)]
    return Preflight(
        estimate=found,
        seeds=seeds,
        slots=slots,
        disk_free_bytes=shutil.disk_usage(there).free,
        images={"used": sizes.used, **sizes.images} if sizes else None,
        seconds_per_epoch=epochs[0],
        seconds_per_seed=each[0],
        seconds=rounds * each[0] if sizes else None,
        refused=refused,
        field=field,
        seconds_per_epoch_idle=epochs[1],
        seconds_per_seed_idle=each[1],
        seconds_idle=rounds * each[1] if sizes else None,
        busy=busy_with(tried, len(training)),
        measured=tried,
        classes=classes,
        at_once=at_once,
    )


def estimate(
    tried: Trial,
    config: RunConfig,
    sizes: Sizes | None,
    classes: int,
    ahead: Sequence[Identity] = (),
    at_once: int = 1,
) -> Estimate:
    """What a rehearsal says of these settings, against the memory that is free now.

    The memory of the processes `ahead`, which will have ended by then, counts as free; of what is free each of the
    `at_once` seeds that train side by side has its share.
    """
    needed, free = memory_bytes(tried, config, sizes), free_bytes(tried, ahead) // at_once
    return Estimate(
        device=tried.device,
        memory_bytes=needed,
        memory_free_bytes=free,
        largest_batch_size=largest_batch_size(tried, config, needed, free),
        disk_bytes=disk_bytes(tried, config, sizes, classes),
        seconds_per_image=tried.seconds_per_image,
        eval_seconds_per_image=tried.eval_seconds_per_image,
    )


def busy_with(tried: Trial, running: int) -> str | None:
    """What else the processor did during the rehearsal; None where that is too little to be told from nothing."""
    if tried.others < NOTICED:
        return None
    if running:
        return "1 training runs" if running == 1 else f"{running} trainings run"
    return f"other programs take {tried.others:.0%} of the processor"


def check_fit(config: RunConfig, found: Estimate, seeds: int, runs_dir: Path, at_once: int = 1) -> None:
    """Raises UserError, with what to lower, where a run cannot fit into memory or the runs onto the disk."""
    if found.memory_bytes > found.memory_free_bytes:
        each = f" for each of the {at_once} seeds that train at once" if at_once > 1 else ""
        fewer = ", or train fewer at a time (colora supervise)" if at_once > 1 else ""
        raise UserError(
            f"Batch size {config.batch_size} at {config.image_size} px needs about {size_text(found.memory_bytes)} of "
            f"memory, but {size_text(found.memory_free_bytes)} are free on {found.device}{each}: "
            f"{lower_what(found.largest_batch_size)}{fewer}.",
            field="batch_size",
        )
    check_room(runs_dir, seeds * found.disk_bytes, f"The {seeds} run{'s' * (seeds > 1)}", "choose another --runs-dir")
