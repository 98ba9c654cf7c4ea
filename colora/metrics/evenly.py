"""A part of many that stands for all of them: nothing is drawn, so that another time it is the same."""

import numpy as np


def evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """Of rows (N,) at most so many, and at least half of that where there are: every second, or third ..."""
    return rows[:: max(1, -(-len(rows) // most))]
