"""One contract for every engine: whatever starts the runs, they live, stop, go on and end in the same way.

The local queue trains with a supervisor, SLURM with a real one of one node (support/cluster.py). Most runs are
stand-ins that train nothing (support/stand_in.py); one case trains, stops and compares the bits.
"""

import os
import select
import signal
import subprocess
import sys
import textwrap
from functools import cache

import pytest
from engine_bench import Bench, epochs, on_slurm
from queueing import PATIENCE_SECONDS

from colora.engines.engine import engine_of
from colora.engines.launch import launch
from colora.engines.slurm.records import task_of
from colora.queue import order
from colora.queue.actions import requeue
from colora.queue.supervisor import supervising
from colora.runs.folder import Group, Run, create_group, read_json_lines
from colora.runs.verdict import process_file, processes_live
from colora.settings.config import make_config
from colora.system.process import is_alive
from colora.training.run import train_run

SMALL = {"backbone": "resnet18:layer1", "weights": "none", "image_size": 32, "batch_size": 8, "threads": 1}
TIMES = {"seconds", "eval_seconds", "images_per_s", "peak_memory_mib"}


# Of SLURM these are in `make test`, since they tell most; `make test-slurm` has all.
SHORT = ("test_launch_progress_and_finish", "test_stop_ends_what_runs_and_what_waits_and_resume_goes_on_with_it")


def pytest_generate_tests(metafunc):
    if "bench" in metafunc.fixturenames:
        marks = () if metafunc.function.__name__ in SHORT else pytest.mark.slurm
        metafunc.parametrize("bench", ["local", pytest.param("slurm", marks=marks)], indirect=True)


@pytest.fixture
def bench(request, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    if request.param == "local":
        bench = Bench(tmp_path / "runs", "local")
    else:
        bench = on_slurm(request.getfixturevalue("slurm"), tmp_path, monkeypatch)
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, tiny_npz):
    """A function that gives a real training of so many epochs that nothing has interrupted."""

    @cache
    def trained(epochs: int) -> Run:
        config = make_config({"dataset": f"npz:{tiny_npz}", "epochs": epochs, **SMALL})
        run = create_group(tmp_path_factory.mktemp("unbroken"), "whole", config, [4]).runs[0]
        assert train_run(run.path) == 0
        return run

    return trained


def test_launch_progress_and_finish(bench):
    group = bench.begun("g", 2, epochs=60, seconds=0.5)
    (group.runs[0].path / "go").touch()
    seen = []
    bench.wait(lambda: seen.append(Run(group.runs[1].path).status["epoch"]) or seen[-1])
    assert seen[0] == 0 and seen[-1] < 60
    (group.runs[1].path / "go").touch()
    bench.until(group, "done", "done")
    assert [epochs(run) for run in group.runs] == [list(range(1, 61))] * 2
    assert Group(group.path).state == "done" and not any(run.status["reason"] for run in Group(group.path).runs)
    log = (group.runs[0].path / "log.txt").read_text()
    assert log.startswith("begins")


def test_stop_ends_what_runs_and_what_waits_and_resume_goes_on_with_it(bench):
    group = bench.begun("g", 2, epochs=1000, seconds=0.3)
    first = group.runs[0]
    bench.wait(lambda: Run(first.path).status["epoch"] >= 1)
    trainer = process_file(first.path)["child"]
    assert engine_of(group).stop(Group(group.path), 180) == {0: "stopped", 1: "stopped"}
    assert not is_alive(trainer)
    # The wish is taken away right after the state is written, so a reader may see it a moment longer.
    bench.wait(lambda: not any(Run(run.path).stop_requested for run in group.runs))
    finished = epochs(first)
    assert len(finished) >= 1 and epochs(group.runs[1]) == []
    assert "request" in Run(first.path).status["reason"]
    bench.plan(group, epochs=len(finished) + 2, seconds=0.1)
    assert engine_of(group).resume(Group(group.path))["seeds"] == [0, 1]
    bench.until(group, "done", "done")
    assert [epochs(run) for run in group.runs] == [[*finished, len(finished) + 1, len(finished) + 2]] * 2


def test_a_failure_has_its_reason_and_retry_begins_anew(bench):
    group = bench.begun("g", 1, epochs=3, seconds=0.1, exit=3, say="the last line")
    bench.until(group, "failed")
    reason = Run(group.runs[0].path).status["reason"]
    assert "exit code 3" in reason and "the last line" in reason and "Resume continues after epoch 1" in reason
    assert engine_of(group).retry(Group(group.path))["seeds"] == [0]
    bench.until(group, "done")
    assert epochs(group.runs[0]) == [1, 2]  # the plan went to the trash with the rest


def test_a_killed_training_failed_and_says_so(bench):
    group = bench.begun("g", 1, epochs=2, seconds=600)
    os.kill(bench.trainer(group.runs[0])["pid"], signal.SIGKILL)
    bench.until(group, "failed")
    assert "killed by signal 9 (SIGKILL)" in Run(group.runs[0].path).status["reason"]


def test_missing_seeds_are_added_and_the_others_left_alone(bench):
    group = bench.begun("g", 1, epochs=2, seconds=0.1)
    bench.until(group, "done")
    before = (group.runs[0].path / "status.json").read_bytes()
    assert engine_of(group).retry(Group(group.path), [3, 5])["seeds"] == [3, 5]
    bench.until(Group(group.path), "done", "done", "done")
    assert [run.seed for run in Group(group.path).runs] == [0, 3, 5]
    assert (group.runs[0].path / "status.json").read_bytes() == before


def test_whoever_launched_may_die(bench):
    """The process that started the group is killed, and with it (locally) the supervisor."""
    group = bench.group("g", 2, epochs=3, seconds=0.4)
    code = f"""
        import time
        from pathlib import Path
        from colora.engines.engine import engine_of
        from colora.runs.folder import Group
        group = Group(Path({str(group.path)!r}))
        engine_of(group).start(group)
        print("started", flush=True)
        time.sleep(600)
    """
    supervisor = bench.supervise() if bench.engine == "local" else None
    launcher = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    try:
        assert select.select([launcher.stdout], [], [], PATIENCE_SECONDS)[0], "it has not started the group"
        assert launcher.stdout.readline() == "started\n"
        bench.wait(lambda: Run(group.runs[0].path).status["epoch"] >= 1)
    finally:
        launcher.kill()
        launcher.wait()
        launcher.stdout.close()
    if supervisor:
        os.killpg(supervisor.pid, signal.SIGKILL)
        supervisor.wait()
        bench.supervise()
    bench.until(group, "done", "done")
    assert [epochs(run) for run in group.runs] == [[1, 2, 3]] * 2


def test_order_among_waiting_seeds(bench):
    now = bench.begun("now", 1, epochs=1, seconds=600)
    bench.wait(lambda: Run(now.runs[0].path).state == "running")
    if bench.engine == "slurm":
        bench.configure(extra=["--exclusive"])
    groups = [bench.begun(name, 1, epochs=1, seconds=0.1) for name in ("a", "b")]
    engine_of(now).move(bench.runs_dir, "b", None, 3)
    assert [order.place(group.runs[0].path)["priority"] for group in groups] == [0, 3]
    (now.runs[0].path / "go").touch()
    for group in (now, *groups):
        bench.until(group, "done")
    begun = [process_file(group.runs[0].path)["started"] for group in groups]
    assert begun[1] < begun[0]


@pytest.mark.slow
def test_stopped_and_resumed_to_the_same_bits(bench, unbroken, request):
    """Real training, on the node's own Python. Then SLURM also takes the node back in mid-epoch; of the local queue
    supervisor and training are killed, and this process trains to the end, as the next supervisor has it done."""
    last = 100 if bench.engine == "slurm" else 30  # what looks and stops takes as long as some epochs of such a network
    if bench.engine == "slurm":
        bench.configure(python=sys.executable, memory="2G")
    whole = unbroken(last)
    group = launch(bench.runs_dir, "cut", whole.config, [4], engine=bench.engine)
    engine_of(group).start(group)
    run = group.runs[0]
    bench.wait(lambda: Run(run.path).status["epoch"] >= 2, 300, lambda: Run(run.path).status)
    assert engine_of(group).stop(Group(group.path), 180) == {4: "stopped"}
    finished = len(epochs(run))
    assert 2 <= finished < last
    resumed = engine_of(group).resume(Group(group.path))
    bench.wait(lambda: len(epochs(run)) > finished, 300, lambda: Run(run.path).status)
    if bench.engine == "local":
        os.kill(resumed["pid"], signal.SIGKILL)
        os.kill(process_file(run.path)["child"]["pid"], signal.SIGKILL)
        bench.wait(lambda: Run(run.path).state == "failed")
        bench.wait(lambda: not supervising(bench.runs_dir) and not processes_live(run.path))
        assert finished < len(epochs(run)) < last
        assert requeue(Group(group.path)) == [4]
        assert train_run(run.path) == 0
    else:
        cluster, task = request.getfixturevalue("slurm"), task_of(run.path)
        cluster.requeue(task)
        bench.wait(lambda: Run(run.path).state == "queued", 120, lambda: Run(run.path).status)
        assert "SLURM took its place back" in Run(run.path).status["reason"] and len(epochs(run)) < last
        cluster.at_once(task)
    bench.until(group, "done", seconds=600)
    assert epochs(run) == list(range(1, last + 1))
    assert (run.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()
    assert figures(run) == figures(whole)


def test_a_run_whose_place_is_taken_back_waits_and_one_that_a_person_stops_is_stopped(tmp_path, tiny_npz):
    config = make_config({"dataset": f"npz:{tiny_npz}", **SMALL})
    group = create_group(tmp_path, "g", config, [0, 1])
    for run, taken_back, state in zip(group.runs, (True, False), ("queued", "stopped"), strict=True):
        assert train_run(run.path, lambda: True, lambda taken_back=taken_back: taken_back) == 0
        assert (Run(run.path).state, Run(run.path).status["process"], epochs(run)) == (state, None, [])


def figures(run: Run) -> list[dict]:
    rows = read_json_lines(run.path / "metrics.jsonl")
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]
