"""A cut without leaks: the train split but what is in validation or test too. No model is asked, only `leaks`."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from colora.data.cuts import Cut, Source, cut_hash, save_cut
from colora.data.dataset import SPLITS, Dataset, Split
from colora.data.leaks import Leaks
from colora.data.rules import make_rule
from colora.runs.audit import acting_user
from colora.settings.config import RunConfig, absolute_paths
from colora.system.errors import UserError

NOT_OF_THE_DATA = ("train_set", "per_class", "cut", "augment")  # settings beside those that say which data


def leak_free_cut(
    runs_dir: Path,
    name: str,
    dataset: Dataset,
    config: RunConfig,
    leaks: Leaks,
    patients: bool = True,
    replace: bool = False,
) -> Cut:
    """The cut of the whole train split that leaves out every image with the same or nearly the same picture in
    validation or test, those whose picture has another label as well, and, with `patients`, those of patients who are
    in validation or test. Saved in `runs_dir`.

    `leaks` are those of `dataset`, which is `load_dataset(config)`. Raises UserError where fewer than two classes are
    left, and as `save_cut` does.
    """
    train = dataset.splits["train"]
    reasons = _reasons(dataset, leaks, patients)
    kept = ~np.any([*reasons.values()], axis=0)
    pool, left = (_per_class(labels, dataset) for labels in (train.labels, train.labels[kept]))
    _check_left(dataset, pool, left, reasons)
    checksum, ids = dataset.checksum(), sorted(train.image_ids[kept].tolist())
    nothing = [0] * dataset.classes
    cut = Cut(
        name=name,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        user=acting_user(),
        rule=make_rule(kind="leaks", patients=patients and train.patient_ids is not None),
        pool="train",
        source=Source(group="", seeds=[], whose="", whose_says="", selection="", settings=_settings(config)),
        data_source=dataset.source,
        data_checksum=checksum,
        image_size=config.image_size,
        synthetic=dataset.synthetic,
        class_names=list(dataset.class_names),
        image_ids=ids,
        labels={},
        counts={
            "pool": pool,
            "excluded": [a - b for a, b in zip(pool, left, strict=True)],
            "dropped": nothing,
            "kept": left,
            "rest": nothing,
        },
        notes=_notes(dataset, reasons, pool, left, patients),
        hash=cut_hash(checksum, ids),
    )
    save_cut(runs_dir, cut, replace)
    return cut


def _reasons(dataset: Dataset, leaks: Leaks, patients: bool) -> dict[str, np.ndarray]:
    """{what stands against them: (N,) bool of the train images}; an image may have several."""
    train = dataset.splits["train"]
    if beyond := (leaks.leaking | leaks.two_labels) - set(train.image_ids.tolist()):
        raise ValueError(f"these leaks are of other data: {min(beyond)} is not in the train split")
    return {
        "the same or nearly the same picture in validation or test": _among(train, leaks.leaking),
        "their patient in validation or test": _of_patients_beside(dataset) & patients,
        "their picture under two labels": _among(train, leaks.two_labels),
    }


def _of_patients_beside(dataset: Dataset) -> np.ndarray:
    """(N,) bool of the train images: whether validation or test have others of the same patient, as far as known."""
    ids, *theirs = (dataset.splits[name].patient_ids for name in SPLITS)
    known = [others for others in theirs if others is not None]
    if ids is None or not known:
        return np.zeros(len(dataset.splits["train"]), dtype=bool)
    return np.isin(ids, np.concatenate(known))


def _among(train: Split, image_ids: frozenset[str]) -> np.ndarray:
    return np.fromiter((image in image_ids for image in train.image_ids.tolist()), dtype=bool, count=len(train))


def _per_class(labels: np.ndarray, dataset: Dataset) -> list[int]:
    return np.bincount(labels, minlength=dataset.classes).tolist()


def _check_left(dataset: Dataset, pool: list[int], left: list[int], reasons: dict[str, np.ndarray]) -> None:
    """Raises UserError where nothing can be learnt from what is left."""
    classes = [name for name, count in zip(dataset.class_names, left, strict=True) if count]
    if len(classes) > 1:
        return
    there = f"only images of {classes[0]} are left" if classes else "no image is left"
    raise UserError(
        f"Without leaks {there} to train on, of {sum(pool):,} training images: {_said(reasons)}. Split the data "
        "otherwise, so that validation and test hold other images, or mend them where they come from.",
        field="dataset",
    )


def _said(reasons: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{found.sum():,} have {reason}" for reason, found in reasons.items() if found.any())


def _notes(
    dataset: Dataset, reasons: dict[str, np.ndarray], pool: list[int], left: list[int], patients: bool
) -> list[str]:
    """How many are left out and why, what could not be looked at, and which classes are gone."""
    out = sum(pool) - sum(left)
    notes = [f"{out:,} of {sum(pool):,} training images are left out: {_said(reasons)}."] if out else []
    if patients and dataset.splits["train"].patient_ids is None:
        notes.append("The patients are not known: other images of theirs may be in validation or test.")
    if gone := [name for name, a, b in zip(dataset.class_names, pool, left, strict=True) if a and not b]:
        notes.append(f"Nothing is left of {', '.join(gone)}, so that models cannot learn to know it.")
    return notes


def _settings(config: RunConfig) -> dict[str, Any]:
    """Which data were looked at, so that a launch on the cut can begin with them."""
    fields = RunConfig.model_fields.items()
    data = {name for name, field in fields if field.json_schema_extra["section"] == "Data"} - {*NOT_OF_THE_DATA}
    changed = absolute_paths(config).model_dump(mode="json", include=data, exclude_defaults=True)
    return {"dataset": config.dataset} | changed
