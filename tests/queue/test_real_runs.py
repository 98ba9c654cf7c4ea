"""Real training under the supervisor: cut again and again and resumed to the same bits (once, and also killed, it is in
test_engines.py), and on a disk that is full."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import torch
from queueing import Lab, busy, wait_for
from safetensors import safe_open

from colora.engines.launch import launch
from colora.queue.actions import requeue, resume, stop
from colora.queue.supervisor import ensure_supervisor, supervising
from colora.runs.folder import Group, Run, create_group
from colora.runs.verdict import processes_live
from colora.settings.config import make_config
from colora.system.process import is_alive, tree
from colora.training.reporter import Reporter
from colora.training.run import train_run

TIMES = {"seconds", "eval_seconds", "images_per_s", "peak_memory_mib"}
SMALL = {"backbone": "resnet18:layer1", "weights": "none", "image_size": 32, "batch_size": 8, "threads": 1}


def figures(run) -> list[dict]:
    rows = Run(run.path).metrics.to_dict("records")
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def epochs_of(run) -> int:
    return len(Run(run.path).metrics)


def assert_same_bits(group: Group, whole: Group) -> None:
    for run, unbroken in zip(group.runs, whole.runs, strict=True):
        assert figures(run) == figures(unbroken)
        assert (run.path / "model.safetensors").read_bytes() == (unbroken.path / "model.safetensors").read_bytes()


def test_a_resumed_run_keeps_the_threads_of_its_first_start(lab, tiny_npz):
    """Whatever slot it comes into: another count would change the bits."""
    config = make_config({"dataset": f"npz:{tiny_npz}", "epochs": 2, **SMALL, "threads": None})
    run = create_group(lab.runs_dir, "g", config, [0]).runs[0].path
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)  # as a slot's OMP_NUM_THREADS does
        assert train_run(run, lambda: Run(run).resolved is not None) == 0
        assert Run(run).resolved.threads == 1
        torch.set_num_threads(2)
        assert train_run(run) == 0
        assert (torch.get_num_threads(), Run(run).resolved.threads, Run(run).state) == (1, 1, "done")
    finally:
        torch.set_num_threads(before)


def test_the_heart_beats_while_a_step_takes_long(lab, monkeypatch):
    monkeypatch.setattr("colora.training.reporter.HEARTBEAT_SECONDS", 0.05)
    run = create_group(lab.runs_dir, "g", make_config({"epochs": 2}), [0]).runs[0]
    reporter = Reporter(run)
    with reporter.beating():
        for _ in range(3):
            before = Run(run.path).written_status()["heartbeat"]
            wait_for(lambda before=before: Run(run.path).written_status()["heartbeat"] > before)
    reporter.end("stopped")
    assert Run(run.path).state == "stopped"


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_cut_at_20_random_moments_and_resumed_to_the_same_bits(lab, tiny_npz, how):
    config = make_config({"dataset": f"npz:{tiny_npz}", "epochs": 160, **SMALL})
    whole = create_group(lab.runs_dir, "whole", config, [0])
    assert train_run(whole.runs[0].path) == 0
    spent = Run(whole.runs[0].path).metrics[["seconds", "eval_seconds"]].sum(axis=1)
    pause = 10 * spent.median()  # a start's first epoch takes longer than those after it
    group = launch(lab.runs_dir, "cut", config, [0])
    run, least, took = group.runs[0], 0, []
    ensure_supervisor(lab.runs_dir)
    for _ in range(20):
        wait_for(lambda: Run(run.path).state in ("starting", "running"), 60 * busy())
        trainer = lab.trainer(run)
        if begun := random.random() < 0.9:  # else while it starts
            wait_for(lambda: Run(run.path).state == "running", 60 * busy())
        time.sleep(random.uniform(0, pause))
        family, begin = tree(trainer), time.monotonic()
        if how == "stop":
            assert stop(Group(group.path)) == {0: "stopped"}
            took.append(time.monotonic() - begin)
            assert took[-1] < (10 if begun else 30) * busy()  # the start of torch included
        else:
            os.kill(trainer["pid"], signal.SIGKILL)
            wait_for(lambda: Run(run.path).state == "failed", 5 * busy())
            took.append(time.monotonic() - begin)
        assert not any(map(is_alive, family))
        assert epochs_of(run) >= least  # no finished epoch is lost
        least = epochs_of(run)
        assert resume(Group(group.path))["seeds"] == [0]
    assert 0 < least < config.epochs
    print(f"{how}: at most {max(took):.1f} s, cut last at epoch {least}, load {os.getloadavg()}")
    wait_for(lambda: Run(run.path).state == "done", 300 * busy())
    assert_same_bits(Group(group.path), whole)


@pytest.fixture
def small_disk(tmp_path):
    """A function that makes a file system of some megabytes in memory, or gives the one it made another size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(megabytes: int, *more: str):
        options = ["-o", ",".join([f"size={megabytes}m", *more])]
        done = subprocess.run(["mount", "-t", "tmpfs", *options, "none", str(folder)], capture_output=True)
        if done.returncode:
            pytest.skip("no file system can be mounted here")
        return folder

    if sys.platform != "linux" or not shutil.which("mount"):
        pytest.skip("file systems in memory are Linux's")
    yield mount
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


def test_a_full_disk_ends_the_run_with_that_reason_and_a_checkpoint_that_resumes(small_disk, tiny_npz):
    config = make_config({"dataset": f"npz:{tiny_npz}", "epochs": 400, **SMALL})
    lab = Lab(small_disk(48) / "runs")
    try:
        group = create_group(lab.runs_dir, "g", config, [0])  # as if another had filled the disk after the launch
        run = group.runs[0]
        supervisor = ensure_supervisor(lab.runs_dir)
        wait_for(lambda: Run(run.path).state == "failed", 300, lambda: Run(run.path).status)
        finished = epochs_of(run)
        assert "disk" in Run(run.path).status["reason"] and "full" in Run(run.path).status["reason"]
        assert finished >= 1
        with safe_open(run.path / "checkpoint" / "last.safetensors", "pt") as file:  # whole, of the last epoch
            assert json.loads(file.metadata()["about"])["epoch"] >= finished
            assert all(file.get_tensor(name).isfinite().all() for name in file.keys())  # noqa: SIM118
        with suppress(ProcessLookupError):  # it ends by itself, ten seconds after the run
            os.kill(supervisor, signal.SIGKILL)
        wait_for(lambda: not supervising(lab.runs_dir) and not processes_live(run.path))
        small_disk(400, "remount")
        assert requeue(Group(group.path)) == [0]
        assert train_run(run.path, lambda: epochs_of(run) >= finished + 2) == 0
        assert Run(run.path).state == "stopped"
        assert Run(run.path).metrics["epoch"].tolist() == list(range(1, epochs_of(run) + 1))
    finally:
        lab.close()
