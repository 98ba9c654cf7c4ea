"""One image over a run's epochs: what the model of each epoch said of it, and when updates were merged."""

from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from colora.runs.folder import Run
from colora.system.errors import UserError
from colora.system.files import check_regular, why


def timeline(run: Run, split: str, index: int, used: np.ndarray | None = None) -> pd.DataFrame:
    """One row a finished epoch: epoch, p_0 ... p_{C-1}, merged (bool: updates went into the kernels in it).

    `index` is the image's position in its split; of the train split only the images trained on have a timeline, and
    `used` (N,) bool says which those are. Empty where there is none. Raises UserError for a damaged file.
    """
    position = index
    if used is not None:
        if not used[index]:
            return pd.DataFrame()
        position = int(np.count_nonzero(used[:index]))
    rows = {}
    for path in (run.path / "predictions" / "epochs").glob("epoch-*.safetensors"):
        if (epoch := path.stem.removeprefix("epoch-")).isdecimal():
            rows[int(epoch)] = _probabilities(path, split, position)
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame.from_dict(rows, orient="index").add_prefix("p_").sort_index()
    merges = dict(zip(run.metrics["epoch"], run.metrics["merges"], strict=True)) if "merges" in run.metrics else {}
    counts = [merges.get(epoch, 0) for epoch in table.index]
    table.insert(0, "epoch", table.index)
    table["merged"] = np.diff(counts, prepend=0) > 0
    return table.reset_index(drop=True)


def _probabilities(path: Path, split: str, position: int) -> np.ndarray:
    """(C,) of one image: nothing else of the file is read."""
    try:
        check_regular(path)
        with safe_open(path, "numpy") as file:
            values = file.get_slice(split)
            if not 0 <= position < values.get_shape()[0]:
                raise UserError(f"{path} has no image {position} of {split}; the run folder is damaged.")
            return values[position : position + 1][0]
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({why(error)}); the run folder is damaged.") from error
