"""What only a cluster does to a run: requeue, time limits, dead nodes, scancel. On a real one (support/cluster.py)."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from engine_bench import epochs, on_slurm
from queueing import in_time

from colora.cli.main import main
from colora.engines.engine import engine_of
from colora.engines.launch import launch
from colora.engines.slurm import engine as engine
from colora.engines.slurm import jobs, records
from colora.engines.slurm.client import call
from colora.engines.slurm.site import Site
from colora.engines.view import rows
from colora.queue import order
from colora.runs.folder import Group, Run, read_json, write_json
from colora.runs.verdict import process_file
from colora.system.errors import UserError

pytestmark = pytest.mark.slurm


@pytest.fixture
def bench(slurm, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    bench = on_slurm(slurm, tmp_path, monkeypatch)
    yield bench
    bench.close()


@contextmanager
def dead_node(bench, run: Run) -> Iterator[None]:
    """The node dies, and with it the run and its guard, without a word of theirs. Afterwards it is back at work."""
    child, guard = bench.trainer(run)["pid"], process_file(run.path)["guard"]["pid"]
    keeper = int(Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[1])  # slurmstepd, its parent
    with bench.cluster.node_failing():  # slurmd would have told them
        for pid in (keeper, guard, child):
            os.kill(pid, signal.SIGKILL)
        yield


def reason(group: Group, seed: int = 0) -> str:
    return Run(Group(group.path).runs[seed].path).status["reason"]


def test_requeued_in_mid_epoch_it_goes_on_after_its_last_epoch(bench, slurm):
    group = bench.begun("g", 1, epochs=1000, seconds=0.7)
    run = group.runs[0].path
    bench.wait(lambda: Run(run).status["epoch"] >= 1)
    first, task = process_file(run)["guard"], records.task_of(run)
    slurm.requeue(task)
    bench.until(group, "queued")
    finished = len(epochs(group.runs[0]))
    assert f"SLURM took its place back in epoch {finished + 1}" in reason(group)
    bench.plan(group, epochs=finished + 2, seconds=0.1)
    slurm.at_once(task)
    bench.until(group, "done")
    assert epochs(group.runs[0]) == list(range(1, finished + 3))
    assert process_file(run)["guard"] != first and records.task_of(run) == task


def test_killed_without_a_word_and_requeued_it_waits_and_goes_on(bench, slurm):
    """As after the death of a node: nobody but SLURM knows that the run waits again."""
    group = bench.begun("g", 1, epochs=1000, seconds=0.7)
    run = group.runs[0].path
    bench.wait(lambda: Run(run).status["epoch"] >= 1)
    task = records.task_of(run)
    with dead_node(bench, group.runs[0]):
        bench.until(group, "queued")
        assert reason(group) == f"SLURM runs it again; it goes on after epoch {Run(run).status['epoch']}."
    finished = len(epochs(group.runs[0]))
    bench.plan(group, epochs=finished + 2, seconds=0.1)
    slurm.at_once(task)
    bench.until(group, "done")
    assert epochs(group.runs[0]) == list(range(1, finished + 3))


def test_a_node_that_fails_makes_the_run_lost_where_slurm_does_not_requeue(bench, slurm):
    bench.configure(requeue=False)
    group = bench.begun("g", 1, epochs=2, seconds=600)
    run = group.runs[0].path
    bench.wait(lambda: Run(run).status["state"] == "running")
    with dead_node(bench, group.runs[0]):
        bench.until(group, "lost")
    assert reason(group).startswith(f"The node of its job {records.task_of(run)} on {slurm.host} failed.")
    assert engine_of(group).resume(Group(group.path))["seeds"] == [0]


def test_cancelled_by_slurms_own_commands(bench, slurm):
    group = bench.begun("g", 2, epochs=2, seconds=600)
    bench.wait(lambda: Run(group.runs[0].path).status["state"] == "running")
    slurm.run("scancel", records.task_of(group.runs[0].path).partition("_")[0])
    bench.until(group, "stopped", "stopped")
    for seed in (0, 1):
        assert "was cancelled with SLURM's own commands" in reason(group, seed)


def test_a_job_that_cannot_begin_says_what_its_shell_said(bench):
    bench.configure(setup=["module load nowhere", "exit 7"])
    group = bench.begun("g")
    bench.until(group, "failed")
    assert "ended with an error before the training could say why" in reason(group)
    assert "module: command not found" in reason(group)


def test_why_seeds_wait_and_where_they_run_is_told(bench, slurm, capsys):
    group = bench.begun("g", 3, epochs=1, seconds=600)
    first, second = (run.path for run in group.runs[:2])
    bench.wait(lambda: bench.states(group)[0] == "running" and records.read_job(first).get("state") == "RUNNING")
    job = records.task_of(first).partition("_")[0]
    assert records.read_job(first) | {"start": ""} == {
        "task": f"{job}_0", "state": "RUNNING", "node": slurm.host, "start": "", "reason": ""
    }  # fmt: skip
    bench.wait(lambda: bench.look(group) or records.read_job(second)["reason"] == "JobArrayTaskLimit")
    note = f"in SLURM as {job}_1: for other seeds of this group (parallel) (JobArrayTaskLimit)"
    assert [row["note"] for row in rows(bench.runs_dir) if row["seed"] == 1] == [note]
    assert main(["queue", "--runs-dir", str(bench.runs_dir)]) == 0
    assert note in capsys.readouterr().out
    # squeue's JSON of this version tells the same of each task as its columns
    site = Site()
    columns = jobs.from_columns(
        call(site, ["squeue", "--noheader", "--array", f"--format={jobs.COLUMNS}", "--states=all"])
    )
    found = jobs.from_json(call(site, ["env", "SLURM_BITSTR_LEN=0", "squeue", "--json"]), {job})
    assert {task: (one.state, one.node) for task, one in found.items()} == {
        task: (one.state, one.node) for task, one in columns.items() if task.startswith(f"{job}_")
    }
    assert jobs.remembered(site, job) == {}  # no accounting here


def test_the_order_among_ones_own_jobs(bench, slurm):
    now = bench.begun("now", 1, epochs=1, seconds=600)
    bench.wait(lambda: Run(now.runs[0].path).state == "running")
    bench.configure(extra=["--exclusive"])
    groups = {name: bench.begun(name) for name in "abc"}
    engine.move(bench.runs_dir, "a", "last")
    engine.move(bench.runs_dir, "c/seed-00", "first")
    names = slurm.run("squeue", "--noheader", "--states=PENDING", "--format=%j", "--sort=-p").split()
    assert names == ["c", "b", "a"]
    assert order.place(groups["a"].runs[0].path)["priority"] == -1
    with pytest.raises(UserError, match="Nothing of 'now' waits in SLURM"):
        engine.move(bench.runs_dir, "now", "first")


def test_what_slurm_refuses_leaves_no_group(bench):
    bench.configure(partition="nowhere")
    config = Run(bench.group("other").runs[0].path).config.model_copy(update={"backbone": "texturenet"})
    with pytest.raises(UserError, match=r"SLURM refused 'sbatch': .*[Ii]nvalid partition.*nowhere"):
        launch(bench.runs_dir, "g", config, [0], engine="slurm")
    bench.configure()
    with pytest.raises(UserError, match=r"[Ii]nvalid job array.*the seeds are the task numbers: 0 to 123456"):
        launch(bench.runs_dir, "g", config, [0, 123456], engine="slurm")
    with pytest.raises(UserError, match="time: '5 o'clock' is no time limit"):
        launch(bench.runs_dir, "g", config, [0], engine="slurm", asked={"time": "5 o'clock"})
    with pytest.raises(UserError, match=r"SLURM refused 'sbatch': .*configuration is not available"):
        launch(bench.runs_dir, "g", config, [0], engine="slurm", asked={"gres": "gpu:4"})
    engine.check(bench.runs_dir, "g", [0], {"gres": "shard:4"})
    with pytest.raises(UserError, match=r"SLURM refused 'sbatch': .*configuration is not available"):
        engine.check(bench.runs_dir, "g", [0], {"gres": "shard:5"})
    assert not (bench.runs_dir / "g").exists()


def test_a_submission_whose_job_never_became_known_is_resumed_and_its_tasks_leave_alone(bench, slurm):
    """As if whoever launched had died between SLURM's answer and writing it down."""
    now = bench.begun("now", 1, epochs=1, seconds=600)
    bench.wait(lambda: Run(now.runs[0].path).state == "running")
    bench.configure(extra=["--exclusive"])
    group = bench.begun("g", 1, epochs=2, seconds=0.3)
    run = group.runs[0]
    first = records.task_of(run.path)
    write_json(group.path / "slurm" / "0001.json", {"job": None, "seeds": [0], "request": Site().model_dump()})
    assert engine.forgotten(Group(group.path)) and "not submitted to SLURM" in engine.note(run)
    assert engine.resume(Group(group.path))["seeds"] == [0]
    assert not engine.forgotten(Group(group.path)) and records.task_of(run.path) != first
    assert engine.stop(Group(now.path), 180) == {0: "stopped"}
    bench.until(group, "done")
    bench.wait(lambda: not slurm.run("squeue", "--noheader").strip())
    assert epochs(run) == [1, 2]
    assert "belongs to submission 2, not to 1: left alone" in (group.path / "slurm" / "0001_0.log").read_text()


@pytest.mark.slow
def test_a_time_limit_of_a_minute_stops_in_time_and_goes_on(bench, slurm):
    bench.configure(time="00:01:00")
    group = bench.begun("g", 1, epochs=50, seconds=1.5)
    run = group.runs[0].path
    task = records.task_of(run)
    bench.wait(lambda: len(epochs(group.runs[0])) >= 2)
    bench.until(group, "queued")
    finished = len(epochs(group.runs[0]))
    bench.wait((run / "exit.json").exists)
    assert finished < 50 and read_json(run / "exit.json")["told"][0] == "SIGUSR1"
    plan = {"epochs": finished + 2, "seconds": 0.2}
    write_json(run / "plan.json", plan)
    slurm.at_once(task)
    bench.until(group, "done")
    assert epochs(group.runs[0]) == list(range(1, finished + 3))


@pytest.mark.slow
def test_what_does_not_heed_the_time_limit_failed_with_that_reason(bench):
    bench.configure(time="00:01:00")
    group = bench.begun("g", 1, epochs=2, seconds=600, deaf=True)
    bench.until(group, "failed", seconds=240)
    assert "at the time limit of 00:01:00" in reason(group) and "signal_seconds (20)" in reason(group)


@pytest.mark.slow
def test_a_time_limit_that_no_epoch_fits_into_is_not_tried_for_ever(bench):
    bench.configure(time="00:01:00")
    group = bench.begun("g", 1, epochs=2, seconds=600)
    bench.until(group, "failed")
    assert "Not one epoch was finished within the job's time limit" in reason(group)


def test_where_slurm_may_not_requeue_the_time_limit_is_the_end_and_resume_goes_on(bench, slurm):
    bench.configure(requeue=False)
    group = bench.begun("g", 1, epochs=1000, seconds=0.5)
    run = group.runs[0].path
    bench.wait(lambda: Run(run).status["epoch"] >= 1)
    slurm.run("scancel", "--signal=USR1", "--batch", records.task_of(run))  # as SLURM does before the time limit
    bench.until(group, "failed")
    finished = len(epochs(group.runs[0]))
    assert "The job's time limit is over and SLURM does not run it again (" in reason(group)
    assert reason(group).endswith(f"Resume continues after epoch {finished}.")
    bench.plan(group, epochs=finished + 1, seconds=0.1)
    assert engine.resume(Group(group.path))["seeds"] == [0]
    bench.until(group, "done")


def test_through_an_ssh_prefix(bench, tmp_path, slurm):
    """As from a workstation: every command goes through a program that hands it to a shell, as sshd does."""
    ssh = tmp_path / "ssh"
    environment = " ".join(f"{name}={shlex.quote(slurm.environment[name])}" for name in ("SLURM_CONF", "PATH"))
    ssh.write_text(f'#!/bin/sh\nshift\nexec env -i {environment} sh -c "$*"\n')
    ssh.chmod(0o755)
    jobs._version.cache_clear()
    bench.runs_dir = tmp_path / "it's a folder" / "runs"
    bench.runs_dir.mkdir(parents=True)
    bench.configure(ssh=[str(ssh), "login"])
    engine.check(bench.runs_dir, "g", [0, 1], {})
    group = bench.begun("g", 2, epochs=1000, seconds=0.3)
    bench.wait(lambda: Run(group.runs[0].path).status["epoch"] >= 1)
    assert engine_of(group).stop(Group(group.path), 180) == {0: "stopped", 1: "stopped"}
    last = len(epochs(group.runs[0])) + 2
    bench.plan(group, epochs=last, seconds=0.1)
    engine.resume(Group(group.path))
    bench.until(group, "done", "done")
    assert [epochs(run) for run in group.runs] == [list(range(1, last + 1))] * 2


def test_launch_and_wait_on_the_command_line(bench, capsys):
    bench.configure(python=sys.executable, memory="2G")
    launch = ["launch", "--name", "g", "--preset", "quick-look", "--epochs", "1", "--seeds", "2", "--wait", "--json"]
    launch += [
        "--image-size",
        "32",
        "--engine",
        "slurm",
        "--slurm",
        "time=0:05:00",
        "--slurm",
        "gres=gpu:1",
        "--runs-dir",
        str(bench.runs_dir),
    ]
    with in_time():
        assert main(launch) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "done"
    group = Group(bench.runs_dir / "g")
    assert group.engine == "slurm" and group.info["slurm"] == {"time": "0:05:00", "gres": "gpu:1"}
    script = (group.path / "slurm" / "0001.sh").read_text()
    assert "#SBATCH --time=0:05:00" in script and "#SBATCH --gres=gpu:1" in script
    assert main(["cluster", "check", "--json", "--runs-dir", str(bench.runs_dir)]) == 0
    assert "would be taken: 1 CPUs, 2G, no GPU" in json.loads(capsys.readouterr().out)["answer"]


def test_a_broken_cluster_is_noticed_by_whoever_waits_and_mended_for_the_next_test(bench, slurm):
    slurm.run("scontrol", "update", f"NodeName={slurm.host}", "State=DRAIN", "Reason=on purpose")
    with pytest.raises(RuntimeError, match=r"(?s)the node takes no jobs.*on purpose"):
        bench.wait(lambda: False)
    slurm.empty()
    assert slurm.node() == "idle" and not slurm.broken
    slurm.processes[-1].kill()
    with pytest.raises(RuntimeError, match="slurmd ended"):
        bench.wait(lambda: False)
    with pytest.raises(RuntimeError, match="slurmd ended"):
        slurm.empty()
    restarts, slurm.restarts = slurm.restarts, 0
    with pytest.raises(RuntimeError, match="an earlier test left the cluster broken: slurmd ended"):
        slurm.ready()
    slurm.restarts = 1
    slurm.ready()
    slurm.restarts = restarts
    assert slurm.node() == "idle"
    group = bench.begun("g", 1, epochs=1, seconds=0.1)
    bench.until(group, "done")
