"""A map over its picture: where it lies on pictures of any shape, its colours, its line."""

import numpy as np
import pytest

from colora.data.prepare import square_of
from colora.explanation.overlay import LEVEL, LINE, drawn, heat, outline


def quadrant(side: int = 8) -> np.ndarray:
    """Marks the upper left quarter."""
    values = np.zeros((side, side), np.float32)
    values[: side // 2, : side // 2] = 1
    return values


def test_where_a_map_is_zero_nothing_covers_the_picture():
    rgba = heat(np.array([[0, 0.5], [1, 1]]))
    assert rgba[..., 3].tolist() == [[0, 128], [255, 255]]
    assert rgba[1, 1, :3].sum() > rgba[0, 1, :3].sum() > rgba[0, 0, :3].sum()  # lighter means more


SQUARES = [(100, 60, (20, 0, 60)), (60, 101, (0, 20, 60)), (7, 7, (0, 0, 7))]


@pytest.mark.parametrize(("width", "height", "square"), SQUARES)
def test_the_square_is_the_one_that_the_network_sees(width, height, square):
    assert square_of(width, height) == square


def test_the_line_goes_around_what_is_over_the_level_and_closes_at_the_edge():
    (line,) = outline(quadrant())
    x, y = np.array(line).T
    assert line[0] == line[-1]
    assert (x.min(), y.min()) == pytest.approx((-1 / 16, -1 / 16), abs=1 / 16)
    assert (x.max(), y.max()) == pytest.approx((0.5, 0.5), abs=1 / 16)
    assert outline(np.zeros((8, 8))) == []
    assert 0 < LEVEL < 1


@pytest.mark.parametrize("shape", [(60, 100), (100, 60), (60, 100, 3)])
def test_it_is_drawn_at_the_pictures_own_resolution_in_its_square(shape):
    picture = np.full(shape, 90, np.uint8)
    found = drawn(picture, quadrant())
    assert found.shape == (*shape[:2], 3)
    left, top, side = square_of(shape[1], shape[0])
    changed = (found != 90).any(-1)
    assert changed[top : top + side // 2 - 4, left : left + side // 2 - 4].all()
    rest = changed.copy()
    rest[top : top + side // 2 + 6, left : left + side // 2 + 6] = False
    assert not rest.any()
    assert (found == LINE).all(-1).any()
