"""A run that lives and tells nothing: said with its seconds and what to do, by a clock that nobody sets."""

import os
import signal
import time

import pytest
from fabricate import fabricate, living_trainer
from queueing import wait_for

from colora.cli.main import main
from colora.engines import view
from colora.results.overview import Line
from colora.results.summary import run_summary
from colora.runs.folder import Group, Run, write_json
from colora.runs.silence import ages
from colora.system.process import identity, is_halted


@pytest.fixture
def run(tmp_path):
    """A run under way whose process does nothing, and `set_times`."""
    return fabricate(tmp_path, "g", ["running", "done"]).runs[0]


def told(run: Run, beat: float, worked: float = 0.0, heartbeat: float = 0.0, **changes) -> dict:
    """Its status where it has told of its life and of its work so many seconds ago."""
    now = time.monotonic()
    times = {"beat": now - beat, "worked": now - worked, "heartbeat": time.time() - heartbeat}
    write_json(run.path / "status.json", run.written_status() | times | changes)
    return Run(run.path).status


def pid(run: Run) -> int:
    return run.written_status()["process"]["pid"]


@pytest.mark.parametrize(("beat", "worked", "says"), [
    (0, 0, None),
    (59, 59, None),
    (61, 61, "silent for 61 s: its process {pid} lives and does nothing, as where a driver or a disk hangs: stop this "
     "run, which ends it, and resume it."),
    (3, 599, None),  # its heart beats: a long step, or an evaluation
    (3, 700, "silent for 700 s: its process {pid} lives, but a step or the reading of images does not end; if this "
     "lasts: stop this run, which ends it, and resume it."),
])  # fmt: skip
def test_a_run_is_silent_when_its_heart_or_its_work_stands_still(run, beat, worked, says):
    status = told(run, beat, worked)
    assert status["state"] == "running"
    assert status.get("silent_says") == (says and says.format(pid=pid(run)))
    assert status.get("silent") == (max(beat, worked) if says else None)


@pytest.mark.parametrize("state", ["starting", "running"])
def test_preparing_is_not_silent_while_the_heart_beats(run, state):
    assert "silent" not in told(run, 4, 20, state=state, preparing=[1, 100_000])


def test_a_halted_process_is_named_as_such_and_its_waking_is_noticed(run):
    process = run.written_status()["process"]
    os.kill(process["pid"], signal.SIGSTOP)
    wait_for(lambda: is_halted(process))
    assert "silent" not in told(run, 5)  # somebody may only look at it
    says = told(run, 12)["silent_says"]
    assert says == (
        f"silent for 12 s: its process {pid(run)} is halted by a signal: let it go on with kill -CONT {pid(run)}, or "
        "stop this run, which ends it, and resume it."
    )
    (run.path / "stop").touch()
    assert told(run, 12)["silent_says"].endswith(f"process {pid(run)} is halted by a signal: it is being ended.")
    os.kill(process["pid"], signal.SIGCONT)
    wait_for(lambda: not is_halted(process))
    assert "silent" not in told(run, 12)


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_is_set_changes_nothing(run, monkeypatch, hours):
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600 * hours)
    assert "silent" not in told(run, 1, heartbeat=3600 * hours)
    assert told(run, 90, heartbeat=3600 * hours)["silent"] == 90


def test_a_run_of_an_older_version_is_judged_by_the_wall_clock_and_never_by_its_work(run):
    status = {k: v for k, v in run.written_status().items() if k not in ("beat", "worked")}
    for ago, silent in ((10, None), (75, 75), (-7200, None)):
        write_json(run.path / "status.json", status | {"heartbeat": time.time() - ago})
        assert Run(run.path).status.get("silent") == silent
        assert ages(Run(run.path).written_status())[1] == 0


def test_before_its_first_word_the_training_that_its_guard_has_started_is_looked_at(run):
    guard, child = living_trainer(run.path), living_trainer(run.path)
    write_json(run.path / "process.json", {"guard": identity(guard.pid), "child": identity(child.pid)})
    os.kill(child.pid, signal.SIGSTOP)
    wait_for(lambda: is_halted(identity(child.pid)))
    says = told(run, 30, state="starting", process=identity(guard.pid))["silent_says"]
    assert says.startswith(f"silent for 30 s: its process {child.pid} is halted")
    os.kill(child.pid, signal.SIGKILL)


def test_what_is_silent_is_told_wherever_the_run_is_shown(run, capsys):
    told(run, 90)
    group = Group(run.path.parent)
    assert run_summary(group.runs[0])["silent"] == 90 and run_summary(group.runs[1])["silent"] is None
    (row,) = view.rows(group.path.parent)
    assert row["note"].startswith("silent for 90 s: its process")
    assert [said[:25] for said in Line(group).silent] == ["seed 0 is silent for 90 s"]
    for command in (["show", str(group.path)], ["queue", "--runs-dir", str(group.path.parent)]):
        assert main(command) == 0
        assert "silent for 9" in capsys.readouterr().out
