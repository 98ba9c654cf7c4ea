"""How often an interval of 95 % holds the truth: on simulated test sets whose truth is known, of each kind.

Those of draws are of 500 sets, which tell a coverage to 1 % (a standard error), the closed forms of 2,000, to 0.5 %;
Wilson's is summed over all there is. The seed is fixed and was never chosen: make test-coverage runs these.
"""

from collections.abc import Callable

import numpy as np
import pytest
from predictions_made import softmax
from scipy.stats import binom, norm

from colora.metrics import delong, differences, estimates
from colora.metrics.bootstrap import Sample, percentiles, weightings
from colora.metrics.classification import micro_auc
from colora.metrics.estimates import of_area, of_share, wilson
from colora.metrics.figures import Predicted
from colora.metrics.statistics import closed_forms, statistics

pytestmark = pytest.mark.coverage
SETS, FEW_SETS, DRAWS = 2000, 500, 400
Interval = Callable[[np.random.Generator], tuple[float | None, float | None]]


def covered(interval: Interval, truth: float, sets: int = SETS) -> float:
    """The share of simulated sets whose interval holds the truth; one without an interval does not."""
    hits = 0
    for k in range(sets):
        low, high = interval(np.random.default_rng([20, k]))
        hits += low is not None and high is not None and low <= truth <= high
    print(f"{hits / sets:.3f}", end=" ")
    return hits / sets


def patients(generator: np.random.Generator, count: int) -> np.ndarray:
    """(N,) the patient of each image, 1 to 6 images each."""
    return np.repeat(np.arange(count), generator.integers(1, 7, count))


@pytest.mark.parametrize(("n", "share"), [(300, 0.95), (400, 0.93), (1000, 0.96), (31_016, 0.999)])
def test_wilson_of_independent_images(n, share):
    ends = [wilson(right, n) for right in range(n + 1)]
    held = sum(binom.pmf(right, n, share) for right, (low, high) in enumerate(ends) if low <= share <= high)
    assert 0.93 <= held <= 0.97


@pytest.mark.parametrize(("n", "auc"), [(400, 0.9), (400, 0.97), (1000, 0.95)])
def test_delong_of_independent_images(n, auc):
    apart = norm.ppf(auc) * np.sqrt(2)

    def interval(generator: np.random.Generator) -> tuple[float | None, float | None]:
        member = generator.random(n) < 0.3
        scores = generator.normal(size=n) + apart * member
        found = of_area(delong.area(member, scores), member, Sample.of(member))
        return found.low, found.high

    assert 0.93 <= covered(interval, auc) <= 0.97


def of_patients(generator: np.random.Generator, count: int, auc: float, alike: float) -> tuple[np.ndarray, ...]:
    """(patients, whether positive, scores): half of the variance of the scores, or as much as `alike`, is between
    patients; all images of a patient are of one kind, so that the area is that of pairs of different patients."""
    unit = patients(generator, count)
    member = (generator.random(count) < 0.4)[unit]
    own = np.sqrt(alike) * generator.normal(size=count)[unit] + np.sqrt(1 - alike) * generator.normal(size=len(unit))
    return unit, member, own + norm.ppf(auc) * np.sqrt(2) * member


@pytest.mark.parametrize(("count", "auc"), [(150, 0.9), (150, 0.95), (300, 0.97)])
def test_delong_by_patient(count, auc):
    """Of 150 patients and 0.97 it is 93.3 %: some sixty positive patients, who have one to six images, know little of
    the variance, and least where by luck none of them is hard."""

    def interval(generator: np.random.Generator) -> tuple[float | None, float | None]:
        unit, member, scores = of_patients(generator, count, auc, 0.5)
        found = of_area(delong.area(member, scores), member, Sample.of(member, unit))
        return found.low, found.high

    assert 0.93 <= covered(interval, auc) <= 0.97


def test_delong_that_takes_images_of_a_patient_for_independent_is_far_too_sure():
    def interval(generator: np.random.Generator) -> tuple[float | None, float | None]:
        _, member, scores = of_patients(generator, 150, 0.95, 0.5)
        found = of_area(delong.area(member, scores), member, Sample.of(member))
        return found.low, found.high

    assert covered(interval, 0.95) < 0.9


def of_classes(generator: np.random.Generator, count: int, alike: float) -> tuple[np.ndarray, ...]:
    """(patients, labels, probabilities) of four classes; as much of the variance of the logits as `alike` is between
    patients, all of whose images are of one class. Of 0 every patient has one image."""
    unit = patients(generator, count) if alike else np.arange(count)
    labels = generator.choice(4, count, p=[0.4, 0.3, 0.2, 0.1])[unit]
    luck = np.sqrt(alike) * generator.normal(size=(count, 4))[unit]
    logits = 1.5 * (luck + np.sqrt(1 - alike) * generator.normal(size=(len(unit), 4)) + 2 * np.eye(4)[labels])
    return unit, labels, softmax(logits)


@pytest.mark.parametrize(("count", "alike"), [(300, 0.0), (150, 0.5)])
def test_the_pooled_area_of_images_and_of_patients(count, alike):
    """The truth is the area of a thousand times as many, which tell it to a thirtieth of an interval."""
    truth = micro_auc(*of_classes(np.random.default_rng(21), 1000 * count, alike)[1:])

    def interval(generator: np.random.Generator) -> tuple[float | None, float | None]:
        unit, labels, p = of_classes(generator, count, alike)
        found = closed_forms(Predicted(labels, p), list("ABCD"), Sample.of(labels, unit)).overall["auc_micro"]
        return found.low, found.high

    assert 0.93 <= covered(interval, truth) <= 0.97


def right_by_patient(
    generator: np.random.Generator, count: int, share: float, alike: float
) -> tuple[np.ndarray, Sample]:
    """(which images are right, sample): each patient's images with a chance of their own, beta-distributed, whose
    correlation within a patient is `alike`."""
    unit = patients(generator, count)
    labels = generator.integers(0, 4, count)[unit]
    a = 1 / alike - 1
    right = generator.random(len(unit)) < generator.beta(a * share, a * (1 - share), count)[unit]
    return right, Sample.of(labels, unit)


@pytest.mark.parametrize(("count", "share", "alike"), [(150, 0.9, 0.3), (150, 0.95, 0.3), (300, 0.95, 0.2)])
def test_accuracy_of_images_of_patients(count, share, alike):
    def interval(generator: np.random.Generator) -> tuple[float | None, float | None]:
        right, sample = right_by_patient(generator, count, share, alike)
        found = of_share(right, np.ones(len(right), bool), sample)
        return found.low, found.high

    assert 0.93 <= covered(interval, share) <= 0.97


def test_percentiles_of_draws_of_patients():
    """Of a share near 1 they would lie too high: of 0.95 they miss at the lower end twice as often as they should."""

    def interval(generator: np.random.Generator) -> tuple[float, float]:
        right, sample = right_by_patient(generator, 300, 0.85, 0.2)
        shares = [w @ right.astype(np.float32) / w.sum(1) for w in weightings(sample, DRAWS)]
        low, high = percentiles(np.concatenate(shares))
        return float(low), float(high)

    assert 0.93 <= covered(interval, 0.85, FEW_SETS) <= 0.97


def test_the_difference_of_two_areas_of_equal_models():
    def interval(generator: np.random.Generator) -> tuple[float | None, float | None]:
        member = generator.random(400) < 0.3
        common = generator.normal(size=400) + norm.ppf(0.95) * np.sqrt(2.5) * member
        a, b = (delong.area(member, common + 0.5 * generator.normal(size=400)) for _ in range(2))
        found = differences.of_areas(a, b, member, Sample.of(member))
        return found.low, found.high

    assert 0.93 <= covered(interval, 0.0) <= 0.97


@pytest.mark.parametrize(("seeds", "seeds_differ"), [(3, 0.03), (3, 0.3), (5, 0.1)])
def test_the_mean_over_seeds(seeds, seeds_differ):
    """An image is hard for all models, a seed good on all images, and each has luck of its own with each image.

    That luck is in both variances, so that it is a little more than 95 % of few seeds that differ little.
    """
    spread = np.sqrt(1 + seeds_differ**2 + 0.6**2)  # 0.1 are 1.5 points of accuracy, 0.3 are 4

    def interval(generator: np.random.Generator) -> tuple[float | None, float | None]:
        labels = generator.integers(0, 2, 300)
        logits = 1.5 + generator.normal(size=300) + seeds_differ * generator.normal(size=(seeds, 1))
        logits = logits + 0.6 * generator.normal(size=(seeds, 300))
        right = 1 / (1 + np.exp(-logits))
        p = np.where(labels[:, None] == np.arange(2), right[..., None], 1 - right[..., None])
        found = statistics(labels, list(p), ["A", "B"], draws=DRAWS).over_seeds[0]["accuracy"].mean
        return found.low, found.high

    assert 0.93 <= covered(interval, norm.cdf(1.5 / spread), FEW_SETS) <= 0.99


def test_wilson_that_takes_images_of_a_patient_for_independent_is_far_too_sure():
    def interval(generator: np.random.Generator) -> tuple[float, float]:
        right, _ = right_by_patient(generator, 150, 0.9, 0.3)
        return estimates.wilson(int(right.sum()), len(right))

    assert covered(interval, 0.9) < 0.9
