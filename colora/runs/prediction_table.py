"""Files of predictions, which anybody can have written: read, and held to what their readers rely on.

    predictions/SPLIT.parquet                       of the selected model, one row an image
    ../external/NAME/seed-NN.parquet                the same of other data
    predictions/epochs/epoch-NN.safetensors         probabilities of each epoch, by split

What does not hold is one sentence that names the file, and no page's or command's end. No torch.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import safe_open

from colora.runs.names import is_external
from colora.system.errors import UserError
from colora.system.files import why
from colora.system.typed import is_file

if TYPE_CHECKING:
    import pandas as pd

MOST_IMAGES = 100_000_000  # of one split: a file of some bytes can claim any number of equal rows
SOURCE_SPLITS = {"train", "val", "test", "all"}  # of other data; "all" of those without splits of their own
FAR = 1e30
OFF_ONE = 1e-2  # by how much the probabilities of an image may miss 1: a network's are float32, or bf16 before


def made_table(
    labels: np.ndarray,
    probabilities: np.ndarray,
    image_ids: np.ndarray,
    patient_ids: np.ndarray | None,
    checksums: np.ndarray,
    index: np.ndarray | None = None,
) -> "pd.DataFrame":
    """The table of N images with labels (N,) and probabilities (N, C), as `Run.predictions` describes it; `index` (N,),
    by default their order."""
    import pandas as pd

    from colora.metrics.classification import entropy

    table = pd.DataFrame({"index": np.arange(len(labels)) if index is None else index, "label": labels})
    for c in range(probabilities.shape[1]):
        table[f"p_{c}"] = probabilities[:, c]
    table["entropy"] = entropy(probabilities)
    table["image_id"] = image_ids
    table["patient_id"] = patient_ids
    table["checksum"] = checksums
    return table


def read_table(path: Path, classes: int | None, split: str) -> "pd.DataFrame":
    """The table, as `Run.predictions` describes it. `classes` is None where the run does not say how many there are.

    Raises UserError where the file is missing, is no such table, or holds a label that is no class, or probabilities
    that are none.
    """
    import pandas as pd
    from pyarrow.parquet import read_metadata

    if not is_file(path):
        raise damaged(path, split, "it is missing, or no file")
    try:
        if (rows := read_metadata(path).num_rows) > MOST_IMAGES:
            raise ValueError(f"it claims {rows:,} images")
        table = pd.read_parquet(path)
    except Exception as error:  # of damaged bytes pyarrow raises errors of very many kinds
        raise damaged(path, split, why(error)) from error
    if problem := _problem(table, classes, split == "train"):
        raise damaged(path, split, problem)
    return table


def trained_on(train: "pd.DataFrame") -> np.ndarray:
    """(N,) bool of a train split's table: the images that this seed has learned from, which are the group's training
    images without those that it leaves out (`data.folds`)."""
    used = train["used"].to_numpy()
    return used & ~train["held_out"].to_numpy() if "held_out" in train else used


def damaged(path: Path, split: str, reason: str) -> UserError:
    way_out = "train this seed again in a new group. The other seeds are not affected."
    if is_external(split):
        way_out = "remove this test, and test again. The group is not affected."
    return UserError(
        f"{path} cannot be read as predictions ({reason}): restore the file from a copy, or {way_out}"
    )


def _problem(table: "pd.DataFrame", classes: int | None, train: bool) -> str | None:
    """The first thing that does not hold."""
    count = sum(str(name).startswith("p_") for name in table.columns)
    names = [f"p_{c}" for c in range(count if classes is None else classes)]
    wanted = ["index", "label", *names, "image_id", "patient_id", *(["used"] if train else [])]
    if missing := [name for name in wanted if name not in table.columns]:
        return f"it lacks the column {missing[0]}"
    if len(names) < 2 or count != len(names):
        return f"it has probabilities of {count} classes" + (f" and not of {classes}" if classes else "")
    for name in ("label", "trained_label", "index"):
        most = MOST_IMAGES if name == "index" else len(names)
        if name in table and (problem := _not_numbers(table[name], most)):
            return f"{name} {problem}"
    for name in ("used", "held_out"):
        if train and name in table and table[name].dtype != np.bool_:
            return f"{name} is {table[name].dtype}, not true or false"
    if "checksum" in table and table["checksum"].dtype != np.uint64:
        return f"checksum is {table['checksum'].dtype}, not uint64"
    if not all(isinstance(value, str) for value in table["image_id"]):
        return "image_id is not all text"
    if "source_split" in table and not set(table["source_split"]) <= SOURCE_SPLITS:
        return f"source_split is not all of {', '.join(sorted(SOURCE_SPLITS))}"
    if "distance" in table and not _distances(table["distance"]):
        return "distance is not all numbers of at least 0"
    return _no_probabilities(table, names)


def _distances(values: Any) -> bool:
    """Whether each is one, or not known."""
    return values.dtype == np.float32 and bool((values.isna() | values.between(0, FAR)).all())


def _not_numbers(values: Any, most: int) -> str | None:
    """Why a column does not hold whole numbers from 0 to below `most`."""
    if not isinstance(values.dtype, np.dtype) or values.dtype.kind not in "iu":
        return f"is {values.dtype}, not whole numbers"
    if len(values) and not (values.min() >= 0 and values.max() < most):
        return f"holds {values.min()} to {values.max()}, which go from 0 to {most - 1}"
    return None


def _no_probabilities(table: "pd.DataFrame", names: list[str]) -> str | None:
    if not all(isinstance(table[name].dtype, np.dtype) and table[name].dtype.kind == "f" for name in names):
        return "probabilities are not all numbers"
    return _not_shares(table[names].to_numpy())


def _not_shares(p: np.ndarray) -> str | None:
    """Why the rows of (N, C) are not the classes' shares of 1."""
    if p.dtype.kind != "f" or not np.isfinite(p).all() or (p < 0).any() or (abs(p.sum(axis=1) - 1) > OFF_ONE).any():
        return "it holds probabilities that are not finite, below 0, or do not sum to 1"
    return None


def read_epoch(path: Path, split: str, first: int = 0, count: int | None = None) -> np.ndarray:
    """(n, C) float probabilities of an epoch: of all images of a split, or of `count` from the `first` on, and nothing
    else of the file is read. Raises UserError where the file is missing or damaged, or has not so many images."""
    if not is_file(path):
        raise damaged_epoch(path, "it is missing, or no file")
    try:
        with safe_open(path, "np") as file:
            kept = file.get_slice(split)
            shape = kept.get_shape()
            if len(shape) != 2:
                raise damaged_epoch(path, f"its {split} is {tuple(shape)}, not images and classes")
            if count is not None and first + count > shape[0]:
                raise damaged_epoch(path, f"it has no image {first + count - 1} of {split}")
            found = kept[first : shape[0] if count is None else first + count]
    except UserError:
        raise
    except Exception as error:  # of damaged bytes it raises errors of several kinds, also of Rust's own
        raise damaged_epoch(path, why(error)) from error
    if problem := _not_shares(found):
        raise damaged_epoch(path, problem)
    return found


def damaged_epoch(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged ({reason}): the other epochs are not affected.")
