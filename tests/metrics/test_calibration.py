"""Calibration against labels that are really drawn from probabilities, and sums against loops."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from predictions_made import patients_of, predictions, softmax
from sklearn.calibration import calibration_curve

from colora.metrics.bootstrap import Sample
from colora.metrics.calibration import (
    COLDEST,
    ERRORS,
    HOTTEST,
    brier_parts,
    calibrations,
    ece_by_chance,
    reliability,
    temperature,
    tempered,
)
from colora.metrics.classification import cross_entropy
from colora.metrics.estimates import Estimate, wilson
from colora.metrics.figures import once
from colora.metrics.statistics import statistics


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
    (found,) = calibrations(labels, [softmax(2 * logits)], [2.0], Sample.of(labels), draws=60)
    for name in ERRORS:
        assert found.after[name].value < found.before[name].value
        assert found.after[name].value == pytest.approx(once(labels, softmax(logits)).overall[name][0], abs=1e-9)
    assert found.after["log_loss"].high < found.before["log_loss"].low
    assert found.parts_after.reliability < found.parts_before.reliability


def same(told: Estimate, wanted: Estimate) -> None:
    assert (told.value, told.low, told.high) == pytest.approx((wanted.value, wanted.low, wanted.high), abs=1e-6)
    assert (told.method, told.reason) == (wanted.method, wanted.reason)


@pytest.mark.parametrize("patients", [None, patients_of(200)])
def test_errors_before_and_after_are_those_of_statistics_with_its_draws(patients):
    labels, p = predictions(200, 3, 5)
    q = predictions(200, 3, 6)[1].astype(np.float32)
    sample = Sample.of(labels, patients)
    models = calibrations(labels, [p, q], [1.7, 0.6], sample, draws=80, seed=2)
    for model, own, t in zip(models, (p, q), (1.7, 0.6), strict=True):
        assert model.temperature == t and model.by_chance == ece_by_chance(tempered(own, t))
        for told, parts, probabilities in (
            (model.before, model.parts_before, own), (model.after, model.parts_after, tempered(own, t)),
        ):  # fmt: skip
            assert parts == brier_parts(labels, probabilities)
            (whole,) = statistics(labels, [probabilities], ["A", "B", "C"], patients, draws=80, seed=2).seeds
            assert tuple(told) == ERRORS == ("ece", "brier", "log_loss")
            for name, each in told.items():
                same(each, whole.overall[name])
    assert models[0].before["ece"] != models[1].before["ece"] != models[1].after["ece"]


def test_the_dictionary_of_a_calibration_has_all_of_it():
    labels, p = predictions(80, 3, 7)
    (found,) = calibrations(labels, [p], [1.3], Sample.of(labels), draws=40)
    told = found.as_dict()
    assert (told["temperature"], told["ece_by_chance"]) == (1.3, found.by_chance)
    for key, errors, parts in (
        ("before", found.before, found.parts_before), ("after", found.after, found.parts_after),
    ):  # fmt: skip
        assert told[key] == {name: each.as_dict() for name, each in errors.items()} | {"brier_parts": asdict(parts)}
    assert json.loads(json.dumps(told, allow_nan=False)) == told


@pytest.mark.parametrize("t", [COLDEST, 1.0, HOTTEST])
@pytest.mark.parametrize("labels", [[1], [0, 0, 0], [0, 1], [2, 2, 1, 0]])
def test_however_few_images_there_are_the_dictionary_has_numbers_or_reasons(labels, t):
    labels = np.array(labels)
    for p in (np.eye(3)[labels], np.eye(3)[(labels + 1) % 3], np.full((len(labels), 3), 1 / 3)):
        (found,) = calibrations(labels, [p.astype(np.float32)], [t], Sample.of(labels), draws=30)
        assert json.dumps(found.as_dict(), allow_nan=False)
        for each in (*found.before.values(), *found.after.values()):
            assert each.value is not None and (each.low is None) == bool(each.reason)


def test_each_model_has_a_temperature():
    labels, p = predictions(20, 3)
    with pytest.raises(ValueError):
        calibrations(labels, [p, p], [1.0], Sample.of(labels), draws=5)
