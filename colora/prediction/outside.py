"""The finished models of a group on another labelled set: `colora evaluate`."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from colora.data.matching import match_classes, named
from colora.data.overlap import overlap, overlap_warnings
from colora.data.prepare import RULE
from colora.data.sources import load_outside
from colora.metrics import classification
from colora.metrics.over_seeds import Spread, ensemble
from colora.prediction.models import GroupModels
from colora.runs.finished import under_way
from colora.runs.folder import Group
from colora.runs.selection import SELECTION, selected_epoch
from colora.runs.siblings import apart_rows
from colora.settings.catalog import NOTICE
from colora.settings.config import FILES
from colora.system.download import Progress, quiet


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
    models = GroupModels.of(group)
    runs, resolved = models.runs, models.resolved
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
    for done, (run, p) in enumerate(models.each(images.images)):
        on_progress("predicting with seeds", done, len(runs))
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
