"""`launch` and the life of what it starts: waited for, interrupted, failed, and killed in real processes."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from commands import SMALL, colora, document, mistake
from queueing import in_time, wait_for
from small_data import write_folder

from colora.cli.main import main
from colora.queue.supervisor import supervising
from colora.runs.folder import Group, Run, read_json, write_json
from colora.runs.verdict import process_file
from colora.training.run import train_run


def test_launch_wait_prints_what_show_prints(tmp_path, tiny_npz, capsys):
    os.umask(0o022)  # the folder of the test is its user's alone (0700)
    launch = ["launch", "--name", "g", "--dataset", f"npz:{tiny_npz}", *SMALL, "--epochs", 1, "--seeds", "4"]
    with in_time():
        launched = document(capsys, *launch, "--runs-dir", tmp_path, "--wait")
    assert launched == document(capsys, "show", tmp_path / "g")
    assert launched["state"] == "done"
    assert [s["seed"] for s in launched["seeds"]] == [4]
    written = {str(path.relative_to(tmp_path)) for path in (tmp_path / "g").rglob("*")}
    assert {"g/seed-04/predictions/test.parquet", "g/seed-04/log.txt", "g/seed-04/process.json"} <= written
    open_to_others = [str(path) for path in tmp_path.rglob("*") if path.stat().st_mode & 0o077]
    assert not open_to_others
    assert "epoch 1/1" in (tmp_path / "g" / "seed-04" / "log.txt").read_text()


def test_a_launch_keeps_its_limits_and_show_tells_them(tmp_path, tiny_npz, capsys, monkeypatch):
    monkeypatch.setattr("colora.engines.local.ensure_supervisor", lambda runs_dir: 1)
    launch = ["launch", "--name", "g", "--dataset", f"npz:{tiny_npz}", *SMALL, "--seeds", "0", "--runs-dir", tmp_path]
    for flags, said in (
        (["--max-silence", "5"], "--max-silence takes a number of seconds of at least 30; got 5."),
        (["--max-hours", "soon"], "--max-hours: 'soon' is no number."),
        (["--max-hours", "2", "--engine", "slurm"], "a cluster has its own time limit, --slurm time=2:00:00."),
    ):
        assert said in mistake(capsys, *launch, *flags)
        assert not (tmp_path / "g").exists()
    assert main([*map(str, launch), "--max-silence", "600", "--max-hours", "1,5"]) == 0
    assert "g: 1 seed is queued and trains in its turn; see colora show " in capsys.readouterr().out
    says = "a seed is ended after 600 s of silence or 1.5 h of running"
    assert read_json(tmp_path / "g" / "group.json")["limits"] == {"max_silence": 600, "max_hours": 1.5}
    assert document(capsys, "show", tmp_path / "g")["limits"] == {"max_silence": 600, "max_hours": 1.5, "says": says}
    assert main(["show", str(tmp_path / "g")]) == 0
    assert f"  limits: {says}\n" in capsys.readouterr().out


@pytest.mark.kill
def test_a_detached_group_is_stopped_resumed_and_survives_kill(tmp_path, tiny_npz):
    """Launch without --wait; stop; resume; kill -9 a training process, then the supervisor, a guard and its run."""
    colora(
        "launch", "--name", "g", "--dataset", f"npz:{tiny_npz}", *SMALL, "--epochs", 400, "--seeds", "0-1",
        "--runs-dir", tmp_path, "--json",
    )  # fmt: skip
    group = tmp_path / "g"
    try:
        wait_for(lambda: len(Run(group / "seed-00").metrics) >= 2)
        stopped = colora("stop", group, "--json")
        assert json.loads(stopped)["seeds"] == {"0": "stopped", "1": "stopped"}
        epochs = len(Run(group / "seed-00").metrics)
        assert not (group / "seed-00" / "stop").exists()

        resumed = colora("resume", group, "--json")
        assert json.loads(resumed)["seeds"] == [0, 1]
        supervisor = json.loads(resumed)["pid"]
        wait_for(lambda: len(Run(group / "seed-00").metrics) >= epochs + 2)
        assert Run(group / "seed-00").metrics["epoch"].is_monotonic_increasing
        os.kill(Run(group / "seed-00").status["process"]["pid"], signal.SIGKILL)
        wait_for(lambda: Run(group / "seed-00").state == "failed", 10)
        assert "was killed by signal 9" in Run(group / "seed-00").status["reason"]
        wait_for(lambda: Run(group / "seed-01").state == "running")  # the next seed goes on
        os.kill(supervisor, signal.SIGKILL)
        os.kill(process_file(group / "seed-01")["guard"]["pid"], signal.SIGKILL)
        os.kill(Run(group / "seed-01").status["process"]["pid"], signal.SIGKILL)
        wait_for(lambda: Run(group / "seed-01").state == "lost", 10)
        assert Group(group).state == "failed"
    finally:
        for run in Group(group).runs:
            (run.path / "stop").touch()
        wait_for(lambda: not Group(group).active)


@contextmanager
def ctrl_c_when(condition: Callable[[], Any]) -> Iterator[None]:
    """A Ctrl-C for a command that runs in this very process, once the condition holds; before, the command must not
    have come to its end."""
    ended, sent = threading.Event(), []

    def interrupt() -> None:
        while not ended.wait(0.02):
            if condition():
                sent.append(signal.pthread_kill(threading.main_thread().ident, signal.SIGINT))
                return

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert sent


def test_ctrl_c_on_a_launch_that_waits_stops_the_group(lab, tiny_npz, capsys):
    """The launch is real, what it starts are stand-ins that never end by themselves."""
    write_json(lab.runs_dir / "plan.json", {"epochs": 1, "seconds": 3600})
    supervisor = lab.supervise(linger=600)
    wait_for(lambda: supervising(lab.runs_dir))
    group = lab.runs_dir / "g"
    launch = ["launch", "--name", "g", "--dataset", f"npz:{tiny_npz}", *SMALL, "--epochs", "400", "--seeds", "0-1"]
    before = signal.getsignal(signal.SIGTERM)

    def stays() -> bool:
        """From the moment at which it takes SIGTERM for itself it stays with the group."""
        begun = (group / "group.json").exists() and Run(group / "seed-00").state == "running"
        return begun and signal.getsignal(signal.SIGTERM) != before

    with in_time(), ctrl_c_when(stays):
        assert main([*launch, "--runs-dir", str(lab.runs_dir), "--wait"]) == 130
    assert signal.getsignal(signal.SIGTERM) == before
    said = capsys.readouterr().err
    assert said.splitlines()[-1] == f"stopped; continue with: colora resume {group}"
    assert [run.state for run in Group(group).runs] == ["stopped", "stopped"]
    assert supervising(lab.runs_dir)["pid"] == supervisor.pid  # it does not end with the launch


def test_a_failed_seed_ends_launch_with_its_reason(tmp_path, capsys, monkeypatch):
    """The launch waits for a real training, which this process does in the supervisor's place."""

    def trained_here(runs_dir: Path) -> int:
        for run in Group(runs_dir / "g").runs:
            with open(run.path / "log.txt", "a") as log, redirect_stdout(log), redirect_stderr(log):
                train_run(run.path)
        return os.getpid()

    monkeypatch.setattr("colora.engines.local.ensure_supervisor", trained_here)
    root = write_folder(tmp_path / "oct", patients=2)
    (root / "ONE" / "ONE-9-1.png").write_text("no image")  # found when the pixels are read, not before
    launch = ["launch", "--name", "g", "--dataset", f"folder:{root}", *SMALL, "--seeds", "0", "--wait", "--json"]
    with in_time():
        assert main([*launch, "--runs-dir", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["seeds"][0]["state"] == "failed"
    assert err.count("\n") == 1
    assert "seed 0 failed: " in err
    assert "1 of 13 images" in err
    assert "ONE/ONE-9-1.png: it is no PNG" in err
