"""Thresholds against every cut there is, what they are worth against counting, prevalence against Bayes."""

import math

import numpy as np
import pytest
from predictions_made import patients_of, predictions
from scipy.stats import norm

from colora.metrics.bootstrap import Sample, weightings
from colora.metrics.estimates import Estimate, of_share, wilson
from colora.metrics.operating_point import Choice, at_prevalence, decision_curve, judged, scores, threshold

CHOICES = [
    Choice("sensitivity", 0.95), Choice("sensitivity", 0.5), Choice("sensitivity", 1.0), Choice("youden"),
    Choice("cost", 1.0), Choice("cost", 5.0), Choice("cost", 0.05), Choice("cost", 0.3),
]  # fmt: skip


def asked(images: int, seed: int, digits: int | None = None, skill: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Whether each image is of one of the first two of four classes, and the probability of that."""
    labels, p = predictions(images, 4, seed, skill, digits)
    return labels < 2, scores(p, [0, 1]).round(9)  # ties as they are meant: 0.1 + 0.2 is not 0.3 to the last bit


def counted(member: np.ndarray, called: np.ndarray) -> tuple[int, int, int, int]:
    """(true positives, false negatives, false positives, true negatives) by counting."""
    both = list(zip(member.tolist(), called.tolist(), strict=True))
    return tuple(sum(each == kind for each in both) for kind in ((True, True), (True, False), (False, True),
                                                                 (False, False)))  # fmt: skip


def worth(member: np.ndarray, called: np.ndarray, choice: Choice) -> tuple[float, ...]:
    """What a rule wants as much of as it can have, the most important first."""
    tp, fn, fp, tn = counted(member, called)
    sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
    if choice.rule == "sensitivity":
        return float(sensitivity >= choice.value - 1e-12), specificity
    if choice.rule == "youden":
        return (round(sensitivity + specificity, 9),)
    return (-round(choice.value * fn + fp, 9),)


@pytest.mark.parametrize("digits", [None, 2, 1])
@pytest.mark.parametrize("choice", CHOICES, ids=lambda c: f"{c.rule}-{c.value:g}")
def test_no_other_cut_serves_the_rule_better(choice, digits):
    for seed in range(4):
        member, score = asked(60, seed, digits)
        at = threshold(member, score, choice)
        cuts = [*np.unique(score), 2.0]  # from each score that occurs, and to call nobody
        best = max(worth(member, score >= cut, choice) for cut in cuts)
        assert worth(member, score >= at, choice) == best
        assert not np.isin(at, score) and 0 <= at <= np.nextafter(1, 2), "between two that occur, or above a sure one"


def test_a_threshold_stands_midway_between_the_scores_that_it_parts():
    member, score = np.array([False, True, False, True]), np.array([0.1, 0.4, 0.5, 0.9])
    assert threshold(member, score, Choice("sensitivity", 1.0)) == pytest.approx(0.25)
    assert threshold(member, score, Choice("sensitivity", 0.5)) == pytest.approx(0.7)
    assert threshold(member, score, Choice("cost", 0.1)) == pytest.approx(0.7)
    assert threshold(~member, score, Choice("cost", 0.1)) == pytest.approx(0.95), "to call nobody costs least"
    assert threshold(member, np.full(4, 0.6), Choice("sensitivity", 1.0)) == pytest.approx(0.3), "to call everybody"


def test_a_threshold_that_calls_nobody_lies_above_a_sure_score_too():
    member, score = np.array([True, False, False, False]), np.array([0.2, 1.0, 1.0, 0.3])
    at = threshold(member, score, Choice("cost", 0.5))
    assert at > 1 and not (score >= at).any()


def test_scores_that_differ_in_the_last_bit_are_parted():
    low = 0.1 + 0.2
    high = np.nextafter(low, 1)
    at = threshold(np.array([False, True]), np.array([low, high]), Choice("youden"))
    assert low < at <= high


def test_without_positives_or_negatives_there_is_no_threshold():
    for member in (np.zeros(3, bool), np.ones(3, bool)):
        assert threshold(member, np.array([0.1, 0.5, 0.9]), Choice("youden")) is None


def test_the_score_is_the_probability_of_being_in_one_of_the_classes():
    _, p = predictions(20, 4)
    assert scores(p, [0, 1]) == pytest.approx(p[:, 0] + p[:, 1]) and np.array_equal(scores(p, [2, 2]), p[:, 2])
    for none_or_all in ([], [0, 1, 2, 3]):
        with pytest.raises(ValueError, match="between 1 and 3 of the 4 classes"):
            scores(p, none_or_all)


def test_a_choice_that_makes_no_sense_is_refused_and_others_say_what_they_are():
    for rule, value in (("sensitivity", 0.0), ("sensitivity", 1.1), ("cost", 0.0), ("cost", -1.0), ("cost", math.inf)):
        with pytest.raises(ValueError, match="above 0"):
            Choice(rule, value)
    assert "sensitivity of at least 0.95 on validation" in Choice("sensitivity").says()
    assert "costs 5 times a false alarm" in Choice("cost", 5.0).says() and "Youden" in Choice("youden").says()


def test_a_frozen_threshold_is_judged_by_counting_with_wilsons_intervals():
    member, score = asked(200, 7)
    tp, fn, fp, tn = counted(member, score >= 0.4)
    shares = {"sensitivity": (tp, tp + fn), "specificity": (tn, tn + fp), "ppv": (tp, tp + fp), "npv": (tn, tn + fn)}
    assert judged(member, score, 0.4) == {k: Estimate(r / n, *wilson(r, n), "Wilson") for k, (r, n) in shares.items()}


def test_by_patient_a_threshold_is_judged_on_as_many_images_as_tell_as_much():
    patients = patients_of(600, most=12)
    _, unit = np.unique(patients, return_inverse=True)
    member, score = (each[unit] for each in asked(unit.max() + 1, 8))  # all images of a patient are alike
    found, plain = judged(member, score, 0.4, patients), judged(member, score, 0.4)
    called = score >= 0.4
    asked_of = {"sensitivity": member, "specificity": ~member, "ppv": called, "npv": ~called}
    for name, each in found.items():
        assert each == of_share(member == called, asked_of[name], Sample.of(member, patients)), name
        assert each.value == plain[name].value and each.method == "Wilson by patient"
        assert each.high - each.low > 1.5 * (plain[name].high - plain[name].low)


def test_judged_on_one_kind_alone_or_with_nobody_called_says_what_is_missing():
    member, score = np.array([True, True, False]), np.array([0.2, 0.3, 0.1])
    found = judged(member, score, 0.5)
    assert found["ppv"] == Estimate(None, reason="no image was called positive")
    assert found["sensitivity"].value == 0 and found["specificity"].value == 1
    only = judged(np.zeros(3, bool), score, 0.0)
    assert only["sensitivity"].reason == "no image is positive" and only["npv"].reason == "no image was called negative"
    assert judged(np.ones(3, bool), score, 0.5)["specificity"].reason == "no image is negative"
    grouped = judged(member, score, 0.5, np.array([1, 1, 2]))
    assert grouped["ppv"] == found["ppv"] and grouped["sensitivity"].method == "Wilson over patients"


def counts_of(tp: int, fn: int, fp: int, tn: int) -> tuple[np.ndarray, np.ndarray]:
    """(member, score) with as many of each kind at a threshold of 0.5."""
    member = np.repeat([True, True, False, False], [tp, fn, fp, tn])
    return member, np.repeat([0.9, 0.1, 0.9, 0.1], [tp, fn, fp, tn])


def test_at_a_prevalence_values_are_bayes_and_intervals_mercaldos():
    # The ApoE e4 allele and Alzheimer's disease, at a prevalence of 3 %: Mercaldo, Lau & Zhou 2007, section 5.1, as
    # R's bdpv has it: 240 of 418 cases and 87 of 375 controls carry it.
    member, score = counts_of(240, 178, 87, 288)
    found = at_prevalence(member, score, 0.5, 0.03)
    se, sp, p = 240 / 418, 288 / 375, 0.03
    assert found["ppv"].value == pytest.approx(se * p / (se * p + (1 - sp) * (1 - p)), abs=1e-12)
    assert found["npv"].value == pytest.approx(sp * (1 - p) / ((1 - se) * p + sp * (1 - p)), abs=1e-12)
    z = norm.ppf(0.975)
    of_ppv = (1 - se) / se / 418 + sp / (1 - sp) / 375  # variances of the logits, their section 2.2
    of_npv = se / (1 - se) / 418 + (1 - sp) / sp / 375
    for name, variance in (("ppv", of_ppv), ("npv", of_npv)):
        logit, half = math.log(found[name].value / (1 - found[name].value)), z * math.sqrt(variance)
        ends = [1 / (1 + math.exp(-end)) for end in (logit - half, logit + half)]
        assert (found[name].low, found[name].high) == pytest.approx(ends, abs=1e-9)


def test_with_no_false_alarm_the_interval_is_mercaldos_adjusted_one():
    member, score = counts_of(27, 3, 0, 50)
    found = at_prevalence(member, score, 0.5, 0.1)
    assert found["ppv"].value == 1.0 and found["ppv"].high == 1.0
    k = norm.ppf(0.975)
    n1, n0 = 30 + k**2, 50 + k**2  # k^2 images more, half of them right, in shares and variances (bdpv's CIlppvak)
    se, sp = (27 + k**2 / 2) / n1, (50 + k**2 / 2) / n0
    for name, logit, variance in (
        ("ppv", math.log(se * 0.1 / ((1 - sp) * 0.9)), (1 - se) / se / n1 + sp / (1 - sp) / n0),
        ("npv", math.log(sp * 0.9 / ((1 - se) * 0.1)), se / (1 - se) / n1 + (1 - sp) / sp / n0),
    ):
        low, high = (1 / (1 + math.exp(-(logit + sign * k * math.sqrt(variance)))) for sign in (-1, 1))
        value = found[name].value
        assert (found[name].low, found[name].high) == pytest.approx((min(low, value), max(high, value)), abs=1e-9)
        assert 0 < found[name].low < value


def test_at_the_test_sets_own_share_of_positives_the_values_are_its_own():
    member, score = asked(200, 9)
    found, own = at_prevalence(member, score, 0.5, float(member.mean())), judged(member, score, 0.5)
    for name in ("ppv", "npv"):
        assert found[name].value == pytest.approx(own[name].value, abs=1e-12)


def test_patients_count_at_a_prevalence_where_they_are_known():
    member, score = asked(300, 10)
    few = at_prevalence(member, score, 0.5, 0.1, patients_of(300))
    many = at_prevalence(member, score, 0.5, 0.1)
    for name in ("ppv", "npv"):
        assert few[name].value == many[name].value and few[name].low < many[name].low < many[name].high < few[name].high


def test_at_a_prevalence_what_cannot_be_said():
    member, score = counts_of(0, 5, 0, 5)
    assert at_prevalence(member, score, 0.5, 0.1)["ppv"] == Estimate(None, reason="no image was called positive")
    assert at_prevalence(member, score, 0.0, 0.1)["npv"] == Estimate(None, reason="no image was called negative")
    for only, reason in ((np.ones(3, bool), "no image is negative"), (np.zeros(3, bool), "no image is positive")):
        assert at_prevalence(only, score[:3], 0.5, 0.1)["npv"] == Estimate(None, reason=reason)
    for prevalence in (0.0, 1.0, 3.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            at_prevalence(member, score, 0.5, prevalence)


def test_net_benefit_is_counted_by_hand():
    member, score = asked(150, 11)
    at = np.array([0.05, 0.2, 0.5, 0.9])
    found = decision_curve(member, score, at, draws=300, seed=2)
    draws = np.concatenate(list(weightings(Sample.of(member), 300, 2)))
    for t, row in zip(at, found.itertuples(), strict=True):
        tp, _, fp, _ = counted(member, score >= t)
        assert row.threshold == t and row.model == pytest.approx(tp / 150 - fp / 150 * t / (1 - t), abs=1e-12)
        all_treated = member.mean() - (~member).mean() * t / (1 - t)
        assert row.treat_all == pytest.approx(all_treated, abs=1e-12)
        called = score >= t
        gains = (draws[:, member & called].sum(1) - draws[:, ~member & called].sum(1) * t / (1 - t)) / draws.sum(1)
        assert (row.low, row.high) == pytest.approx(np.percentile(gains, [2.5, 97.5]), abs=1e-6)
    assert found["model"].iloc[0] == pytest.approx(found["treat_all"].iloc[0], abs=0.02), "at 5 % nearly all are"


def test_a_decision_curve_by_patient_is_wider_where_images_of_a_patient_are_alike():
    patients = patients_of(400, most=12)
    _, unit = np.unique(patients, return_inverse=True)
    member, score = (each[unit] for each in asked(unit.max() + 1, 12))
    together = decision_curve(member, score, np.array([0.3]), patients, draws=500)
    apart = decision_curve(member, score, np.array([0.3]), draws=500)
    assert (together["high"] - together["low"]).item() > 1.5 * (apart["high"] - apart["low"]).item()
    assert together["model"].item() == apart["model"].item()


@pytest.mark.parametrize("at", [[], [0.0, 0.5], [0.5, 1.0]])
def test_thresholds_of_a_decision_curve_lie_between_0_and_1(at):
    member, score = asked(20, 0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        decision_curve(member, score, np.array(at))
