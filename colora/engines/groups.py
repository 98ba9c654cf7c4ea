"""From configs to queued seeds: check that they can train, and make all their run folders or none. The engines do the
rest.

How a model is looked at is the caller's: `launch` builds it and takes a training step, `known` has been told of both
already. Imports no torch, not even in a function, so that the app's server can launch.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from colora.data.check import document
from colora.data.cuts import PINNED, read_cut
from colora.data.dataset import Dataset
from colora.data.folds import check_folds, check_seeds
from colora.data.sizes import dataset_sizes
from colora.data.sources import check_cut, outline
from colora.engines.engine import engine_named
from colora.queue import order
from colora.queue.slots import sharing
from colora.queue.supervisor import slot_names
from colora.runs.access import check
from colora.runs.audit import record
from colora.runs.documents import DATA
from colora.runs.folder import Group, check_name, create_group
from colora.runs.limits import Limits
from colora.runs.lock import editing
from colora.settings.config import DATA_FIELDS, RunConfig, absolute_paths
from colora.system.errors import UserError
from colora.system.storage import Stop, never
from colora.training.estimate import Trial
from colora.training.preflight import Preflight, preflight
from colora.training.total import check_disk

NO_LIMITS = Limits()
NO_MATTER = {"lr": 1.0, "lr_head": None}  # to whether a run can train, and to what it takes


class Look(Protocol):
    """Whether a model can be built with its weights, and what its runs will take; None where that is another machine's
    business. Raises UserError for a model or weights that cannot be."""

    def __call__(self, name: str, config: RunConfig, runs: int, data: Dataset) -> Preflight | None:
        """Of the group `name`, launched among so many `runs`, on data that are known without their pixels."""


def make_groups(
    runs_dir: Path,
    configs: dict[str, RunConfig],
    seeds: list[int],
    look: Look,
    priority: int = 0,
    on_estimate: Callable[[str, Preflight], None] = lambda name, found: None,
    engine: str = "local",
    asked: dict[str, Any] | None = None,
    limits: Limits = NO_LIMITS,
    should_stop: Stop = never,
) -> list[Group]:
    """Checks data, cuts, models and weights, then makes every group, by name, with all seeds queued, or none of them;
    the options are those of `launch.launch_groups`. Raises UserError, and leaves no folder behind, where the runs would
    certainly fail."""
    runs_dir = Path(runs_dir)
    check("launch", runs_dir, ", ".join(configs))
    configs = {name: absolute_paths(config) for name, config in configs.items()}
    if limits != NO_LIMITS and engine != "local":
        raise UserError(
            "--max-silence and --max-hours are kept by this machine's queue: a cluster has its own time limit, --slurm "
            "time=2:00:00.",
            field=next(iter(limits.as_dict())),
        )
    for name, config in configs.items():
        check_name(runs_dir, name)
        check_seeds(config.folds, seeds)
        engine_named(engine).check(runs_dir, name, seeds, asked or {}, priority)
    cuts = {config.cut: read_cut(runs_dir, config.cut) for config in configs.values() if config.cut}
    found: list[Preflight] = []
    outlines: dict[str, Dataset] = {}  # of the data of each group, without the pixels
    measured: dict[str, Preflight | None] = {}  # what differs in nothing that matters to it is measured once
    for name, config in configs.items():
        alike = config.model_copy(update=NO_MATTER).model_dump_json()
        with _naming(name, of_several=len(configs) > 1):
            data = config.model_dump_json(include=set(DATA_FIELDS))
            if data not in outlines:
                outlines[data] = outline(config)
            if alike not in measured:
                if config.cut:
                    check_cut(config, cuts[config.cut])
                check_folds(outlines[data], config)
                measured[alike] = look(name, config, len(seeds) * len(configs), outlines[data])
            if one := measured[alike]:
                on_estimate(name, one)
                if one.refused:
                    raise UserError(one.refused, field=one.field)
                found.append(one)
    if len(found) > 1:
        check_disk(found, runs_dir)
    with editing(runs_dir, should_stop):
        groups: list[Group] = []
        try:
            for name, config in configs.items():
                documents = {DATA: document(outlines[config.model_dump_json(include=set(DATA_FIELDS))], config)}
                if config.cut:
                    documents[PINNED] = cuts[config.cut].model_dump()
                place = order.last_place(runs_dir, priority)
                more = place, documents, engine, asked, limits.as_dict()
                groups.append(create_group(runs_dir, name, config, seeds, *more))
            for group in groups:
                by = {} if engine == "local" else {"engine": engine}
                record(runs_dir, "launch", group.name, seeds, **by)
        except BaseException:  # Ctrl-C too
            for group in groups:  # nobody has seen them: nothing starts while the queue is being edited
                shutil.rmtree(group.path)
            raise
    return groups


@contextmanager
def _naming(name: str, of_several: bool) -> Iterator[None]:
    """Which of several groups a refusal is about."""
    try:
        yield
    except UserError as error:
        if not of_several:
            raise
        raise UserError(f"{name}: {error}", field=error.field) from error


def ahead(
    config: RunConfig,
    seeds: int,
    runs_dir: Path,
    trial: Callable[[int, int], Trial],
    classes: int | None = None,
    runs: int | None = None,
    data: Dataset | None = None,
) -> Preflight:
    """What these seeds will take, on the slots that train them, launched among so many `runs` (default: alone); `data`
    as `dataset_sizes` has it. `trial` finds what a step takes with so many classes and seeds at once. Raises UserError
    for bad data, and what `trial` raises."""
    slots = slot_names(runs_dir)
    at_once = min(runs or seeds, sharing(slots))
    cut_images = len(read_cut(runs_dir, config.cut).image_ids) if config.cut else None
    sizes = dataset_sizes(config, cut_images, data)
    classes = classes or (sizes.classes if sizes else 4)
    return preflight(trial(classes, at_once), config, seeds, Path(runs_dir), sizes, classes, len(slots), at_once)
