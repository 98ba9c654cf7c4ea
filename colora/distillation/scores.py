"""Predictions of a group's seeds on one split, read once and scored: what the browser and every cut start from."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from colora.metrics.label_doubt import LabelDoubt
from colora.metrics.over_seeds import ensemble
from colora.metrics.uncertainty import model_scores, seed_scores
from colora.results.predictions import SOURCE
from colora.results.summary import best_run, probability_columns
from colora.runs.external import SplitData, counting, data_of, says_untested
from colora.runs.finished import counted
from colora.runs.folder import Group, Run
from colora.runs.prediction_table import trained_on
from colora.settings.resolved import Resolved
from colora.system.errors import UserError

Whose = Literal["best", "mean", "held-out"] | int  # held-out: of a cross-fitted group, those that left the image out
OF_ONE_MODEL = ("entropy", "entropy_share", "least_confidence", "margin", "self_confidence")
IDENTITY = ["index", "label", "image_id", "patient_id"]


@dataclass(frozen=True)
class SeedPredictions:
    """What the finished seeds of a group say about one split.

    images: one row an image, in the split's order: index, label (as given), image_id, patient_id (or null), used (bool:
    trained on by the group; False outside the train split), and source_split of other data. seeds: S seed numbers,
    ascending. probabilities (S, N, C) float32. learned (S, N) bool: which of them each seed has learned from, without
    those that it left out (`data.folds`). checksums: (N,) uint64, `prepare.image_checksum` of each image; None where
    no seed has kept it.
    """

    group: Group
    split: str
    images: pd.DataFrame
    seeds: list[int]
    probabilities: np.ndarray
    learned: np.ndarray
    checksums: np.ndarray | None = None

    @cached_property
    def _first(self) -> Run:
        """What is asked of this seed here is the same for all."""
        return next(run for run in self.group.runs if run.seed == self.seeds[0])

    @property
    def resolved(self) -> Resolved:
        assert self._first.resolved is not None  # predictions exist, so the run has started
        return self._first.resolved

    @property
    def class_names(self) -> list[str]:
        return self.resolved.class_names

    @cached_property
    def data(self) -> SplitData:
        """Raises UserError where the file of a test on other data is damaged."""
        return data_of(self._first, self.split)

    @property
    def data_checksum(self) -> str:
        """Under which readers' verdicts on these images are kept, and addresses name them."""
        return self.data.verdicts

    @property
    def cross_fitted(self) -> bool:
        """Whether each seed has learned from other images of these (`data.folds`)."""
        return self.split == "train" and bool(self.group.config.folds)

    @property
    def usual(self) -> Whose:
        """Whose predictions sort where nobody asks for others: no memory of a label, where that can be had."""
        return "held-out" if self.cross_fitted else "best"

    @cached_property
    def over_seeds(self) -> pd.DataFrame:
        """The scores that no choice of a sorting model changes. Of seeds that have learned from different images those
        that compare them are NaN: they would tell who has learned what."""
        scores = seed_scores(self.probabilities)
        if self.cross_fitted:
            scores[:] = np.nan
        return scores.assign(label_doubt=self.label_doubt.doubt)

    @cached_property
    def label_doubt(self) -> LabelDoubt:
        return LabelDoubt.of(self.probabilities, self.images["label"].to_numpy(), self.learned)

    @cached_property
    def best_seed(self) -> int:
        """By the group's selection rule, among the seeds with predictions."""
        run = best_run(self.group, [run for run in self.group.runs if run.seed in self.seeds])
        assert run is not None  # a run with predictions has finished its epochs
        return run.seed

    def of_seed(self, seed: int) -> np.ndarray:
        """(N, C). Raises UserError for a seed without predictions."""
        if seed not in self.seeds:
            there = ", ".join(map(str, self.seeds))
            raise UserError(
                f"Seed {seed} of {self.group.name} has no predictions on {self.split}; seeds {there} have.",
                field="whose",
            )
        return self.probabilities[self.seeds.index(seed)]

    def sorting(self, whose: Whose) -> np.ndarray:
        """(N, C) of the model that sorts: one seed's, or the mean over seeds; of those that left the image out, or of
        all where none did. Raises UserError as `of_seed`, and for "held-out" where nothing was left out."""
        if whose == "mean":
            return ensemble(self.probabilities)
        if whose == "held-out":
            if not self.cross_fitted:
                raise UserError(f"{self.group.name} leaves no image of {self.split} out: choose best or mean.", "whose")
            known = self.label_doubt.judged[:, None]
            return np.where(known, self.label_doubt.p, ensemble(self.probabilities))
        return self.of_seed(self.best_seed if whose == "best" else whose)


def read_predictions(group: Group, split: str) -> SeedPredictions:
    """The predictions on `split`, of the group's own or "external/NAME", of every seed that counts there.

    Raises UserError where there is none, or where the seeds disagree on the images or their labels.
    """
    runs = sorted((run for run in counting(group, split) if run.has_predictions(split)), key=lambda run: run.seed)
    if not runs:
        for run in group.runs:
            if run.state == "damaged" and run.has_predictions(split):  # whole, but nothing tells their epoch
                raise UserError(run.status["reason"])
        raise UserError(
            says_untested(group, split)
            or f"{group.name} has no predictions on {split} yet: those of a seed count when it is done, and the group "
            f"is {group.state}."
        )
    tables = [run.predictions(split) for run in runs]
    first = tables[0]
    same = ["index", "label", "image_id"] + (["used"] if split == "train" else [])
    kept = next((table["checksum"] for table in tables if "checksum" in table), None)
    for run, table in zip(runs[1:], tables[1:], strict=True):
        others = "checksum" in table and not table["checksum"].equals(kept)
        if others or probability_columns(table) != probability_columns(first) or not table[same].equals(first[same]):
            raise UserError(
                f"Seeds {runs[0].seed} and {run.seed} of {group.name} disagree on the images of {split} or their "
                f"labels, so their scores cannot stand in one table: retry seed {run.seed} in a new group."
            )
    images = first[IDENTITY].reset_index(drop=True)
    images["used"] = first["used"].to_numpy() if split == "train" else False
    if SOURCE in first:
        images[SOURCE] = first[SOURCE].to_numpy()
    columns = probability_columns(first)
    probabilities = np.stack([table[columns].to_numpy(dtype=np.float32) for table in tables])  # (S, N, C)
    if split == "train":
        learned = np.stack([trained_on(table) for table in tables])  # (S, N)
    elif group.config.folds:
        learned = np.stack([_met(run, first) for run in runs])
    else:  # all have learned from the same
        learned = np.tile(_met(runs[0], first), (len(runs), 1))
    checksums = None if kept is None else kept.to_numpy()
    return SeedPredictions(group, split, images, [run.seed for run in runs], probabilities, learned, checksums)


def _met(run: Run, table: pd.DataFrame) -> np.ndarray:
    """(N,) bool: images of another split, or of other data, whose very pixels this seed has learned from; none where it
    has not kept which pixels those were, and all where what it has kept is damaged."""
    none = np.zeros(len(table), dtype=bool)
    if "checksum" not in table or not run.has_predictions("train"):
        return none
    try:
        train = run.predictions("train")
    except UserError:  # said where that split is looked at: here it leaves every label undoubted
        return ~none
    return np.isin(table["checksum"], train["checksum"][trained_on(train)]) if "checksum" in train else none


def score_images(predictions: SeedPredictions, whose: Whose | None = None) -> pd.DataFrame:
    """The table of `group_scores` from predictions that are read already: changing `whose` reads nothing again."""
    whose = predictions.usual if whose is None else whose
    return pd.concat([score_one_model(predictions, whose), predictions.over_seeds], axis=1)


def score_one_model(predictions: SeedPredictions, whose: Whose) -> pd.DataFrame:
    """The same without the scores over seeds."""
    sorting = predictions.sorting(whose)
    labels = predictions.images["label"].to_numpy()
    table = predictions.images.copy()
    table["predicted"] = np.argmax(sorting, axis=1)
    for c in range(sorting.shape[1]):
        table[f"p_{c}"] = sorting[:, c]
    table["right"] = table["predicted"].to_numpy() == labels
    return pd.concat([table, model_scores(sorting, labels)], axis=1)


def group_scores(group: Group, split: str, whose: Whose | None = None) -> pd.DataFrame:
    """One row an image of `split`, in its order (RangeIndex).

    Columns: index, label, image_id, patient_id, used, predicted (int, of the sorting model), p_0 ... p_{C-1} (of the
    sorting model, by default the `usual` one), right (bool), and every score of settings.catalog.SCORES. Raises
    UserError as `read_predictions`.
    """
    return score_images(read_predictions(group, split), whose)


def whose_says(predictions: SeedPredictions, whose: Whose, score: str | None = None) -> str:
    """A clause for people: whose model sorts and by which rule it was chosen; the paper's rule is marked optimistic. By
    a `score` that is not of one model all seeds do."""
    count, all_seeds, apart = len(predictions.seeds), len(predictions.group.runs), predictions.group.apart
    of = f"{count} finished of {all_seeds} seeds" if count < all_seeds and not apart else counted(count, all_seeds)
    if score not in (None, *OF_ONE_MODEL):
        return f"all {of}" + ", each on images that it has not learned from" * (score == "label_doubt")
    if whose == "mean":
        return f"the mean over {of}"
    if whose == "held-out":
        others = int((~predictions.label_doubt.judged).sum())
        return f"the seeds that left the image out, of {of}" + f"; the mean of all on {others:,} that none did" * (
            others > 0
        )
    if whose != "best":
        return f"seed {whose}"
    if predictions.group.config.selection == "paper":
        on = "on TEST (the paper's rule, optimistic: the test images chose it)"
        return f"seed {predictions.best_seed}, of {of} the best {on}"
    return f"seed {predictions.best_seed}, of {of} the best on validation"
