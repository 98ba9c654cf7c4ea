"""From data to plotly figures: pure functions that draw and compute nothing but where to draw."""

from colora.plots.curves import learning_curves, seed_figures
from colora.plots.data import class_shares
from colora.plots.evaluation import confusion_matrix, roc_curves, roc_table
from colora.plots.style import (
    CLASS_COLOURS,
    CLASS_DASHES,
    METRIC_NAMES,
    SPLIT_COLOURS,
    SPLIT_NAMES,
    class_colour,
)

__all__ = [
    "CLASS_COLOURS", "CLASS_DASHES", "METRIC_NAMES", "SPLIT_COLOURS", "SPLIT_NAMES", "class_colour", "class_shares",
    "confusion_matrix", "learning_curves", "roc_curves", "roc_table", "seed_figures",
]  # fmt: skip
