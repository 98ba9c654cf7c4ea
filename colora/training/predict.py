"""Finished models meet other images: `colora evaluate` on a labelled set, `colora predict` on single files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from colora.data.prepare import RULE, Converted, read_image
from colora.data.sources import Dataset, load_outside
from colora.metrics import classification
from colora.metrics.over_seeds import Spread, ensemble
from colora.runs.finished import finished, under_way
from colora.runs.folder import Group, Run
from colora.runs.selection import SELECTION, selected_epoch
from colora.runs.siblings import apart_rows
from colora.settings.catalog import NOTICE
from colora.settings.config import Resolved
from colora.system.download import Progress, quiet
from colora.system.errors import UserError
from colora.training.checkpoint import load_model
from colora.training.images import DeviceImages, choose_device, choose_precision, probabilities
from colora.training.loop import eval_batch_size


def evaluate_group(
    group: Group,
    spec: str,
    split: str = "test",
    class_names: list[str] | None = None,
    data_dir: str | None = None,
    on_progress: Progress = quiet,
) -> dict[str, Any]:
    """Every finished seed's selected model on `spec`, and of several their ensemble (the mean of their probabilities):
    every image of a folder, or one split of a file or set.

    `data_dir` has the files of a MedMNIST set; by default the folder that the group was launched with. `on_progress` is
    called with ("preparing images" or "predicting with seeds", done, all).

    Raises UserError where no seed is done, the data cannot be read, or the classes do not fit.
    """
    runs, resolved = _finished(group)
    dataset, split = load_outside(
        spec,
        group.config.image_size,
        split,
        class_names,
        data_dir or group.config.data_dir,
        lambda done, total: on_progress("preparing images", done, total),
    )
    outside = dataset.splits[split]
    to_model, warnings = match_classes(resolved, dataset)
    labels = to_model[outside.labels]
    warnings = [*dataset.warnings, *warnings, *_overlap(runs[0], outside.patient_ids)]
    seeds, predicted = [], []
    for done, (run, model, device) in enumerate(_models(runs, resolved)):
        on_progress("predicting with seeds", done, len(runs))
        images = DeviceImages(outside.images, labels, device)
        p = probabilities(model, images, eval_batch_size(run.config, device), choose_precision("auto", device))
        predicted.append(p)
        report = classification.report(labels, p, resolved.class_names)
        seeds.append({"seed": run.seed, "selected_epoch": selected_epoch(run), **report})
    return {
        "name": group.name,
        "n": len(outside),
        "data": {
            "source": dataset.source,
            "split": split,
            "synthetic": dataset.synthetic,
            "image_size": group.config.image_size,
            "preparation": RULE,
        },
        "class_names": resolved.class_names,
        "selection": {"rule": group.config.selection, "says": SELECTION[group.config.selection]},
        "seeds": seeds,
        "finished": len(runs),
        "under_way": under_way(group),
        "apart": apart_rows(group),
        "ensemble": (
            classification.report(labels, ensemble(predicted), resolved.class_names) if len(seeds) > 1 else None
        ),
        "over_seeds": {
            m: s.as_dict() if (s := Spread.of([x[m] for x in seeds])) else None for m in ("accuracy", "auc")
        },
        "warnings": warnings,
        "left_out": list(dataset.left_out),
        "notice": NOTICE,
    }


def match_classes(resolved: Resolved, dataset: Dataset) -> tuple[np.ndarray, list[str]]:
    """(C,) model label of each data label, with warnings: by name where both sides have names, else by sorted order.

    Raises UserError where the numbers of classes differ, or the names do.
    """
    ours, theirs = resolved.class_names, list(dataset.class_names)
    if len(ours) != len(theirs):
        raise UserError(
            f"The models know {len(ours)} classes ({', '.join(ours)}), but {dataset.source} has {len(theirs)} "
            f"({', '.join(theirs)}).",
            field="dataset",
        )
    if resolved.class_names_given and dataset.class_names_given:
        position = {name.casefold(): c for c, name in enumerate(ours)}
        unknown = [name for name in theirs if name.casefold() not in position]
        if unknown:
            raise UserError(
                f"{dataset.source} has the class {unknown[0]}, unknown to the models; they know {', '.join(ours)}. "
                "Name the data's classes in label order with --class-names.",
                field="class_names",
            )
        return np.array([position[name.casefold()] for name in theirs]), []
    order = np.arange(len(ours))
    pairs = ", ".join(f"{a} as {b}" for a, b in zip(theirs, ours, strict=True))
    return order, [f"Only one side names its classes, so they were matched by sorted order: {pairs}."]


def _overlap(run: Run, patients: np.ndarray | None) -> list[str]:
    """A warning where patients of the data were trained on."""
    trained = run.predictions("train").query("used")["patient_id"].dropna()
    if patients is None or not len(trained):
        return ["Whether these patients were also in training is not known: one of the two sets has no patient ids."]
    shared = np.isin(patients, trained.to_numpy(dtype=str))
    if not shared.any():
        return []
    return [
        f"{int(shared.sum())} of {len(patients)} images are of patients the models were trained on: "
        "these figures are no estimate for new patients."
    ]


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
