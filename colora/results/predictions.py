"""What a seed's models predicted: of its selected epoch, or of any epoch it has finished. No torch.

Every epoch's probabilities are kept (predictions/epochs), in the images' order but without their labels and names;
those stand in the tables that a finished seed writes. Seeds that were trained alike (runs.siblings) see the same
images, so that one finished seed's table serves the others too.

A split is one of the group's own, or "external/NAME" of other data that it was tested on (runs.external), of which the
selected epoch alone has predictions.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from colora.data.thumbnails import Place
from colora.metrics.over_seeds import one_model
from colora.results.summary import split_arrays, targets
from colora.runs.external import counting
from colora.runs.folder import Group, Run
from colora.runs.names import is_external
from colora.runs.prediction_table import damaged_epoch, read_epoch, trained_on
from colora.runs.selection import selected_epoch
from colora.runs.siblings import alike
from colora.system.errors import UserError

COLUMNS = ["index", "label", "image_id", "patient_id"]
SOURCE = "source_split"


def epoch_file(run: Run, epoch: int) -> Path:
    return run.path / "predictions" / "epochs" / f"epoch-{epoch:02d}.safetensors"


def image_table(group: Group, split: str, of: Run | None = None) -> pd.DataFrame:
    """The images behind `predicted`, in its order: index (position in the split), label, image_id, patient_id or null,
    checksum where it was kept, source_split of other data, and target, the label that predictions are held against.
    They are those of the seed `of`; by default of the seeds that belong together.

    Of the train split the images trained on: by the seed `of`, which of a cross-fitted group (`data.folds`) are not all
    of its training images, or by the group. Raises UserError while no seed with these images is finished.
    """
    runs = alike(group, of) if of else [run for run in group.runs if run not in group.apart]
    if of and split == "train" and group.config.folds:  # no other seed has learned from the same images
        runs = [of]
    if is_external(split):  # the file of a seed that does not count may be anything
        known = counting(group, split)
        runs = [run for run in runs if run in known]
    run = next((run for run in runs if run.predictions_file(split).exists()), None)
    if run is None:
        raise UserError(
            f"The predictions of {group.name} can be shown when its first seed is done: only then the labels of the "
            f"images are written. It is {group.state}."
        )
    table = run.predictions(split)
    if split == "train":
        table = table[trained_on(table) if of else table["used"]]
    columns = [*COLUMNS, *(name for name in ("checksum", SOURCE) if name in table)]
    return table[columns].assign(target=targets(table)).reset_index(drop=True)


def place_of(row: Mapping[str, Any], split: str) -> Place:
    """Where an image of a table stands in its data; `split` is what the table is of."""
    return Place(row.get(SOURCE, split), int(row["index"]), row["image_id"])


def image_checksums(run: Run, split: str) -> dict[str, np.ndarray] | None:
    """`checksums_by_place` of all images of a split; None where the run has not kept it."""
    if not run.predictions_file(split).exists():
        return None
    table = run.predictions(split)
    return checksums_by_place(table, table["checksum"].to_numpy(), split) if "checksum" in table else None


def checksums_by_place(images: pd.DataFrame, checksums: np.ndarray, split: str) -> dict[str, np.ndarray]:
    """{split of the data: (M,) uint64 by the images' index there} of images (N rows) with their
    `data.prepare.image_checksum` (N,); 0 at a place that none of them has."""
    index = images["index"].to_numpy()
    parts = images[SOURCE].to_numpy() if SOURCE in images else np.full(len(images), split)
    found = {}
    for part in np.unique(parts):
        own = parts == part
        found[str(part)] = np.zeros(int(index[own].max()) + 1, dtype=np.uint64)
        found[str(part)][index[own]] = checksums[own]
    return found


def source_file(run: Run, split: str, epoch: int | None) -> Path | None:
    """The file that `predicted` reads; None where this seed has not kept these predictions."""
    table = run.predictions_file(split)
    if epoch in (None, selected_epoch(run)) and table.exists():
        return table
    if is_external(split):
        return None
    wanted = selected_epoch(run) if epoch is None else epoch
    return epoch_file(run, wanted) if wanted and epoch_file(run, wanted).exists() else None


def predicted(run: Run, split: str, epoch: int | None, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(labels (N,), probabilities (N, C)) after `epoch`, or of the selected epoch where it is None.

    `labels` are the targets that `image_table` has. Raises UserError where predictions were not kept, or are not of
    these images.
    """
    path = source_file(run, split, epoch)
    if path is None:
        at = "its selected epoch" if epoch is None else f"epoch {epoch}"
        raise UserError(f"Seed {run.seed} of {run.path.parent.name} has no predictions of {at}.")
    if path.suffix == ".parquet":
        own, probabilities = split_arrays(run, split)
        if not np.array_equal(own, labels):
            raise UserError(
                f"Seed {run.seed} of {run.path.parent.name} has other images in {split}, or other labels, than the "
                "group's first one with predictions: no figure can be over both. Train it anew in another group."
            )
        return own, probabilities
    probabilities = read_epoch(path, split)
    if len(probabilities) != len(labels):
        raise UserError(
            f"{path} has {len(probabilities):,} images in {split}, but the group's predictions have {len(labels):,}: "
            "its seeds did not see the same images."
        )
    if len(labels) and labels.max() >= probabilities.shape[1]:
        raise damaged_epoch(path, f"it has {probabilities.shape[1]} classes, and the images have {labels.max() + 1}")
    return labels, probabilities


def mistakes(
    labels: np.ndarray,
    probabilities: Sequence[np.ndarray],
    cell: tuple[int, int] | None = None,
    one: int | None = None,
) -> pd.DataFrame:
    """The images that one model got wrong, or that are in one cell (true, predicted) of its confusion matrix.

    The model is `over_seeds.one_model` of S seeds' probabilities, each (N, C), so that a cell lists as many images as
    the matrix counts there. One row an image: position, true, called, seeds (how many of the S call it the same),
    confidence (the model's probability of that class). Wrong images: most seeds and most confident first. A cell of the
    diagonal: fewest seeds and least confident first, because the doubtful ones are worth a look.
    """
    model = one_model(probabilities, one)
    called = np.argmax(model, axis=1)  # (N,)
    wanted = called != labels if cell is None else (labels == cell[0]) & (called == cell[1])
    position = np.flatnonzero(wanted)
    theirs = np.stack([np.argmax(p[position], axis=1) for p in probabilities])  # (S, n)
    found = pd.DataFrame(
        {
            "position": position,
            "true": labels[position],
            "called": called[position],
            "seeds": (theirs == called[position]).sum(axis=0),
            "confidence": model[position, called[position]],
        }
    )
    right = cell is not None and cell[0] == cell[1]
    return found.sort_values(["seeds", "confidence"], ascending=right, kind="stable").reset_index(drop=True)
