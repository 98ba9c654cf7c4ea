"""From a config to queued seeds: check that they can train, and make the run folders. The engines do the rest."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from colora.runs.access import check, named_place
from colora.runs.audit import record
from colora.runs.documents import DATA
from colora.runs.folder import Group, check_name, create_group
from colora.runs.limits import Limits
from colora.runs.lock import editing
from colora.settings.config import DATA_FIELDS, KNOWN_WEIGHTS, RunConfig, absolute_paths
from colora.system.download import Progress, quiet
from colora.system.errors import UserError
from colora.training.total import check_disk

if TYPE_CHECKING:
    from colora.training.preflight import Preflight

NO_LIMITS = Limits()
NO_MATTER = {"lr": 1.0, "lr_head": None}  # to whether a run can train, and to what it takes


def launch(runs_dir: Path, name: str, config: RunConfig, seeds: list[int], **options: Any) -> Group:
    """One group, with the options of `launch_groups`."""
    return launch_groups(runs_dir, {name: config}, seeds, **options)[0]


def launch_groups(
    runs_dir: Path,
    configs: dict[str, RunConfig],
    seeds: list[int],
    on_progress: Progress = quiet,
    priority: int = 0,
    on_estimate: Callable[[str, "Preflight"], None] = lambda name, found: None,
    engine: str = "local",
    asked: dict[str, Any] | None = None,
    limits: Limits = NO_LIMITS,
) -> list[Group]:
    """Checks data, cuts, models and weights, then makes every group, by name, with all seeds queued, or none of them.

    Their engine's `start` starts them. ImageNet weights that are not on this machine are downloaded, which
    `on_progress` follows; data sets are not. `on_estimate` is told, with each group's name, what its runs will take
    before any is queued, or refused for it; on a cluster memory and GPU are another machine's. `asked` is what this
    launch asks of it beyond its site file; `limits` are this machine's to keep. Raises UserError, and leaves no folder
    behind, where the runs would certainly fail.
    """
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
                _check_model(config, on_progress)
                runs = len(seeds) * len(configs)
                measured[alike] = (
                    look_ahead(config, len(seeds), runs_dir, runs=runs, data=outlines[data])
                    if engine == "local"
                    else None
                )
            if one := measured[alike]:
                on_estimate(name, one)
                if one.refused:
                    raise UserError(one.refused, field=one.field)
                found.append(one)
    if len(found) > 1:
        check_disk(found, runs_dir)
    with editing(runs_dir):
        groups: list[Group] = []
        try:
            for name, config in configs.items():
                documents = {DATA: document(outlines[config.model_dump_json(include=set(DATA_FIELDS))], config)}
                if config.cut:
                    documents[PINNED] = cuts[config.cut].model_dump()
                place = order.last_place(runs_dir, priority)
                more = place, documents, engine, asked, limits.as_dict()
                groups.append(create_group(runs_dir, name, config, seeds, *more))
        except BaseException:  # Ctrl-C too
            for group in groups:  # nobody has seen them: nothing starts while the queue is being edited
                shutil.rmtree(group.path)
            raise
    for group in groups:
        record(runs_dir, "launch", group.name, seeds, **({} if engine == "local" else {"engine": engine}))
    return groups


def _check_model(config: RunConfig, on_progress: Progress) -> None:
    from colora.networks.backbones import build_meta, matching_weights, weights_file  # torch, which pages do without
    from colora.networks.methods import apply_method

    model = build_meta(config.backbone, 2, config.image_size)
    if config.weights != "none":
        if config.weights not in KNOWN_WEIGHTS:
            named_place(config.weights, "weights")
        path = weights_file(config.backbone, config.weights, on_progress)
        matching_weights(model, config.backbone, path, config.partial_weights)
    apply_method(model, config, seed=0)


@contextmanager
def _naming(name: str, of_several: bool) -> Iterator[None]:
    """Which of several groups a refusal is about."""
    try:
        yield
    except UserError as error:
        if not of_several:
            raise
        raise UserError(f"{name}: {error}", field=error.field) from error


def look_ahead(
    config: RunConfig,
    seeds: int,
    runs_dir: Path,
    classes: int | None = None,
    runs: int | None = None,
    data: Dataset | None = None,
) -> "Preflight":
    """What these seeds will take, on the slots that train them, launched among so many `runs` (default: alone); `data`
    as `dataset_sizes` has it. Raises UserError for bad data or networks."""
    from colora.training.preflight import preflight  # torch

    slots = slot_names(runs_dir)
    at_once = min(runs or seeds, sharing(slots))
    cut_images = len(read_cut(runs_dir, config.cut).image_ids) if config.cut else None
    sizes = dataset_sizes(config, cut_images, data)
    return preflight(config, seeds, Path(runs_dir), sizes, len(slots), classes, at_once)
