"""What choosing the best of many on test gains by chance, against simulations in which all are equally good."""

import numpy as np
import pytest
from predictions_made import patients_of

from colora.metrics.optimism import optimism


def models(count: int, images: int, share: float, seed: int) -> np.ndarray:
    """(K, N) bool: models that each have every image right with the same chance."""
    return np.random.default_rng(seed).random((count, images)) < share


def test_the_gain_by_chance_is_that_of_really_choosing_among_equals():
    images, count, share = 500, 20, 0.9
    found = optimism(models(count, images, share, 0), 0, np.zeros(images, int))
    tried = np.array([models(count, images, share, seed).mean(1).max() - share for seed in range(1, 2001)])
    assert found.by_chance == pytest.approx(tried.mean(), abs=0.002)
    assert (found.low, found.high) == pytest.approx(np.percentile(tried, [2.5, 97.5]), abs=0.004)
    assert found.low < found.by_chance < found.high


def test_models_that_are_right_on_the_same_images_gain_no_more_than_one():
    right = np.repeat(models(1, 500, 0.9, 0), 20, axis=0)
    assert abs(optimism(right, 0, np.zeros(500, int)).by_chance) < 0.001
    assert optimism(models(20, 500, 0.9, 0), 0, np.zeros(500, int)).by_chance > 0.02


def test_one_candidate_gains_nothing_on_average():
    found = optimism(models(1, 400, 0.8, 3), 0, np.zeros(400, int))
    # The mean of 2,000 draws with a standard deviation of sqrt(0.8 x 0.2 / 400) = 0.02 each
    assert found.by_chance == pytest.approx(0, abs=4 * 0.02 / np.sqrt(2000))
    assert found.low < 0 < found.high and found.candidates == 1 and found.optimism == 0


def test_what_validation_chose_is_held_against_the_best_on_test():
    right = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0]], bool)
    found = optimism(right, 0, np.zeros(4, int), draws=50)
    assert (found.candidates, found.best, found.chosen, found.optimism) == (3, 0.75, 0.5, 0.25)
    assert optimism(right, 1, np.zeros(4, int), draws=50).optimism == 0, "where validation chose the best, too"


def test_patients_are_drawn_whole():
    patients = patients_of(600, most=12)
    _, unit = np.unique(patients, return_inverse=True)
    right = models(10, unit.max() + 1, 0.8, 5)[:, unit]  # all images of a patient are right, or none
    together = optimism(right, 0, np.zeros(600, int), patients)
    apart = optimism(right, 0, np.zeros(600, int))
    assert together.by_chance > 1.5 * apart.by_chance


def test_the_same_seed_gives_the_same_and_json():
    right = models(3, 50, 0.7, 1)
    found = optimism(right, 2, np.arange(50) % 2, draws=100, seed=4)
    assert found == optimism(right, 2, np.arange(50) % 2, draws=100, seed=4)
    assert found != optimism(right, 2, np.arange(50) % 2, draws=100, seed=5)
    assert set(found.as_dict()) == {"candidates", "best", "chosen", "optimism", "by_chance", "low", "high"}
    assert {type(value) for value in found.as_dict().values()} == {int, float}
