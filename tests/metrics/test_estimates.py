"""Intervals against published ones and other libraries', and a reason wherever there is none."""

import math

import numpy as np
import pytest
from predictions_made import patients_of, predictions
from scipy import stats
from scipy.special import logit
from scipy.stats import binomtest, norm
from statsmodels.stats.proportion import proportion_confint

from colora.metrics.bootstrap import Sample, percentiles, weightings
from colora.metrics.delong import area, class_areas, macro, variance
from colora.metrics.estimates import Estimate, of_area, of_draws, of_seeds, of_share, wilson


def test_wilson_interval_of_a_share():
    # Newcombe 1998, table I: 81 of 263 and 0 of 20
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    for right, n, level in ((0, 1, 0.95), (1, 1, 0.9), (7, 9, 0.99), (31_000, 31_016, 0.95)):
        theirs = binomtest(right, n).proportion_ci(level, method="wilson")
        assert wilson(right, n, level) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 10, 263, 31_016])
def test_wilson_is_statsmodels_and_its_ends_are_exactly_none_and_all(n):
    for right in {0, 1, n // 3, n // 2, n - 1, n}:
        theirs = proportion_confint(right, n, method="wilson")
        found = wilson(right, n)
        assert found == pytest.approx(theirs, abs=1e-12)
        assert 0 <= found[0] <= right / n <= found[1] <= 1
    assert wilson(0, n)[0] == 0.0 and wilson(n, n)[1] == 1.0


def test_a_share_of_independent_images_has_wilsons_interval():
    right, asked = np.array([1, 1, 0, 1, 0], bool), np.array([1, 1, 1, 1, 0], bool)
    found = of_share(right, asked, Sample.of(np.zeros(5, int)))
    assert found == Estimate(0.75, *wilson(3, 4), "Wilson")
    nothing = of_share(right, np.zeros(5, bool), Sample.of(np.zeros(5, int)), nobody="no image is positive")
    assert nothing == Estimate(None, reason="no image is positive")


def test_a_share_of_images_of_patients_has_wilsons_interval_of_as_many_as_tell_as_much():
    sample = Sample.of(np.zeros(6, int), np.array([0, 0, 0, 1, 1, 2]))
    right, every = np.array([1, 1, 0, 1, 0, 1], bool), np.ones(6, bool)
    found = of_share(right, every, sample)
    # 2, 1 and 1 of the patients' 3, 2 and 1 are right, of 2/3 each: 0, -1/3 and 1/3 more than they would be
    spread = 3 / 2 * (0 + 1 / 9 + 1 / 9) / 6**2
    assert (2 / 9) / spread > 6, "they tell more than six would, as chance has it: no more than six are taken"
    assert found == Estimate(4 / 6, *wilson(4, 6), "Wilson by patient")
    alike = of_share(np.array([1, 1, 1, 0, 0, 0], bool), every, sample)
    spread = 3 / 2 * (1.5**2 + 1**2 + 0.5**2) / 6**2
    alone = 0.25 / spread
    assert alone == pytest.approx(12 / 7) and alike.value == 0.5
    assert (alike.low, alike.high) == pytest.approx(wilson(alone / 2, alone), abs=1e-12)
    # All are right: three patients, not six images.
    assert of_share(every, every, sample) == Estimate(1.0, *wilson(3, 3), "Wilson over patients")
    assert of_share(~every, every, sample) == Estimate(0.0, *wilson(0, 3), "Wilson over patients")
    asked = np.array([0, 0, 0, 1, 1, 1], bool)
    assert of_share(every, asked, sample).low == wilson(2, 2)[0], "those whose images are asked"
    of_one = of_share(right, np.arange(6) < 3, sample)
    assert of_one == Estimate(2 / 3, reason="one patient says nothing of how others vary")


def test_images_of_patients_tell_as_much_as_independent_ones_with_the_same_variance():
    generator = np.random.default_rng(0)
    patients = patients_of(900)
    _, unit = np.unique(patients, return_inverse=True)
    right = generator.random(900) < generator.beta(4, 1, unit.max() + 1)[unit]
    sample = Sample.of(np.zeros(900, int), patients)
    found = of_share(right, np.ones(900, bool), sample)
    drawn = np.concatenate([w @ right / w.sum(1) for w in weightings(sample, 2000)])
    alone = found.value * (1 - found.value) / drawn.var()
    assert (found.low, found.high) == pytest.approx(wilson(found.value * alone, alone), abs=0.002)
    assert (found.low, found.high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.005)
    independent = wilson(right.sum(), 900)
    assert found.high - found.low > 1.2 * (independent[1] - independent[0])


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("skill", [0.5, 1.0, 2.0])
def test_an_area_has_delongs_interval_on_the_logit_scale_within_0_and_1(clustered, skill):
    labels, p = predictions(90, 3, 1, skill)
    sample = Sample.of(labels, patients_of(90) if clustered else None)
    for found, strata in [
        (macro(class_areas(labels, p)), labels),
        *((area(labels == c, p[:, c]), labels == c) for c in range(3)),
    ]:
        estimate = of_area(found, strata, sample)
        error = math.sqrt(variance(found.influence, strata, sample))
        logit, scale = math.log(found.value / (1 - found.value)), error / (found.value * (1 - found.value))
        wanted = [1 / (1 + math.exp(-(logit + z * scale))) for z in norm.ppf([0.025, 0.975])]
        assert (estimate.low, estimate.high) == pytest.approx(wanted, abs=1e-9)
        assert 0 <= estimate.low < estimate.value < estimate.high <= 1
        assert estimate.method == ("DeLong by patient" if clustered else "DeLong") and estimate.reason is None


def test_an_area_one_pair_below_1_of_thousands_keeps_its_interval():
    member = np.arange(2000) < 1000
    scores = np.where(member, 1.0, 0.0) + np.arange(2000) * 1e-6
    scores[0] = 0.0015  # the one positive below a single negative
    found = area(member, scores)
    assert 0 < 1 - found.value < 1e-3
    estimate = of_area(found, member, Sample.of(member))
    assert 0 < estimate.low < estimate.value < estimate.high <= 1


def test_an_area_without_an_interval_says_why():
    member = np.array([1, 1, 1, 0, 0, 0], bool)
    sample = Sample.of(member)
    perfect = of_area(area(member, member * 0.5), member, sample)
    assert (perfect.value, perfect.low, perfect.high) == (1.0, None, None) and "perfectly separated" in perfect.reason
    assert "perfectly separated" in of_area(area(member, ~member * 0.5), member, sample).reason
    level = of_area(area(member, np.full(6, 0.5)), member, sample)  # not separated at all: every score is equal
    assert level == Estimate(0.5, reason="every image has the same part in it, which says nothing of others")
    one = np.array([1, 0, 0, 0, 0, 0], bool)
    alone = of_area(area(one, np.arange(6.0)), one, Sample.of(one))
    assert alone == Estimate(0.0, reason="one of the classes has a single image")
    of_one = Sample.of(member, np.array([0, 0, 0, 1, 2, 3]))
    found = of_area(area(member, np.array([0.1, 0.6, 0.9, 0.2, 0.3, 0.7])), member, of_one)
    assert found == Estimate(pytest.approx(5 / 9), reason="one of the classes has a single patient")


def test_draws_that_say_nothing_are_named():
    sample, drawn = Sample.of(np.zeros(10, int)), np.random.default_rng(0).random(500)
    low, high = percentiles(drawn)
    assert of_draws(0.5, drawn, sample) == Estimate(0.5, float(low), float(high), "bootstrap of images")
    assert "changes it" in of_draws(1.0, np.ones(500), sample).reason
    seldom = np.where(np.arange(500) < 60, np.nan, drawn)
    assert of_draws(0.5, seldom, sample) == Estimate(0.5, reason="in more than one of ten draws it is not defined")
    assert of_draws(0.5, drawn, Sample.of(np.zeros(1, int))).reason == "one image says nothing of how others vary"
    of_one = Sample.of(np.zeros(4, int), np.zeros(4, int))
    assert of_draws(0.5, drawn, of_one).reason == "one patient says nothing of how others vary"


def test_an_estimate_is_ready_for_json():
    assert Estimate(0.5, 0.4, 0.6, "Wilson").as_dict() == {"value": 0.5, "low": 0.4, "high": 0.6, "method": "Wilson"}
    nothing = Estimate(None, reason="no image").as_dict()
    assert nothing == {"value": None, "low": None, "high": None, "method": None, "reason": "no image"}


def test_seeds_that_are_alike_leave_the_images_chance_and_images_that_are_alike_the_seeds():
    sample, generator = Sample.of(np.zeros(400, int)), np.random.default_rng(0)
    drawn = 0.8 + 0.02 * generator.normal(size=4000)
    found = of_seeds([0.8, 0.8, 0.8], drawn, sample)
    half, scale = 1.96 * drawn.std(), 0.8 * 0.2
    assert logit(found.high) - logit(0.8) == pytest.approx(half / scale, rel=1e-3)
    assert logit(0.8) - logit(found.low) == pytest.approx(half / scale, rel=1e-3)
    values = [0.7, 0.8, 0.9]
    found = of_seeds(values, 0.8 + 1e-6 * generator.normal(size=4000), sample, (-1.0, math.inf))
    t_test = stats.t.interval(0.95, 2, 0.8, stats.sem(values))
    assert (found.low, found.high) == pytest.approx(t_test, rel=1e-4)
    assert found.method == "bootstrap of images, t over seeds"


@pytest.mark.parametrize("span", [(0.0, 1.0), (-1.0, 1.0), (0.0, 2.0), (0.0, math.inf)])
def test_the_mean_over_seeds_stays_within_its_span(span):
    sample, generator = Sample.of(np.zeros(400, int)), np.random.default_rng(1)
    drawn = 1e-3 + 1e-4 * generator.random(500)
    found = of_seeds([1e-4, 1.9e-3], drawn, sample, span)
    assert span[0] <= found.low < 1e-3 < found.high < span[1]


def test_the_mean_over_seeds_gives_the_reason_where_draws_say_nothing():
    sample = Sample.of(np.zeros(10, int))
    assert "changes it" in of_seeds([1.0, 1.0], np.ones(500), sample).reason
    seldom = np.where(np.arange(500) < 60, np.nan, np.random.default_rng(2).random(500))
    assert of_seeds([0.4, 0.6], seldom, sample).reason == "in more than one of ten draws it is not defined"


def test_a_mean_over_seeds_at_an_end_of_its_span_has_no_interval_however_draws_differ():
    drawn = -1 + np.random.default_rng(3).random(500)
    found = of_seeds([-1.0, -1.0], drawn, Sample.of(np.zeros(10, int)), (-1.0, 1.0))
    assert found == Estimate(-1.0, reason="it is at an end of where it can lie, which says nothing of others")
