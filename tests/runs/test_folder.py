"""The run folder: atomic files, states that follow the process, groups by name."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from fabricate import living_trainer

from colora.results.summary import group_summary, progress
from colora.runs.folder import Group, Run, create_group, open_group, own_process, queued_status, read_json, write_json
from colora.runs.listing import list_groups, listing
from colora.settings.config import RunConfig
from colora.system.errors import UserError
from colora.system.installation import ROOT
from colora.system.process import identity


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


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a  b", "a ", "ä", "x" * 81])
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
    set_status(run, state="running", process=own_process(), epoch=1)
    assert Run(run.path).state == "running"
    child = living_trainer(run.path)
    set_status(run, process=identity(child.pid))
    assert Run(run.path).state == "running"
    child.communicate(b"\n")
    assert Run(run.path).state == "lost"
    assert "Resume continues after epoch 1" in Run(run.path).status["reason"]
    set_status(run, process=own_process() | {"started": 1.0})  # the pid was given to another process
    assert Run(run.path).state == "lost"
    set_status(run, process=own_process() | {"boot_id": "before"})
    assert Run(run.path).state == "lost"


def test_a_wish_to_stop_shows_at_once(group):
    run = group.runs[0]
    set_status(run, state="running", process=own_process())
    (run.path / "stop").touch()
    assert Run(run.path).state == "stopping"
    set_status(run, state="done", process=None)
    assert Run(run.path).state == "done"


def test_the_last_word_of_a_run_counts_though_its_process_was_already_gone(group, monkeypatch):
    """Between reading status.json and looking for the process, the run may finish."""
    run = Run(group.runs[0].path)
    set_status(run, state="running", process=own_process())

    def ends_meanwhile(process, folder):
        set_status(run, state="done", process=None)
        return False

    monkeypatch.setattr("colora.runs.folder.is_own", ends_meanwhile)
    assert run.state == "done"


@pytest.fixture
def clock(monkeypatch):
    """Seconds on both clocks of this process, which a test sets; nothing heard so far."""
    now = {"monotonic": 1000.0, "wall": 1_000_000.0}
    monkeypatch.setattr("colora.runs.verdict.time.monotonic", lambda: now["monotonic"])
    monkeypatch.setattr("colora.runs.verdict.time.time", lambda: now["wall"])
    monkeypatch.setattr("colora.runs.verdict._heard", {})
    return now


def test_another_hosts_run_is_judged_by_whether_its_heartbeat_changes(group, clock):
    run = group.runs[0].path
    far = own_process() | {"host": "elsewhere"}

    def state(heartbeat):
        set_status(Run(run), state="running", process=far, heartbeat=heartbeat)
        return Run(run).state

    assert state(clock["wall"] - 100) == "running"  # its clock may be 100 s behind
    clock["monotonic"] += 119
    assert state(clock["wall"] - 100) == "running"
    clock["wall"] -= 7200  # this host's clock is set back: nothing follows from that
    assert state(clock["wall"] + 7100) == "running"
    clock["monotonic"] += 121
    assert state(clock["wall"] + 7100) == "lost"
    assert state(clock["wall"] - 5000) == "running"  # it beats again, by whatever clock
    clock["monotonic"] += 121
    assert state(clock["wall"] - 5000) == "lost"
    assert "Nothing has been heard of this run from elsewhere" in Run(run).status["reason"]


def test_a_copied_folders_active_run_is_lost_at_first_sight_and_a_finished_one_done(group, clock):
    far = own_process() | {"host": "elsewhere", "boot_id": "another"}
    set_status(group.runs[0], state="running", process=far, heartbeat=clock["wall"] - 3600)
    set_status(group.runs[1], state="done")
    assert [Run(run.path).state for run in group.runs] == ["lost", "done"]


def test_a_container_gone_from_this_host_is_judged_like_another_host(group, clock):
    inside = own_process() | {"pid_namespace": "pid:[1]"}
    set_status(group.runs[0], state="running", process=inside, heartbeat=clock["wall"])
    assert Run(group.runs[0].path).state == "running"
    set_status(group.runs[0], process={k: v for k, v in own_process().items() if k != "pid_namespace"})
    assert Run(group.runs[0].path).state == "running"  # written before namespaces were


@pytest.mark.parametrize(
    ("file", "content"),
    [("status.json", json.dumps(queued_status(3) | {"epoch": "1"})), ("status.json", json.dumps(queued_status(-1))),
     ("status.json", json.dumps(queued_status(3) | {"heartbeat": None})), ("status.json", '{"state": "run'),
     ("status.json", "[]"), ("status.json", '{"state": "odd"}'),
     ("status.json", None), ("config.json", "{"), ("config.json", "{}"), ("config.json", "[1]"),
     ("metrics.jsonl", "{\n"), ("status.json", "\x00" * 200)],
)  # fmt: skip
def test_a_damaged_run_is_marked_and_the_others_are_not(group, file, content):
    path = group.runs[0].path / file
    path.unlink() if content is None else path.write_text(content)
    again = Group(group.path)
    assert [run.state for run in again.runs] == ["damaged", "queued"]
    assert file in again.runs[0].status["reason"]
    assert again.state == "damaged"
    summary = group_summary(again)
    assert [row["state"] for row in summary["seeds"]] == ["damaged", "queued"]
    assert progress(again.runs[0]) == 0


@pytest.mark.parametrize(
    ("states", "whole"),
    [(("done", "done"), "done"), (("done", "failed"), "failed"), (("done", "queued"), "running"),
     (("done", "starting"), "running"), (("starting", "queued"), "starting"), (("queued", "queued"), "queued"),
     (("stopped", "done"), "stopped"), (("running", "failed"), "running")],
)  # fmt: skip
def test_the_state_of_a_group(group, states, whole):
    for run, state in zip(group.runs, states, strict=True):
        set_status(run, state=state, process=own_process())
    assert Group(group.path).state == whole


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


def test_groups_are_listed_by_their_launch_whatever_happens_to_their_files(tmp_path):
    for name in ("b", "c", "a"):  # within one second, as a series
        create_group(tmp_path, name, RunConfig(epochs=3), [0])
        time.sleep(0.002)  # milliseconds tell them apart
    oldest = tmp_path / "b" / "group.json"
    write_json(oldest, read_json(oldest) | {"seeds": [0, 1]})  # as a retry with one more seed does
    os.utime(oldest, (2e9, 2e9))
    shutil.move(shutil.copytree(tmp_path / "a", tmp_path / "copy"), tmp_path / "d")  # with the times of the copying
    assert [group.name for group in list_groups(tmp_path)] == ["d", "a", "c", "b"]
    assert [row["name"] for row in listing(tmp_path)] == ["d", "a", "c", "b"]
    assert read_json(tmp_path / "c" / "group.json")["created"] > read_json(oldest)["created"]  # milliseconds


@pytest.mark.parametrize("document", ["{", "[]", "{}", '{"created": 7}', '{"created": "yesterday"}'])
def test_a_group_that_does_not_say_its_launch_is_listed_by_the_time_of_its_file(tmp_path, document):
    for name, created in (("old", "2026-01-01T00:00:00Z"), ("older", "2025-01-01T00:00:00"), ("damaged", None)):
        path = create_group(tmp_path, name, RunConfig(epochs=3), [0]).path / "group.json"
        path.write_text(document) if created is None else write_json(path, read_json(path) | {"created": created})
    os.utime(path, (1_750_000_000,) * 2)  # June 2025
    assert [group.name for group in list_groups(tmp_path)] == ["old", "damaged", "older"]


def test_an_unchanged_group_json_is_read_once_for_the_order(tmp_path, monkeypatch):
    path = create_group(tmp_path, "g", RunConfig(epochs=3), [0]).path / "group.json"
    os.utime(path, (1, 1))
    list_groups(tmp_path)
    monkeypatch.setattr("colora.runs.folder.read_json", lambda path: pytest.fail(f"{path} was read"))
    assert [group.name for group in list_groups(tmp_path)] == ["g"]


LAUNCH = """
import sys
from pathlib import Path
import colora.runs.folder as folder
from colora.settings.config import RunConfig
from colora.system.errors import UserError
real = folder.create_run
def slow(*args):
    made = real(*args)
    if made.seed == 0:
        print("half", flush=True)
        sys.stdin.readline()
    return made
folder.create_run = slow
try:
    folder.create_group(Path(sys.argv[1]), sys.argv[2], RunConfig(), [0, 1])
    print("made", flush=True)
except UserError as error:
    print(error, flush=True)
"""


@contextmanager
def launching(runs, name):
    """A launch in a process of its own that has made one of two seeds."""
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(runs), name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "half\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def hidden(runs):
    return [path.name for path in runs.iterdir() if path.name.startswith(".")]


def test_a_launch_at_work_is_swept_up_by_no_other_and_of_one_name_the_first_to_be_complete_has_it(tmp_path):
    with launching(tmp_path, "g") as slow, launching(tmp_path, "h") as other:
        create_group(tmp_path, "g", RunConfig(), [5])
        assert len(hidden(tmp_path)) == 2
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "made\n"
        slow.stdin.write("\n")
        slow.stdin.flush()
        assert "A group named 'g' exists already" in slow.stdout.readline()
    assert [run.seed for run in Group(tmp_path / "g").runs] == [5]
    assert [run.state for run in Group(tmp_path / "h").runs] == ["queued", "queued"]
    assert hidden(tmp_path) == []


def test_what_killed_launches_have_left_goes_with_the_next_launch_whatever_its_name(tmp_path):
    with launching(tmp_path, "g"), launching(tmp_path, "h"):
        pass
    assert len(hidden(tmp_path)) == 2
    create_group(tmp_path, "other", RunConfig(), [0])
    assert hidden(tmp_path) == []


def test_what_another_host_is_making_stays_for_a_day(tmp_path):
    foreign = tmp_path / ".g.00000000-4711-1-0.new"
    foreign.mkdir()
    create_group(tmp_path, "g", RunConfig(), [0])
    assert foreign.is_dir()
    os.utime(foreign, (time.time() - 2 * 86_400,) * 2)
    create_group(tmp_path, "h", RunConfig(), [0])
    assert hidden(tmp_path) == []
