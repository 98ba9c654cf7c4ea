"""From a config to queued seeds: check that they can train, and make the run folders. `colora.queue` does the rest."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from colora.config import RunConfig, absolute_paths
from colora.cuts import PINNED, read_cut
from colora.data import check_cut, check_dataset
from colora.data.sizes import dataset_sizes
from colora.download import Progress, quiet
from colora.errors import UserError
from colora.queue import order
from colora.queue.audit import record
from colora.queue.lock import editing
from colora.queue.supervisor import slot_count
from colora.runs import Group, check_name, create_group

if TYPE_CHECKING:
    from colora.preflight import Preflight


def launch(
    runs_dir: Path,
    name: str,
    config: RunConfig,
    seeds: list[int],
    on_progress: Progress = quiet,
    priority: int = 0,
    on_estimate: Callable[["Preflight"], None] = lambda found: None,
) -> Group:
    """Checks data, cut, model and weights, then makes the group with all seeds queued. `ensure_supervisor` starts them.

    ImageNet weights that are not on this machine are downloaded, which `on_progress` follows; data sets are not.
    `on_estimate` is told what the runs will take before they are queued, or refused for it.
    Raises UserError, and leaves no folder behind, where the runs would certainly fail.
    """
    config, runs_dir = absolute_paths(config), Path(runs_dir)
    check_name(runs_dir, name)
    check_dataset(config)
    cut = read_cut(runs_dir, config.cut) if config.cut else None
    if cut:
        check_cut(config, cut)
    _check_model(config, on_progress)
    _check_fit(config, len(seeds), runs_dir, on_estimate)
    with editing(runs_dir):
        place = order.last_place(runs_dir, priority)
        group = create_group(runs_dir, name, config, seeds, place, {PINNED: cut.model_dump()} if cut else None)
    record(runs_dir, "launch", name, seeds)
    return group


def _check_model(config: RunConfig, on_progress: Progress) -> None:
    from colora.backbones import build_meta, matching_weights, weights_file  # torch, which pages do without
    from colora.methods import apply_method

    model = build_meta(config.backbone, 2, config.image_size)
    if config.weights != "none":
        path = weights_file(config.backbone, config.weights, on_progress)
        matching_weights(model, config.backbone, path, config.partial_weights)
    apply_method(model, config, seed=0)


def _check_fit(config: RunConfig, seeds: int, runs_dir: Path, on_estimate: Callable[["Preflight"], None]) -> None:
    found = look_ahead(config, seeds, runs_dir)
    on_estimate(found)
    if found.refused:
        raise UserError(found.refused, field=found.field)


def look_ahead(config: RunConfig, seeds: int, runs_dir: Path, classes: int | None = None) -> "Preflight":
    """What these runs will take, on the slots that train them. Raises UserError for bad data or networks."""
    from colora.preflight import preflight  # torch

    return preflight(config, seeds, Path(runs_dir), dataset_sizes(config), slot_count(runs_dir), classes)
