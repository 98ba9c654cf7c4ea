"""Which epoch of a run counts: the rule is its setting `selection`, and training, figures and prediction all ask here.

While a run trains, model.safetensors holds the weights of the epoch that the rule selects so far.
"""

from typing import Any

import numpy as np
import pandas as pd

from colora.runs.folder import Run

SELECTION = {
    "validation": "each seed's epoch is the one of best accuracy on validation (ties: lower validation loss)",
    "paper": "the one model of best TEST accuracy over all seeds and epochs, as in the paper: optimistic, "
    "because the test images chose it",
}


def selected_row(metrics: pd.DataFrame | list[dict[str, Any]], selection: str) -> int:
    """Position of the selected epoch in a run's metrics (at least one row).

    Highest accuracy on validation (`selection="paper"`: on test); ties go to the lower loss there, then to the
    earlier epoch.
    """
    split = "test" if selection == "paper" else "val"
    table = pd.DataFrame(metrics)
    order = np.lexsort((np.arange(len(table)), table[f"{split}_loss"], -table[f"{split}_accuracy"]))
    return int(order[0])


def selected_epoch(run: Run) -> int | None:
    """By the run's own rule; None before its first epoch is finished."""
    metrics = run.metrics
    return int(metrics.iloc[selected_row(metrics, run.config.selection)]["epoch"]) if len(metrics) else None
