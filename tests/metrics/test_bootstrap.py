"""Draws of images and patients: what each of them holds, and what is read off many of them."""

import numpy as np
import pytest
from predictions_made import patients_of, predictions

from colora.metrics import bootstrap
from colora.metrics.bootstrap import Sample, drawn_figures, percentiles, two_sided, weightings
from colora.metrics.figures import Predicted


def drawn(sample: Sample, draws: int = 300, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(weightings(sample, draws, seed)))


@pytest.mark.parametrize("draws", [1, 7, 300])
def test_every_draw_has_as_many_images_of_each_class_as_there_are(draws):
    labels, _ = predictions(150, 4)
    found = drawn(Sample.of(labels), draws)
    assert found.shape == (draws, 150) and found.dtype == np.float32
    for c in range(4):
        assert (found[:, labels == c].sum(1) == (labels == c).sum()).all()


def test_every_image_is_drawn_as_often_as_chance_has_it():
    labels, _ = predictions(60, 3)
    found = drawn(Sample.of(labels), 4000)
    # Of n images each is drawn n times with a chance of 1/n: a mean of 1, a variance of 1 - 1/n.
    assert found.mean(0) == pytest.approx(np.ones(60), abs=5 / np.sqrt(4000))
    n = np.bincount(labels)[labels]
    assert found.var(0) == pytest.approx(1 - 1 / n, abs=0.15)
    same = labels == 0
    pairs = np.corrcoef(found[:, same].T)[np.triu_indices(same.sum(), 1)]
    assert pairs.mean() == pytest.approx(-1 / (same.sum() - 1), abs=0.01), "no more than that one takes another's place"


def test_patients_are_drawn_whole_and_as_many_of_each_class():
    labels, _ = predictions(200, 3)
    patients = patients_of(200)
    sample = Sample.of(labels, patients)
    assert sample.clustered and sample.drawn == "patients" and sample.units == len(set(patients))
    found = drawn(sample)
    mostly = {name: np.bincount(labels[patients == name]).argmax() for name in patients}
    for name in mostly:
        own = found[:, patients == name]
        assert (own == own[:, :1]).all()
    first = np.array([np.flatnonzero(patients == name)[0] for name in mostly])  # an image of each patient
    classes = np.array(list(mostly.values()))
    for c in range(3):
        assert (found[:, first[classes == c]].sum(1) == (classes == c).sum()).all()


def test_a_patient_counts_for_the_class_of_most_images_and_of_the_first_of_equals():
    sample = Sample.of(np.array([0, 2, 2, 1, 0]), np.array(["a", "a", "a", "b", "b"]))
    assert sample.unit.tolist() == [0, 0, 0, 1, 1] and sample.stratum.tolist() == [2, 0]


def test_patients_of_one_image_each_are_drawn_as_images_whatever_their_names():
    labels, _ = predictions(80, 4)
    names = np.random.default_rng(0).permutation([f"p{k}" for k in range(80)])
    sample = Sample.of(labels, names)
    assert not sample.clustered and sample.drawn == "images"
    assert np.array_equal(drawn(sample), drawn(Sample.of(labels)))


def test_numbers_and_names_tell_the_same_patients():
    labels, _ = predictions(50, 2)
    numbers = np.arange(50) // 3
    named = np.array([f"p{k:02d}" for k in numbers])
    assert np.array_equal(drawn(Sample.of(labels, numbers)), drawn(Sample.of(labels, named)))


def test_the_same_seed_draws_the_same_and_another_does_not():
    sample = Sample.of(predictions(50, 2)[0])
    assert np.array_equal(drawn(sample, seed=3), drawn(sample, seed=3))
    assert not np.array_equal(drawn(sample, seed=3), drawn(sample, seed=4))


@pytest.mark.parametrize("clustered", [False, True])
def test_how_many_draws_are_made_at_a_time_changes_none_of_them(monkeypatch, clustered):
    labels, _ = predictions(90, 3)
    sample = Sample.of(labels, patients_of(90) if clustered else None)
    whole = drawn(sample, 100)
    for at_once in (1, 7, 64):
        monkeypatch.setattr(bootstrap, "ELEMENTS", at_once * 90)
        parts = list(weightings(sample, 100))
        assert max(map(len, parts)) == at_once
        assert np.array_equal(np.concatenate(parts), whole)
    assert np.array_equal(drawn(sample, 40), whole[:40]), "nor does how many are made in all"


def test_the_interval_is_numpys_percentiles_of_the_draws_that_are_defined():
    values = np.random.default_rng(0).normal(size=(1000, 2, 3))
    values[:50, 0, 1], values[:101, 1, 2] = np.nan, np.nan
    low, high = percentiles(values)
    wanted = np.nanpercentile(values, [2.5, 97.5], axis=0)
    wanted[:, 1, 2] = np.nan  # defined in fewer than nine of ten
    assert low == pytest.approx(wanted[0], nan_ok=True) and high == pytest.approx(wanted[1], nan_ok=True)
    assert percentiles(values[:, 0, 0], 0.8)[0] == pytest.approx(np.percentile(values[:, 0, 0], 10))


@pytest.mark.parametrize("under", [Predicted.under, Predicted.sums_under])
def test_models_are_drawn_together_and_may_be_asked_for_sums_alone(monkeypatch, under):
    labels, p = predictions(60, 3)
    models = [Predicted(labels, p), Predicted(labels, p[::-1])]
    sample = Sample.of(labels)
    weights = drawn(sample, 50, 3)
    monkeypatch.setattr(bootstrap, "ELEMENTS", 7 * 60)
    for model, found in zip(models, drawn_figures(models, sample, 50, 3, under), strict=True):
        wanted = under(model, weights)
        assert found.overall.keys() == wanted.overall.keys() and found.per_class.keys() == wanted.per_class.keys()
        for name, values in wanted.overall.items():
            assert found.overall[name] == pytest.approx(values, abs=1e-6, nan_ok=True), name
        for name, values in wanted.per_class.items():
            assert found.per_class[name] == pytest.approx(values, abs=1e-6, nan_ok=True), name


def test_two_sided_p_counts_the_draws_beyond_zero():
    assert two_sided(np.array([1.0] * 99)) == pytest.approx(2 / 100), "never 0: what was seen is one draw more"
    assert two_sided(np.array([1.0] * 95 + [-1.0] * 4)) == pytest.approx(2 * 5 / 100)
    assert two_sided(np.array([-1.0] * 95 + [1.0] * 4)) == pytest.approx(2 * 5 / 100)
    assert two_sided(np.array([0.0] * 10)) == 1
    assert two_sided(np.array([1.0] * 17 + [0.0] * 2 + [np.nan])) == pytest.approx(2 * 3 / 20)
