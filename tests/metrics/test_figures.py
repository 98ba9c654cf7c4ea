"""Every figure against scikit-learn, and weightings against images that are really repeated."""

import numpy as np
import pytest
from predictions_made import predictions
from sklearn import metrics
from sklearn.calibration import calibration_curve

from colora.metrics import figures
from colora.metrics.bootstrap import Sample
from colora.metrics.figures import OVERALL, PER_CLASS, QUADRATIC, Predicted, by_bin, names, once
from colora.metrics.statistics import closed_forms

SETS = [(classes, digits) for classes in (2, 4) for digits in (None, 2, 1)]  # of one digit nearly all scores are tied
UNDER_OTHERS = tuple(name for name in OVERALL if name != "ece")  # whose bins are those of the images themselves


def calibration_error(right: np.ndarray, confidence: np.ndarray) -> float:
    """ECE by scikit-learn's bins, each with its number of images, which scikit-learn does not give."""
    shares, means = calibration_curve(right, confidence, n_bins=10, strategy="quantile")
    edges = np.percentile(confidence, np.linspace(0, 100, 11))[1:-1]
    counts = np.bincount(np.searchsorted(edges, confidence), minlength=10)
    return float((np.abs(shares - means) * counts[counts > 0]).sum() / len(right))


@pytest.mark.parametrize(("classes", "digits"), SETS)
def test_overall_figures_are_scikit_learns(classes, digits):
    labels, p = predictions(300, classes, digits=digits)
    called, wide = p.argmax(1), np.eye(classes)[labels]
    tn_rates = [metrics.recall_score(labels != c, called != c) for c in range(classes)]
    negative = [metrics.precision_score(labels != c, called != c) for c in range(classes)]
    wanted = {
        "accuracy": metrics.accuracy_score(labels, called),
        "sensitivity": metrics.recall_score(labels, called, average="macro"),
        "specificity": np.mean(tn_rates),
        "ppv": metrics.precision_score(labels, called, average="macro"),
        "npv": np.mean(negative),
        "f1": metrics.f1_score(labels, called, average="macro"),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, called),
        "kappa": metrics.cohen_kappa_score(labels, called),
        QUADRATIC: metrics.cohen_kappa_score(labels, called, weights="quadratic"),
        "mcc": metrics.matthews_corrcoef(labels, called),
        "auc": np.mean([metrics.roc_auc_score(labels == c, p[:, c]) for c in range(classes)]),
        "average_precision": metrics.average_precision_score(wide, p, average="macro"),
        "brier": ((p - wide) ** 2).sum(1).mean(),
        "log_loss": metrics.log_loss(labels, np.clip(p, 1e-12, None)),  # which would keep them above 2e-16
        "ece": calibration_error(called == labels, p.max(1)),
    }
    found = {name: values[0] for name, values in once(labels, p).overall.items()}
    assert found == pytest.approx(wanted, abs=1e-9)
    assert set(names(ordinal=True)) == set(wanted) and QUADRATIC not in set(names(ordinal=False))
    if classes == 4:
        assert found["auc"] == pytest.approx(metrics.roc_auc_score(labels, p, multi_class="ovr", average="macro"))
        pooled = closed_forms(Predicted(labels, p), list("ABCD"), Sample.of(labels)).overall["auc_micro"]
        assert pooled.value == pytest.approx(metrics.roc_auc_score(labels, p, multi_class="ovr", average="micro"))


@pytest.mark.parametrize(("classes", "digits"), SETS)
def test_figures_of_a_class_are_scikit_learns_of_it_against_the_rest(classes, digits):
    labels, p = predictions(300, classes, seed=1, digits=digits)
    found = once(labels, p).per_class
    assert set(found) == set(PER_CLASS)
    for c in range(classes):
        member, called, score = labels == c, p.argmax(1) == c, p[:, c]
        kept = np.clip(np.where(member, score, 1 - score), 1e-12, None)
        wanted = {
            "sensitivity": metrics.recall_score(member, called),
            "specificity": metrics.recall_score(~member, ~called),
            "ppv": metrics.precision_score(member, called),
            "npv": metrics.precision_score(~member, ~called),
            "f1": metrics.f1_score(member, called),
            "balanced_accuracy": metrics.balanced_accuracy_score(member, called),
            "kappa": metrics.cohen_kappa_score(member, called),
            "mcc": metrics.matthews_corrcoef(member, called),
            "auc": metrics.roc_auc_score(member, score),
            "average_precision": metrics.average_precision_score(member, score),
            "brier": metrics.brier_score_loss(member, score),
            "log_loss": -np.log(kept).mean(),
            "ece": calibration_error(member, score),
        }
        assert {name: values[0, c] for name, values in found.items()} == pytest.approx(wanted, abs=1e-9)


def test_brier_and_log_loss_by_hand():
    found = once(np.array([0, 1]), np.array([[0.8, 0.2], [0.5, 0.5]]))
    assert found.overall["brier"][0] == pytest.approx((2 * 0.04 + 2 * 0.25) / 2)
    assert found.per_class["brier"][0] == pytest.approx([(0.04 + 0.25) / 2] * 2)
    assert found.overall["log_loss"][0] == pytest.approx(-(np.log(0.8) + np.log(0.5)) / 2)
    sure = once(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert sure.overall["log_loss"][0] == pytest.approx(-np.log(1e-12) / 2), "kept above 1e-12"


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("classes", [2, 4])
def test_a_weighting_gives_the_figures_of_images_that_are_really_repeated(classes, digits):
    labels, p = predictions(200, classes, seed=3, digits=digits)
    weights = np.random.default_rng(0).integers(0, 4, (6, 200)).astype(np.float64)
    weights[0] = 1
    found = Predicted(labels, p).under(weights)
    for d, each in enumerate(weights):
        times = np.repeat(np.arange(200), each.astype(int))
        wanted = once(labels[times], p[times])
        for name in (*UNDER_OTHERS, QUADRATIC):
            assert found.overall[name][d] == pytest.approx(wanted.overall[name][0], abs=1e-9), name
        for name in UNDER_OTHERS[1:]:
            assert found.per_class[name][d] == pytest.approx(wanted.per_class[name][0], abs=1e-9), name


def test_the_calibration_error_of_a_weighting_keeps_the_bins_of_the_images():
    labels, p = predictions(200, 3, seed=4)
    weights = np.random.default_rng(1).integers(0, 4, (3, 200)).astype(np.float64)
    found = Predicted(labels, p).under(weights)
    asked = [(p.max(1), p.argmax(1) == labels), *((p[:, c], labels == c) for c in range(3))]
    for d, each in enumerate(weights):
        errors = []
        for confidence, right in asked:
            bins = np.searchsorted(np.quantile(confidence, np.arange(0.1, 0.95, 0.1)), confidence)
            gaps = [abs((each * (confidence - right))[bins == b].sum()) for b in range(10)]
            errors.append(sum(gaps) / each.sum())
        assert found.overall["ece"][d] == pytest.approx(errors[0], abs=1e-9)
        assert found.per_class["ece"][d] == pytest.approx(errors[1:], abs=1e-9)


def test_bins_hold_equal_numbers_and_keep_equal_scores_together():
    found = by_bin(np.arange(100) / 100, np.ones(100))
    assert found.sum(0).tolist() == [10.0] * 10 and found.sum(1).tolist() == [1.0] * 100
    tied = by_bin(np.repeat([0.2, 0.9], [75, 25]), np.ones(100))
    assert sorted(tied.sum(0))[-2:] == [25, 75]


@pytest.mark.parametrize("digits", [None, 1])
def test_single_precision_weights_give_the_same_to_the_fifth_digit(digits):
    labels, p = predictions(2000, 4, seed=5, digits=digits)
    weights = np.random.default_rng(2).integers(0, 5, (4, 2000))
    model = Predicted(labels, p.astype(np.float32))
    exact, quick = model.under(weights.astype(np.float64)), model.under(weights.astype(np.float32))
    for name, values in exact.overall.items():
        assert quick.overall[name] == pytest.approx(values, abs=1e-5), name
    for name, values in exact.per_class.items():
        assert quick.per_class[name] == pytest.approx(values, abs=1e-5), name


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sums_are_every_figure_but_the_two_of_ranks_to_the_last_bit(dtype):
    labels, p = predictions(200, 3, seed=6, digits=1)
    weights = np.random.default_rng(3).integers(0, 4, (5, 200)).astype(dtype)
    weights[0, labels == 2] = 0
    model = Predicted(labels, p)
    every, sums = model.under(weights), model.sums_under(weights)
    for whole, part in ((every.overall, sums.overall), (every.per_class, sums.per_class)):
        assert whole.keys() - part.keys() == {"auc", "average_precision"}
        for name, values in part.items():
            assert values.dtype == np.float64 and np.array_equal(values, whole[name], equal_nan=True), name


def test_means_over_classes_leave_out_those_that_a_weighting_has_no_image_of():
    labels, p = predictions(150, 3, seed=7)
    weights = np.ones((2, 150))
    weights[1, labels == 1] = 0
    found = Predicted(labels, p).under(weights)
    assert np.isfinite(found.per_class["specificity"][1, 1])
    for name in ("sensitivity", "specificity", "ppv", "npv", "f1", "auc", "average_precision"):
        own = found.per_class[name]
        assert found.overall[name] == pytest.approx([own[0].mean(), own[1, [0, 2]].mean()], abs=1e-12), name


def test_what_is_not_defined_is_no_number():
    labels, p = np.array([0, 0, 1]), np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.3, 0.7, 0.0]])
    found = once(labels, p)
    absent = {name: values[0, 2] for name, values in found.per_class.items()}
    known = {name: value for name, value in absent.items() if np.isfinite(value)}
    assert known == pytest.approx({"specificity": 1, "brier": 0, "log_loss": 0, "ece": 0}, abs=1e-9)
    assert found.overall["sensitivity"][0] == found.overall["auc"][0] == 1, "the mean of the two that have images"
    one = once(np.zeros(3, int), np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]))
    lacking = {name for name, values in one.overall.items() if np.isnan(values[0])}
    assert lacking == {"specificity", "npv", "kappa", QUADRATIC, "mcc", "auc"}
    never = once(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]))  # nobody is called the second class
    assert np.isnan(never.per_class["ppv"][0, 1]) and np.isnan(never.overall["ppv"][0])
    assert never.per_class["sensitivity"][0].tolist() == [1, 0] and np.isnan(never.overall["mcc"][0])


def test_of_equal_probabilities_the_first_class_is_called():
    assert Predicted(np.array([1]), np.array([[0.2, 0.4, 0.4]])).called.tolist() == [1]


@pytest.mark.parametrize(
    ("labels", "p", "told"),
    [
        (np.array([], int), np.empty((0, 2)), "N > 0 images"),
        (np.array([0, 1, 0]), np.full((2, 2), 0.5), "labels"),
        (np.array([0, 1]), np.array([0.5, 0.5]), "labels"),
        (np.array([0, 2]), np.full((2, 2), 0.5), "labels from 0 to 1, got 0 to 2"),
        (np.array([-1, 0]), np.full((2, 2), 0.5), "labels from 0 to 1, got -1 to 0"),
        (np.array([0, 1]), np.array([[0.5, np.nan], [0.5, 0.5]]), "probabilities in"),
        (np.array([0, 1]), np.array([[1.5, -0.5], [0.5, 0.5]]), "probabilities in"),
        (np.array([0, 1]), np.array([[0.5, np.inf], [0.5, 0.5]]), "probabilities in"),
    ],
)
def test_what_are_no_labels_and_probabilities_is_refused(labels, p, told):
    with pytest.raises(ValueError, match=told):
        figures.once(labels, p)
