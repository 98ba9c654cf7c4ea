"""The finished models of a group on another labelled set, and what they said kept as if it were one more split of the
group's: `colora evaluate`."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from colora.data.dataset import Split
from colora.data.matching import Matched, match_classes, named
from colora.data.overlap import near_copies, overlap, overlap_warnings
from colora.data.prepare import RULE
from colora.data.sources import Outside, load_dataset, load_outside
from colora.metrics import classification
from colora.metrics.evenly import evenly
from colora.metrics.over_seeds import Spread, ensemble
from colora.prediction.models import GroupModels
from colora.runs.external import check_new, keep_external, seed_tested
from colora.runs.features import MOST_MAPS, has_features
from colora.runs.finished import under_way
from colora.runs.folder import Group, Run
from colora.runs.metadata import some_columns
from colora.runs.prediction_table import made_table
from colora.runs.selection import SELECTION, selected_epoch
from colora.runs.siblings import apart_rows
from colora.settings.catalog import NOTICE
from colora.settings.config import DATA_FIELDS, FILES, absolute_paths, make_config
from colora.system.download import Progress, quiet
from colora.system.errors import UserError

OF_DATA = tuple(name for name in DATA_FIELDS if name != "image_size")  # which is the models'


def evaluate_group(
    group: Group,
    data: Mapping[str, Any],
    split: str | None = None,
    leave_out_unknown: bool = False,
    on_progress: Progress = quiet,
    keep: str | None = None,
) -> dict[str, Any]:
    """Every finished seed's selected model on other images, and of several their ensemble (the mean of their
    probabilities).

    `keep` is the name under which the predictions stay with the group (`runs.external`); the document's `kept` is the
    name of that split, None without.

    `data` are settings of RunConfig that say which, such as {"dataset": "folder:DIR"}; a MedMNIST set is looked for in
    the folder that the group was launched with, unless `data_dir` names another. `split` as in `outside_split`.
    `on_progress` is called with ("preparing images", "reading the training images", "comparing with the training
    images" or "predicting with seeds", done, all).

    Raises UserError where no seed is done, the data cannot be read, the classes do not fit, or the predictions cannot
    be kept.
    """
    if keep is not None:
        check_new(group, keep)
        _ = group.identity  # read now: of the group that is tested, whoever has its name in the end
    models = GroupModels.of(group)
    runs, resolved = models.runs, models.resolved
    as_they_are = [seed_tested(run) for run in runs]
    settings = {"data_dir": group.config.data_dir, **data}
    outside = load_outside(
        settings | {"image_size": group.config.image_size},
        split,
        lambda done, total: on_progress("preparing images", done, total),
    )
    dataset, names = outside.dataset, resolved.class_names
    matched = match_classes(resolved, outside, leave_out_unknown)
    images, labels = matched.images, matched.images.labels
    near, why_not_near = _near_copies(models, images, on_progress)
    found = overlap(runs[0], images, near)
    seeds, predicted, tables = [], [], {}
    far = keep is not None and all(map(has_features, runs))
    places = _places(outside, matched) if keep is not None else None
    for done, run in enumerate(runs):
        on_progress("predicting with seeds", done, len(runs))
        p, distance = _predicted(models, run, images.images, far)
        predicted.append(p)
        if keep is not None:
            tables[run.seed] = _table(places, matched.images, p, distance)
        seeds.append(
            {"seed": run.seed, "selected_epoch": selected_epoch(run), **_report(labels, p, names, matched.absent)}
        )
    joint = _report(labels, ensemble(predicted), names, matched.absent) if len(seeds) > 1 else None
    warnings = [
        *dataset.warnings,
        *matched.warnings,
        *_absent_warnings(matched.absent, names, seeds, joint),
        *overlap_warnings(found, images, group.config.selection, _ways_to_patients(dataset.source), why_not_near),
    ]
    kept = None
    if keep is not None:
        about = _about(outside, matched, settings) | {"overlap": found.as_dict(), "warnings": warnings}
        about |= {"images_checksum": _images_checksum(places.checksums, images.labels)}
        kept = keep_external(group, keep, about, tables, as_they_are, _metadata(outside, matched))
    return {
        "name": group.name,
        "kept": kept,
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
        "warnings": warnings,
        "left_out": list(dataset.left_out),
        "left_out_unknown": matched.left_out,
        "notice": NOTICE,
    }


def _near_copies(models: GroupModels, images: Split, on_progress: Progress) -> tuple[int | None, str | None]:
    """How many images are near copies of some that were trained on; or None, and why that cannot be told."""
    run = models.runs[0]
    try:
        used = run.predictions("train")["used"].to_numpy()
        data = load_dataset(run.config, lambda done, total: on_progress("reading the training images", done, total))
    except UserError as error:
        return None, str(error)
    if data.checksum() != models.resolved.data_checksum:
        return None, "the data that the models were trained on have changed since."
    trained = data.splits["train"] if used.all() else data.splits["train"].take(np.flatnonzero(used))
    doing = "comparing with the training images"
    return near_copies(trained, images, lambda *at: on_progress(doing, *at)), None


def _predicted(models: GroupModels, run: Run, images: np.ndarray, far: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """(N, C) of one run, and (N,) float32 how `far` the images lie from what is familiar to it, NaN where there are too
    many to ask of each; None where that is not asked for."""
    if not far:
        return models.probabilities(run, images), None
    at = evenly(np.arange(len(images)), MOST_MAPS)
    seen = models.seen_by(run, images, at)
    distance = np.full(len(images), np.nan, dtype=np.float32)
    distance[at] = models.distance(run, seen.maps)
    return seen.probabilities, distance


class _Places(NamedTuple):
    """Of N images their split and position in the data, and their checksums."""

    splits: np.ndarray
    index: np.ndarray
    checksums: np.ndarray


def _places(outside: Outside, matched: Matched) -> _Places:
    splits, index = outside.places()
    return _Places(splits[matched.kept], index[matched.kept], matched.images.checksums())


def _table(places: _Places, own: Split, p: np.ndarray, distance: np.ndarray | None) -> bytes:
    """A seed's file, as `runs.external` has it."""
    table = made_table(own.labels, p, own.image_ids, own.patient_ids, places.checksums, places.index)
    table["source_split"] = places.splits
    if distance is not None:
        table["distance"] = distance
    return table.to_parquet(index=False)


def _about(outside: Outside, matched: Matched, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `documents.ExternalFile` says of the data."""
    dataset = outside.dataset
    config = absolute_paths(make_config({name: value for name, value in settings.items() if value is not None}))
    return {
        "settings": {name: value for name in OF_DATA if (value := getattr(config, name)) is not None},
        "split": outside.split,
        "source": dataset.source,
        "synthetic": dataset.synthetic,
        "checksum": dataset.checksum(),
        "preparation": RULE,
        "images": len(matched.images),
        "classes": matched.classes,
        "absent": list(matched.absent),
        "left_out_unknown": matched.left_out,
    }


def _images_checksum(checksums: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 of the images' own checksums and the models' labels, in their order: the same of the same test."""
    return hashlib.sha256(checksums.astype("<u8").tobytes() + labels.astype("<i8").tobytes()).hexdigest()


def _metadata(outside: Outside, matched: Matched) -> bytes | None:
    """What else a table tells of these images."""
    whole = outside.dataset.metadata
    return None if whole is None else some_columns(whole.loc[matched.images.image_ids]).to_parquet()


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
