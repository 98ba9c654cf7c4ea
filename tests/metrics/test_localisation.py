"""Maps against a place that is known."""

import numpy as np
import pytest

from colora.metrics.localisation import intersection_over_union, pointing_hit, rank_correlation


def map_with_peak(at, side=64):
    y, x = np.mgrid[:side, :side]
    return np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / 50.0)


def block(top, left, high=8, wide=8, side=64):
    there = np.zeros((side, side), bool)
    there[top : top + high, left : left + wide] = True
    return there


@pytest.mark.parametrize(
    ("peak", "hit"), [((30, 30), True), ((27, 24), True), ((20, 20), False), ((33, 37), True), ((33, 42), False)]
)
def test_the_pointing_game_allows_fifteen_pixels_of_224(peak, hit):
    """The block reaches to column 35; 15 of 224 pixels are 4.3 of 64."""
    assert pointing_hit(map_with_peak(peak), block(28, 28)) is hit


def test_as_many_of_the_largest_values_as_the_place_has_are_held_against_it():
    there = block(10, 10)
    assert intersection_over_union(there.astype(float), there) == 1
    assert intersection_over_union(1 - there.astype(float), there) == 0
    half = there.astype(float)
    half[10:14] = 0  # half of it is not marked, and as many others are: 32 of 96
    half[50:54, 50:58] = 1
    assert intersection_over_union(half, there) == pytest.approx(32 / 96)


@pytest.mark.parametrize("figure", [pointing_hit, intersection_over_union])
def test_without_a_place_nothing_can_be_met(figure):
    with pytest.raises(ValueError, match="there is no place"):
        figure(np.zeros((8, 8)), np.zeros((8, 8), bool))


def test_ranks_are_compared_and_not_values():
    a = np.arange(16.0).reshape(4, 4)
    assert rank_correlation(a, np.exp(a)) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, np.ones((4, 4))) is None
