"""How other data differ from those that a group was trained on: how common each class is, whether the probabilities
still mean what they say, and how far the images lie from what the models know.

None of it needs the images' labels to be right, but for prevalence and calibration. A figure that falls on other data
has one of these beside it, which often tells why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from colora.metrics.bootstrap import Sample
from colora.metrics.calibration import Calibration
from colora.metrics.estimates import Estimate, of_share
from colora.metrics.novelty import Scales
from colora.results.calibration import calibrated
from colora.results.judged import Judged, images_of, judged
from colora.runs.features import has_features, read_familiar


@dataclass(frozen=True, eq=False)
class Far:
    """How far images lie from what is familiar to the models, on the scale on which 0 is validation's median and 1 its
    limit (`metrics.novelty.Scales`).

    distances (M,); beyond: the share of the images beyond `limit`, of which validation has at most one in twenty. With
    very many images every so many was asked: `of` is how many.
    """

    distances: np.ndarray
    limit: float
    beyond: Estimate

    @property
    def of(self) -> int:
        return len(self.distances)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "n": self.of,
            "median": float(np.median(self.distances)),
            "limit": self.limit,
            "beyond": self.beyond.as_dict(),
        }


@dataclass(frozen=True, eq=False)
class Shift:
    """Of other data against the group's own test split. {split: ...} with "train" (images trained on), "test", and the
    other data under their own name.

    prevalence: the share of each class, in their order, with its interval; far: None where a seed has not kept what it
    knows; calibration: of the one model that stands for the group, at the temperature that validation chose.
    """

    class_names: Sequence[str]
    images: dict[str, int]
    prevalence: dict[str, list[Estimate]]
    calibration: dict[str, Calibration]
    far: dict[str, Far] | None

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "images": self.images,
            "prevalence": {
                split: {name: each.as_dict() for name, each in zip(self.class_names, own, strict=True)}
                for split, own in self.prevalence.items()
            },
            "calibration": {split: own.as_dict() for split, own in self.calibration.items()},
            "distance": self.far and {split: own.as_dict() for split, own in self.far.items()},
        }


def shift(seen: Judged) -> Shift:
    """Of `seen`, which is of other data. Raises UserError where a file is damaged."""
    group, runs = seen.group, seen.runs
    test, validation = (judged(group, split, runs) for split in ("test", "val"))
    train = images_of(group, "train", seen.class_names)
    every = {"train": train, "test": test, seen.split: seen}
    return Shift(
        seen.class_names,
        {split: len(own.labels) for split, own in every.items()},
        {split: prevalence(own) for split, own in every.items()},
        {split: standing(own, validation) for split, own in every.items() if split != "train"},
        far(test, seen),
    )


def prevalence(seen: Judged) -> list[Estimate]:
    """The share of each class among the images."""
    every = np.ones(len(seen.labels), dtype=bool)
    return [of_share(seen.labels == c, every, seen.sample) for c in range(len(seen.class_names))]


def standing(seen: Judged, validation: Judged) -> Calibration:
    """Of the one model that stands for the group."""
    seeds, joint = calibrated(seen, validation)
    return joint or seeds[0] if seen.one is None else seeds[seen.one]


def far(test: Judged, seen: Judged) -> dict[str, Far] | None:
    """Of the test images and of other ones; None where a seed has not kept what is familiar to it, or was asked before
    it had. Raises UserError where a file is damaged."""
    tables = [run.predictions(seen.split) for run in seen.runs]
    if not all(map(has_features, seen.runs)) or not all("distance" in table for table in tables):
        return None
    known = [read_familiar(run)[1] for run in seen.runs]
    scales = Scales.of(np.stack([own["val"] for own in known]))
    theirs = np.stack([table["distance"].to_numpy() for table in tables])
    asked = ~np.isnan(theirs).any(axis=0)
    own = np.stack([each["test"] for each in known])
    step = -(-len(test.labels) // own.shape[1])  # of a large split every so many
    return {
        "test": _far(scales, own, _some(test, np.arange(len(test.labels))[::step])),
        seen.split: _far(scales, theirs[:, asked], _some(seen, np.flatnonzero(asked))),
    }


def _some(seen: Judged, rows: np.ndarray) -> Sample:
    return Sample.of(seen.labels[rows], None if seen.patients is None else seen.patients[rows])


def _far(scales: Scales, distances: np.ndarray, sample: Sample) -> Far:
    joint = scales.joint(distances)
    return Far(joint, scales.limit, of_share(joint > scales.limit, np.ones(len(joint), dtype=bool), sample))
