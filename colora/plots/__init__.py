"""From data to figures: pure functions that draw, and compute nothing but where to draw.

Knows tables and arrays; no file, no page, no torch. A figure is a function here and a name below.
"""

from colora.plots.calibration import reliability_diagram, reliability_table
from colora.plots.compare import COST_NAMES, WHOLE_RANGE_GROUPS, compared_curves, cost_scatter
from colora.plots.confusion import confusion_matrix, confusion_table
from colora.plots.contact_sheet import Cell, contact_sheet
from colora.plots.curves import learning_curves, learning_table, seed_figures
from colora.plots.data import class_shares
from colora.plots.evaluation import class_curves, curve_table, interval_table
from colora.plots.image_map import ANSWERS, VERDICT_COLOURS, Kinds, Points, Values, image_map
from colora.plots.images import divided_scores, image_timeline, seed_probabilities, sorted_scores, thinned
from colora.plots.operating_point import decision_curve
from colora.plots.shift import distances
from colora.plots.style import (
    CLASS_COLOURS,
    CLASS_DASHES,
    METRIC_NAMES,
    SPLIT_COLOURS,
    SPLIT_NAMES,
    class_colour,
    split_title,
)
from colora.plots.subgroups import parts_figure
from colora.plots.written import Written, written

__all__ = [
    "ANSWERS", "CLASS_COLOURS", "CLASS_DASHES", "COST_NAMES", "METRIC_NAMES", "SPLIT_COLOURS", "SPLIT_NAMES",
    "VERDICT_COLOURS", "WHOLE_RANGE_GROUPS", "Cell", "Kinds", "Points", "Values", "Written", "class_colour",
    "class_curves", "class_shares", "compared_curves", "confusion_matrix", "confusion_table", "contact_sheet",
    "cost_scatter", "curve_table", "decision_curve", "distances", "divided_scores", "image_map", "image_timeline",
    "interval_table", "learning_curves", "learning_table", "parts_figure", "reliability_diagram", "reliability_table",
    "seed_figures", "seed_probabilities", "sorted_scores", "split_title", "thinned", "written",
]  # fmt: skip
