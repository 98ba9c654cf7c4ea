"""Cross-fitting: the training images in k parts, one of which each seed leaves out. What models that have not learned
from an image say of its label is no memory of that label (`metrics.label_doubt`).
"""

from collections.abc import Sequence

import numpy as np

from colora.data.dataset import Dataset
from colora.data.sources import training_labels, used_index
from colora.data.splits import by_patient, counted
from colora.settings.config import RunConfig
from colora.settings.seeds import format_seeds
from colora.system.errors import UserError


def held_out(dataset: Dataset, config: RunConfig, used: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """(n,) bool: which of the training images at `used` (n,), with the labels (n,) that they are trained with, this
    seed leaves out: part seed modulo `folds`; none where the config asks for no folds.

    The parts hang on the images alone, so that seed 5 of five folds leaves out what seed 0 does, and starts elsewhere.
    Raises UserError (`field` folds) where some class would have nothing left to learn from.
    """
    if config.folds is None:
        return np.zeros(len(used), dtype=bool)
    patients = dataset.splits["train"].patient_ids
    part = parts(labels, None if patients is None else patients[used], config.folds)
    if (sizes := np.bincount(part, minlength=config.folds)).min() == 0:
        raise UserError(
            f"There are images for {counted((sizes > 0).sum(), 'fold')} and not for {config.folds}, since those of one "
            "patient stay together: choose fewer folds, or add images.",
            field="folds",
        )
    there = np.bincount(labels, minlength=dataset.classes) > 0
    for fold in range(config.folds):
        left = np.bincount(labels[part != fold], minlength=dataset.classes)
        for c in np.flatnonzero((left == 0) & there):
            own, of = labels == c, ""
            if patients is not None:
                of = f" (of {counted(len(np.unique(patients[used][own])), 'patient')})"
            raise UserError(
                f"With {config.folds} folds some seed would leave out every training image of "
                f"{dataset.class_names[c]}, which has {counted(own.sum(), 'image')}{of}: choose fewer folds, or add "
                "images.",
                field="folds",
            )
    return part == seed % config.folds


def check_folds(outline: Dataset, config: RunConfig) -> None:
    """Raises UserError as `held_out`, before anything is read: `outline` has the images' labels and patients alone, and
    of a cut, which names its images, nothing can be said."""
    if config.cut is None:
        used = used_index(outline, config)
        held_out(outline, config, used, training_labels(outline, used), seed=0)


def parts(labels: np.ndarray, patient_ids: np.ndarray | None, folds: int) -> np.ndarray:
    """(N,) int64 in [0, folds): the part of each image, each class near its share in each: whole patients together
    where they are known."""
    rng = np.random.default_rng(0)
    if patient_ids is not None:
        return by_patient(patient_ids, labels, dict.fromkeys(range(folds), 1 / folds), rng)
    shuffled = rng.permutation(len(labels))
    part = np.empty(len(labels), dtype=np.int64)
    part[shuffled[np.argsort(labels[shuffled], kind="stable")]] = np.arange(len(labels)) % folds
    return part


def check_seeds(folds: int | None, seeds: Sequence[int]) -> None:
    """Raises UserError where the seeds would leave some part out nowhere, so that its images stay without a
    prediction by a model that has not learned from them."""
    if folds and len({seed % folds for seed in seeds}) < folds:
        raise UserError(
            f"Each seed leaves out one of the {folds} folds, and seeds {format_seeds(list(seeds))} do not leave out "
            f"each of them: ask for {folds} seeds in a row, such as {format_seeds(list(range(folds)))}.",
            field="folds",
        )
