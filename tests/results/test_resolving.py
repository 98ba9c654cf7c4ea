"""A number of test images comes with the difference that it tells apart, in the same words everywhere."""

import pytest

from colora.metrics.differences import resolves
from colora.results.resolving import MEANS, in_cell, tells_apart


@pytest.mark.parametrize(("images", "points"), [(1000, 2.8), (200, 6.3), (10, 28.0), (1, 88.6)])
def test_a_number_of_images_says_what_it_tells_apart(images, points):
    assert points == pytest.approx(100 * resolves(images), abs=0.05)
    assert in_cell(images) == f"{images:,}: {points} points"


def test_in_a_sentence():
    assert tells_apart(1000) == "1,000 test images tell 2.8 points of accuracy apart"
    assert tells_apart(200, "", 100) == "200 images of 100 patients tell 6.3 points of accuracy apart"
    assert tells_apart(1, "", 1) == "1 image of 1 patient tells 88.6 points of accuracy apart"
    assert "differ on 10 % of the images" in MEANS and "four of five studies" in MEANS
