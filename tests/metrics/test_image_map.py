"""The axes of a map, what lies in an outline on it, and how few corners an outline needs."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from colora.metrics.image_map import DECIMALS, Axes, inside, nearest, simplified


def drawn(count: int, width: int, seed: int = 0) -> np.ndarray:
    """(N, D) features whose directions have falling spread, none below 0."""
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(size=(count, width)) / np.sqrt(np.arange(1, width + 1)) + 0.2, 0.01).astype(np.float32)


def units(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def circle(corners: int, radius: float = 1.0) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return radius * np.column_stack([np.cos(turn), np.sin(turn)])


@pytest.mark.parametrize(("count", "width"), [(300, 2), (300, 40), (5000, 130)])
def test_the_axes_are_the_principal_components_of_features_of_length_one(count, width):
    features = drawn(count, width)
    axes, known = Axes.of(features), PCA(n_components=2, svd_solver="full").fit(units(features))
    assert axes.shares == pytest.approx(known.explained_variance_ratio_, rel=1e-4)
    places, expected = axes.places(features), known.transform(units(features))
    expected /= expected[:, 0].std()
    signs = np.sign((places * expected).sum(0))  # which way round is another library's choice
    assert np.abs(places - signs * expected).max() < 2e-3
    assert places[:, 0].std() == pytest.approx(1, abs=1e-4) and places.mean(0) == pytest.approx([0, 0], abs=1e-4)


def test_an_image_lies_where_it_lay_whatever_else_is_placed_and_whoever_asks():
    features = drawn(500, 24)
    axes = Axes.of(features[:300])
    every = axes.places(features)
    assert np.array_equal(Axes.of(features[:300]).places(features[300:]), every[300:])
    assert np.allclose(axes.places(3 * features[:7]), every[:7], atol=1e-6)  # of length 1, so no brightness counts


def test_images_that_do_not_differ_lie_on_one_place():
    for features in (np.ones((9, 4)), np.zeros((3, 4)), np.ones((1, 4)), np.arange(1, 9.0)[:, None]):
        axes = Axes.of(features)
        assert np.isfinite(axes.places(features)).all() and np.ptp(axes.places(features), axis=0).max() < 1e-3
        assert axes.shares == pytest.approx([0, 0], abs=1e-6)


def test_features_of_another_kind_are_refused():
    for wrong in (np.ones(4), np.ones((0, 4)), np.ones((4, 0))):
        with pytest.raises(ValueError, match="features"):
            Axes.of(wrong)
    with pytest.raises(ValueError, match="4 features an image, got"):
        Axes.of(drawn(9, 4)).places(drawn(9, 5))


def test_the_nearest_images_have_the_smallest_angle_and_the_image_itself_is_first():
    features = drawn(5000, 12)
    features[[7, 4500]] = 2 * features[3]  # the same to the angle
    features[11] = 0
    found = nearest(features, 3, 6)
    cosines = units(np.where(features.any(1, keepdims=True), features, 1)) @ units(features[3:4])[0]
    cosines[11] = 0
    assert found[0] == 3 and {*found[1:3]} == {7, 4500}
    assert cosines[found].tolist() == pytest.approx(np.sort(cosines)[::-1][:6].tolist(), abs=1e-6)
    assert nearest(features, 11, 3).tolist()[0] == 11 and len(nearest(features, 0, 9999)) == 5000


def test_what_lies_in_an_outline():
    corner = np.array([(0, 0), (4, 0), (4, 1), (1, 1), (1, 4), (0, 4)])  # an L
    places = np.array([(0.5, 0.5), (3, 0.5), (0.5, 3), (3, 3), (-1, 0.5), (5, 0.5), (0.5, -1)])
    assert inside(places, corner).tolist() == [True, True, True, False, False, False, False]
    assert inside(places, corner[::-1]).tolist() == inside(places, corner).tolist()
    star = circle(5)[[0, 2, 4, 1, 3]]  # what is gone around twice is outside
    assert inside(np.array([(0, 0), (0.8, 0)]), star).tolist() == [False, True]
    assert inside(np.empty((0, 2)), corner).tolist() == []


def test_a_hand_s_outline_keeps_its_images_in_few_rounded_corners():
    wobble = 1.3 + 0.2 * np.sin(np.linspace(0, 6 * np.pi, 400))
    places, hand = np.random.default_rng(3).normal(size=(800, 2)), circle(400) * wobble[:, None]
    found = simplified(hand, 60)
    assert 50 < len(found) <= 60 and np.array_equal(found, np.round(found, DECIMALS))
    assert np.count_nonzero(inside(places, found) != inside(places, hand)) <= 2  # of 800
    few = simplified(circle(5), 60)
    assert np.array_equal(few, np.round(circle(5), DECIMALS))


def test_an_outline_with_more_ends_than_corners_may_be_is_cut_down_all_the_same():
    jagged = circle(600) * np.random.default_rng(4).uniform(0.3, 2, (600, 1))
    assert 3 <= len(simplified(jagged, 20)) <= 20
    assert len(simplified(np.zeros((70, 2)), 20)) <= 20  # a hand that did not move
