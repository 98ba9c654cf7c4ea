"""One image over a run's epochs: what the model of each epoch said of it, and when updates were merged."""


import numpy as np
import pandas as pd

from colora.runs.folder import Run
from colora.runs.prediction_table import read_epoch


def timeline(run: Run, split: str, index: int, learned: np.ndarray | None = None) -> pd.DataFrame:
    """One row a finished epoch: epoch, p_0 ... p_{C-1}, merged (bool: updates went into the kernels in it).

    `index` is the image's position in its split; of the train split only the images that the seed has learned from have
    a timeline, and `learned` (N,) bool says which those are. Empty where there is none. Raises UserError for a damaged
    file.
    """
    position = index
    if learned is not None:
        if not learned[index]:
            return pd.DataFrame()
        position = int(np.count_nonzero(learned[:index]))
    rows = {}
    for path in sorted((run.path / "predictions" / "epochs").glob("epoch-*.safetensors")):
        if (number := path.stem.removeprefix("epoch-")).isdecimal():
            rows[int(number)] = read_epoch(path, split, position, 1)[0]
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame.from_dict(rows, orient="index").add_prefix("p_").sort_index()
    merges = dict(zip(run.metrics["epoch"], run.metrics["merges"], strict=True)) if "merges" in run.metrics else {}
    counts = [merges.get(epoch, 0) for epoch in table.index]
    table.insert(0, "epoch", table.index)
    table["merged"] = np.diff(counts, prepend=0) > 0
    return table.reset_index(drop=True)
