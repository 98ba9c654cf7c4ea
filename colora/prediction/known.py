"""What a group's own images tell of an answer: how unsure it is beside the test images, which training images it is
near, and whether it lies further from them than the validation images do. No torch.

Thresholds are quantiles over validation images, so that no test image and no foreign one has chosen them
(benchmarks/foreign has what they find).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from colora.metrics.calibration import temperature
from colora.metrics.classification import entropy
from colora.metrics.novelty import Familiar, limit
from colora.metrics.over_seeds import ensemble
from colora.metrics.uncertainty import mutual_information
from colora.results.calibration import temperatures
from colora.results.judged import Judged, judged
from colora.results.question import Frozen, frozen
from colora.results.summary import best_run, taken_run, targets
from colora.runs.features import has_features, read_features
from colora.runs.finished import finished
from colora.runs.folder import Group, Run
from colora.system.errors import UserError

SHARE = 0.95  # of the validation images lie below a limit
NEAREST = 5


@dataclass(frozen=True, eq=False)
class Seen:
    """The training images as one seed's features have them.

    images: one row each: index (in the train split), label, image_id, patient_id; features (N, D) float32 of length 1;
    validation: (M,) ascending, the validation images' distances from them.
    """

    run: Run
    images: pd.DataFrame
    features: np.ndarray
    familiar: Familiar
    validation: np.ndarray

    @classmethod
    def of(cls, run: Run, tables: dict[str, pd.DataFrame]) -> "Seen":
        """`tables`: its predictions of train and val. Raises UserError where its features are damaged."""
        features = read_features(run, {split: len(table) for split, table in tables.items()})
        used = tables["train"]["used"].to_numpy()
        images = tables["train"].loc[used, ["index", "image_id", "patient_id"]]
        images = images.assign(label=targets(tables["train"])[used]).reset_index(drop=True)
        own = features["train"][used]
        familiar = Familiar.of(own, images["label"].to_numpy())
        return cls(run, images, _of_length_one(own), familiar, np.sort(familiar.distance(features["val"])))

    @cached_property
    def limit(self) -> float:
        return limit(self.validation, SHARE)

    def nearest(self, features: np.ndarray, count: int = NEAREST) -> list[tuple[int, float]]:
        """(row of `images`, cosine) of those nearest to features (D,), the nearest first."""
        cosines = self.features @ _of_length_one(features[None])[0]  # (N,)
        rows = np.argsort(-cosines, kind="stable")[:count]
        return [(int(row), float(cosines[row])) for row in rows]


@dataclass(frozen=True, eq=False)
class Known:
    """Of the seeds that count. `taken` is the one model that the paper's rule takes; without it the ensemble answers.
    `question` is what it answers yes or no to, or why it cannot. `seen` is None of a group that has kept no features of
    its `best` seed."""

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
    def of(cls, group: Group) -> "Known":
        """Raises UserError where no seed is finished, or a file of one is damaged."""
        runs, best = finished(group), best_run(group)
        if best is None:
            raise UserError(f"{group.name} has no finished seed yet: it is {group.state}.")
        tables = {split: best.predictions(split) for split in ("train", "val", "test")}
        seen = Seen.of(best, {split: tables[split] for split in ("train", "val")}) if has_features(best) else None
        test, validation = judged(group, "test", runs), judged(group, "val", runs)
        try:
            question: Frozen | UserError = frozen(group, test, validation)
        except UserError as error:  # a question alone that cannot be answered
            question = error
        return cls(group, runs, taken_run(group), best, test, validation, tables, question, seen)

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
        """(M,) nats, ascending: mutual information of the validation images over the seeds."""
        return np.sort(mutual_information(np.stack(self.validation.probabilities)))

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


def _of_length_one(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
