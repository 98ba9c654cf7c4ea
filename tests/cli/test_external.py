"""Tests on other data from the command line: kept, listed, read as a split, taken away and brought back."""

import shutil

import pytest
from commands import document, mistake
from fabricate import fabricate, fabricate_external

from colora.cli.main import main
from colora.results.statistics import group_statistics
from colora.runs.folder import Group, read_json, write_json


@pytest.fixture
def runs(tmp_path):
    fabricate_external(fabricate(tmp_path / "runs", "g", ["done", "done"]))
    return tmp_path / "runs"


def test_evaluate_keeps_what_it_has_found(trained, tiny_npz, tmp_path, capsys):
    runs_dir = tmp_path / "runs"
    shutil.copytree(trained.path.parent, runs_dir / "g")
    asked = ["evaluate", "g", "--dataset", f"npz:{tiny_npz}", "--split", "val", "--runs-dir", runs_dir]
    assert main([*map(str, asked), "--keep", "val-again"]) == 0
    out = capsys.readouterr().out
    assert "Kept as external/val-again: colora statistics g --split external/val-again" in out
    found = document(capsys, "statistics", "g", "--split", "external/val-again", "--runs-dir", runs_dir)
    assert found == group_statistics(Group(runs_dir / "g"), "external/val-again")
    own = document(capsys, "statistics", "g", "--split", "val", "--runs-dir", runs_dir)
    assert found["seeds"] == own["seeds"]
    assert "has a test named 'val-again' already" in mistake(capsys, *asked, "--keep", "val-again")
    assert "another group has its name" in mistake(capsys, *asked, "--keep", "b", "--identity", "of-another")


def test_what_was_kept_is_listed_with_the_seeds_that_lack_it(runs, capsys):
    (row,) = document(capsys, "external", "list", "g", "--runs-dir", runs)
    assert (row["name"], row["split"], row["images"]) == ("clinic-b", "external/clinic-b", 200)
    assert [seed["seed"] for seed in row["seeds"]] == [0, 1] and row["untested"] is None
    path = runs / "g" / "seed-01" / "status.json"
    write_json(path, read_json(path) | {"finished": 2.0})
    assert main(["external", "list", "g", "--runs-dir", str(runs)]) == 0
    out = capsys.readouterr().out
    assert "clinic-b                 200 images of phantom (synthetic), seeds 0-1" in out
    assert "Seed 1 was finished, or trained anew, after the test on clinic-b" in out


def test_a_damaged_test_hides_no_other(runs, capsys):
    fabricate_external(Group(runs / "g"), "clinic-a")
    (runs / "g" / "external" / "clinic-a" / "external.json").write_text("{")
    rows = document(capsys, "external", "list", "g", "--runs-dir", runs)
    assert [(row["name"], "problem" in row) for row in rows] == [("clinic-a", True), ("clinic-b", False)]
    assert main(["show", "g", "--runs-dir", str(runs)]) == 0
    assert "Tested on other data: clinic-a, clinic-b; colora external list g" in capsys.readouterr().out


def test_a_test_goes_to_the_trash_and_comes_back(runs, capsys):
    gone = document(capsys, "external", "rm", "g", "clinic-b", "--runs-dir", runs)
    assert document(capsys, "external", "list", "g", "--runs-dir", runs) == []
    said = mistake(capsys, "external", "rm", "g", "clinic-b", "--runs-dir", runs)
    assert "was not tested on data named clinic-b" in said
    (entry,) = document(capsys, "trash", "--runs-dir", runs)
    assert entry["title"] == "the test of g on clinic-b" and entry["path"] == gone["trash"]
    document(capsys, "trash", "put-back", "g+clinic-b", "--runs-dir", runs)
    assert len(document(capsys, "external", "list", "g", "--runs-dir", runs)) == 1


def test_statistics_print_the_shift(runs, capsys):
    assert main(["statistics", "g", "--split", "external/clinic-b", "--runs-dir", str(runs)]) == 0
    out = capsys.readouterr().out
    assert "g on 200 images of 100 patients of external/clinic-b" in out
    assert "  Shift: share of each class in train, in test, and in external/clinic-b\n" in out
    assert "    CNV                0.340 [" in out
    assert "Distance from what the models know: not known, since a seed has not kept what it sees." in out
    assert "Data: phantom (synthetic), split other data, their test split." in out


@pytest.mark.parametrize("split", ["tests", "external/", "external/../g", "external/a:b"])
def test_a_split_that_is_none_is_refused(runs, capsys, split):
    said = mistake(capsys, "statistics", "g", "--split", split, "--runs-dir", runs)
    assert f"'{split}' is none of train, val, test, and no external/NAME" in said


def test_groups_are_compared_on_what_all_were_tested_on(runs, capsys):
    fabricate_external(fabricate(runs, "h", ["done", "done"], {"lr": 0.01}))
    found = document(capsys, "compare", "g", "h", "--split", "external/clinic-b", "--runs-dir", runs)
    assert found["n"] == 200 and len(found["pairs"]) == 1
    fabricate(runs, "i", ["done"])
    said = mistake(capsys, "compare", "g", "i", "--split", "external/clinic-b", "--runs-dir", runs)
    assert "i was not tested on data named clinic-b" in said
