"""The selected models of a group's finished seeds, to be run on images that are prepared already."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from colora.metrics.novelty import Familiar
from colora.runs.features import damaged, has_features, read_familiar
from colora.runs.finished import finished
from colora.runs.folder import Group, Run
from colora.settings.resolved import Resolved
from colora.system.errors import UserError
from colora.training.checkpoint import load_model
from colora.training.images import (
    DeviceImages,
    Outputs,
    choose_device,
    choose_precision,
    eval_batch_size,
    outputs,
    probabilities,
)


@dataclass(frozen=True, eq=False)
class Seen:
    """Of N images what R runs see: probabilities (N, R, C); features (N, D) of the seed that was asked for; distances
    (N, R) from what is familiar to each, None where one of them has not kept that."""

    probabilities: np.ndarray
    features: np.ndarray
    distances: np.ndarray | None


@dataclass(frozen=True, eq=False)
class GroupModels:
    """The seeds that count, and where their models run. One is loaded when it is first used, and stays where `keep`
    is set."""

    runs: list[Run]
    resolved: Resolved
    device: torch.device
    keep: bool = False
    _loaded: dict[int, nn.Module] = field(default_factory=dict, repr=False)
    _familiar: dict[int, Familiar] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, group: Group, device: str = "auto", keep: bool = False) -> "GroupModels":
        """`device` as in RunConfig. Raises UserError where no seed is finished."""
        runs = finished(group)
        if not runs or runs[0].resolved is None:
            raise UserError(f"{group.name} has no finished seed yet: it is {group.state}.")
        return cls(runs, runs[0].resolved, choose_device(device), keep)

    def model(self, run: Run) -> nn.Module:
        """In evaluation mode, on the device. Raises UserError where it is missing or damaged."""
        if run.seed in self._loaded:
            return self._loaded[run.seed]
        model = load_model(run, run.config, self.resolved).to(self.device)
        if self.keep:
            self._loaded[run.seed] = model
        return model

    def run_of(self, seed: int) -> Run:
        """Raises UserError for a seed that does not answer."""
        every = {run.seed: run for run in self.runs}
        if seed not in every:
            raise UserError(f"Seed {seed} is none of those that answer: {', '.join(map(str, every))}.", field="seed")
        return every[seed]

    def each(self, images: np.ndarray) -> Iterator[tuple[Run, np.ndarray]]:
        """Each run, and its probabilities (N, C) float32 of images (N, S, S) uint8."""
        for run in self.runs:
            yield run, self.probabilities(run, images)

    def probabilities(self, run: Run, images: np.ndarray) -> np.ndarray:
        """(N, C) float32 of images (N, S, S) uint8."""
        return probabilities(self.model(run), *self._batches(run, images))

    def seen_by(self, run: Run, images: np.ndarray, maps_at: np.ndarray | None = None) -> Outputs:
        """`training.images.outputs` of one run for images (N, S, S) uint8."""
        return outputs(self.model(run), *self._batches(run, images), maps_at=maps_at)

    def seen(self, images: np.ndarray, features_of: int) -> Seen:
        """What all the runs see in images (N, S, S) uint8. Raises UserError where `features_of` is none of their seeds,
        or where a file is damaged."""
        best = self.run_of(features_of)
        every = {run.seed: self.seen_by(run, images) for run in self.runs}
        distances = None
        if all(has_features(run) for run in self.runs):
            distances = np.stack([self.distance(run, every[run.seed].maps) for run in self.runs], axis=1)
        probabilities = np.stack([seen.probabilities for seen in every.values()], axis=1)
        return Seen(probabilities, every[best.seed].features, distances)

    def distance(self, run: Run, maps: np.ndarray) -> np.ndarray:
        """(N,) of maps (N, K) from what is familiar to a run's model. Raises UserError where its file is damaged."""
        if run.seed not in self._familiar:
            self._familiar[run.seed], _ = read_familiar(run)
        familiar = self._familiar[run.seed]
        if (kept := len(familiar.whitening)) != maps.shape[1]:
            raise damaged(run, f"it is of maps with {kept:,} channels, and the model's have {maps.shape[1]:,}")
        return familiar.distance(maps)

    def _batches(self, run: Run, images: np.ndarray) -> tuple[DeviceImages, int, str]:
        unlabelled = DeviceImages(images, np.zeros(len(images), dtype=np.int64), self.device)
        return unlabelled, eval_batch_size(run.config, self.device), choose_precision("auto", self.device)
