"""One seed of one group, in one process: `python -m colora train --run-dir runs/GROUP/seed-00`.

Reads the run's config.json and writes everything else into its folder. Idempotent: a finished run returns at once, an
interrupted one continues after its last finished epoch with the same bits (on the CPU), since every random draw is
keyed by (seed, what, epoch or merge) and thread count, device and precision are fixed when the run first starts.

    epoch:  steps ─► merge ─► history ─► evaluate on merged weights ─► checkpoint ─► metrics ─► model, if best so far
"""

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from colora.adapters.history import save_epoch
from colora.adapters.summary import count_parameters
from colora.adapters.walk import adapted_convolutions, adapted_layers
from colora.data.check import keep_check
from colora.data.cuts import PINNED, Cut, pinned_cut
from colora.data.folds import held_out
from colora.data.prepare import RULE, Progress
from colora.data.sources import SPLITS, Dataset, load_dataset, training_labels, used_index, with_checksum
from colora.networks.backbones import build, load_weights
from colora.networks.methods import apply_method, settle_forms_
from colora.runs.folder import Group, Run, append_json, read_json_lines, write_bytes, write_json
from colora.runs.selection import selected_row
from colora.runs.siblings import check_siblings, layers_begun
from colora.runs.trained_said import says_few_reached, says_trained
from colora.settings.config import RunConfig
from colora.settings.resolved import Resolved
from colora.system.beside import sweep
from colora.system.environment import environment
from colora.system.errors import UserError
from colora.system.files import naming
from colora.system.storage import FULL, locked
from colora.training.checkpoint import (
    has_checkpoint,
    load_checkpoint,
    load_model,
    save_checkpoint,
    save_model,
    saved_model_epoch,
)
from colora.training.images import DeviceImages, choose_device, choose_precision
from colora.training.loop import Fit, make_optimizer
from colora.training.predictions import Trained, save_epoch_outputs, save_predictions
from colora.training.reporter import Reporter, Stopped, begun, heed

CHECK_SECONDS = 0.5  # how often preparing images looks for a stop and tells how far it is
LEFT_OUT = "data-problems.txt"
TENSORBOARD = "tensorboard"


def train_run(
    run_dir: Path, should_stop: Callable[[], bool] = lambda: False, taken_back: Callable[[], bool] = lambda: False
) -> int:
    """Trains the run to its end and returns the exit code: 0 done or stopped, 1 failed, 2 failed by a user's mistake.

    `should_stop` is asked now and then; the file `stop` in the run folder does the same. Where a stop was nobody's
    wish, since a cluster takes the place of this run back (`taken_back`), it does not stay stopped but waits.
    """
    with begun(run_dir) as reporter:
        return train(reporter, should_stop, taken_back) if reporter else 0


def train(reporter: Reporter, should_stop: Callable[[], bool], taken_back: Callable[[], bool]) -> int:
    """`train_run` of a run that tells of itself already."""
    run = reporter.run
    sweep(run.path, unmarked=True)
    try:
        _train(run, reporter, should_stop)
    except Stopped as stop:
        if taken_back():
            done = reporter.status["epoch"]
            reporter.end("queued", f"SLURM took its place back; it goes on after epoch {done} when it is run again.")
            return 0
        reporter.end(stop.state, str(stop))
        (run.path / "stop").unlink(missing_ok=True)
        return 0 if stop.state == "stopped" else 1
    except UserError as error:
        reporter.end("failed", str(error))
        print(f"failed: {error}", file=sys.stderr, flush=True)
        return 2
    except Exception as error:
        traceback.print_exc()  # into log.txt; the reason is for people
        reporter.end("failed", _reason(error, run))
        return 1
    reporter.end("done")
    print("done", flush=True)
    return 0


def _reason(error: Exception, run: Run) -> str:
    config = run.config
    text = str(error).strip().split("\n")[0]
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in text:
        return (
            f"Out of memory at batch size {config.batch_size} and {config.image_size} px: lower the batch size first, "
            "then the image size, or take a smaller backbone."
        )
    if isinstance(error, OSError) and error.errno in FULL:
        return f"The disk is full ({error.filename or run.path}): free some space, then resume this run."
    return f"An unexpected error, {type(error).__name__}: {text}. The log has the details."


def _train(run: Run, reporter: Reporter, should_stop: Callable[[], bool]) -> None:
    config, seed = run.config, run.seed
    torch.set_num_threads(run.resolved.threads if run.resolved else config.threads or torch.get_num_threads())
    dataset = load_dataset(config, _preparing(run, reporter, should_stop))
    cut = _cut(run, config)
    if cut:
        dataset = with_checksum(dataset, cut, config)
    used = used_index(dataset, config, cut)
    labels = training_labels(dataset, used, cut)
    out = held_out(dataset, config, used, labels, seed)
    model = build(config.backbone, dataset.classes, config.image_size, seed)
    resolved, device = _resolve(run, config, dataset, labels, cut, model)
    dataset = replace(dataset, known_checksum=resolved.data_checksum)  # not hashed again: it may be gigabytes
    keep_check(run.path.parent, dataset, config, _preparing(run, reporter, should_stop))
    reporter.write(state="running", preparing=None)
    print(f"seed {seed}: {config.method} on {config.backbone}, {device}, {resolved.threads} threads", flush=True)

    apply_method(model, config, seed, layers_begun(run, _siblings(run)))
    model.to(device, memory_format=torch.channels_last)
    if not resolved.parameters:
        settle_forms_(model, config, device, resolved.precision)
        resolved = _counted(model, resolved)
        run.write_resolved(resolved)
    for name, layer in adapted_convolutions(model).items():
        layer.form = resolved.forms.get(name, layer.form)
    if said := says_trained(resolved.parameters):
        print(said, flush=True)
    optimizer = make_optimizer(model, config)
    images = {name: DeviceImages(s.images, s.labels, device) for name, s in dataset.splits.items()}
    images["used"] = images["train"]
    if len(used) < len(dataset.splits["train"]) or (cut and cut.labels) or config.folds:
        images["used"] = images["train"].subset(used[~out], labels[~out])

    progress = load_checkpoint(run, model, optimizer) or {"epoch": 0, "merges": 0, "step": 0, "metrics": None}
    metrics = _take_up(run, model, resolved, progress)
    fit = Fit(run, config, seed, model, optimizer, images, resolved.precision, reporter, should_stop)
    fit.step, fit.merges = progress["step"], progress["merges"]
    with _tensorboard(run, progress["epoch"]) as board:
        for epoch in range(progress["epoch"] + 1, config.epochs + 1):
            row, merged, outputs = fit.epoch(epoch)
            save_epoch(run.path / "history", model, epoch, merged, write_bytes)
            save_epoch_outputs(run, epoch, outputs)
            save_checkpoint(
                run, model, optimizer, {"epoch": epoch, "merges": fit.merges, "step": fit.step, "metrics": row}
            )
            append_json(run.path / "metrics.jsonl", row)
            metrics.append(row)
            if selected_row(metrics, config.selection) == len(metrics) - 1:
                save_model(run, model, epoch, resolved)
            with naming(run.path / TENSORBOARD):
                for name, value in row.items():
                    if isinstance(value, float):
                        board.add_scalar(name.replace("_", "/", 1), value, epoch)
                board.flush()
            reporter.write(epoch=epoch, step=0)
            print(_line(row, config.epochs), flush=True)
    model = load_model(run, config, resolved).to(device)
    trained = Trained(used, out, labels if cut and cut.labels else None)
    stop_here = partial(heed, run, reporter, should_stop, "after the last epoch; resume goes on with the predictions.")
    save_predictions(run, model, dataset, images, trained, resolved.precision, stop_here)


def _cut(run: Run, config: RunConfig) -> Cut | None:
    """The group's own copy of its cut. Raises UserError where it is missing, or another than the run began with."""
    if config.cut is None:
        return None
    cut, place = pinned_cut(run.path.parent), run.path.parent / PINNED
    if cut is None:
        raise UserError(f"{place} is missing, and with it the images to train on: launch a new group on the cut.")
    if run.resolved and run.resolved.cut_hash != cut.hash:
        raise UserError(f"{place} has changed since this run started: launch a new group on the cut.")
    return cut


def _preparing(run: Run, reporter: Reporter, should_stop: Callable[[], bool]) -> Progress:
    """Tells status.json how many images are prepared, and ends it where the run is to stop."""
    looked = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal looked
        if time.monotonic() - looked < CHECK_SECONDS:
            return
        looked = time.monotonic()
        heed(run, reporter, should_stop, "while the images were prepared; resume prepares them anew.")
        reporter.write(preparing=[done, total])

    return tell


def _resolve(
    run: Run, config: RunConfig, dataset: Dataset, labels: np.ndarray, cut: Cut | None, model: nn.Module
) -> tuple[Resolved, torch.device]:
    """Fix, at the first start, what machine and files turned out to be; on resume, hold them to it. Both are held to
    what the other seeds of the group were trained on."""
    checksum = dataset.checksum()
    known = run.resolved
    if known:
        if known.data_checksum != checksum:
            raise UserError(f"The images of {config.dataset} have changed since this run started: launch a new group.")
        if not has_checkpoint(run):  # cut off in its first epoch: it begins again, from the same weights
            weights, _ = load_weights(model, config.backbone, config.weights, config.partial_weights)
            if weights != known.weights_checksum:
                raise UserError(
                    f"The weights {config.weights} have changed since this run started: launch a new group."
                )
        _join(run, known)
        return known, choose_device(known.device)
    try:
        device = choose_device(config.device)
    except ValueError as error:
        raise UserError(f"{str(error).capitalize()}: choose device 'auto' or 'cpu'.", field="device") from error
    weights_checksum, random_layers = load_weights(model, config.backbone, config.weights, config.partial_weights)
    warnings = list(dataset.warnings)
    if dataset.left_out:
        write_bytes(run.path / LEFT_OUT, ("\n".join(dataset.left_out) + "\n").encode())
        warnings.append(f"The file {LEFT_OUT} in each seed's folder lists the images left out, with the reasons.")
    if random_layers:
        warnings.append(
            f"{len(random_layers)} weights were not in the file and stayed random: {', '.join(random_layers)}."
        )
    if config.folds and dataset.splits["train"].patient_ids is None:
        warnings.append(
            "The folds are by image, since nothing tells the patients: a seed that leaves an image out may have "
            "learned from another one of the same eye, and wrong labels are harder to tell."
        )
    if config.selection == "paper":
        warnings.append("The epoch is chosen by test accuracy (the paper's rule), so test figures are optimistic.")
    counts = {name: dataset.counts(name) for name in SPLITS}
    counts["used"] = np.bincount(labels, minlength=dataset.classes).tolist()
    resolved = Resolved(
        device=str(device),
        precision=choose_precision(config.precision, device),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        class_names=list(dataset.class_names),
        class_names_given=dataset.class_names_given,
        data_source=dataset.source,
        data_checksum=checksum,
        synthetic=dataset.synthetic,
        split_rule=dataset.split_rule,
        preparation=RULE,
        class_counts=counts,
        weights_checksum=weights_checksum,
        random_layers=random_layers,
        parameters={},
        cut_hash=cut.hash if cut else None,
        warnings=warnings,
    )
    _join(run, resolved)
    write_json(run.path / "environment.json", environment(device))
    return resolved, device


def _join(run: Run, resolved: Resolved) -> None:
    """Write down what the seed is trained on, before it takes a step. One seed of the group at a time, so that of two
    that start at the same moment the later one meets what the first has written.

    Raises UserError where its siblings were trained on something else.
    """
    with locked(run.path.parent.resolve() / "siblings"):
        check_siblings(run, _siblings(run), resolved)
        if run.resolved is None:
            run.write_resolved(resolved)


def _siblings(run: Run) -> list[Run]:
    return [other for other in Group(run.path.parent).runs if other.seed != run.seed]


def _counted(model: nn.Module, resolved: Resolved) -> Resolved:
    """With the weights of the adapted model, how each of its adapted layers computes, and what that warns of."""
    counts = count_parameters(model)
    forms = {name: getattr(layer, "form", "plain") for name, layer in adapted_layers(model).items()}
    warned = [*resolved.warnings, *filter(None, [says_few_reached(counts)])]
    return resolved.model_copy(update={"parameters": counts, "forms": forms, "warnings": warned})


def _take_up(run: Run, model: nn.Module, resolved: Resolved, progress: dict[str, Any]) -> list[dict[str, Any]]:
    """Bring the folder back to the last checkpoint, whenever the run was cut off; returns the metrics so far."""
    metrics = [row for row in read_json_lines(run.path / "metrics.jsonl") if row["epoch"] < progress["epoch"]]
    if progress["metrics"]:
        metrics.append(progress["metrics"])
    lines = "".join(json.dumps(row) + "\n" for row in metrics)
    write_bytes(run.path / "metrics.jsonl", lines.encode())
    for part in ("checkpoint", "history", "predictions"):  # what a killed process was writing
        for path in (run.path / part).rglob(".*.tmp"):
            path.unlink()
    for path in (run.path / "history").glob("epoch-*.safetensors"):
        if int(path.stem.removeprefix("epoch-")) > progress["epoch"]:
            path.unlink()
    if metrics:
        best = metrics[selected_row(metrics, run.config.selection)]["epoch"]
        if best == progress["epoch"] and saved_model_epoch(run) != best:
            save_model(run, model, best, resolved)
    return metrics


@contextmanager
def _tensorboard(run: Run, epoch: int) -> Iterator[Any]:
    """Event files, so that `tensorboard --logdir runs` works; later epochs of an interrupted run are overwritten."""
    from torch.utils.tensorboard import SummaryWriter

    with naming(run.path / TENSORBOARD):
        board = SummaryWriter(str(run.path / TENSORBOARD), purge_step=epoch + 1)
    try:
        yield board
    finally:
        with naming(run.path / TENSORBOARD):
            board.close()


def _line(row: dict[str, Any], epochs: int) -> str:
    return (
        f"epoch {row['epoch']}/{epochs}: loss {row['train_loss']:.4f}, accuracy train {row['train_accuracy']:.3f} "
        f"validation {row['val_accuracy']:.3f} test {row['test_accuracy']:.3f}, {row['seconds']:.1f} s"
    )
