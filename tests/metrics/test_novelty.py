"""The distance to what a model knows, against scikit-learn's covariance and direct computations, and its limits."""

import tracemalloc

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from colora.metrics import novelty
from colora.metrics.novelty import Familiar, Scales, limit, share_below


def drawn(images: int, width: int, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of classes around means of their own, all positive, as after a ReLU."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    means = rng.uniform(1, 3, (classes, width))
    return (means[labels] + rng.normal(0, 0.3, (images, width))).astype(np.float32), labels


def units(features: np.ndarray) -> np.ndarray:
    return features / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)


def direct(features: np.ndarray, labels: np.ndarray, these: np.ndarray) -> np.ndarray:
    x, y = units(features), units(these)
    means = [x[labels == c].mean(0) for c in np.unique(labels)]
    centred = np.concatenate([x[labels == c] - mean for c, mean in zip(np.unique(labels), means, strict=True)])
    inverse = LedoitWolf(assume_centered=True).fit(centred).precision_
    return np.sqrt(np.min([np.einsum("ij,jk,ik->i", y - m, inverse, y - m) for m in means], axis=0))


@pytest.mark.parametrize(("images", "width"), [(300, 12), (60, 12), (20, 50)])  # the last: fewer images than features
def test_distance_is_mahalanobis_to_the_nearest_class_with_a_shrunk_covariance(images, width, monkeypatch):
    features, labels = drawn(images, width)
    these, _ = drawn(25, width, seed=1)
    monkeypatch.setattr(novelty, "ROWS", 7)  # several parts, the last one smaller
    assert Familiar.of(features, labels).distance(these) == pytest.approx(direct(features, labels, these), rel=1e-6)


def test_the_shrunk_covariance_is_scikit_learns():
    x = units(drawn(40, 9, classes=1)[0])
    centred = x - x.mean(0)
    ours = novelty._shrunk(centred.T @ centred / 40, float(((centred**2).sum(1) ** 2).sum()), 40)
    assert ours == pytest.approx(LedoitWolf(assume_centered=True).fit(centred).covariance_, rel=1e-9)


def test_the_brightness_of_features_does_not_count_and_their_direction_does():
    features, labels = drawn(200, 8)
    known = Familiar.of(features, labels)
    near, _ = drawn(30, 8, seed=2)
    near = near + features.mean(0) - near.mean(0)
    assert known.distance(10 * near) == pytest.approx(known.distance(near), rel=1e-5)
    away = near.copy()
    away[:, 0] = 30
    assert known.distance(away).min() > 3 * known.distance(features).max()


def test_a_class_without_images_is_no_place_to_be_near():
    features, labels = drawn(60, 6)
    moved = np.where(labels == 2, 5, labels)  # classes 0, 1 and 5 of six
    assert Familiar.of(features, moved).means.shape == (3, 6)
    expected = Familiar.of(features, labels).distance(features)
    assert Familiar.of(features, moved).distance(features) == pytest.approx(expected)


def test_what_no_training_image_differs_in_is_seen_where_another_does():
    features, labels = drawn(300, 6)
    features[:, 3] = 0  # a dead channel
    known = Familiar.of(features, labels)
    assert np.isfinite(known.distance(features)).all()
    other = features[:5].copy()
    other[:, 3] = 1
    assert known.distance(other).min() > 3 * known.distance(features).max()


def test_a_black_image_and_equal_images_have_a_finite_distance():
    features, labels = drawn(50, 6)
    black = Familiar.of(features, labels).distance(np.zeros((1, 6), np.float32))
    assert np.isfinite(black).all() and black > Familiar.of(features, labels).distance(features).max()
    equal = Familiar.of(np.ones((4, 6), np.float32), np.zeros(4, int))
    assert equal.distance(np.ones((1, 6))) == pytest.approx(0, abs=1e-6)
    assert np.isfinite(equal.distance(np.eye(6))).all() and equal.distance(np.eye(6)).min() > 1
    assert Familiar.of(np.ones((1, 6)), np.array([2])).distance(np.eye(6)).min() > 1


def test_other_features_are_refused():
    features, labels = drawn(20, 6)
    known = Familiar.of(features, labels)
    with pytest.raises(ValueError, match=r"6 features an image, got \(2, 5\)"):
        known.distance(np.ones((2, 5)))
    with pytest.raises(ValueError, match="no numbers"):
        known.distance(np.array([[1, 2, 3, 4, 5, np.nan]]))
    with pytest.raises(ValueError, match=r"got \(20, 6\) and 19 labels"):
        Familiar.of(features, labels[1:])
    with pytest.raises(ValueError, match=r"got \(0, 6\) and 0 labels"):
        Familiar.of(features[:0], labels[:0])
    assert known.distance(features[:0]).shape == (0,)


def test_many_images_take_little_memory():
    features, labels = np.ones((50_000, 32), np.float32), np.zeros(50_000, int)
    features[np.arange(50_000), np.arange(50_000) % 32] = 3
    tracemalloc.start()
    known = Familiar.of(features, labels)
    known.distance(features)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < features.nbytes  # a copy in float64 would be twice that
    assert known.distance(features[:1])[0] == pytest.approx(np.sqrt(31), rel=0.02)  # 31 directions of equal spread


def test_the_limit_is_the_score_that_one_more_image_exceeds_once_in_twenty():
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 100.0))  # 1 to 99: ranks 1 to 100 for one more
    assert limit(scores) == 95
    assert limit(scores, 0.99) == 99
    assert limit(np.arange(19.0)) == 18
    assert limit(np.array([2.0, 1.0])) == 2  # too few to say 95 %
    rng = np.random.default_rng(1)
    above = [rng.normal() > limit(rng.normal(size=39)) for _ in range(4000)]
    assert np.mean(above) == pytest.approx(2 / 40, abs=0.012)  # 38 of 40 ranks are within: 3.5 standard errors
    for scores, share, says in ((np.array([]), 0.95, "there are none"), (np.ones(3), 1.0, "between 0 and 1, got 1")):
        with pytest.raises(ValueError, match=says):
            limit(scores, share)


def test_share_below_counts_what_is_smaller():
    sample = np.array([1.0, 2.0, 2.0, 3.0])
    assert [share_below(sample, value) for value in (0.5, 2.0, 2.5, 9.0)] == [0, 0.25, 0.75, 1]
    assert share_below(np.array([]), 1.0) == 0


def test_seeds_of_other_spreads_count_alike():
    known = np.random.default_rng(0).uniform(size=(1, 99))
    validation = np.concatenate([known, 1000 * known])  # the second seed's features spread a thousand times as far
    these = np.array([[0.1, 0.5, 2.0], [100.0, 500.0, 2000.0]])
    middle, end = np.median(known), limit(known[0])
    assert Scales.of(validation).joint(these) == pytest.approx((these[0] - middle) / (end - middle))
    assert limit(Scales.of(validation).joint(validation)) == pytest.approx(1)
    equal = np.ones((2, 30))  # no spread at all: the same image again and again
    assert Scales.of(equal).joint(equal) == pytest.approx(np.zeros(30))
