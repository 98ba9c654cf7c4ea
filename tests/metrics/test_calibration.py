"""Calibration against labels that are really drawn from probabilities, and sums against loops."""

import numpy as np
import pytest
from predictions_made import predictions, softmax
from sklearn.calibration import calibration_curve

from colora.metrics.calibration import (
    before_and_after,
    brier_parts,
    ece_by_chance,
    reliability,
    temperature,
    tempered,
)
from colora.metrics.classification import cross_entropy
from colora.metrics.estimates import wilson
from colora.metrics.figures import once


def calibrated(images: int, seed: int, spread: float = 2.0, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """(labels, logits), the labels drawn from the softmax of the logits."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(images, classes)) * spread
    edges = np.cumsum(softmax(logits), axis=1)
    return (generator.random((images, 1)) > edges[:, :-1]).sum(1), logits


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_the_temperature_is_what_logits_were_multiplied_by(factor):
    labels, logits = calibrated(6000, 0)
    sure = softmax(factor * logits)
    found = temperature(labels, sure)
    assert found == pytest.approx(factor, rel=0.05)
    least = cross_entropy(labels, tempered(sure, found))
    for nearby in (0.5, 0.95, 0.999, 1.001, 1.05, 2.0):
        assert cross_entropy(labels, tempered(sure, found * nearby)) >= least


def test_a_temperature_divides_the_logits_and_changes_no_answer():
    _, logits = calibrated(500, 1)
    p = softmax(logits)
    assert tempered(p, 1.0) == pytest.approx(p, abs=1e-12)
    for t in (0.3, 2.0, 7.0):
        found = tempered(p, t)
        assert found == pytest.approx(softmax(logits / t), abs=1e-9)
        assert np.array_equal(found.argmax(1), p.argmax(1)) and found.sum(1) == pytest.approx(np.ones(500))
        assert (np.argsort(found, axis=1) == np.argsort(p, axis=1)).all(), "nor any ranking within an image"


def test_without_a_temperature_in_between_it_is_the_last_that_is_looked_for():
    always_right = np.array([[0.7, 0.3], [0.4, 0.6]])
    assert temperature(np.array([0, 1]), always_right) == pytest.approx(0.05, rel=1e-3)
    assert temperature(np.array([1, 0]), always_right) == pytest.approx(20, rel=1e-3)


@pytest.mark.parametrize("t", [0.0, -1.0, float("nan")])
def test_a_temperature_is_above_zero(t):
    with pytest.raises(ValueError, match="temperature must be above 0"):
        tempered(np.full((2, 2), 0.5), t)


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("c", [None, 0, 2])
def test_the_rows_of_reliability_are_scikit_learns_with_their_numbers_of_images(c, digits):
    labels, p = predictions(300, 3, 2, digits=digits)
    confidence = p.max(1) if c is None else p[:, c]
    right = p.argmax(1) == labels if c is None else labels == c
    found = reliability(labels, p, c)
    shares, means = calibration_curve(right, confidence, n_bins=10, strategy="quantile")
    assert found["right"].to_numpy() == pytest.approx(shares) and found["confidence"].to_numpy() == pytest.approx(means)
    assert found["n"].sum() == 300 and (found["n"] > 0).all()
    for row in found.itertuples():
        assert (row.low, row.high) == pytest.approx(wilson(row.right * row.n, row.n), abs=1e-9)
    error = (found["n"] * (found["confidence"] - found["right"]).abs()).sum() / 300
    overall = once(labels, p)
    assert error == pytest.approx(overall.overall["ece"][0] if c is None else overall.per_class["ece"][0, c])


@pytest.mark.parametrize("digits", [None, 1])
def test_the_parts_of_brier_are_a_loops_and_add_up(digits):
    labels, p = predictions(250, 3, 3, digits=digits)
    found = brier_parts(labels, p)
    reliable = resolved = uncertain = within = 0.0
    for c in range(3):
        y = (labels == c).astype(float)
        bins = np.searchsorted(np.quantile(p[:, c], np.linspace(0, 1, 11)[1:-1]), p[:, c])
        uncertain += y.mean() * (1 - y.mean())
        for b in set(bins):
            own = bins == b
            mean, share = p[own, c].mean(), y[own].mean()
            reliable += own.sum() / 250 * (mean - share) ** 2
            resolved += own.sum() / 250 * (share - y.mean()) ** 2
            # What bins hide: Stephenson et al. 2008, equation 8, the variance within them less twice the covariance.
            within += ((p[own, c] - mean) ** 2).sum() / 250
            within -= 2 * ((p[own, c] - mean) * (y[own] - share)).sum() / 250
    parts = found.reliability, found.resolution, found.uncertainty, found.within_bins
    assert parts == pytest.approx((reliable, resolved, uncertain, within), abs=1e-9)
    assert found.brier == pytest.approx(reliable - resolved + uncertain + within, abs=1e-9)
    assert found.brier == pytest.approx(((p - np.eye(3)[labels]) ** 2).sum(1).mean())
    assert min(parts[:3]) >= 0


def test_a_model_that_always_says_the_shares_of_the_classes_has_only_uncertainty():
    labels = np.repeat([0, 1], [30, 70])
    found = brier_parts(labels, np.tile([0.3, 0.7], (100, 1)))
    assert (found.uncertainty, found.brier) == pytest.approx((2 * 0.3 * 0.7, 2 * 0.3 * 0.7))
    assert (found.reliability, found.resolution, found.within_bins) == pytest.approx((0, 0, 0), abs=1e-12)


def test_the_error_by_chance_is_that_of_labels_really_drawn_from_the_probabilities():
    errors, guesses = [], []
    for seed in range(40):
        labels, logits = calibrated(400, seed)
        errors.append(once(labels, softmax(logits)).overall["ece"][0])
        guesses.append(ece_by_chance(softmax(logits), draws=50, seed=seed))
    assert np.mean(guesses) == pytest.approx(np.mean(errors), abs=4 * np.std(errors) / np.sqrt(40))
    assert np.mean(guesses) > 0.02, "a perfect model of 400 images never shows 0"
    labels, logits = calibrated(400, 0)
    assert once(labels, softmax(3 * logits)).overall["ece"][0] > 2 * ece_by_chance(softmax(3 * logits), 50)
    assert ece_by_chance(softmax(logits), 20, 1) == ece_by_chance(softmax(logits), 20, 1)


def test_a_model_that_is_too_sure_is_better_calibrated_afterwards():
    labels, logits = calibrated(2000, 4)
    sure = softmax(2 * logits)
    found = before_and_after(labels, sure, 2.0)
    assert set(found) == {"ece", "brier", "log_loss"}
    for name, (before, after) in found.items():
        assert before == once(labels, sure).overall[name][0] and after < before
        assert after == pytest.approx(once(labels, softmax(logits)).overall[name][0], abs=1e-9)
