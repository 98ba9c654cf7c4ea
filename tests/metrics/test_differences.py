"""Tests of differences against other libraries, published tables and every sign that chance could have given."""

import itertools
import math

import numpy as np
import pytest
from MLstatkit import Delong_test
from predictions_made import patients_of, predictions, scored
from scipy.stats import binomtest, norm
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.multitest import multipletests

from colora.metrics import bootstrap, figures
from colora.metrics.bootstrap import Sample, two_sided, weightings
from colora.metrics.delong import area
from colora.metrics.differences import (
    Difference,
    holm,
    mcnemar,
    of_areas,
    on_images,
    over_seeds,
    resolves,
    says,
    signed_rank_quantile,
)
from colora.metrics.estimates import wilson
from colora.metrics.figures import Predicted

# Hollander & Wolfe 1973, page 29: Hamilton's depression scale of nine patients before and after a tranquilliser, as
# R's help page of wilcox.test has it. R: V = 40, p-value = 0.03906, (pseudo)median 0.46, 95 % from 0.010 to 0.786.
BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]


def two_models(images: int, seed: int, skills: tuple[float, float], classes: int = 4) -> tuple[np.ndarray, ...]:
    """(labels, a, b): two models' probabilities of the same images, of which some are hard for both."""
    labels, _ = predictions(images, classes, seed)
    generator = np.random.default_rng(seed)
    hard = generator.normal(size=(images, classes))
    a, b = (scored(labels, classes, generator, skill, shift=hard) for skill in skills)
    return labels, a, b


def signed_rank_p(d: np.ndarray) -> float:
    """Two-sided p of Wilcoxon's signed-rank test, by every way to give the signs; zeros dropped, ties share ranks."""
    d = np.round(d[d != 0], 9)
    ranks = np.array([(np.abs(d) < x).sum() + ((np.abs(d) == x).sum() + 1) / 2 for x in np.abs(d)])
    mean = ranks.sum() / 2
    seen = abs(ranks[d > 0].sum() - mean)
    ways = [abs(ranks[list(signs)].sum() - mean) for signs in itertools.product([False, True], repeat=len(d))]
    return float(np.mean([way >= seen - 1e-9 for way in ways]))


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (5, 5), (4, 9), (9, 4), (59, 6), (150, 86), (0, 12)])
def test_mcnemar_is_statsmodels_exact_test(only_a, only_b):
    table = [[100, only_a], [only_b, 50]]
    assert mcnemar(only_a, only_b) == pytest.approx(mcnemar_of_statsmodels(table, exact=True).pvalue, abs=1e-12)


def test_mcnemar_of_a_table_by_hand():
    # 2 * (1 + 10 + 45) / 2^10: at most 2 of 10 images, or at least 8, which a fair coin would give one of the models
    assert mcnemar(2, 8) == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert mcnemar(6, 0) == pytest.approx(2 / 64)


def test_holm_is_statsmodels_and_leaves_out_what_has_no_p():
    generator = np.random.default_rng(0)
    for count in (1, 2, 5, 12):
        p = generator.random(count) ** 3
        assert holm(list(p)) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # 3, 1, 2 and 4 times, never less
    assert holm([None, 0.02, None, 0.03]) == [None, pytest.approx(0.04), None, pytest.approx(0.04)]
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == [] and holm([None]) == [None]


@pytest.mark.parametrize("clustered", [False, True])
def test_every_figures_difference_has_the_percentiles_of_paired_draws(clustered):
    labels, a, b = two_models(200, 0, (2.5, 1.5))
    patients = patients_of(200) if clustered else None
    found = on_images(labels, a, b, patients, ordinal=True, draws=300, seed=5)
    assert set(found) == {*figures.OVERALL, figures.QUADRATIC}
    draws = np.concatenate(list(weightings(Sample.of(labels, patients), 300, 5)))
    models = [Predicted(labels, p) for p in (a, b)]
    values, drawn = ([m.under(w).overall for m in models] for w in (np.ones((1, 200)), draws))
    for name, each in found.items():
        assert each.difference == pytest.approx(values[0][name][0] - values[1][name][0], abs=1e-9), name
        if name == "auc":
            continue
        differences = drawn[0][name] - drawn[1][name]
        low, high = bootstrap.percentiles(differences)
        assert (each.low, each.high) == pytest.approx((low, high), abs=1e-6), name
        assert each.smallest == pytest.approx((1.959964 + 0.841621) * differences.std(), abs=1e-6), name
        if clustered or name != "accuracy":
            assert each.p == pytest.approx(two_sided(differences), abs=1e-6), name
            assert each.test == f"paired bootstrap of {'patients' if clustered else 'images'}", name


def test_accuracy_of_independent_images_is_tested_by_mcnemar():
    labels, a, b = two_models(300, 1, (2.5, 1.5))
    right_a, right_b = a.argmax(1) == labels, b.argmax(1) == labels
    found = on_images(labels, a, b, draws=200)["accuracy"]
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    assert only_a > only_b > 0
    assert found.p == binomtest(only_a, only_a + only_b).pvalue and found.test == "exact McNemar"
    assert found.beyond_chance is (found.low > 0)
    # What an independent interval of two shares would be: wider, since both are right on most of the same images.
    apart = [wilson(right.sum(), 300) for right in (right_a, right_b)]
    assert found.high - found.low < math.hypot(*(high - low for low, high in apart))


def test_a_difference_of_areas_is_tested_as_another_library_has_it():
    labels, a, b = two_models(250, 2, (1.5, 1.0), classes=2)
    z, p, *_ = Delong_test(labels, a[:, 1], b[:, 1])
    found = on_images(labels, a, b, draws=50)["auc"]  # of two classes both areas are the same
    assert found.p == pytest.approx(p, abs=1e-6) and found.test == "DeLong"
    error = abs(found.difference / z)
    ends = found.difference + error * norm.ppf([0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(ends, abs=1e-6)
    assert found.smallest == pytest.approx(error * (norm.ppf(0.975) + norm.ppf(0.8)), abs=1e-6)
    by_patient = on_images(labels, a, b, patients_of(250), draws=50)["auc"]
    assert by_patient.difference == found.difference and by_patient.test == "DeLong by patient"
    assert by_patient.p != found.p


def test_the_difference_the_other_way_round_is_its_mirror_image():
    labels, a, b = two_models(150, 3, (2.5, 1.5), classes=3)
    there, back = on_images(labels, a, b, draws=200), on_images(labels, b, a, draws=200)
    for name, each in there.items():
        mirrored = -each.difference, -each.high, -each.low, each.p
        other = back[name]
        assert (other.difference, other.low, other.high, other.p) == pytest.approx(mirrored, abs=1e-9), name


def test_a_model_and_itself_cannot_be_told_apart_and_say_why():
    labels, a, _ = two_models(60, 4, (2.0, 2.0))
    found = on_images(labels, a, a, draws=50)
    assert {each.difference for each in found.values()} == {0.0}
    assert {each.low for each in found.values()} == {each.p for each in found.values()} == {None}
    assert found["accuracy"].reason == "both are right on the same images"
    assert found["auc"].reason == "both rank all images alike"
    assert found["brier"].reason.startswith("no draw of these images changes it")


def test_what_no_difference_can_be_said_of():
    a = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    b = np.array([[0.4, 0.6], [0.7, 0.3], [0.2, 0.8]])
    found = on_images(np.zeros(3, int), a, b, draws=50)
    assert found["auc"] == Difference(None, reason="all images are of one class")
    assert found["mcc"] == Difference(None, reason="not defined for both")
    one = on_images(np.array([0, 1, 1]), a, b, draws=50)["auc"]
    assert one.low is None and one.reason == "one of the classes has a single image"
    patient = on_images(np.array([0, 1, 1]), a, b, np.array(["x"] * 3), draws=50)
    assert patient["brier"].reason == "one patient says nothing of how others vary"
    member = np.array([True, True, False, False])
    areas = area(member, np.array([0.9, 0.8, 0.2, 0.1])), area(member, np.full(4, 0.5))
    wide = of_areas(*areas, member, Sample.of(member))
    assert wide == Difference(0.5, reason="every image has the same part in it"), "half apart, not ranked alike"


def test_over_seeds_is_the_published_example():
    found = over_seeds(BEFORE, AFTER)
    assert found.p == pytest.approx(0.03906, abs=5e-6)
    assert found.difference == pytest.approx(0.46)
    assert (found.low, found.high) == pytest.approx((0.010, 0.786))
    assert found.test == "Wilcoxon signed-rank" and found.beyond_chance
    assert found.p == pytest.approx(signed_rank_p(np.subtract(BEFORE, AFTER)))
    back = over_seeds(AFTER, BEFORE)
    assert (back.difference, back.low, back.high, back.p) == pytest.approx((-0.46, -0.786, -0.010, found.p))


@pytest.mark.parametrize("n", [6, 7, 9, 10])
def test_the_interval_holds_the_shifts_that_every_sign_leaves_standing(n):
    d = np.random.default_rng(n).normal(0.3, 1, n).round(3)
    found = over_seeds(d, np.zeros(n))
    walsh = [(x + y) / 2 for x, y in itertools.combinations_with_replacement(d, 2)]
    assert found.difference == pytest.approx(np.median(walsh))
    inside = (found.low + 1e-6, found.high - 1e-6)
    outside = (found.low - 1e-6, found.high + 1e-6)
    assert all(signed_rank_p(d - shift) > 0.05 for shift in inside)
    assert all(signed_rank_p(d - shift) <= 0.05 for shift in outside)


def test_ties_and_zeros_share_ranks_as_every_sign_counts_them():
    a = np.array([0.95, 0.93, 0.97, 0.96, 0.91, 0.94, 0.99])
    b = np.array([0.94, 0.92, 0.95, 0.96, 0.92, 0.90, 0.96])  # 1, 1, 2, 0, -1, 4 and 3 hundredths
    found = over_seeds(a, b)
    assert found.p == pytest.approx(signed_rank_p(np.array([1.0, 1, 2, 0, -1, 4, 3])))
    hundredths = over_seeds(100 * a.round(2), 100 * b.round(2))
    assert hundredths.p == found.p, "0.95 - 0.94 ties with 0.93 - 0.92, whatever their last bits"
    assert hundredths.difference == pytest.approx(100 * found.difference)


@pytest.mark.parametrize("n", range(1, 13))
def test_the_signed_rank_quantile_is_that_of_every_way_to_give_the_signs(n):
    ranks = np.arange(1, n + 1)
    sums = sorted(int(ranks[list(signs)].sum()) for signs in itertools.product([False, True], repeat=n))
    for level in (0.9, 0.95, 0.99):
        allowed = [k for k in range(n * (n + 1) // 2) if np.searchsorted(sums, k, "right") / 2**n <= (1 - level) / 2]
        assert signed_rank_quantile(n, level) == max(allowed, default=-1)


def test_few_seeds_have_a_difference_and_no_interval():
    five = over_seeds([0.5, 0.6, 0.7, 0.8, 0.9], [0.4, 0.4, 0.4, 0.4, 0.4])
    assert five.difference == pytest.approx(0.3) and five.p == pytest.approx(2 / 32)
    assert five.low is five.high is None and five.reason == "5 pairs of seeds allow no interval of 95 %: 6 do"
    six = over_seeds([0.5, 0.6, 0.7, 0.8, 0.9, 1.0], [0.4] * 6)
    assert (six.low, six.high) == pytest.approx((0.1, 0.6)) and six.p == pytest.approx(2 / 64) and six.reason is None
    one = over_seeds([0.9], [0.8])
    assert one.difference == pytest.approx(0.1) and one.p is None and "one pair of seeds" in one.reason
    assert over_seeds([], []).reason == "no seed that both have"
    assert over_seeds([0.9, float("nan")], [0.8, 0.8]) == Difference(None, reason="not defined for every seed")
    assert over_seeds([0.9] * 7, [0.9] * 7) == Difference(0.0, reason="every pair of seeds is level")


def test_a_verdict_names_who_is_ahead_and_by_how_much():
    found = Difference(0.031, 0.012, 0.05, 0.002, "exact McNemar", 0.027)
    on = "3.1 points [1.2, 5.0] on 1,000 images"
    assert says("A", "B", found, 1000, None) == f"A is ahead of B by {on}: more than chance."
    mirrored = Difference(-0.031, -0.05, -0.012, 0.002, "exact McNemar", 0.027)
    assert says("B", "A", mirrored, 1000, 120) == f"A is ahead of B by {on} of 120 patients: more than chance."


def test_a_verdict_within_noise_says_what_these_images_can_tell():
    found = Difference(-0.01, -0.03, 0.0, 0.3, "exact McNemar", 0.027)
    assert says("A", "B", found, 500, None) == (
        "B and A are 1.0 points [0.0, 3.0] on 500 images apart, which is within noise: "
        "500 images cannot tell less than 2.7 points apart."
    )
    assert not found.beyond_chance, "an interval that ends at zero holds it"
    slight = Difference(0.01, -0.0004, 0.03, 0.3, "paired bootstrap of images")
    assert "[0.0, 3.0]" in says("A", "B", slight, 500, None), "not minus nothing"


def test_a_verdict_without_an_interval_says_why():
    level = Difference(0.0, reason="both are right on the same images")
    assert says("A", "B", level, 40, 7) == (
        "A and B, 0.0 points apart, cannot be told apart on 40 images of 7 patients: both are right on the same images."
    )
    nothing = Difference(None, reason="not defined for both")
    assert says("A", "B", nothing, 40, None) == "A and B cannot be told apart on 40 images: not defined for both."


def test_what_a_test_set_resolves_is_what_four_of_five_simulated_studies_show():
    images, disagreement = 1000, 0.1
    smallest = resolves(images, disagreement)
    assert smallest == pytest.approx((1.959964 + 0.841621) * math.sqrt(disagreement / images), abs=1e-6)
    generator = np.random.default_rng(0)
    ahead = (disagreement + smallest) / 2  # the share that a alone has right
    only_a, only_b, _ = generator.multinomial(images, [ahead, disagreement - ahead, 1 - disagreement], 4000).T
    z = (only_a - only_b) / np.sqrt(only_a + only_b)
    # About 80 %, a little more: as the difference grows its variance falls below the disagreement's.
    assert (np.abs(z) > 1.96).mean() == pytest.approx(0.8, abs=0.03)
    assert resolves(10) < 1 and resolves(1, 1.0) == 1.0, "at most all of it"


def test_a_difference_is_ready_for_json():
    told = Difference(0.1, 0.0, 0.2, 0.04, "DeLong", 0.15).as_dict()
    assert told == {"difference": 0.1, "low": 0.0, "high": 0.2, "p": 0.04, "test": "DeLong", "smallest": 0.15}
    assert Difference(None, reason="why").as_dict()["reason"] == "why"
