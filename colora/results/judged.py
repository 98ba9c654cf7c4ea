"""What several seeds predicted for the same images, with labels and patients in one order: what figures are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from colora.metrics.bootstrap import Sample
from colora.metrics.classification import accuracy, cross_entropy, macro_auc
from colora.metrics.figures import Predicted
from colora.results.predictions import image_table, predicted
from colora.results.summary import taken_run
from colora.runs.external import counting, says_untested
from colora.runs.folder import Group, Run
from colora.system.errors import UserError


@dataclass(frozen=True, eq=False)
class Judged:
    """What `runs` predicted for the images of one split at `epoch`, or at each one's selected epoch (None).

    table: its images in order, as `predictions.image_table` has them; probabilities: of each seed (N, C).
    """

    group: Group
    split: str
    runs: Sequence[Run]
    epoch: int | None
    class_names: list[str]
    table: pd.DataFrame
    probabilities: list[np.ndarray]

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,) int."""
        return self.table["target"].to_numpy(dtype=np.int64)

    @cached_property
    def patients(self) -> np.ndarray | None:
        """(N,) names, where one is missing that of the image alone; None where none is known."""
        named = self.table["patient_id"]
        if not (known := named.notna().to_numpy()).any():
            return None
        return np.where(known, named.astype(str), np.char.add("image ", self._image_ids))

    @property
    def images(self) -> np.ndarray:
        """(N,) what tells an image from others: its checksum, or its id where none was kept."""
        return self.table["checksum"].to_numpy() if "checksum" in self.table else self._image_ids

    @property
    def _image_ids(self) -> np.ndarray:
        return self.table["image_id"].astype(str).to_numpy()

    @cached_property
    def one(self) -> int | None:
        """Position in `runs` of the model that stands for them (`over_seeds.one_model`): that which the paper's rule
        takes; None for the ensemble, with any other rule, and at an epoch that a person chose."""
        taken = None if self.epoch is not None else taken_run(self.group, list(self.runs))
        return None if taken is None else self.seeds.index(taken.seed)

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in self.runs]

    @cached_property
    def sample(self) -> Sample:
        return Sample.of(self.labels, self.patients)

    def of(self, seeds: Sequence[int]) -> list[np.ndarray]:
        """The probabilities of these seeds, in their order."""
        return [self.probabilities[self.seeds.index(seed)] for seed in seeds]


def images_of(group: Group, split: str, class_names: Sequence[str] = ()) -> Judged:
    """The images alone, of which no model is asked: of train all that the group was trained on. Raises UserError as
    `predictions.image_table`."""
    return Judged(group, split, [], None, list(class_names), image_table(group, split), [])


def figures_of_seeds(seen: Judged) -> dict[int, dict[str, float | None]]:
    """{seed: accuracy, AUC (mean one-vs-rest, None where it is not defined) and loss (cross-entropy, nats)}, as
    metrics.jsonl has them of a group's own splits."""
    figures = {"accuracy": accuracy, "auc": macro_auc, "loss": cross_entropy}
    return {
        seed: {name: figure(seen.labels, p) for name, figure in figures.items()}
        for seed, p in zip(seen.seeds, seen.probabilities, strict=True)
    }


def says_cross_fitted(group: Group, split: str, runs: Sequence[Run]) -> str | None:
    """A sentence where each of `runs` has learned from other training images, so that nothing is over all of them."""
    if split != "train" or not group.config.folds or len(runs) < 2:
        return None
    return (
        f"{group.name} is cross-fitted: each seed leaves out one of {group.config.folds} parts of the training images, "
        "so that no figure over seeds is about the same ones. Choose validation or test, or one seed; the images, and "
        "the doubt about their labels, are on Images."
    )


def judged(group: Group, split: str, runs: Sequence[Run] | None = None, epoch: int | None = None) -> Judged:
    """Of `runs`, by default the seeds that count on this split, at `epoch`, by default each one's selected epoch.
    Raises UserError while there is none, and where a file is damaged."""
    runs = counting(group, split) if runs is None else runs
    if not runs:
        raise UserError(
            says_untested(group, split)
            or f"{group.name} has no finished seed yet, so there are no figures: it is {group.state}."
        )
    if told := says_cross_fitted(group, split, runs):
        raise UserError(told)
    resolved = runs[0].resolved
    assert resolved is not None  # predictions exist, so the run has started
    found = Judged(group, split, runs, epoch, resolved.class_names, image_table(group, split, runs[0]), [])
    for run in runs:
        _, own = predicted(run, split, epoch, found.labels)
        names = len(found.class_names)
        if Predicted(found.labels, own).classes != names:  # or raises where a damaged file has no probabilities
            raise UserError(f"{run.path} has predictions of {own.shape[1]} classes, and names of {names}.")
        found.probabilities.append(own)
    return found
