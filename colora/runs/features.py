"""predictions/features.safetensors of a run: what the last layer of its selected model reads, of every image.

Rows as in the tables beside it: train (all of the split), val, test, each (N, D) float16. Images that lie near each
other look alike to the model. Anybody can have written the file: it is held to the tables' length. No torch.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from colora.runs.folder import Run, write_bytes
from colora.system.errors import UserError
from colora.system.files import why
from colora.system.typed import exists, is_file

FILE = "features.safetensors"
LARGEST = float(np.finfo(np.float16).max)


def features_path(run: Run) -> Path:
    return run.path / "predictions" / FILE


def has_features(run: Run) -> bool:
    return exists(features_path(run))  # what is there and is no file is a sentence


def write_features(run: Run, features: Mapping[str, np.ndarray], epoch: int | None) -> None:
    """Of the model of `epoch`: (N, D) float32 of each split."""
    small = {split: np.clip(rows, -LARGEST, LARGEST).astype(np.float16) for split, rows in features.items()}
    write_bytes(features_path(run), save(small, metadata={"about": json.dumps({"epoch": epoch})}))


def read_features(run: Run, images: Mapping[str, int]) -> dict[str, np.ndarray]:
    """(N, D) float32 of each of the splits, which have so many `images`. Raises UserError where the file is missing or
    damaged, or is of other images."""
    path = features_path(run)
    if not is_file(path):
        raise _damaged(path, "it is missing, or no file")
    try:
        with safe_open(path, "np") as file:
            shapes = {split: file.get_slice(split).get_shape() for split in images}
            for split, shape in shapes.items():
                if len(shape) != 2 or shape[0] != images[split] or shape[1] != shapes[next(iter(images))][1]:
                    raise ValueError(f"its {split} is {tuple(shape)}, for {images[split]:,} images")
            found = {split: file.get_tensor(split) for split in images}
    except Exception as error:  # of damaged bytes it raises errors of several kinds, also of Rust's own
        raise _damaged(path, why(error)) from error
    if not all(rows.dtype == np.float16 and np.isfinite(rows).all() for rows in found.values()):
        raise _damaged(path, "it holds what is no number")
    return {split: rows.astype(np.float32) for split, rows in found.items()}


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} cannot be read ({reason}): delete it, then colora features makes it anew.")
