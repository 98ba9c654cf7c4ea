"""Areas and their variances against other implementations and against the papers' formulas, written as they stand."""

import numpy as np
import pytest
from MLstatkit import Delong_test
from predictions_made import patients_of, predictions, scored
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from colora.metrics.bootstrap import Sample, weightings
from colora.metrics.delong import area, class_areas, macro, variance
from colora.metrics.differences import of_areas
from colora.metrics.figures import Predicted

DIGITS = [None, 2, 1]


def placements(member: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """(area, V10 of each positive, V01 of each negative) over all pairs, equation 4 and 6 of DeLong et al. 1988."""
    positive, negative = scores[member], scores[~member]
    wins = np.array([[1.0 if x > y else 0.5 if x == y else 0.0 for y in negative] for x in positive])
    return float(wins.mean()), wins.mean(1), wins.mean(0)


def delong_variance(member: np.ndarray, scores: np.ndarray) -> float:
    _, v10, v01 = placements(member, scores)
    return float(v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01))


def obuchowski_variance(member: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> float:
    """Obuchowski 1997, section 2: sums of the placements of each patient's images, about what they would be."""
    theta, v10, v01 = placements(member, scores)
    m, n = len(v10), len(v01)
    units = sorted(set(patients))
    of_positives = [patients[member] == unit for unit in units]
    of_negatives = [patients[~member] == unit for unit in units]
    up = np.array([v10[own].sum() - own.sum() * theta for own in of_positives])
    down = np.array([v01[own].sum() - own.sum() * theta for own in of_negatives])
    i10, i01, i = sum(own.any() for own in of_positives), sum(own.any() for own in of_negatives), len(units)
    s10 = i10 / ((i10 - 1) * m) * (up**2).sum()
    s01 = i01 / ((i01 - 1) * n) * (down**2).sum()
    s11 = i / (i - 1) * (up * down).sum()
    return float(s10 / m + s01 / n + 2 * s11 / (m * n))


def asked(images: int, seed: int, digits: int | None) -> tuple[np.ndarray, np.ndarray]:
    labels, p = predictions(images, 2, seed, skill=1.0, digits=digits)
    return labels == 1, p[:, 1]


@pytest.mark.parametrize("digits", DIGITS)
def test_the_area_is_scikit_learns_and_the_share_of_pairs_in_right_order(digits):
    member, scores = asked(150, 1, digits)
    found = area(member, scores)
    assert found.value == pytest.approx(roc_auc_score(member, scores), abs=1e-12)
    theta, v10, v01 = placements(member, scores)
    assert found.value == pytest.approx(theta, abs=1e-12)
    assert found.influence[member] == pytest.approx((v10 - theta) / len(v10), abs=1e-12)
    assert found.influence[~member] == pytest.approx((v01 - theta) / len(v01), abs=1e-12)


def test_equal_scores_count_half():
    # positives 3 and 2 against negatives 2 and 1: 3 beats both, 2 beats one and ties with one
    found = area(np.array([True, True, False, False]), np.array([3.0, 2.0, 2.0, 1.0]))
    assert found.value == 3.5 / 4
    assert found.influence == pytest.approx([0.125 / 2, -0.125 / 2, -0.125 / 2, 0.125 / 2])


@pytest.mark.parametrize("digits", DIGITS)
def test_the_variance_is_delongs(digits):
    member, scores = asked(150, 2, digits)
    found = variance(area(member, scores).influence, member, Sample.of(member))
    assert found == pytest.approx(delong_variance(member, scores), abs=1e-12)


@pytest.mark.parametrize("digits", DIGITS)
def test_areas_and_the_test_of_two_are_another_librarys(digits):
    labels, a = predictions(300, 2, 3, skill=1.2, digits=digits)
    b = (a + np.random.default_rng(0).dirichlet((1, 1), 300)).round(digits or 15)  # as noise has it, not as good
    member = labels == 1
    areas = [area(member, p[:, 1]) for p in (a, b)]
    z, p, (low_a, high_a), _, area_a, area_b, _ = Delong_test(labels, a[:, 1], b[:, 1])
    assert [each.value for each in areas] == pytest.approx([area_a, area_b], abs=1e-9)
    error = np.sqrt(variance(areas[0].influence, member, Sample.of(labels)))
    assert (area_a - norm.ppf(0.975) * error, area_a + norm.ppf(0.975) * error) == pytest.approx((low_a, high_a))
    found = of_areas(*areas, member, Sample.of(labels))
    assert found.p == pytest.approx(p, abs=1e-6) and p < 0.2
    assert found.difference / np.sqrt(variance(areas[0].influence - areas[1].influence, member, Sample.of(labels))) == (
        pytest.approx(-z, abs=1e-6)
    )


@pytest.mark.parametrize("digits", DIGITS)
def test_the_variance_by_patient_is_obuchowskis(digits):
    member, scores = asked(160, 4, digits)
    patients = patients_of(160)  # most of whom have images of both kinds
    found = variance(area(member, scores).influence, member, Sample.of(member, patients))
    assert found == pytest.approx(obuchowski_variance(member, scores, patients), abs=1e-12)


def test_by_patients_of_one_image_each_it_is_delongs():
    member, scores = asked(120, 5, 2)
    patients = np.random.default_rng(0).permutation(120)
    wanted = delong_variance(member, scores)
    assert variance(area(member, scores).influence, member, Sample.of(member, patients)) == pytest.approx(wanted)
    assert obuchowski_variance(member, scores, patients) == pytest.approx(wanted)


def test_images_of_one_patient_that_are_alike_count_as_one():
    member, scores = asked(80, 6, None)
    twice = np.repeat(np.arange(80), 2)
    found = variance(area(member[twice], scores[twice]).influence, member[twice], Sample.of(member[twice], twice))
    assert found == pytest.approx(delong_variance(member, scores), rel=1e-9)
    as_if_apart = variance(area(member[twice], scores[twice]).influence, member[twice], Sample.of(member[twice]))
    assert as_if_apart == pytest.approx(found / 2, rel=0.02), "which would be too sure by a root of two"


def test_the_variance_of_the_macro_area_is_that_of_a_jackknife_and_of_draws():
    labels, p = predictions(400, 4, 7, skill=1.2)
    found = variance(macro(class_areas(labels, p)).influence, labels, Sample.of(labels))

    def mean_area(kept: np.ndarray) -> float:
        return macro(class_areas(labels[kept], p[kept])).value

    left_out = np.array([mean_area(np.arange(400) != k) for k in range(400)])
    jackknife = 0.0
    for c in range(4):  # stratified: each class keeps what is not left out of it (Efron & Tibshirani 1993, chapter 11)
        own = left_out[labels == c]
        jackknife += (len(own) - 1) / len(own) * ((own - own.mean()) ** 2).sum()
    assert found == pytest.approx(jackknife, rel=0.02)
    draws = np.concatenate([Predicted(labels, p).under(w).overall["auc"] for w in weightings(Sample.of(labels), 2000)])
    assert found == pytest.approx(draws.var(), rel=0.1)


def test_the_macro_variance_by_patient_is_that_of_a_jackknife_over_patients():
    generator = np.random.default_rng(8)
    patients = patients_of(500, 8)
    names, unit = np.unique(patients, return_inverse=True)
    own = generator.integers(0, 3, len(names))[unit]  # a patient's images are of one class, but for some
    labels = np.where(generator.random(500) < 0.3, generator.integers(0, 3, 500), own)
    p = scored(labels, 3, generator, shift=generator.normal(size=(len(names), 3))[unit])
    found = variance(macro(class_areas(labels, p)).influence, labels, Sample.of(labels, patients))
    left_out = np.array([macro(class_areas(labels[patients != x], p[patients != x])).value for x in names])
    jackknife = (len(names) - 1) / len(names) * ((left_out - left_out.mean()) ** 2).sum()
    assert found == pytest.approx(jackknife, rel=0.05)
    plain = variance(macro(class_areas(labels, p)).influence, labels, Sample.of(labels))
    assert plain < 0.7 * jackknife, "as independent images they would seem far surer"


def test_the_macro_area_leaves_out_a_class_without_images():
    labels, p = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1, 0], [0.4, 0.6, 0], [0.5, 0.5, 0], [0.2, 0.8, 0]])
    areas = class_areas(labels, p)
    assert areas[2] is None and macro(areas).value == pytest.approx((areas[0].value + areas[1].value) / 2)
    assert macro(class_areas(np.zeros(3, int), p[:3])) is None
    assert area(np.ones(3, bool), np.arange(3.0)) is None and area(np.zeros(3, bool), np.arange(3.0)) is None


def test_of_a_single_image_or_patient_nothing_is_known_of_others():
    member, scores = np.array([True, False, False, False]), np.array([0.9, 0.1, 0.5, 0.95])
    assert variance(area(member, scores).influence, member, Sample.of(member)) is None
    member = np.array([True, True, False, False])
    of_one = Sample.of(member, np.array(["a", "a", "b", "c"]))
    assert variance(area(member, scores).influence, member, of_one) is None
    of_all = Sample.of(member, np.array(["a", "a", "a", "a"]))
    assert variance(area(member, scores).influence, member, of_all) is None
