"""The selected models of a group's finished seeds, to be run on images that are prepared already."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

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
class GroupModels:
    """The seeds that count, and where their models run. One is loaded when it is first used, and stays where `keep`
    is set."""

    runs: list[Run]
    resolved: Resolved
    device: torch.device
    keep: bool = False
    _loaded: dict[int, nn.Module] = field(default_factory=dict, repr=False)

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

    def each(self, images: np.ndarray) -> Iterator[tuple[Run, np.ndarray]]:
        """Each run, and its probabilities (N, C) float32 of images (N, S, S) uint8."""
        for run in self.runs:
            yield run, probabilities(self.model(run), *self._batches(run, images))

    def seen_by(self, run: Run, images: np.ndarray) -> Outputs:
        """One run's probabilities and features of images (N, S, S) uint8."""
        return outputs(self.model(run), *self._batches(run, images))

    def outputs(self, images: np.ndarray, features_of: int) -> Outputs:
        """Of images (N, S, S) uint8 the probabilities (N, R, C) of the R runs, and the features (N, D) that the seed
        `features_of` has of them. Raises UserError for another seed."""
        every = {run.seed: self.seen_by(run, images) for run in self.runs}
        if features_of not in every:
            raise UserError(f"Seed {features_of} is none of those that answer: {', '.join(map(str, every))}.")
        stacked = np.stack([seen.probabilities for seen in every.values()], axis=1)
        return Outputs(stacked, every[features_of].features)

    def _batches(self, run: Run, images: np.ndarray) -> tuple[DeviceImages, int, str]:
        unlabelled = DeviceImages(images, np.zeros(len(images), dtype=np.int64), self.device)
        return unlabelled, eval_batch_size(run.config, self.device), choose_precision("auto", self.device)
