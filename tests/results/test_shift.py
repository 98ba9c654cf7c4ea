"""Other data beside a group's own: prevalence, calibration and distance, each by hand."""

import numpy as np
import pytest
from fabricate import (
    COUNTS,
    fabricate,
    fabricate_external,
    group_that_was_tested,
    labels_of,
    probabilities,
    train_on,
    write_seen,
)

from colora.metrics.calibration import temperature, tempered
from colora.metrics.classification import cross_entropy
from colora.metrics.novelty import Scales
from colora.results.compare import cautions, group_rows, on_other_data
from colora.results.judged import figures_of_seeds, judged
from colora.results.shift import shift
from colora.results.statistics import compare_groups, group_statistics
from colora.results.summary import group_summary
from colora.runs.folder import Group, read_json, write_json
from colora.runs.selection import selected_epoch
from colora.system.errors import UserError

SPLIT = "external/clinic-b"


@pytest.fixture
def group(tmp_path):
    return group_that_was_tested(tmp_path / "runs")


def test_each_part_is_of_the_images_that_it_names(group):
    for run in group.runs:
        write_seen(run)
    found = shift(judged(group, SPLIT))
    assert found.images == {"train": 400, "test": 200, SPLIT: 200}
    for split in ("train", "test"):
        shares = [each.value for each in found.prevalence[split]]
        assert shares == pytest.approx(np.array(COUNTS[split]) / sum(COUNTS[split]))
    assert all(each.low < each.value < each.high for own in found.prevalence.values() for each in own)
    validation = np.mean([probabilities("val", run.seed, selected_epoch(run)) for run in group.runs], axis=0)
    chosen = temperature(labels_of("val"), validation)
    there = np.mean([probabilities("test", run.seed, 2) for run in group.runs], axis=0)
    calibration = found.calibration[SPLIT]
    assert calibration.temperature == pytest.approx(chosen) == found.calibration["test"].temperature
    assert calibration.before["log_loss"].value == pytest.approx(cross_entropy(labels_of("test"), there))
    after = cross_entropy(labels_of("test"), tempered(there, chosen))
    assert calibration.after["log_loss"].value == pytest.approx(after)
    assert calibration.before["log_loss"].value > found.calibration["test"].before["log_loss"].value
    scales = Scales.of(np.linspace(1, 3, 100)[None].repeat(2, axis=0))
    joint = scales.joint(np.linspace(1, 3.2, 200)[None].repeat(2, axis=0))
    assert found.far[SPLIT].distances == pytest.approx(joint, abs=1e-6)
    assert found.far[SPLIT].beyond.value == pytest.approx(np.mean(joint > scales.limit))
    assert found.far["test"].beyond.value < found.far[SPLIT].beyond.value


def test_without_what_is_familiar_the_distance_alone_is_missing(group):
    write_seen(group.runs[0])
    found = shift(judged(group, SPLIT))
    assert found.far is None and found.as_dict()["distance"] is None
    assert found.prevalence and found.calibration


def test_one_side_file_that_is_missing_takes_away_no_other_figure(group):
    for run in group.runs:
        (run.path / "predictions" / "train.parquet").unlink()
    found = group_statistics(group, SPLIT)
    assert set(found["shift"]) == {"reason"} and found["n"] == 200 and found["calibration"]["seeds"]


def test_the_document_has_it_for_other_data_alone(group):
    found = group_statistics(group, SPLIT)
    assert found["data"] == {
        "source": "phantom (synthetic)", "split": "other data, their test split", "synthetic": True
    }  # fmt: skip
    assert found["shift"]["images"][SPLIT] == 200 and found["patients"] == 100
    assert group_statistics(group)["shift"] is None
    with pytest.raises(UserError, match="g was not tested on data named clinic-c"):
        group_statistics(group, "external/clinic-c")


def test_groups_are_compared_on_other_data_whatever_they_were_trained_on(tmp_path, group):
    other = fabricate(tmp_path / "runs", "h", ["done", "done", "done"], with_patients=True)
    for run in other.runs:
        train_on(run, data_checksum="1" * 64)
    other = Group(other.path)
    alone = fabricate(tmp_path / "runs", "i", ["done"])
    fabricate_external(other)
    summaries = {each.name: group_summary(each) for each in (group, Group(other.path), alone)}
    assert next(iter(cautions(summaries, SPLIT))).says == "Not tested on clinic-b: i."
    figures = {each.name: figures_of_seeds(judged(each, SPLIT)) for each in (group, other)}
    rows = group_rows(on_other_data(summaries, figures, SPLIT), SPLIT)
    assert [row["accuracy"] and row["accuracy"].n for row in rows] == [2, 3, None]
    assert rows[0]["accuracy"].low == min(own["accuracy"] for own in figures["g"].values())
    found = compare_groups([group, other], SPLIT)
    assert found["n"] == 200 and found["left_out"] == {} and found["seeds"] == [0, 1]
    fabricate_external(alone, images_checksum="f" * 64, split="val")
    summaries["i"] = group_summary(Group(alone.path))
    (wrong,) = [c.says for c in cautions(summaries, SPLIT) if c.weight == "wrong"]
    assert wrong == (
        "Under the name clinic-b the groups were tested on different images (g and h: 200 images, test, of phantom "
        "(synthetic); i: 200 images, val, of phantom (synthetic))."
    )
    larger = fabricate(tmp_path / "runs", "j", ["done"], {"image_size": 32})
    fabricate_external(larger, images_checksum="a" * 64)
    two = {"g": summaries["g"], "j": group_summary(Group(larger.path))}
    caution = cautions(two, SPLIT)[0]
    assert caution.says == "clinic-b met the groups at different image sizes: g at 64 px, j at 32 px."
    assert caution.weight == "mind"
    path = other.runs[1].path / "status.json"
    write_json(path, read_json(path) | {"finished": 1.0})
    summaries["h"] = group_summary(Group(other.path))
    assert any(c.says.startswith("h: Seed 1 was finished, or trained anew") for c in cautions(summaries, SPLIT))


def test_a_group_says_what_it_was_tested_on_and_a_damaged_test_is_its_own_alone(group):
    assert group_summary(group)["external"][SPLIT]["images"] == 200
    (group.path / "external" / "clinic-b" / "external.json").write_text("{")
    summary = group_summary(Group(group.path))
    assert cautions({"g": summary}, SPLIT)[0].says.startswith("g: ")
    (told,) = summary["external"].values()
    assert set(told) == {"problem"} and "external.json" in told["problem"]
