"""Differences between figures on different images, and the largest of many."""

import numpy as np
import pytest

from colora.metrics.estimates import Estimate, wilson
from colora.metrics.gaps import difference, largest_gap


def share(right: int, of: int) -> Estimate:
    return Estimate(right / of, *wilson(right, of))


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),  # Newcombe 1998, Statistics in Medicine 17, table II, method 10
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_of_two_shares_it_is_newcombes(a, b, low, high):
    found = difference(share(*a), share(*b))
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    assert found.value == pytest.approx(a[0] / a[1] - b[0] / b[1]) and found.method == "MOVER"
    other = difference(share(*b), share(*a))
    assert (other.low, other.high) == pytest.approx((-found.high, -found.low))


def test_of_many_at_once_it_is_wider_by_bonferroni():
    one, six = (difference(share(56, 70), share(48, 80), n) for n in (1, 6))
    wider = 2.638257 / 1.959964  # of 0.05 / 12 and of 0.05 / 2
    assert one.value - six.low == pytest.approx(wider * (one.value - one.low), rel=1e-6)
    assert six.method == "MOVER, 6 at once"


@pytest.mark.parametrize(
    "bad", [(Estimate(0.5), share(1, 2), 1), (share(1, 2), Estimate(None), 1), (share(1, 2), share(1, 2), 0)]
)
def test_without_intervals_there_is_no_difference(bad):
    with pytest.raises(ValueError, match="two figures with intervals"):
        difference(*bad)


def test_the_largest_gap_is_of_those_that_have_intervals():
    parts = {"a": share(50, 100), "b": share(90, 100), "c": share(45, 100), "d": Estimate(0.0, reason="why")}
    found = largest_gap(parts)
    assert (found.higher, found.lower, found.comparisons) == ("b", "c", 3)
    assert found.difference.value == pytest.approx(0.45) and not found.by_chance
    few = {"a": share(180, 200), "b": share(120, 200), "c": share(0, 1), "d": share(1, 1)}
    sure = largest_gap(few)  # and not the largest, which says nothing
    assert (sure.higher, sure.lower, sure.comparisons) == ("a", "b", 6) and sure.difference.low > 0.15
    assert largest_gap(few, 24).difference.low < sure.difference.low
    assert found.as_dict()["more_than_chance"] is True
    assert largest_gap({"a": share(1, 2), "b": Estimate(None)}) is None and largest_gap({}) is None


def test_parts_that_are_alike_seldom_seem_to_differ():
    generator, held = np.random.default_rng(0), 0
    for _ in range(1000):
        right = generator.binomial(40, 0.9, 4)
        held += largest_gap({str(i): share(int(n), 40) for i, n in enumerate(right)}).by_chance
    assert held > 950  # measured: 0.97 to 0.98 for 2 to 6 parts of 25 to 100 images
