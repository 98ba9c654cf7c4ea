"""The whole of what is said about a group: values, intervals, and a reason for everything that cannot be said."""

import json
import time
from collections.abc import Iterator

import numpy as np
import pytest
from predictions_made import patients_of, predictions, scored

from colora.metrics import figures
from colora.metrics.bootstrap import Sample, percentiles, weightings
from colora.metrics.classification import micro_auc, report
from colora.metrics.estimates import Estimate, of_seeds, of_share, wilson
from colora.metrics.figures import Predicted
from colora.metrics.over_seeds import Spread, ensemble
from colora.metrics.statistics import ModelFigures, Statistics, closed_forms, confusion_intervals, statistics

NAMES = ["CNV", "DME", "Drusen", "Normal"]


def estimates_of(found: Statistics) -> Iterator[tuple[str, Estimate]]:
    """Every one of them, with where it stands."""
    models = {f"seed {place}": model for place, model in enumerate(found.seeds)}
    for name, model in (models | ({"ensemble": found.ensemble} if found.ensemble else {})).items():
        for figure, each in model.overall.items():
            yield f"{name}, {figure}", each
        for c, table in model.per_class.items():
            for figure, each in table.items():
                yield f"{name}, {c}, {figure}", each
    if found.over_seeds:
        overall, per_class = found.over_seeds
        for figure, each in overall.items():
            yield f"mean, {figure}", each.mean
        for c, table in per_class.items():
            for figure, each in table.items():
                yield f"mean, {c}, {figure}", each.mean


def draws_of(labels: np.ndarray, draws: int, seed: int) -> np.ndarray:
    return np.concatenate(list(weightings(Sample.of(labels), draws, seed)))


def as_json(found: Statistics) -> str:
    """Raises ValueError where there is a number that is none."""
    models = [*found.seeds, *([found.ensemble] if found.ensemble else [])]
    told = [model.as_dict() for model in models]
    if found.over_seeds:
        overall, per_class = found.over_seeds
        told.append({name: each.as_dict() for name, each in overall.items()})
        told.append({c: {name: each.as_dict() for name, each in table.items()} for c, table in per_class.items()})
    return json.dumps(told, allow_nan=False)


def check(found: Statistics) -> None:
    """Only numbers, or reasons: values within their intervals, nothing left open without a word."""
    for where, each in estimates_of(found):
        for number in (each.value, each.low, each.high):
            assert number is None or np.isfinite(number), where
        assert (each.low is None) == (each.high is None) == (each.method is None), where
        assert each.value is not None or each.low is None, where
        assert (each.low is None) == bool(each.reason), f"{where}: {each}"
        if each.low is not None and each.method.startswith(("Wilson", "DeLong")):
            assert 0 <= each.low <= each.value <= each.high <= 1, where
        elif each.low is not None:
            assert each.low < each.high, where
    assert json.loads(as_json(found))


@pytest.mark.parametrize("classes", [2, 4])
def test_values_are_those_of_the_report(classes):
    labels, p = predictions(250, classes, 1, digits=2)
    names = NAMES[:classes]
    found, known = statistics(labels, [p], names, draws=50), report(labels, p, names)
    (model,) = found.seeds
    assert model.overall["accuracy"].value == pytest.approx(known["accuracy"])
    assert model.overall["auc"].value == pytest.approx(known["auc"])
    assert model.overall["auc_micro"].value == pytest.approx(known["auc_micro"])
    assert model.overall["log_loss"].value == pytest.approx(known["loss"])
    same = {"auc": "auc", "recall": "sensitivity", "precision": "ppv", "specificity": "specificity"}
    for name in names:
        for theirs, ours in (same | {"average_precision": "average_precision"}).items():
            assert model.per_class[name][ours].value == pytest.approx(known["per_class"][name][theirs]), (name, ours)
    assert (found.images, found.patients, found.draws) == (250, None, 50)
    assert found.ensemble is found.over_seeds is None


def test_every_figure_stands_where_it_should_with_its_own_kind_of_interval():
    labels, p = predictions(200, 4, 2)
    (model,) = statistics(labels, [p], NAMES, draws=300, seed=7).seeds
    assert list(model.overall) == [*figures.OVERALL, "auc_micro"]
    assert list(model.per_class) == NAMES and list(model.per_class["DME"]) == list(figures.PER_CLASS)
    right = int((p.argmax(1) == labels).sum())
    assert model.overall["accuracy"] == Estimate(right / 200, *wilson(right, 200), "Wilson")
    kinds = {name: each.method for name, each in model.per_class["DME"].items()}
    assert kinds == {
        name: "Wilson" if name in figures.SHARES else "DeLong" if name == "auc" else "bootstrap of images"
        for name in figures.PER_CLASS
    }
    drawn = Predicted(labels, p).under(draws_of(labels, 300, 7)).overall["kappa"]
    kappa = model.overall["kappa"]
    assert (kappa.low, kappa.high) == pytest.approx([float(end) for end in percentiles(drawn)], abs=1e-9)


def test_quadratic_kappa_only_of_classes_in_order():
    labels, p = predictions(60, 3, 3)
    ordered = statistics(labels, [p], NAMES[:3], ordinal=True, draws=30).seeds[0].overall
    assert ordered["kappa_quadratic"].value > ordered["kappa"].value
    assert "kappa_quadratic" not in statistics(labels, [p], NAMES[:3], draws=30).seeds[0].overall


def test_patients_are_drawn_where_they_have_several_images():
    labels, p = predictions(300, 4, 4)
    found = statistics(labels, [p], NAMES, patients_of(300), draws=200)
    assert found.patients == len(set(patients_of(300)))
    methods = {each.method for _, each in estimates_of(found)}
    assert methods == {"Wilson by patient", "bootstrap of patients", "DeLong by patient"}
    single = statistics(labels, [p], NAMES, np.random.default_rng(0).permutation(300), draws=200)
    plain = statistics(labels, [p], NAMES, draws=200)
    assert single.patients == 300 and single.seeds == plain.seeds, "of one image each they are images"


def test_over_seeds_has_each_seeds_spread_and_the_ensemble_is_one_more_model():
    labels, _ = predictions(150, 4, 5)
    generator = np.random.default_rng(0)
    seeds = [scored(labels, 4, generator, skill) for skill in (1.5, 2.0, 2.5)]
    found = statistics(labels, seeds, NAMES, draws=100, seed=3)
    overall, per_class = found.over_seeds
    values = [model.overall["f1"].value for model in found.seeds]
    assert overall["f1"].spread == Spread.of(values) and overall["f1"].mean.value == pytest.approx(np.mean(values))
    assert overall["f1"].mean.method == "bootstrap of images, t over seeds"
    draws = [Predicted(labels, p).under(draws_of(labels, 100, 3)).per_class["ece"][:, 1] for p in seeds]
    own = [model.per_class["DME"]["ece"].value for model in found.seeds]
    expected, mean = of_seeds(own, np.mean(draws, axis=0), Sample.of(labels)), per_class["DME"]["ece"].mean
    assert (mean.low, mean.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    own = [model.per_class["DME"]["brier"].value for model in found.seeds]
    draws = [Predicted(labels, p).under(draws_of(labels, 100, 3)).per_class["brier"][:, 1] for p in seeds]
    expected = of_seeds(own, np.mean(draws, axis=0), Sample.of(labels), (0.0, 1.0))
    assert per_class["DME"]["brier"].mean.high == pytest.approx(expected.high, abs=1e-6), "one class's part is below 1"
    pooled = [model.overall["auc_micro"].value for model in found.seeds]
    assert overall["auc_micro"].spread == Spread.of(pooled) and overall["auc_micro"].mean.reason == "it is not drawn"
    losses = [model.overall["log_loss"].value for model in found.seeds]
    low, high = overall["log_loss"].mean.low, overall["log_loss"].mean.high
    assert (low + high) / 2 == pytest.approx(np.mean(losses)), "which has no upper end, so the scale is the plain one"
    alone = statistics(labels, [ensemble(seeds)], NAMES, draws=100, seed=3)
    assert found.ensemble == alone.seeds[0]
    check(found)


def test_the_interval_of_the_mean_holds_how_much_seeds_differ():
    labels, _ = predictions(400, 4, 6)
    generator = np.random.default_rng(1)

    def width(skills: list[float]) -> tuple[float, float]:
        found = statistics(labels, [scored(labels, 4, generator, skill) for skill in skills], NAMES, draws=600)
        mean, own = found.over_seeds[0]["accuracy"].mean, found.seeds[2].overall["accuracy"]
        return mean.high - mean.low, own.high - own.low

    apart, of_images = width([1.0, 1.5, 2.0, 2.5, 3.0])
    assert apart > 2 * of_images
    alike, of_images = width([2.0] * 5)
    assert alike < 1.2 * of_images


def same_without_draws(model: ModelFigures, labels: np.ndarray, p: np.ndarray, patients: np.ndarray | None) -> None:
    """What is a formula is the same, or has the same reason, where it is asked for alone."""
    closed = closed_forms(Predicted(labels, p), NAMES, Sample.of(labels, patients))
    assert closed.overall == {name: model.overall[name] for name in ("accuracy", "auc", "auc_micro")}
    kept = (*figures.SHARES, "auc")
    assert closed.per_class == {c: {name: table[name] for name in kept} for c, table in model.per_class.items()}


@pytest.mark.parametrize("patients", [None, patients_of(150)])
def test_what_is_a_formula_can_be_had_without_draws(patients):
    labels, p = predictions(150, 4, 9, digits=1)
    (model,) = statistics(labels, [p], NAMES, patients, draws=30).seeds
    same_without_draws(model, labels, p, patients)


def alike_by_patient(images: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(labels, probabilities, patients), all images of a patient of one class and with much of their luck in common."""
    names = patients_of(images, seed, most=12)
    unit = np.unique(names, return_inverse=True)[1]
    generator = np.random.default_rng(seed)
    luck = generator.normal(size=(unit.max() + 1, 4))[unit]
    labels = generator.integers(0, 4, unit.max() + 1)[unit]
    return labels, scored(labels, 4, generator, shift=1.5 * luck), names


@pytest.mark.parametrize("by_patient", [False, True])
def test_the_pooled_area_varies_as_draws_of_images_or_patients_say(by_patient):
    labels, p, names = alike_by_patient(400, 10)
    sample = Sample.of(labels, names if by_patient else None)
    found = closed_forms(Predicted(labels, p), NAMES, sample).overall["auc_micro"]
    assert found.value == pytest.approx(micro_auc(labels, p), abs=1e-12)
    assert found.method == ("DeLong by patient" if by_patient else "DeLong")
    asked = Predicted((labels[:, None] == np.arange(4)).ravel().astype(int), np.stack([1 - p, p], 2).reshape(-1, 2))
    drawn = [asked.under(np.repeat(w, 4, axis=1)).per_class["auc"][:, 1] for w in weightings(sample, 600)]
    low, high = percentiles(np.concatenate(drawn))
    assert found.high - found.low == pytest.approx(high - low, rel=0.25)
    assert (found.low + found.high) / 2 == pytest.approx((low + high) / 2, abs=0.2 * (high - low))


def test_the_pooled_area_by_patient_is_less_sure_where_images_of_a_patient_are_alike():
    labels, p, names = alike_by_patient(400, 11)
    apart, together = (closed_forms(Predicted(labels, p), NAMES, Sample.of(labels, of)) for of in (None, names))
    narrow, wide = apart.overall["auc_micro"], together.overall["auc_micro"]
    assert narrow.value == wide.value and wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_the_pooled_area_of_one_image_speaks_of_an_image():
    (model,) = statistics(np.array([1]), [np.array([[0.4, 0.3, 0.2, 0.1]])], NAMES, draws=20).seeds
    assert model.overall["auc_micro"] == Estimate(2 / 3, reason="one of the classes has a single image")


@pytest.mark.parametrize("patients", [None, patients_of(150)])
def test_each_cell_of_the_table_has_its_shares_interval(patients):
    labels, p = predictions(150, 4, 12)
    labels[labels == 3] = 2
    sample = Sample.of(labels, patients)
    low, high = confusion_intervals(Predicted(labels, p), sample)
    called = p.argmax(1)
    for t in range(3):
        for c in range(4):
            own = of_share(called == c, labels == t, sample)
            assert (low[t, c], high[t, c]) == (own.low, own.high)
    assert np.isnan(low[3]).all() and np.isnan(high[3]).all(), "no image is of this class"
    of_classes = closed_forms(Predicted(labels, p), NAMES, sample).per_class
    for c, name in enumerate(NAMES[:3]):
        assert (low[c, c], high[c, c]) == (of_classes[name]["sensitivity"].low, of_classes[name]["sensitivity"].high)


def test_a_cell_of_one_patient_has_no_interval():
    labels, called = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    low, high = confusion_intervals(Predicted(labels, np.eye(2)[called]), Sample.of(labels, np.array([0, 0, 1, 2])))
    assert np.isnan(low[0]).all() and np.isnan(high[0]).all() and np.isfinite(low[1]).all()


DEGENERATE = {
    "a class without images": ([0, 0, 1, 1, 3, 3, 3], None),
    "two classes without images": ([0, 0, 0, 2, 2, 2], None),
    "a class of one image": ([0, 0, 0, 1, 1, 2, 3, 3], None),
    "one image": ([2], None),
    "one class alone": ([1, 1, 1, 1, 1], None),
    "two images": ([0, 1], None),
    "all of one patient": ([0, 1, 2, 3, 0, 1, 2, 3], [5] * 8),
    "one patient a class": ([0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 1, 1, 2, 2, 3, 3]),
    "two patients": ([0, 1, 2, 3, 0, 1, 2, 3], [0, 0, 0, 0, 1, 1, 1, 1]),
    "one class alone, of patients": ([1] * 6, [0, 0, 1, 1, 2, 2]),
}


def model_of(kind: str, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    right = np.eye(4)[labels]
    by_kind = {
        "chance": generator.dirichlet(np.ones(4), len(labels)),
        "perfect": 0.8 * right + 0.05,
        "certain": right,
        "certainly wrong": np.eye(4)[(labels + 1) % 4],
        "never the second": np.where(np.arange(4) == 1, 0.01, 0.33),
        "level": np.full((len(labels), 4), 0.25),
    }
    return np.broadcast_to(by_kind[kind], (len(labels), 4)).astype(np.float32)


@pytest.mark.parametrize("kind", ["chance", "perfect", "certain", "certainly wrong", "never the second", "level"])
@pytest.mark.parametrize("case", DEGENERATE)
def test_where_little_can_be_said_there_are_only_numbers_and_reasons(case, kind):
    labels, patients = DEGENERATE[case]
    labels, patients = np.array(labels), None if patients is None else np.array(patients)
    generator = np.random.default_rng(len(labels))
    several = [model_of(kind, labels, generator), model_of("chance", labels, generator)]
    alone = statistics(labels, several[:1], NAMES, patients, ordinal=True, draws=60)
    check(alone)
    check(statistics(labels, several, NAMES, patients, ordinal=True, draws=60))
    same_without_draws(alone.seeds[0], labels, several[0], patients)


def test_reasons_say_what_is_the_matter():
    labels = np.array([0, 0, 1, 1, 2, 2])
    never = np.array([[0.6, 0.1, 0.2, 0.1]] * 3 + [[0.1, 0.1, 0.7, 0.1]] * 3)  # called the first or the third class
    (model,) = statistics(labels, [never], NAMES, draws=50).seeds
    told = {c: {name: each.reason for name, each in table.items()} for c, table in model.per_class.items()}
    assert told["DME"]["ppv"] == told["DME"]["mcc"] == "no image was called so"
    assert told["Normal"]["sensitivity"] == told["Normal"]["npv"] == "no image is of this class"
    assert model.per_class["Normal"]["specificity"].value == 1
    assert model.overall["ppv"].reason == "no image was called one of the classes"
    (model,) = statistics(labels, [np.tile([0.7, 0.1, 0.1, 0.1], (6, 1))], NAMES, draws=50).seeds
    assert model.per_class["CNV"]["npv"].reason == model.per_class["CNV"]["mcc"].reason == "every image was called so"
    assert model.per_class["DME"]["mcc"].reason == "no image was called so"
    assert model.overall["mcc"].reason == model.overall["npv"].reason == "every image was called the same"
    assert "same part" in model.overall["auc"].reason
    (model,) = statistics(np.zeros(4, int), [never[:4]], NAMES, draws=50).seeds
    assert model.overall["auc"].reason == model.per_class["CNV"]["specificity"].reason == "all images are of one class"


def test_a_figure_that_a_seed_lacks_has_a_spread_and_no_mean():
    labels = np.repeat([0, 1], 20)
    good = np.where(labels[:, None] == np.arange(2), 0.8, 0.2)
    never = np.tile([0.7, 0.3], (40, 1))
    overall, per_class = statistics(labels, [good, never], ["A", "B"], draws=50).over_seeds
    found = per_class["B"]["ppv"]
    assert found.spread.n == 1 and found.mean == Estimate(None, reason="defined for 1 of 2 seeds")
    assert found.as_dict()["n"] == 1 and overall["accuracy"].spread.n == 2
    nobody = statistics(labels, [never, never], ["A", "B"], draws=50).over_seeds[1]["B"]["ppv"]
    assert nobody.spread is None and nobody.as_dict()["n"] == 0
    assert nobody.mean.reason == "defined for 0 of 2 seeds"


def test_the_same_seed_gives_the_same():
    labels, p = predictions(80, 3, 7)
    first, again, other = (statistics(labels, [p, p[::-1]], NAMES[:3], draws=60, seed=seed) for seed in (1, 1, 2))
    assert as_json(first) == as_json(again) != as_json(other)


def test_what_does_not_fit_is_refused():
    labels, p = predictions(20, 3)
    for wrong in ([p[:10]], [p, p[:, :2]]):
        with pytest.raises(ValueError):
            statistics(labels, wrong, NAMES[:3], draws=5)
    for names in (NAMES[:2], NAMES):
        with pytest.raises(ValueError, match="names"):
            statistics(labels, [p], names, draws=5)


def test_a_thousand_images_take_less_than_two_seconds_of_a_processor():
    labels, p = predictions(1000, 4, 8)
    statistics(labels[:100], [p[:100]], NAMES, draws=10)  # what is imported and compiled at the first call
    began = time.process_time()
    statistics(labels, [p.astype(np.float32)], NAMES)
    assert time.process_time() - began < 2
