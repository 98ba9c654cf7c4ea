"""From data to figures: pure functions that draw and compute nothing but where to draw."""

from colora.plots.contact_sheet import Cell, contact_sheet
from colora.plots.curves import learning_curves, seed_figures
from colora.plots.data import class_shares
from colora.plots.evaluation import confusion_matrix, roc_curves, roc_table
from colora.plots.images import divided_scores, image_timeline, seed_probabilities, sorted_scores, thinned
from colora.plots.style import (
    CLASS_COLOURS,
    CLASS_DASHES,
    METRIC_NAMES,
    SPLIT_COLOURS,
    SPLIT_NAMES,
    class_colour,
)

__all__ = [
    "CLASS_COLOURS", "CLASS_DASHES", "METRIC_NAMES", "SPLIT_COLOURS", "SPLIT_NAMES", "Cell", "class_colour",
    "class_shares", "confusion_matrix", "contact_sheet", "divided_scores", "image_timeline", "learning_curves",
    "roc_curves", "roc_table", "seed_figures", "seed_probabilities", "sorted_scores", "thinned",
]  # fmt: skip
