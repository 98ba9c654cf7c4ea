"""Which images are alike: by the angle alone, the nearest first."""

import numpy as np
import pytest

from colora.metrics.likeness import highest, of_length_one


def test_rows_of_length_one_and_one_of_zeros():
    found = of_length_one(np.array([[3.0, 4.0], [0.0, 0.0]]))
    assert found.tolist() == [[0.6, 0.8], [0.0, 0.0]]


@pytest.mark.parametrize("count", [1, 7, 30, 40])
def test_the_highest_are_first_and_of_equal_ones_the_earlier(count):
    cosines = np.random.default_rng(2).integers(0, 8, 30) / 8  # many equal
    assert highest(cosines, count).tolist() == np.argsort(-cosines, kind="stable")[:count].tolist()
