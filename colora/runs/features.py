"""predictions/features.safetensors of a run: what its selected model sees in the images that it was trained on.

    train, val, test    (N, D) float16: what the last layer reads, rows as in the tables beside it; images that lie near
                        each other look alike to the model
    means, whitening    `metrics.novelty.Familiar` of the training images, float32
    val.distance, test.distance    (M,) float32: how far the images of a split lie from what is familiar, of a large
                        split every so many

Anybody can have written the file: it is held to the tables' length, and to itself. No torch, no pandas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from colora.metrics.novelty import Familiar
from colora.runs.folder import Run, write_bytes
from colora.system.errors import UserError
from colora.system.files import why
from colora.system.typed import exists, is_file

FILE = "features.safetensors"
FEATURE = np.dtype(np.float16)
LARGEST = float(np.finfo(FEATURE).max)
SPLITS = ("train", "val", "test")
MOST_MAPS = 20_000  # images of a split that tell what is familiar: of 2,048 channels 160 MB


@dataclass(frozen=True, eq=False)
class Kept:
    """features (N, D) float32 of each split; what is familiar; distances (M,) of "val" and "test" from it."""

    features: dict[str, np.ndarray]
    familiar: Familiar
    distances: dict[str, np.ndarray]


def features_path(run: Run) -> Path:
    return run.path / "predictions" / FILE


def has_features(run: Run) -> bool:
    return exists(features_path(run))  # what is there and is no file is a sentence


def packed_features(kept: Kept) -> bytes:
    """The file's content."""
    tensors = {
        split: np.clip(rows, -LARGEST, LARGEST, out=np.empty(rows.shape, FEATURE), casting="unsafe")
        for split, rows in kept.features.items()
    }
    tensors |= {f"{split}.distance": own.astype(np.float32) for split, own in kept.distances.items()}
    tensors |= {name: getattr(kept.familiar, name).astype(np.float32) for name in ("means", "whitening")}
    return save(tensors)


def write_features(run: Run, kept: Kept) -> None:
    write_bytes(features_path(run), packed_features(kept))


def read_features(run: Run, images: Mapping[str, int]) -> dict[str, np.ndarray]:
    """(N, D) float32 of each of the splits, which have so many `images`. Raises UserError where the file is missing or
    damaged, or is of other images."""
    found = _read(run, images)
    width = {rows.shape[1:] for rows in found.values()}
    for split, rows in found.items():
        if rows.ndim != 2 or len(rows) != images[split] or not rows.shape[1] or len(width) > 1:
            raise damaged(run, f"its {split} is {rows.shape}, for {images[split]:,} images")
    return {split: rows.astype(np.float32) for split, rows in found.items()}


def read_familiar(run: Run) -> tuple[Familiar, dict[str, np.ndarray]]:
    """What is familiar to a run's model, and the distances (M,) of "val" and "test" from it. Raises UserError as
    `read_features`."""
    found = _read(run, ("means", "whitening", "val.distance", "test.distance"))
    means, whitening = found["means"], found["whitening"]
    width = whitening.shape[0] if whitening.ndim else 0
    if not width or whitening.shape != (width, width) or means.ndim != 2 or not len(means) or means.shape[1] != width:
        raise damaged(run, f"its means are {means.shape}, and its whitening {whitening.shape}")
    distances = {split: found[f"{split}.distance"] for split in ("val", "test")}
    if any(own.ndim != 1 or not len(own) for own in distances.values()):
        raise damaged(run, "its distances are no list of numbers")
    return Familiar(means.astype(np.float64), whitening.astype(np.float64)), distances


def _read(run: Run, names: Any) -> dict[str, np.ndarray]:
    path = features_path(run)
    if not is_file(path):
        raise damaged(run, "it is missing, or no file")
    try:
        with safe_open(path, "np") as file:
            found = {name: file.get_tensor(name) for name in names}
    except Exception as error:  # of damaged bytes it raises errors of several kinds, also of Rust's own
        raise damaged(run, why(error)) from error
    if not all(rows.dtype.kind == "f" and np.isfinite(rows).all() for rows in found.values()):
        raise damaged(run, "it holds what is no number")
    return found


def damaged(run: Run, reason: str) -> UserError:
    """What does not hold of a run's file."""
    return UserError(f"{features_path(run)} cannot be read ({reason}): delete it, then colora features makes it anew.")
