"""Whether images that meet finished models were trained on: by their pixels, by near copies, and by their patients.

Every finished seed keeps a checksum of each image as the network saw it, at the group's size. So the same picture is
found again under another name or in another folder, also where the training images are gone. One that was stored anew
with losses, resized or a little cropped is found as `alike` says, by the training images themselves.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from colora.data.dataset import SPLITS, Dataset, Split
from colora.data.leaks import find_leaks
from colora.data.prepare import RULE, Progress, quiet
from colora.runs.folder import Run

if TYPE_CHECKING:
    import pandas as pd

CHOOSERS = {"validation": "val", "paper": "test"}  # the split that chose the epoch, by the rule of selection


@dataclass(frozen=True)
class Overlap:
    """How many of so many images, and patients, were in which part of the training; None where it is not known. A near
    copy of a training image is none of those that were trained on."""

    images: int
    images_trained_on: int | None
    images_nearly_trained_on: int | None
    images_in_validation: int | None
    images_in_test: int | None
    images_of_patients_trained_on: int | None
    patients_trained_on: int | None

    def as_dict(self) -> dict[str, int | None]:
        return asdict(self)


def near_copies(trained: Split, split: Split, on_progress: Progress = quiet) -> int:
    """How many images of `split` are nearly, and not exactly, one of those that were `trained` on (`data.leaks`)."""
    classes = tuple(map(str, range(max(trained.labels.max(), split.labels.max()) + 1)))
    both = Dataset({"train": trained, "all": split}, classes, False, "", "")
    return find_leaks(both, on_progress).near_across_splits


def overlap(run: Run, split: Split, near: int | None = None) -> Overlap:
    """Of the images that meet the group of a finished run, whose seeds all share its data; `near` is what `near_copies`
    has found.

    Raises UserError where the run's predictions are damaged.
    """
    tables = {name: run.predictions(name) if run.has_predictions(name) else None for name in SPLITS}
    train = tables["train"]
    if train is not None:
        tables["train"] = train = train[train["used"]]
    comparable = run.resolved is not None and run.resolved.preparation == RULE
    kept = {name: _checksums(table) if comparable else None for name, table in tables.items()}
    own = split.checksums() if any(known is not None for known in kept.values()) else None
    shared = {name: None if known is None else int(np.isin(own, known).sum()) for name, known in kept.items()}
    patients = None if train is None else train["patient_id"].dropna().to_numpy(dtype=str)
    of_patients = whose = None
    if patients is not None and len(patients) and split.patient_ids is not None:
        trained = np.isin(split.patient_ids, patients)
        of_patients, whose = int(trained.sum()), len(np.unique(split.patient_ids[trained]))
    return Overlap(len(split), shared["train"], near, shared["val"], shared["test"], of_patients, whose)


def _checksums(table: "pd.DataFrame | None") -> np.ndarray | None:
    return None if table is None or "checksum" not in table else table["checksum"].to_numpy()


def overlap_warnings(
    found: Overlap, split: Split, selection: str, ways_out: str = "", why_not_near: str | None = None
) -> Iterator[str]:
    """What it means for figures on these images; `selection` is the group's rule, `ways_out` how to tell patients,
    `why_not_near` why near copies are not known."""
    same, whose, total = found.images_trained_on, found.images_of_patients_trained_on, f"{found.images:,} images"
    if same and whose:
        yield (
            f"{same:,} of {total} were trained on (the same pixels), and {whose:,} are of patients the models were "
            "trained on (the same ids): these figures are no estimate for new scans or new patients."
        )
    elif same:
        yield f"{same:,} of {total} were trained on (the same pixels): these figures are no estimate for new scans."
    elif whose:
        yield (
            f"{whose:,} of {total} are of patients the models were trained on (the same ids): these figures are no "
            "estimate for new patients."
        )
    if near := found.images_nearly_trained_on:
        are = "is a near copy of an image" if near == 1 else "are near copies of images"
        yield (
            f"{near:,} of {total} {are} trained on (stored anew, resized or a little changed): these figures are no "
            "estimate for new scans."
        )
    chooser = CHOOSERS[selection]
    chose = found.images_in_validation if chooser == "val" else found.images_in_test
    if chose:
        part = "validation" if chooser == "val" else "test"
        yield (
            f"{chose:,} of {total} are {part} images of this group (the same pixels), which chose the epoch: the "
            "figures on them are optimistic."
        )
    if same is None:
        yield (
            "Whether these images were trained on is not known: the models' seeds kept no checksums of images as they "
            "are prepared now."
        )
    if why_not_near:
        yield f"Whether they are near copies of images trained on is not known: {why_not_near}"
    if whose is None:
        missing = "the data have no patient ids" if split.patient_ids is None else "the training images have none"
        yield f"Whether these patients were also in training is not known: {missing}{ways_out}."
