"""Medians, quartiles and ranges over seeds, against numpy's and against figures worked out by hand."""

import numpy as np
import pytest

from colora.metrics.classification import class_counts, confusion_matrix, macro_auc, roc
from colora.metrics.over_seeds import (
    GRID,
    SPREAD,
    ensemble,
    one_model,
    outcome,
    precision_recall_band,
    roc_band,
    row_shares,
    spreads,
)

LABELS = np.array([0, 0, 1, 1])


def told(scores: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of a model that gives class 1 these probabilities."""
    p = np.array(scores)
    return LABELS, np.stack([1 - p, p], axis=1)


def counted(*seeds: tuple[np.ndarray, np.ndarray]) -> list:
    """What the curves of class 1 are made of."""
    return [class_counts(*seed)[1] for seed in seeds]


@pytest.mark.parametrize("seeds", [1, 2, 5, 10])
def test_spreads_are_numpys_percentiles(seeds):
    values = np.random.default_rng(seeds).normal(size=(seeds, 3, 2))
    found = spreads(values)
    wanted = np.percentile(values, [50, 25, 75, 0, 100], axis=0)
    assert np.allclose([found[name] for name in SPREAD], wanted)
    assert (found["n"] == seeds).all()


def test_spreads_leave_out_what_a_seed_does_not_have():
    found = spreads(np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan]]))
    assert found["n"].tolist() == [2, 0]
    assert (found["median"][0], found["q1"][0], found["high"][0]) == (2.0, 1.5, 3.0)
    assert np.isnan(found["median"][1])


def test_row_shares_of_a_class_without_images_are_not_numbers():
    shares = row_shares(np.array([[[3, 1], [0, 0]]]))
    assert shares[0, 0].tolist() == [0.75, 0.25] and np.isnan(shares[0, 1]).all()


def test_roc_of_several_seeds_is_averaged_at_each_false_positive_rate():
    perfect, wrong = told([0.1, 0.2, 0.8, 0.9]), told([0.9, 0.8, 0.2, 0.1])
    band = roc_band(counted(perfect, perfect, wrong))
    assert len(band) == GRID + 1 and (band["x"].iloc[0], band["median"].iloc[0]) == (0, 0)
    inner = band.iloc[1:-1]
    assert (inner["median"] == 1).all() and (inner["low"] == 0).all() and (inner["q1"] == 0.5).all()
    assert band.iloc[-1][["low", "high"]].tolist() == [1, 1]


def test_between_two_thresholds_roc_is_a_line_and_precision_a_step():
    middling = told([0.1, 0.6, 0.4, 0.9])  # by score: right, wrong, right, wrong
    two = counted(middling, middling)
    band = roc_band(two).set_index("x")["median"]
    assert band.loc[0.5] == 1 and np.interp(0.25, band.index[1:], band.to_numpy()[1:]) == pytest.approx(0.5)
    precision = precision_recall_band(two).set_index("x")["median"]
    assert precision.loc[0] == precision.iloc[100] == 1  # up to half of the images the only one called is right
    assert precision.iloc[101] == precision.loc[1] == pytest.approx(2 / 3)


def test_one_seed_keeps_its_own_thresholds():
    only = told([0.1, 0.6, 0.4, 0.9])
    band = roc_band(counted(only))
    assert np.array_equal(np.array([band["x"], band["median"]]), np.array(roc(class_counts(*only)[1])))


def test_a_class_without_images_has_no_curve():
    _, p = told([0.1, 0.6, 0.4, 0.9])
    none = counted((np.zeros(4, int), p))
    assert roc_band(none) is None and precision_recall_band(none) is None


def test_the_ensemble_is_the_mean_of_the_probabilities():
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=(4, 50)).astype(np.float32)
    assert ensemble(p) == pytest.approx(np.mean(p, axis=0, dtype=np.float64), abs=1e-15)
    assert np.array_equal(ensemble(list(p)), ensemble(p)) and ensemble(p).dtype == np.float64
    assert np.array_equal(one_model(p), ensemble(p)) and np.array_equal(one_model(p, 2), p[2])
    assert one_model(p[:1]) is not None and np.array_equal(one_model(p[:1]), p[0]), "of a single seed its own"


def test_the_shown_matrix_is_of_one_model_where_medians_of_cells_would_be_of_none():
    names, labels = ["A", "B", "C"], np.zeros(4, int)
    called = ([0, 0, 1, 1], [0, 0, 2, 2], [1, 1, 2, 2])  # three seeds' answers to four images of class A
    sure = (0.9, 0.8, 0.7)
    seeds = [(labels, np.where(np.eye(3)[own] == 1, p, (1 - p) / 2)) for own, p in zip(called, sure, strict=True)]
    found = outcome(seeds, names)
    assert found.matrices[:, 0].tolist() == [[2, 2, 0], [2, 0, 2], [0, 2, 2]]
    assert np.median(found.matrices, axis=0)[0].tolist() == [2, 2, 2], "six of four images"
    assert found.matrix.tolist() == [[2, 0, 2], [0, 0, 0], [0, 0, 0]]
    assert found.joint == {"accuracy": 0.5, "auc": None}
    assert outcome(seeds, names, one=2).matrix[0].tolist() == [0, 2, 2]
    assert outcome(seeds[:1], names).matrix[0].tolist() == [2, 2, 0]
    assert outcome(seeds[:1], names).joint is outcome(seeds, names, one=0).joint is None


def test_the_ensembles_own_figures_are_not_the_seeds_medians():
    first, second = told([0.1, 0.7, 0.8, 0.9]), told([0.6, 0.2, 0.3, 0.9])
    joint = outcome([first, second], ["A", "B"]).joint
    mean = ensemble([first[1], second[1]])
    assert joint == {"accuracy": 1.0, "auc": macro_auc(LABELS, mean)}  # 0.35, 0.45, 0.55, 0.9 of class B


def test_outcome_gathers_every_seed():
    first, second = told([0.1, 0.2, 0.8, 0.9]), told([0.9, 0.2, 0.8, 0.9])
    found = outcome([first, second], ["A", "B"])
    assert found.images == 4
    assert found.matrices.tolist() == [confusion_matrix(*first).tolist(), [[1, 1], [0, 2]]]
    assert found.whole["accuracy"].tolist() == [1.0, 0.75]
    recalls = found.figures.pivot(index="seed", columns="class", values="recall")
    assert recalls["A"].tolist() == [1.0, 0.5] and recalls["B"].tolist() == [1.0, 1.0]
    assert found.figures.query("`class` == 'B' and seed == 1")["precision"].item() == pytest.approx(2 / 3)


def test_ten_seeds_on_the_balanced_training_set_are_sorted_once_each(monkeypatch):
    """31,016 images of OCTMNIST; sorting them is most of the work."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 31_016)
    scores = np.exp(1.5 * rng.normal(size=(10, 31_016, 4)) + 3 * np.eye(4)[labels])
    seeds = [(labels, (each / each.sum(axis=1, keepdims=True)).astype(np.float32)) for each in scores]
    sorts, argsort = [], np.argsort
    monkeypatch.setattr(np, "argsort", lambda values, **kind: (sorts.append(len(values)), argsort(values, **kind))[1])
    found = outcome(seeds, list("ABCD"))
    assert sorts.count(31_016) == 44, "each class of each seed, and of their ensemble"
    assert sorts.count(4 * 31_016) == 10, "all pooled, of each seed"
    assert found.matrices.sum() == 310_160 and found.matrix.sum() == 31_016
    assert found.figures["auc"].between(0.9, 1).all()
