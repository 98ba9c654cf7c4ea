"""Metrics against figures worked out by hand."""

import numpy as np
import pytest
from sklearn import metrics

from colora.metrics import classification

LABELS = np.array([0, 0, 0, 1, 1, 2])
P = np.array(
    [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1], [0.1, 0.2, 0.7], [0.1, 0.1, 0.8]], np.float32
)


def test_confusion_matrix_rows_are_true_classes():
    assert classification.confusion_matrix(LABELS, P).tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert classification.accuracy(LABELS, P) == pytest.approx(4 / 6)


def test_per_class_figures():
    rows = classification.per_class(classification.confusion_matrix(LABELS, P))
    assert [r["n"] for r in rows] == [3, 2, 1]
    assert [r["recall"] for r in rows] == pytest.approx([2 / 3, 1 / 2, 1])
    assert [r["precision"] for r in rows] == pytest.approx([1, 1 / 2, 1 / 2])
    # true negatives count the confusions among the other classes, unlike the paper's eq. 23
    assert [r["specificity"] for r in rows] == pytest.approx([1, 3 / 4, 4 / 5])


def test_undefined_figures_are_none_not_zero():
    rows = classification.per_class(np.array([[3, 0], [0, 0]]))
    assert rows[1]["recall"] is None
    assert rows[1]["precision"] is None
    assert rows[0]["specificity"] is None
    rows = classification.per_class(np.array([[2, 1, 3], [0, 0, 0], [0, 1, 1]]))  # nothing is of B, two are called so
    assert rows[1] == {"n": 0, "recall": None, "precision": None, "specificity": 6 / 8}
    p = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    assert classification.class_auc(np.array([0, 1]), p) == [1.0, 1.0, None]
    assert classification.macro_auc(np.array([0, 1]), p) == 1.0
    assert classification.macro_auc(np.array([0, 0]), p) is None
    assert classification.class_counts(np.array([0, 1]), p)[2] is None


def test_auc_counts_the_pairs_in_right_order():
    # class 0: positives .8 .6 .2 against negatives .3 .1 .1 -> 8 of 9 pairs
    assert classification.class_auc(LABELS, P)[0] == pytest.approx(8 / 9)
    false_positive_rate, recall = classification.roc(classification.class_counts(LABELS, P)[0])
    assert np.trapezoid(recall, false_positive_rate) == pytest.approx(8 / 9)


def test_entropy_in_nats():
    p = np.array([[1, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]])
    assert classification.entropy(p) == pytest.approx([0, np.log(4), np.log(2)])


def test_cross_entropy():
    assert classification.cross_entropy(np.array([0, 1]), np.array([[0.5, 0.5], [0.75, 0.25]])) == pytest.approx(
        1.5 * np.log(2)
    )
    assert classification.cross_entropy(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(-np.log(1e-12))


def test_report_is_json_with_every_class_named():
    report = classification.report(LABELS, P, ["A", "B", "C"])
    assert report["n"] == 6
    assert report["per_class"]["B"]["recall"] == pytest.approx(0.5)
    assert report["auc"] == pytest.approx(np.mean([report["per_class"][c]["auc"] for c in "ABC"]))
    assert report["confusion_matrix"] == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]


@pytest.mark.parametrize("digits", [1, 7])
def test_areas_and_curves_are_scikit_learns_also_with_equal_scores(digits):
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 200)
    scores = np.exp(rng.normal(size=(200, 3)) + np.eye(3)[labels])
    p = (scores / scores.sum(axis=1, keepdims=True)).round(digits)
    counts, rows = classification.class_counts(labels, p), classification.report(labels, p, ["A", "B", "C"])
    assert rows["confusion_matrix"] == metrics.confusion_matrix(labels, p.argmax(axis=1)).tolist()
    for c in range(3):
        member = labels == c
        area = metrics.roc_auc_score(member, p[:, c])
        assert classification.class_auc(labels, p)[c] == pytest.approx(area, abs=1e-12)
        precision = metrics.average_precision_score(member, p[:, c])
        assert rows["per_class"]["ABC"[c]]["average_precision"] == pytest.approx(precision, abs=1e-12)
        theirs = {tuple(point.round(9)) for point in np.array(metrics.roc_curve(member, p[:, c])[:2]).T}
        ours = np.array(classification.roc(counts[c]))
        assert {tuple(point.round(9)) for point in ours.T} <= theirs  # which keep the first point on a line from 0
        assert np.trapezoid(ours[1], ours[0]) == pytest.approx(classification.class_auc(labels, p)[c])
        recall, precision = classification.precision_recall(counts[c])
        wanted = metrics.precision_recall_curve(member, p[:, c])
        assert np.allclose(recall, wanted[1][:-1][::-1]) and np.allclose(precision, wanted[0][:-1][::-1])
    micro = metrics.roc_auc_score(np.eye(3)[labels], p, average="micro")
    assert classification.micro_auc(labels, p) == pytest.approx(micro, abs=1e-12)


def test_macro_and_micro_auc_differ_where_one_class_is_easy_and_frequent():
    report = classification.report(LABELS, P, ["A", "B", "C"])
    assert report["auc_micro"] == pytest.approx(metrics.roc_auc_score(np.eye(3)[LABELS], P, average="micro"))
    assert report["auc_micro"] != pytest.approx(report["auc"])
