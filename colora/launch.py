"""From a config to queued seeds: check that they can train, and make the run folders. `colora.queue` does the rest."""

from pathlib import Path

from colora.config import RunConfig, absolute_paths
from colora.data import check_dataset
from colora.download import Progress, quiet
from colora.queue import order
from colora.queue.audit import record
from colora.queue.lock import editing
from colora.runs import Group, create_group


def launch(
    runs_dir: Path,
    name: str,
    config: RunConfig,
    seeds: list[int],
    on_progress: Progress = quiet,
    priority: int = 0,
) -> Group:
    """Checks data, model and weights, then makes the group with all seeds queued. `ensure_supervisor` starts them.

    ImageNet weights that are not on this machine are downloaded, which `on_progress` follows; data sets are not.
    Raises UserError, and leaves no folder behind, where the runs would certainly fail.
    """
    config, runs_dir = absolute_paths(config), Path(runs_dir)
    check_dataset(config)
    _check_model(config, on_progress)
    _check_fit(config, len(seeds), runs_dir)
    with editing(runs_dir):
        group = create_group(runs_dir, name, config, seeds, order.last_place(runs_dir, priority))
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


def _check_fit(config: RunConfig, seeds: int, runs_dir: Path) -> None:
    from colora.preflight import check_fit, estimate  # torch

    there = next(folder for folder in (runs_dir.absolute(), *runs_dir.absolute().parents) if folder.exists())
    check_fit(config, estimate(config), seeds, there)
