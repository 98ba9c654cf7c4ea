"""A part of many, evenly."""

import numpy as np

from colora.metrics.evenly import evenly


def test_every_so_many_are_taken_and_never_more_than_the_most():
    assert evenly(np.arange(40_001), 20_000)[:3].tolist() == [0, 3, 6]
    assert evenly(np.arange(20_001), 20_000)[:3].tolist() == [0, 2, 4]
    for n in (0, 1, 19_999, 20_000, 20_001, 97_477, 10**6):
        assert min(n, 10_000) <= len(evenly(np.arange(n), 20_000)) <= 20_000
