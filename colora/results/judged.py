"""What several seeds predicted for the same images, with labels and patients in one order: what figures are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from colora.metrics.bootstrap import Sample
from colora.metrics.figures import Predicted
from colora.results.predictions import image_table, predicted, table_file
from colora.runs.finished import finished
from colora.runs.folder import Group, Run
from colora.runs.siblings import alike
from colora.system.errors import UserError


@dataclass(frozen=True, eq=False)
class Judged:
    """What `runs` predicted for the images of one split at `epoch`, or at each one's selected epoch (None).

    labels (N,) int; patients (N,) names, None where unknown; probabilities: of each seed (N, C); images: what tells an
    image from others (N,), its checksum, or its id where none was kept.
    """

    group: Group
    split: str
    runs: Sequence[Run]
    epoch: int | None
    class_names: list[str]
    labels: np.ndarray
    patients: np.ndarray | None
    probabilities: list[np.ndarray]
    images: np.ndarray

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in self.runs]

    @property
    def sample(self) -> Sample:
        return Sample.of(self.labels, self.patients)

    def of(self, seeds: Sequence[int]) -> list[np.ndarray]:
        """The probabilities of these seeds, in their order."""
        return [self.probabilities[self.seeds.index(seed)] for seed in seeds]


def judged(group: Group, split: str, runs: Sequence[Run] | None = None, epoch: int | None = None) -> Judged:
    """Of `runs`, by default the finished seeds that count, at `epoch`, by default each one's selected epoch. Raises
    UserError while no seed is finished, and where a file is damaged."""
    runs = finished(group) if runs is None else runs
    if not runs:
        raise UserError(f"{group.name} has no finished seed yet, so there are no figures: it is {group.state}.")
    table = image_table(group, split, runs[0])
    labels = table["target"].to_numpy(dtype=np.int64)
    resolved = runs[0].resolved
    assert resolved is not None  # predictions exist, so the run has started
    holder = next((run for run in (*runs, *alike(group, runs[0])) if table_file(run, split).exists()), runs[0])
    images = table["image_id"].astype(str).to_numpy()
    if table_file(holder, split).exists() and "checksum" in (kept := holder.predictions(split)):
        images = kept.set_index("index").loc[table["index"], "checksum"].to_numpy()
    probabilities = [predicted(run, split, epoch, labels)[1] for run in runs]
    names = resolved.class_names
    for run, each in zip(runs, probabilities, strict=True):
        if Predicted(labels, each).classes != len(names):  # or raises where a damaged file has no probabilities
            raise UserError(f"{run.path} has predictions of {each.shape[1]} classes, and names of {len(names)}.")
    return Judged(group, split, runs, epoch, names, labels, patients_of(table), probabilities, images)


def patients_of(table: pd.DataFrame) -> np.ndarray | None:
    """(N,) names of the patients of a `predictions.image_table`, where one is missing of the image alone; None where
    none is known."""
    known = table["patient_id"].notna().to_numpy()
    alone = table["image_id"].astype(str).to_numpy()
    return np.where(known, table["patient_id"].astype(str), np.char.add("image ", alone)) if known.any() else None
