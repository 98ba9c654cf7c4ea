"""Bands around curves against a loop over the same draws, each image repeated as often as it was drawn."""

import time

import numpy as np
import pytest
from predictions_made import patients_of, predictions

from colora.metrics.bootstrap import Sample, percentiles, weightings
from colora.metrics.classification import class_counts, precision_recall, roc
from colora.metrics.curve_bands import class_bands
from colora.metrics.figures import Predicted
from colora.metrics.over_seeds import GRID, outcome

NEARLY = 1e-9  # of a share: 0.15 is at least the grid's 0.15, whatever their last bits


def looped(
    labels: np.ndarray, p: np.ndarray, c: int, sample: Sample, draws: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(D, GRID) each: recalls and precisions of every draw, NaN of one without a curve."""
    grid = np.linspace(0, 1, GRID)
    recalls, precisions = np.full((2, draws, GRID), np.nan)
    for d, weights in enumerate(np.concatenate(list(weightings(sample, draws, seed)))):
        times = np.repeat(np.arange(len(labels)), weights.astype(int))
        counts = class_counts(labels[times], p[times])[c]
        if counts:
            recalls[d] = np.interp(grid + NEARLY, *roc(counts))
            recall, precision = precision_recall(counts)
            precisions[d] = precision[np.searchsorted(recall, np.maximum(grid - NEARLY, NEARLY))]
    return recalls, precisions


@pytest.mark.parametrize("digits", [None, 2, 1])
@pytest.mark.parametrize("by_patient", [False, True])
def test_bands_are_the_percentiles_of_a_loop_over_the_draws(by_patient, digits):
    labels, p = predictions(130, 3, 1, digits=digits)
    sample = Sample.of(labels, patients_of(130) if by_patient else None)
    found = class_bands(Predicted(labels, p), sample, draws=60, seed=4)
    assert len(found) == 3
    for c, own in enumerate(found):
        for band, drawn in zip((own.roc, own.precision_recall), looped(labels, p, c, sample, 60, 4), strict=True):
            assert list(band) == ["x", "low", "high"] and np.array_equal(band["x"], np.linspace(0, 1, GRID))
            low, high = percentiles(drawn)
            assert band["low"].to_numpy() == pytest.approx(low, abs=1e-6)
            assert band["high"].to_numpy() == pytest.approx(high, abs=1e-6)


@pytest.mark.parametrize("negatives", [40, 60, 100, 200])
def test_a_share_of_false_alarms_that_is_on_the_grid_is_reached_whatever_its_last_bit(negatives):
    labels = np.repeat([0, 1], [negatives, 12])
    score = np.random.default_rng(negatives).normal(size=len(labels)) + 1.2 * labels
    score = 1 / (1 + np.exp(-score))
    score[-1] = 0  # found last of all, where every negative is a false alarm already
    p = np.stack([1 - score, score], 1)
    band = class_bands(Predicted(labels, p), Sample.of(labels), draws=80)[1].roc
    low, high = percentiles(looped(labels, p, 1, Sample.of(labels), 80, 0)[0])
    assert band["low"].to_numpy() == pytest.approx(low, abs=1e-6)
    assert band["high"].to_numpy() == pytest.approx(high, abs=1e-6)


def test_the_models_own_curve_lies_within_its_bands():
    labels, p = predictions(300, 4, 2)
    found = class_bands(Predicted(labels, p), Sample.of(labels), draws=300)
    own = outcome([(labels, p)], list("ABCD"))
    for c, bands in enumerate(found):
        recall = np.interp(bands.roc["x"], own.roc[c]["x"], own.roc[c]["median"])
        assert ((bands.roc["low"] <= recall) & (recall <= bands.roc["high"])).mean() > 0.95
        assert np.array_equal(own.precision_recall[c]["x"], bands.precision_recall["x"])
        precision = own.precision_recall[c]["median"]
        held = (bands.precision_recall["low"] <= precision) & (precision <= bands.precision_recall["high"])
        assert held.mean() > 0.9
        for band in (bands.roc, bands.precision_recall):
            assert ((band["low"] >= 0) & (band["high"] <= 1)).all() and (band["high"] - band["low"]).mean() < 0.3


def test_bands_begin_and_end_where_every_draw_does():
    labels, p = predictions(160, 3, 4, skill=0.3)
    (_, own, _) = class_bands(Predicted(labels, p), Sample.of(labels), draws=200)
    assert (own.roc["low"].iloc[-1], own.roc["high"].iloc[-1]) == (1, 1), "with every false alarm all are found"
    assert own.roc["low"].iloc[0] < own.roc["high"].iloc[0], "with none as many as lie above the first"
    first, last = own.precision_recall.iloc[0], own.precision_recall.iloc[-1]
    assert first["high"] == 1 and first["low"] < 1, "the first image found may come after a false alarm"
    assert (labels == 1).mean() <= last["low"] < last["high"] < 1, "to find all takes some"


def test_bands_by_patient_are_wider_where_images_of_a_patient_are_alike():
    patients = patients_of(500, most=12)
    unit = np.unique(patients, return_inverse=True)[1]
    labels, p = (each[unit] for each in predictions(unit.max() + 1, 3, 4))
    narrow, wide = (class_bands(Predicted(labels, p), Sample.of(labels, of), draws=200) for of in (None, patients))
    for kind in ("roc", "precision_recall"):
        apart, together = ((getattr(own[0], kind)["high"] - getattr(own[0], kind)["low"]).mean()
                           for own in (narrow, wide))  # fmt: skip
        assert together > 1.3 * apart


def test_where_nothing_can_be_said_there_is_no_band():
    labels, p = predictions(60, 3, 5)
    labels[labels == 2] = 0
    of_images = class_bands(Predicted(labels, p), Sample.of(labels), draws=50)
    assert of_images[2].roc is of_images[2].precision_recall is None, "no image is of this class"
    assert of_images[0].roc is not None and of_images[1].precision_recall is not None
    one_class = class_bands(Predicted(np.zeros(60, int), p), Sample.of(np.zeros(60, int)), draws=20)
    one_patient = class_bands(Predicted(labels, p), Sample.of(labels, np.full(60, "a")), draws=20)
    apart = 0.8 * np.eye(3)[labels] + 0.05
    perfect = class_bands(Predicted(labels, apart), Sample.of(labels), draws=20)
    of_each_class = class_bands(Predicted(labels, p), Sample.of(labels, labels), draws=20)
    for bands in (*one_class, *one_patient, *perfect, *of_each_class):
        assert bands.roc is bands.precision_recall is None


@pytest.mark.parametrize("carriers", [1, 3])
def test_a_class_has_a_band_where_nine_of_ten_draws_have_it(carriers):
    """Its images are of patients who have more of another class, so that some draws have none of it."""
    patients = np.repeat(np.arange(12), 3)
    labels = np.where((patients < carriers) & (np.arange(36) % 3 == 0), 0, 1)
    p = np.random.default_rng(2).dirichlet(np.ones(2), 36)
    sample = Sample.of(labels, patients)
    own = class_bands(Predicted(labels, p), sample, draws=100)[0]
    for band, drawn in zip((own.roc, own.precision_recall), looped(labels, p, 0, sample, 100, 0), strict=True):
        assert 0 < np.isnan(drawn[:, 0]).sum() < 50
        if carriers == 1:
            assert band is None
        else:
            low, high = percentiles(drawn)
            assert np.stack([band["low"], band["high"]]) == pytest.approx(np.stack([low, high]), abs=1e-6)


def test_the_same_seed_gives_the_same_bands():
    labels, p = predictions(80, 2, 6)
    model, sample = Predicted(labels, p), Sample.of(labels)
    first, again, other = (class_bands(model, sample, 60, seed)[1].roc for seed in (1, 1, 2))
    assert first.equals(again) and not first.equals(other)


def test_no_draw_is_looked_at_alone():
    labels, p = predictions(200, 4, 7)
    class_bands(Predicted(labels, p), Sample.of(labels), draws=10)  # what is imported at the first call
    began = time.process_time()
    class_bands(Predicted(labels, p), Sample.of(labels))
    assert time.process_time() - began < 0.8, "8,000 pairs of curves"
