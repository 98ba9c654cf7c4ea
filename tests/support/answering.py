"""Groups that answer to single images: two small ones that have really trained, and one of given numbers, without
networks, whose tables have what training keeps of each image."""

import shutil
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fabricate import COUNTS, fabricate, used_images
from training import SMALL

from colora.metrics.novelty import Familiar
from colora.runs.features import Kept, write_features
from colora.runs.folder import Group, create_group
from colora.settings.config import make_config

WIDTH = 6  # of features and of maps
CORRECTED = {3: 2, 137: 0}  # train images that are trained on, and their labels as a cut corrected them
FIRST = {"train": 2**63 + 10_000, "val": 20_000, "test": 30_000}  # the checksum of each split's first image


@pytest.fixture(scope="session")
def pair(tmp_path_factory, tiny_npz) -> Group:
    """Two finished seeds of one epoch on the tiny data; for reading."""
    from colora.training.run import train_run  # and torch

    config = make_config({"dataset": f"npz:{tiny_npz}", **SMALL, "epochs": 1})
    group = create_group(tmp_path_factory.mktemp("pair"), "pair", config, [0, 1])
    for run in group.runs:
        assert train_run(run.path) == 0
    return Group(group.path)


@pytest.fixture
def own_pair(pair, tmp_path) -> Group:
    """A copy of it, to be changed."""
    return Group(shutil.copytree(pair.path, tmp_path / "runs" / "pair"))


def features_of(split: str) -> np.ndarray:
    """(N, WIDTH) float32, as float16 holds them: the classes lie apart, and each image near its own."""
    rng = np.random.default_rng(len(split))
    labels = np.repeat(np.arange(4), COUNTS[split])
    return (3 * np.eye(4, WIDTH)[labels] + rng.normal(size=(len(labels), WIDTH))).astype(np.float16).astype(np.float32)


def distances_of(split: str, seed: int) -> np.ndarray:
    """(N,) float32: how far a seed finds the images from what is familiar to it. Each seed has a scale of its own."""
    rng = np.random.default_rng([seed, len(split)])
    return (10.0**seed * rng.gamma(3, size=sum(COUNTS[split]))).astype(np.float32)


def kept_by(seed: int) -> Kept:
    """What `runs.features` has of a seed."""
    distances = {split: distances_of(split, seed) for split in ("val", "test")}
    return Kept({split: features_of(split) for split in FIRST}, Familiar(np.eye(4, WIDTH), np.eye(WIDTH)), distances)


def group_of_numbers(runs_dir, seeds: int = 3, features: bool = True, **settings: Any) -> Group:
    """Finished seeds as `fabricate` makes them, of which each image has a checksum, not each train image was trained
    on, and CORRECTED two."""
    group = fabricate(runs_dir, "g", ["done"] * seeds, {"dataset": "npz:x.npz", "train_set": "balanced", **settings})
    for run in group.runs:
        for split, first in FIRST.items():
            path = run.path / "predictions" / f"{split}.parquet"
            table = pd.read_parquet(path)
            table["checksum"] = np.uint64(first) + np.arange(len(table), dtype=np.uint64)
            if split == "train":
                assert used_images("balanced")[list(CORRECTED)].all()
                table["trained_label"] = table["label"]
                table.loc[list(CORRECTED), "trained_label"] = list(CORRECTED.values())
            table.to_parquet(path)
        if features:
            write_features(run, kept_by(run.seed))
    return group
