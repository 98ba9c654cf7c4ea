"""From a config to queued seeds, with the model built, its weights matched and a training step taken beforehand. The
engines do the rest."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colora.data.dataset import Dataset
from colora.engines.groups import NO_LIMITS, ahead, make_groups
from colora.runs.access import named_place
from colora.runs.folder import Group
from colora.runs.limits import Limits
from colora.settings.config import KNOWN_WEIGHTS, RunConfig
from colora.system.download import Progress, quiet
from colora.system.files import FileStamp, file_stamp
from colora.training.preflight import Preflight

if TYPE_CHECKING:
    from torch.nn import Sequential


def launch(runs_dir: Path, name: str, config: RunConfig, seeds: list[int], **options: Any) -> Group:
    """One group, with the options of `launch_groups`."""
    return launch_groups(runs_dir, {name: config}, seeds, **options)[0]


def launch_groups(
    runs_dir: Path,
    configs: dict[str, RunConfig],
    seeds: list[int],
    on_progress: Progress = quiet,
    priority: int = 0,
    on_estimate: Callable[[str, Preflight], None] = lambda name, found: None,
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

    def look(name: str, config: RunConfig, runs: int, data: Dataset) -> Preflight | None:
        _check_model(config, on_progress)
        return look_ahead(config, len(seeds), Path(runs_dir), runs=runs, data=data) if engine == "local" else None

    return make_groups(runs_dir, configs, seeds, look, priority, on_estimate, engine, asked, limits)


def _check_model(config: RunConfig, on_progress: Progress) -> None:
    from colora.networks.backbones import build_meta  # torch, which others do without
    from colora.networks.methods import apply_method

    model = build_meta(config.backbone, 2, config.image_size)
    match_weights(config, model, on_progress)
    apply_method(model, config, seed=0)


def match_weights(
    config: RunConfig, model: "Sequential", on_progress: Progress = quiet
) -> tuple[Path, FileStamp | None] | None:
    """The file that a run starts from, and its state before it was read; None with random weights. Raises UserError
    where it may not be named, cannot be had, or does not fit the model."""
    from colora.networks.backbones import matching_weights, weights_file

    if config.weights == "none":
        return None
    if config.weights not in KNOWN_WEIGHTS:
        named_place(config.weights, "weights")
    path = weights_file(config.backbone, config.weights, on_progress)
    stamp = file_stamp(path)
    matching_weights(model, config.backbone, path, config.partial_weights)
    return path, stamp


def look_ahead(
    config: RunConfig,
    seeds: int,
    runs_dir: Path,
    classes: int | None = None,
    runs: int | None = None,
    data: Dataset | None = None,
) -> Preflight:
    """`groups.ahead`, with a rehearsal. Raises UserError for bad data or networks."""
    from colora.training.rehearsal import rehearse  # torch

    return ahead(config, seeds, runs_dir, partial(rehearse, config), classes, runs, data)
