"""`statistics` and `compare`, as people read them and as JSON."""

import re

import pytest
from commands import document, mistake
from fabricate import fabricate

from colora.cli.main import main
from colora.cli.statistics import _operating_point_text
from colora.metrics.operating_point import Choice
from colora.results.operating_point import Question
from colora.results.statistics import compare_groups, group_statistics
from colora.results.summary import best_run
from colora.runs.folder import Group

ASKED = ("--positives", "DME,CNV", "--rule", "cost", "--value", "3", "--prevalence", "0.02")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    fabricate(path, "long", ["done", "done", "running"], with_patients=True)
    fabricate(path, "short", ["done", "done"], {"epochs": 2}, with_patients=True)
    return path


@pytest.fixture(scope="module")
def answered(runs) -> dict:
    return group_statistics(Group(runs / "short"), question=Question(("DME", "CNV"), Choice("cost", 3.0), 0.02))


def test_statistics_print_each_figure_with_its_interval(runs, capsys):
    assert main(["statistics", "long", "--runs-dir", str(runs)]) == 0
    text = capsys.readouterr().out
    assert "long on 200 images of 100 patients of test: the ensemble of seeds 0-1" in text
    found = group_statistics(Group(runs / "long"))["ensemble"]["overall"]
    assert f"    accuracy           {interval(found['accuracy'])}\n" in text
    assert f"    AUC, pooled        {interval(found['auc_micro'])}\n" in text
    assert "CNV against the rest" in text and "threshold" not in text and "2 of 3 seeds are finished" in text
    assert re.search(r"accuracy +0\.\d{3} \[.*\], 0\.\d{3} to 0\.\d{3}; .* bootstrap of patients, t over seeds", text)
    assert text.rstrip().endswith("Research use only. Not a medical device.")


def test_json_is_the_document_of_the_library(runs, answered, capsys):
    found = document(capsys, "statistics", "long", "--split", "val", "--runs-dir", runs)
    assert found == group_statistics(Group(runs / "long"), "val")
    assert document(capsys, "statistics", "short", *ASKED, "--runs-dir", runs) == answered
    found = document(capsys, "compare", "long", "short", "--runs-dir", runs)
    assert found == compare_groups([Group(runs / name) for name in ("long", "short")])


def interval(each: dict) -> str:
    return f"{each['value']:.3f} [{each['low']:.3f}, {each['high']:.3f}]  {each['method']}"


def test_statistics_print_what_a_temperature_does_and_the_operating_point_that_is_asked_for(runs, answered, capsys):
    assert main(["statistics", "short", *ASKED, "--runs-dir", str(runs)]) == 0
    text = capsys.readouterr().out
    found = answered["calibration"]["ensemble"]
    whose = "the ensemble of seeds 0-1"
    told = text.partition(
        f"  Calibration of {whose}: temperature {found['temperature']:.3f}, chosen on validation; before and after"
    )[2]
    for title, name in (("ECE", "ece"), ("Brier", "brier"), ("log loss", "log_loss")):
        assert f"    {title:<18} {interval(found['before'][name])}; {interval(found['after'][name])}\n" in told
    assert f"ECE by chance      {found['ece_by_chance']:.3f}, of a calibrated model on as many images" in told
    found = answered["operating_point"]["ensemble"]
    told = text.partition(f"  CNV, DME against the rest, by {whose}: least cost on validation where a missed one costs")
    told = told[2]
    assert f"threshold {found['threshold']:.4f}; on validation, which chose it, and on test" in told
    for title, name in (("sensitivity", "sensitivity"), ("specificity", "specificity"), ("PPV", "ppv"), ("NPV", "npv")):
        own, judged = (interval(found[part][name]) for part in ("on_validation", "judged"))
        assert f"    {title:<18} {own}; {judged}\n" in told
    for title, name in (("PPV at 0.02", "ppv"), ("NPV at 0.02", "npv")):
        assert f"    {title:<18} {interval(found['at_prevalence'][name])}\n" in told


def test_without_a_threshold_the_text_says_why():
    point = {"positives": ["CNV"], "says": "highest", "ensemble": None, "seeds": [{"threshold": None, "reason": "why"}]}
    found = {"one_model": None, "ensemble": None, "seeds": [{"seed": 4}], "split": "test"}
    first, why = _operating_point_text(found, point)
    assert first == "  CNV against the rest, by seed 4: highest" and why == "    not estimable: why"


def test_with_the_papers_rule_every_answer_is_of_its_one_model(tmp_path, capsys):
    group = fabricate(tmp_path, "paper", ["done"] * 3, {"epochs": 2, "selection": "paper"})
    best = best_run(group)
    found = group_statistics(group, question=Question(("CNV",), Choice("youden")))
    assert found["one_model"] == best.seed
    assert main(["statistics", "paper", "--positives", "CNV", "--rule", "youden", "--runs-dir", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    whose = f"seed {best.seed}, the one model that the rule takes"
    assert f"of test: {whose}, 95 % intervals over images" in text
    own = next(row for row in found["calibration"]["seeds"] if row["seed"] == best.seed)
    assert f"Calibration of {whose}: temperature {own['temperature']:.3f}" in text
    own = next(row for row in found["operating_point"]["seeds"] if row["seed"] == best.seed)
    assert f"by {whose}: highest" in text and f"threshold {own['threshold']:.4f};" in text


def test_on_validation_it_says_that_these_images_chose(runs, capsys):
    assert main(["statistics", "short", *ASKED, "--split", "val", "--runs-dir", str(runs)]) == 0
    text = capsys.readouterr().out
    assert "chosen on these very images; before and after" in text
    assert re.search(r"threshold 0\.\d{4}; on validation, which chose it\n    sensitivity +0\.\d{3} [^;]*$", text, re.M)


def test_without_validations_predictions_the_figures_stand_and_calibration_says_why(tmp_path, capsys):
    for run in fabricate(tmp_path, "kept", ["done"] * 2, {"epochs": 2}).runs:
        (run.path / "predictions" / "val.parquet").unlink()
    assert main(["statistics", "kept", "--runs-dir", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "Calibration: not estimable: The predictions of kept can be shown when its first seed is done" in text
    assert "balanced accuracy" in text
    assert "can be shown when" in mistake(capsys, "statistics", "kept", "--positives", "CNV", "--runs-dir", tmp_path)


@pytest.mark.parametrize(
    ("asked", "told"),
    [(["--positives", "XYZ"], "No class is called XYZ: there are CNV, DME, DRUSEN, NORMAL"),
     (["--positives", "CNV,DME,DRUSEN,NORMAL"], "at least one of the 4 classes, and not all of them"),
     (["--positives", "CNV", "--value", "1.5"], "--value: a sensitivity is above 0 and at most 1, got 1.5."),
     (["--positives", "CNV", "--value", "nan"], "--value: a sensitivity is above 0"),
     (["--positives", "CNV", "--rule", "cost", "--value", "0"], "--value: a ratio of costs is above 0"),
     (["--positives", "CNV", "--rule", "cost", "--value", "inf"], "--value: a ratio of costs is above 0 and finite"),
     (["--positives", "CNV", "--prevalence", "1"], "A prevalence lies between 0 and 1, and 1 does not."),
     (["--positives", "CNV", "--prevalence", "nan"], "A prevalence lies between 0 and 1, and nan does not."),
     (["--positives", "CNV", "--rule", "youden", "--value", "0.9"], "--value: Youden's rule takes none."),
     (["--positives", "CNV", "--rule", "best"], "invalid choice: 'best'"),
     (["--rule", "youden"], "--rule is of an operating point: name its classes with --positives"),
     (["--value", "0.9"], "--value is of an operating point"),
     (["--prevalence", "0"], "--prevalence is of an operating point")],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_one_line(runs, capsys, asked, told):
    assert told in mistake(capsys, "statistics", "short", *asked, "--runs-dir", runs)


def test_compare_prints_the_verdict(runs, capsys):
    assert main(["compare", "long", "short", "--runs-dir", str(runs)]) == 0
    text = capsys.readouterr().out
    own = group_statistics(Group(runs / "long"))["ensemble"]["overall"]
    assert f"  long, seeds 0-1: accuracy {interval(own['accuracy'])}, AUC {interval(own['auc'])}\n" in text
    assert "long minus short, seeds 0-1 of both" in text and "on 200 images of 100 patients" in text
    assert re.search(r"accuracy, by seed +\+0\.\d{4}  p 0\.5 \(Wilcoxon signed-rank\)  2 pairs of seeds", text)


def test_mistakes_are_one_line(runs, tmp_path, capsys):
    assert "two groups" in mistake(capsys, "compare", "long", "--runs-dir", runs)
    fabricate(tmp_path, "larger", ["done"], {"image_size": 32}, with_patients=True)
    named = [str(runs / "long"), str(runs / "short"), str(tmp_path / "larger")]
    assert "The test images differ" in mistake(capsys, "compare", *named)
    assert "no group 'lonk'" in mistake(capsys, "statistics", "lonk", "--runs-dir", runs)
