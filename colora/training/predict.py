"""Finished models meet other images: `colora evaluate` on a labelled set, `colora predict` on single files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from colora.data.matching import match_classes, named
from colora.data.overlap import overlap, overlap_warnings
from colora.data.prepare import RULE, Converted, read_image
from colora.data.sources import load_outside
from colora.metrics import classification
from colora.metrics.over_seeds import Spread, ensemble
from colora.runs.finished import finished, under_way
from colora.runs.folder import Group, Run
from colora.runs.selection import SELECTION, selected_epoch
from colora.runs.siblings import apart_rows
from colora.settings.catalog import NOTICE
from colora.settings.config import FILES
from colora.settings.resolved import Resolved
from colora.system.download import Progress, quiet
from colora.system.errors import UserError
from colora.training.checkpoint import load_model
from colora.training.images import DeviceImages, choose_device, choose_precision, probabilities
from colora.training.loop import eval_batch_size


def evaluate_group(
    group: Group,
    data: Mapping[str, Any],
    split: str | None = None,
    leave_out_unknown: bool = False,
    on_progress: Progress = quiet,
) -> dict[str, Any]:
    """Every finished seed's selected model on other images, and of several their ensemble (the mean of their
    probabilities).

    `data` are settings of RunConfig that say which, such as {"dataset": "folder:DIR"}; a MedMNIST set is looked for in
    the folder that the group was launched with, unless `data_dir` names another. `split` as in `outside_split`.
    `on_progress` is called with ("preparing images" or "predicting with seeds", done, all).

    Raises UserError where no seed is done, the data cannot be read, or the classes do not fit.
    """
    runs, resolved = _finished(group)
    outside = load_outside(
        {"data_dir": group.config.data_dir, **data, "image_size": group.config.image_size},
        split,
        lambda done, total: on_progress("preparing images", done, total),
    )
    dataset, names = outside.dataset, resolved.class_names
    matched = match_classes(resolved, outside, leave_out_unknown)
    images, labels = matched.images, matched.images.labels
    found = overlap(runs[0], images)
    seeds, predicted = [], []
    for done, (run, model, device) in enumerate(_models(runs, resolved)):
        on_progress("predicting with seeds", done, len(runs))
        at_once = eval_batch_size(run.config, device)
        p = probabilities(model, DeviceImages(images.images, labels, device), at_once, choose_precision("auto", device))
        predicted.append(p)
        seeds.append(
            {"seed": run.seed, "selected_epoch": selected_epoch(run), **_report(labels, p, names, matched.absent)}
        )
    joint = _report(labels, ensemble(predicted), names, matched.absent) if len(seeds) > 1 else None
    return {
        "name": group.name,
        "n": len(images),
        "data": {
            "source": dataset.source,
            "split": outside.split,
            "synthetic": dataset.synthetic,
            "image_size": group.config.image_size,
            "preparation": RULE,
        },
        "class_names": names,
        "classes": matched.classes,
        "absent": list(matched.absent),
        "selection": {"rule": group.config.selection, "says": SELECTION[group.config.selection]},
        "seeds": seeds,
        "finished": len(runs),
        "under_way": under_way(group),
        "apart": apart_rows(group),
        "ensemble": joint,
        "over_seeds": {
            m: s.as_dict() if (s := Spread.of([x[m] for x in seeds])) else None for m in ("accuracy", "auc")
        },
        "overlap": found.as_dict(),
        "warnings": [
            *dataset.warnings,
            *matched.warnings,
            *_absent_warnings(matched.absent, names, seeds, joint),
            *overlap_warnings(found, images, group.config.selection, _ways_to_patients(dataset.source)),
        ],
        "left_out": list(dataset.left_out),
        "left_out_unknown": matched.left_out,
        "notice": NOTICE,
    }


def _report(labels: np.ndarray, p: np.ndarray, names: list[str], absent: tuple[str, ...]) -> dict[str, Any]:
    """`classification.report`, with how many images were called each class that none of them is of."""
    called = np.bincount(np.argmax(p, axis=1), minlength=len(names))
    so_called = {name: int(n) for name, n in zip(names, called, strict=True) if name in absent}
    return classification.report(labels, p, names) | {"called_absent": so_called}


def _absent_warnings(
    absent: tuple[str, ...], names: list[str], seeds: list[dict[str, Any]], joint: dict[str, Any] | None
) -> Iterator[str]:
    """What follows from classes of the models without an image."""
    if not absent:
        return
    there, n = [name for name in names if name not in absent], seeds[0]["n"]
    them = f"class {absent[0]}: its" if len(absent) == 1 else f"the classes {named(absent)}: their"
    if len(there) == 1:
        means = f"; all are of {there[0]}, so no AUC is defined, nor its specificity"
    else:
        means = f", and the mean AUC is over the other {len(there)} classes"
    called = [sum(row["called_absent"].values()) for row in seeds]
    low, high = min(called), max(called)
    wrong = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    if joint:
        wrong += f" by each seed, {sum(joint['called_absent'].values()):,} by the ensemble"
    yield (
        f"No image is of {them} sensitivity (recall), precision and AUC are not defined{means}. The accuracy is over "
        f"all {n:,} images. Called so, which is wrong for any of them: {wrong}."
    )


def _ways_to_patients(source: str) -> str:
    can = source.partition(":")[0] in FILES
    return "; --patient-pattern tells them where names of files or folders do" if can else ""


def predict_images(group: Group, paths: list[Path]) -> dict[str, Any]:
    """Every finished seed's probabilities and entropy for each image file, and their mean over seeds.

    Raises UserError for an image that does not open, or where no seed is done.
    """
    runs, resolved = _finished(group)
    size = group.config.image_size
    read, converted = [read_image(path, size) for path in paths], Converted()
    images = np.stack([image for image, _ in read])  # (N, S, S)
    for path, (_, kinds) in zip(paths, read, strict=True):
        converted.add(kinds, str(path))
    by_seed = {}
    for run, model, device in _models(runs, resolved):
        unlabelled = DeviceImages(images, np.zeros(len(images), dtype=np.int64), device)
        by_seed[run.seed] = probabilities(
            model, unlabelled, eval_batch_size(run.config, device), choose_precision("auto", device)
        )
    mean = ensemble(list(by_seed.values()))  # (N, C)
    names = resolved.class_names
    return {
        "name": group.name,
        "class_names": names,
        "data_trained_on": resolved.data_source,
        "synthetic_training": resolved.synthetic,
        "images": [
            {
                "path": str(path),
                "mean": _answer(mean[i], names),
                "seeds": [{"seed": seed, **_answer(p[i], names)} for seed, p in by_seed.items()],
            }
            for i, path in enumerate(paths)
        ],
        "finished": len(runs),
        "under_way": under_way(group),
        "apart": apart_rows(group),
        "image_warnings": converted.sentences(len(paths)),
        "warnings": resolved.warnings,
        "notice": NOTICE,
    }


def _answer(p: np.ndarray, names: list[str]) -> dict[str, Any]:
    return {
        "prediction": names[int(np.argmax(p))],
        "probabilities": {name: float(x) for name, x in zip(names, p, strict=True)},
        "entropy": float(classification.entropy(p[None])[0]),
    }


def _finished(group: Group) -> tuple[list[Run], Resolved]:
    runs = finished(group)
    if not runs or runs[0].resolved is None:
        raise UserError(f"{group.name} has no finished seed yet: it is {group.state}.")
    return runs, runs[0].resolved


def _models(runs: list[Run], resolved: Resolved) -> Iterator[tuple[Run, nn.Module, torch.device]]:
    """Each run's selected model, on the best device this machine has."""
    device = choose_device("auto")
    for run in runs:
        yield run, load_model(run, run.config, resolved).to(device), device
