"""The run folder: atomic files, states that follow the process, groups by name."""

import os
import subprocess
import sys

import pytest

from colora.config import RunConfig
from colora.errors import UserError
from colora.process import identity, is_alive
from colora.runs import (
    Group,
    Run,
    append_json,
    create_group,
    list_groups,
    open_group,
    own_process,
    read_json,
    read_json_lines,
    write_bytes,
    write_json,
)


@pytest.fixture
def group(tmp_path):
    return create_group(tmp_path, "g", RunConfig(epochs=3), [0, 3])


def set_status(run, **changes):
    write_json(run.path / "status.json", read_json(run.path / "status.json") | changes)


def test_a_new_group_is_queued_and_readable(group):
    again = open_group(group.path)
    assert again.config == RunConfig(epochs=3)
    assert [run.seed for run in again.runs] == [0, 3]
    assert [run.path.name for run in again.runs] == ["seed-00", "seed-03"]
    assert read_json(group.runs[0].path / "status.json")["state"] == "queued"


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a b", "ä", "x" * 81])
def test_bad_names_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="cannot name a group"):
        create_group(tmp_path, name, RunConfig(), [0])
    assert not list(tmp_path.iterdir())


def test_a_taken_name_is_refused_and_nothing_is_lost(group):
    before = read_json(group.path / "group.json")
    with pytest.raises(UserError, match="'g' exists already"):
        create_group(group.path.parent, "g", RunConfig(), [1])
    assert read_json(group.path / "group.json") == before


def test_lost_is_derived_from_the_process(group):
    run = group.runs[0]
    write_json(group.path / "worker.json", own_process())
    set_status(run, state="running", process=own_process(), epoch=1)
    assert Run(run.path).state == "running"
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    set_status(run, process=identity(child.pid))
    assert Run(run.path).state == "running"
    child.communicate(b"\n")
    assert Run(run.path).state == "lost"
    assert "Resume continues after epoch 1" in Run(run.path).status["reason"]
    set_status(run, process=own_process() | {"started": 1.0})  # the pid was given to another process
    assert Run(run.path).state == "lost"
    set_status(run, process=own_process() | {"boot_id": "before"})
    assert Run(run.path).state == "lost"


def test_a_zombie_is_dead():
    child = subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE)
    known = identity(child.pid)
    child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(known)
    child.wait()


def test_queued_without_a_worker_is_lost(group):
    assert group.runs[0].state == "lost"
    write_json(group.path / "worker.json", own_process())
    assert Run(group.runs[0].path).state == "queued"


@pytest.mark.parametrize(
    ("states", "whole"),
    [(("done", "done"), "done"), (("done", "failed"), "failed"), (("done", "queued"), "running"),
     (("queued", "queued"), "queued"), (("stopped", "done"), "stopped"), (("running", "failed"), "running")],
)  # fmt: skip
def test_the_state_of_a_group(group, states, whole):
    write_json(group.path / "worker.json", own_process())
    for run, state in zip(group.runs, states, strict=True):
        set_status(run, state=state, process=own_process())
    assert Group(group.path).state == whole


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"half")
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_line_still_being_written_is_left_out(tmp_path):
    path = tmp_path / "m.jsonl"
    append_json(path, {"epoch": 1})
    with open(path, "a") as file:
        file.write('{"epoch": 2')
    assert read_json_lines(path) == [{"epoch": 1}]
    with open(path, "a") as file:
        file.write("x\n")
    with pytest.raises(UserError, match="not JSON"):
        read_json_lines(path)


def test_damage_is_a_sentence(group):
    (group.path / "group.json").write_text("{")
    with pytest.raises(UserError, match=r"group\.json cannot be read .* damaged"):
        _ = Group(group.path).config
    with pytest.raises(UserError, match="is not a group of runs"):
        open_group(group.path.parent)


def test_listing_skips_what_is_no_group(group):
    (group.path.parent / ".colora").mkdir()
    (group.path.parent / "other").mkdir()
    (group.path.parent / "README.md").write_text("x")
    assert [g.name for g in list_groups(group.path.parent)] == ["g"]
    assert list_groups(group.path / "nowhere") == []
