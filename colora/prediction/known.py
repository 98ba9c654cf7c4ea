"""What a group's own images tell of an answer: how unsure it is beside the test images, which training images it is
near, and whether it lies further from them than the validation images do. No torch.

What counts as too far, or as disagreement, was chosen with neither test images nor pictures that are in a table of
results: benchmarks/foreign has what was compared, and what it finds.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from colora.metrics.calibration import temperature
from colora.metrics.classification import entropy
from colora.metrics.likeness import highest, of_length_one
from colora.metrics.novelty import Scales
from colora.metrics.over_seeds import ensemble
from colora.metrics.uncertainty import vote_disagreement
from colora.results.calibration import temperatures
from colora.results.judged import Judged, judged
from colora.results.question import Frozen, frozen
from colora.results.summary import best_run, taken_run, targets
from colora.runs.features import damaged, has_features, read_familiar, read_features
from colora.runs.finished import finished
from colora.runs.folder import Group, Run
from colora.system.errors import UserError

NEAREST = 5


@dataclass(frozen=True, eq=False)
class Seen:
    """What the models see in the group's own images.

    images: those that the group was trained on, one row each: index (in the train split), label, image_id,
    patient_id; features (N, D) float32 of length 1, as that seed has them; validation: (S, V) the distances of the
    validation images from what is familiar to each seed.
    """

    best: Run
    images: pd.DataFrame
    features: np.ndarray
    validation: np.ndarray

    @classmethod
    def of(cls, runs: list[Run], best: Run, train: pd.DataFrame) -> "Seen":
        """`train`: the best seed's predictions of that split. Raises UserError where a file is damaged."""
        used = train["used"].to_numpy()
        images = train.loc[used, ["index", "image_id", "patient_id"]]
        images = images.assign(label=targets(train)[used]).reset_index(drop=True)
        features = read_features(best, {"train": len(train)})["train"][used]
        distances = [read_familiar(run)[1]["val"] for run in runs]
        if len({len(own) for own in distances}) > 1:
            raise UserError(f"The seeds of {best.path.parent} have kept distances of different validation images.")
        return cls(best, images, of_length_one(features), np.stack(distances).astype(np.float64))

    @cached_property
    def scales(self) -> Scales:
        return Scales.of(self.validation)

    def distance(self, distances: np.ndarray) -> float:
        """Joint, of an image's distances (S,) from what is familiar to each seed."""
        return float(self.scales.joint(distances[:, None])[0])

    def nearest(self, features: np.ndarray, count: int = NEAREST) -> list[tuple[int, float]]:
        """(row of `images`, cosine) of those nearest to features (D,), the nearest first. Raises UserError where these
        are of another length than those that were kept: by another model."""
        if (kept := self.features.shape[1]) != len(features):
            raise damaged(self.best, f"its features have {kept:,} values each, and the model's {len(features):,}")
        cosines = self.features @ of_length_one(features[None])[0]  # (N,)
        return [(int(row), float(cosines[row])) for row in highest(cosines, count)]


@dataclass(frozen=True, eq=False)
class Known:
    """Of the seeds that count. `taken` is the one model that the paper's rule takes; without it the ensemble answers.
    `question` is what it answers yes or no to, or why it cannot. `seen` is None of a group in which a seed has not kept
    what it sees."""

    group: Group
    runs: list[Run]
    taken: Run | None
    best: Run
    test: Judged
    validation: Judged
    tables: dict[str, pd.DataFrame]
    question: Frozen | UserError
    seen: Seen | None

    @classmethod
    def of(cls, group: Group, runs: list[Run] | None = None) -> "Known":
        """Of these `runs`, by default of the seeds that count now. Raises UserError where no seed is finished, or a
        file of one is damaged."""
        runs = finished(group) if runs is None else runs
        best = best_run(group, runs)
        if best is None:
            raise UserError(f"{group.name} has no finished seed yet: it is {group.state}.")
        tables = {split: best.predictions(split) for split in ("train", "val", "test")}
        seen = Seen.of(runs, best, tables["train"]) if all(map(has_features, runs)) else None
        test, validation = judged(group, "test", runs), judged(group, "val", runs)
        try:
            question: Frozen | UserError = frozen(group, test, validation)
        except UserError as error:  # a question alone that cannot be answered
            question = error
        return cls(group, runs, taken_run(group, runs), best, test, validation, tables, question, seen)

    @property
    def image_size(self) -> int:
        """Pixels a side, as the networks read an image."""
        return self.group.config.image_size

    @property
    def class_names(self) -> list[str]:
        return self.test.class_names

    def joint(self, probabilities: list[np.ndarray]) -> np.ndarray:
        """(N, C) of the model that answers, from each seed's."""
        if self.taken is not None:
            return probabilities[self.test.seeds.index(self.taken.seed)]
        return ensemble(probabilities)

    @cached_property
    def entropies(self) -> np.ndarray:
        """(N,) nats, ascending: of the answering model on the test images."""
        return np.sort(entropy(self.joint(self.test.probabilities)))

    @cached_property
    def temperatures(self) -> tuple[list[float], float]:
        """Each seed's, and that of the answering model."""
        own = temperatures(self.validation)
        if self.taken is not None:
            return own, own[self.test.seeds.index(self.taken.seed)]
        return own, temperature(self.validation.labels, self.joint(self.validation.probabilities))

    @cached_property
    def disagreement(self) -> np.ndarray:
        """(V,) ascending, in [0, 1): which share of the seeds votes otherwise than most on each validation image."""
        return np.sort(vote_disagreement(np.stack(self.validation.probabilities)))

    def met(self, checksum: int) -> tuple[str, str] | None:
        """(split, image id) of the very picture among the group's own, of train those trained on; None where it is not,
        or was never kept."""
        for split, table in self.tables.items():
            if "checksum" in table:
                same = table["checksum"].to_numpy() == np.uint64(checksum)
                same &= table["used"].to_numpy() if split == "train" else True
                if same.any():
                    return split, str(table["image_id"].to_numpy()[same][0])
        return None
