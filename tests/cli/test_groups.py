"""Commands take the names that `colora list` prints, or paths; one group or many, all of them or none."""

import json
from pathlib import Path

import pytest
from commands import document, mistake
from fabricate import fabricate
from queueing import in_time, wait_for

from colora.cli.groups import place_of
from colora.cli.main import main
from colora.queue.supervisor import supervising
from colora.runs.audit import recorded
from colora.runs.folder import Group, write_json
from colora.runs.notes import read_notes

SMALL = ["--image-size", "32", "--backbone", "resnet18:layer1", "--weights", "none", "--epochs", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Only looked at."""
    path = tmp_path_factory.mktemp("here") / "runs"
    for name in ("first", "second"):
        fabricate(path, name, ["done", "done"])
    return path


@pytest.mark.parametrize("written", ["first", "runs/first", "./runs/first", "runs/first/", "{runs}/first"])
def test_a_name_and_every_way_to_write_a_path_are_the_same_group(runs, monkeypatch, capsys, written):
    monkeypatch.chdir(runs.parent)
    assert document(capsys, "show", written.format(runs=runs))["name"] == "first"


def test_names_are_of_the_runs_folder_in_use(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert document(capsys, "show", "first", "--runs-dir", runs)["name"] == "first"
    monkeypatch.setenv("COLORA_RUNS_DIR", str(runs))
    assert document(capsys, "show", "first")["name"] == "first"
    assert {row["name"] for row in document(capsys, "list")} == {"first", "second"}
    fabricate(tmp_path, "first", ["failed"])  # a folder of that name in the present one
    assert document(capsys, "show", "first")["state"] == "done"
    assert document(capsys, "show", "./first")["state"] == "failed"
    fabricate(tmp_path, "only-here", ["failed"])
    assert document(capsys, "show", "only-here")["state"] == "failed"
    assert place_of("gone", runs) == runs / "gone" and place_of("~/gone", runs) == Path.home() / "gone"


def test_every_command_that_takes_a_group_takes_its_name(runs, capsys):
    there = ["--runs-dir", runs]
    for command, more, said in (
        ("show", [], "first: done"),
        ("note", [], "Nothing is noted about first."),
        ("stop", [], "first: seed 0 done, seed 1 done"),
        ("distil", ["--name", "cut", "--drop", "1", "--keep", "2", "--preview"], "cut: 8 images"),
    ):
        assert main([*map(str, [command, "first", *more, *there])]) == 0
        assert said in capsys.readouterr().out
    for command, more in (("resume", []), ("retry", []), ("evaluate", ["--dataset", "no-such"])):
        assert "is not a group" not in mistake(capsys, command, "first", *more, *there)


@pytest.mark.parametrize("command", ["show", "stop", "resume", "retry", "rm", "note", "predict", "distil", "evaluate"])
def test_an_unknown_name_is_one_line_with_the_nearest(runs, capsys, command):
    more = {"predict": ["x.png"], "distil": ["--name", "x"], "evaluate": ["--dataset", "phantom"]}.get(command, [])
    said = mistake(capsys, command, "frist", *more, "--runs-dir", runs)
    assert f"There is no group 'frist' in {runs}: did you mean 'first'?" in said
    assert "see colora list" in mistake(capsys, command, "qqqqqqqq", *more, "--runs-dir", runs)


def test_several_groups_are_shown_in_their_order_and_a_wrong_one_stops_all(runs, capsys):
    there = ["--runs-dir", runs]
    assert [found["name"] for found in document(capsys, "show", "second", "first", "second", *there)] == [
        "second", "first"
    ]  # fmt: skip
    assert main(["show", "second", "first", "--runs-dir", str(runs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines if line[0] != " "] == ["second", "first"]
    assert "There is no group 'gone'" in mistake(capsys, "show", "first", "gone", *there)


def test_several_groups_are_removed_noted_and_brought_back(tmp_path, capsys):
    for name in ("a", "b"):
        fabricate(tmp_path, name, ["done"])
    there = ["--runs-dir", tmp_path]
    assert "There is no group 'c'" in mistake(capsys, "rm", "a", "c", *there) and (tmp_path / "a").exists()
    document(capsys, "note", "a", "b", "--text", "pilot", *there)
    assert read_notes(Group(tmp_path / "a")) == read_notes(Group(tmp_path / "b")) == "pilot\n"
    assert [gone["name"] for gone in document(capsys, "rm", "a", "b", *there)] == ["a", "b"]
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()
    assert [back["name"] for back in document(capsys, "rm", "--undo", "a", "b", *there)] == ["a", "b"]
    assert Group(tmp_path / "a").state == Group(tmp_path / "b").state == "done"


def test_several_groups_stop_together_and_each_wish_is_recorded_once(lab, capsys):
    for name in ("a", "b"):
        lab.group(name, 2, seconds=3600)
    lab.supervise()
    wait_for(lambda: lab.states(Group(lab.runs_dir / "a")) == ["running", "queued"])
    stopped = document(capsys, "stop", "a", "b", "--runs-dir", lab.runs_dir)
    assert [one["seeds"] for one in stopped] == 2 * [{"0": "stopped", "1": "stopped"}]
    assert [line["group"] for line in recorded(lab.runs_dir) if line["action"] == "stop"] == ["a", "b"]


def test_a_launch_of_several_groups_waits_for_all(lab, tiny_npz, capsys):
    """The launch is real, what it starts are stand-ins that fail."""
    write_json(lab.runs_dir / "plan.json", {"epochs": 1, "seconds": 0, "exit": 3})
    lab.supervise(linger=600)
    wait_for(lambda: supervising(lab.runs_dir))
    launch = ["launch", "--name", "g", "--dataset", f"npz:{tiny_npz}", *SMALL, "--seeds", "0-1", "--vary", "rank=1,2"]
    with in_time():
        assert main([*launch, "--runs-dir", str(lab.runs_dir), "--wait", "--json"]) == 1
    out, err = capsys.readouterr()
    assert [(found["name"], found["state"]) for found in json.loads(out)] == [
        ("g-rank-1", "failed"), ("g-rank-2", "failed")
    ]  # fmt: skip
    told = [line for line in err.splitlines() if line.startswith("colora launch: g-rank")]
    assert [line.split(",")[0] for line in told] == ["colora launch: g-rank-1", "colora launch: g-rank-2"]


@pytest.mark.parametrize("name", ["x" * 300, "ä" * 200, "y" * 100_000, "a\udcffb", "a\nb"])
def test_a_name_that_no_folder_can_have_is_one_line(runs, capsys, name):
    for command in ("show", "rm", "rm --undo", "note", "stop", "retry", "queue --first move", "trash put-back"):
        said = mistake(capsys, *command.split(), name, "--runs-dir", runs)
        assert len(said) < 600, command
    said = mistake(capsys, "distil", name, "--name", "d", "--keep", 1, "--runs-dir", runs)
    assert said.startswith("colora distil: There is no group '")


def test_a_home_that_is_not_there_is_one_line(capsys):
    said = mistake(capsys, "show", "~nobody-has-this-name/runs/first")
    assert said == "colora show: There is no home folder ~nobody-has-this-name on this computer: type the whole path.\n"
