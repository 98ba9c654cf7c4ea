"""Each seed's temperature is the one it has kept, where that is of the same epoch, or is fitted on validation."""

import json

import pytest
from fabricate import fabricate, labels_of, probabilities

from colora.metrics.bootstrap import Sample
from colora.metrics.calibration import calibrations, temperature
from colora.metrics.over_seeds import ensemble
from colora.results.calibration import calibrated, group_calibration, temperatures
from colora.results.judged import judged
from colora.results.statistics import group_statistics
from colora.runs.documents import CALIBRATION
from colora.runs.folder import Group, Run, write_json
from colora.runs.selection import selected_epoch
from colora.system.errors import UserError


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def group(runs) -> Group:
    return fabricate(runs, "g", ["done", "done", "running"])


def keep(run: Run, epoch: int, t: float) -> None:
    write_json(run.path / CALIBRATION, {"epoch": epoch, "images": 100, "temperature": t, "log_loss": [0.5, 0.4]})


def fitted(run: Run, epoch: int) -> float:
    return temperature(labels_of("val"), probabilities("val", run.seed, epoch))


def test_without_a_kept_one_each_seeds_is_fitted_on_its_validation_images(group):
    validation = judged(group, "val")
    assert temperatures(validation) == [fitted(run, selected_epoch(run)) for run in validation.runs]
    assert len(set(temperatures(validation))) == 2


def test_a_kept_temperature_counts_for_the_epoch_it_is_of(tmp_path):
    group = fabricate(tmp_path, "g", ["done", "done"])
    first, second = group.runs
    keep(first, selected_epoch(first), 7.5)
    keep(second, selected_epoch(second) - 1, 7.5)
    assert temperatures(judged(group, "val")) == [7.5, fitted(second, selected_epoch(second))]
    at_2 = temperatures(judged(group, "val", epoch=2))
    assert at_2 == [fitted(run, 2) for run in group.runs], "of no other epoch"


def test_seeds_and_ensemble_have_the_calibration_of_their_own_temperature(group):
    seen, validation = judged(group, "test"), judged(group, "val")
    seeds, joint = calibrated(seen, validation)
    chosen = [*temperatures(validation), temperature(labels_of("val"), ensemble(validation.probabilities))]
    models = [*seen.probabilities, ensemble(seen.probabilities)]
    assert [*seeds, joint] == calibrations(labels_of("test"), models, chosen, Sample.of(labels_of("test")))
    told = group_calibration(seen, validation)
    assert json.loads(json.dumps(told, allow_nan=False)) == told and told["fitted_on"] == "val"
    assert told["seeds"] == [{"seed": s, **own.as_dict()} for s, own in zip((0, 1), seeds, strict=True)]
    assert told["ensemble"] == joint.as_dict()
    assert group_statistics(group)["calibration"] == told


def test_one_seed_has_no_ensemble(runs):
    one = fabricate(runs, "one", ["done"])
    seeds, joint = calibrated(judged(one, "test"), judged(one, "val"))
    assert len(seeds) == 1 and joint is None
    assert group_calibration(judged(one, "test"), judged(one, "val"))["ensemble"] is None


def test_a_damaged_temperature_is_a_sentence_that_names_its_file(tmp_path):
    group = fabricate(tmp_path, "g", ["done", "done"])
    (group.runs[1].path / CALIBRATION).write_text('{"epoch": 6')
    with pytest.raises(UserError, match=r"seed-01/calibration\.json"):
        temperatures(judged(group, "val"))
