"""`statistics` and `compare`, as people read them and as JSON."""

import re

import pytest
from commands import document, mistake
from fabricate import fabricate

from colora.cli.main import main
from colora.results.statistics import compare_groups, group_statistics
from colora.runs.folder import Group


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    fabricate(path, "long", ["done", "done", "running"], with_patients=True)
    fabricate(path, "short", ["done", "done"], {"epochs": 2}, with_patients=True)
    return path


def test_statistics_print_each_figure_with_its_interval(runs, capsys):
    assert main(["statistics", "long", "--runs-dir", str(runs)]) == 0
    text = capsys.readouterr().out
    assert "long on 200 images of 100 patients of test: the ensemble of seeds 0-1" in text
    found = group_statistics(Group(runs / "long"))["ensemble"]["overall"]["accuracy"]
    assert f"accuracy           {found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]" in text
    assert "CNV against the rest" in text and "2 of 3 seeds are finished" in text
    assert re.search(r"accuracy +0\.\d{3} \[.*\], 0\.\d{3} to 0\.\d{3}; .* bootstrap of seeds and patients", text)
    assert text.rstrip().endswith("Research use only. Not a medical device.")


def test_json_is_the_document_of_the_library(runs, capsys):
    found = document(capsys, "statistics", "long", "--split", "val", "--runs-dir", runs)
    assert found == group_statistics(Group(runs / "long"), "val")
    found = document(capsys, "compare", "long", "short", "--runs-dir", runs)
    assert found == compare_groups([Group(runs / name) for name in ("long", "short")])


def test_compare_prints_the_verdict(runs, capsys):
    assert main(["compare", "long", "short", "--runs-dir", str(runs)]) == 0
    text = capsys.readouterr().out
    assert "long minus short, seeds 0-1 of both" in text and "on 200 images of 100 patients" in text
    assert re.search(r"accuracy, by seed +\+0\.\d{4}  p 0\.5 \(Wilcoxon signed-rank\)  2 pairs of seeds", text)


def test_mistakes_are_one_line(runs, tmp_path, capsys):
    assert "two groups" in mistake(capsys, "compare", "long", "--runs-dir", runs)
    fabricate(tmp_path, "larger", ["done"], {"image_size": 32}, with_patients=True)
    named = [str(runs / "long"), str(runs / "short"), str(tmp_path / "larger")]
    assert "The test images differ" in mistake(capsys, "compare", *named)
    assert "no group 'lonk'" in mistake(capsys, "statistics", "lonk", "--runs-dir", runs)
