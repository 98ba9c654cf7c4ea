"""Killed at random moments, again and again: stand-in runs, so that many rounds fit. `make test-kill` has the loops."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from queueing import STAND_IN, wait_for

from colora.process import is_alive, tree
from colora.queue.actions import requeue, stop
from colora.queue.detach import ROOT
from colora.queue.supervisor import supervising
from colora.queue.verdict import process_file
from colora.runs import ENDED_EARLY, Group, Run, read_json_lines

ROUNDS = [pytest.param(2, id="short"), pytest.param(20, id="loop", marks=[pytest.mark.kill, pytest.mark.slow])]
RIGHT_WITHIN_SECONDS = 3
SERVER = """
import sys, time
from pathlib import Path
from colora.queue.detach import detached
detached(Path(sys.argv[1]), sys.argv[2:])
time.sleep(600)
"""


def below(run: Run) -> list[dict]:
    child = process_file(run.path).get("child")
    return tree(child) if child else []


def epochs(run: Run) -> list[int]:
    return [row["epoch"] for row in read_json_lines(run.path / "metrics.jsonl")]


def assert_all_epochs_once(group: Group) -> None:
    count = len(group.runs)
    assert [epochs(run) for run in group.runs] == [list(range(1, group.config.epochs + 1))] * count


@pytest.mark.parametrize("rounds", ROUNDS)
def test_the_server_is_killed_with_its_process_group(lab, tmp_path, rounds):
    """What a server has started outlives it: the supervisor, and the runs."""
    for number in range(rounds):
        group = lab.group(f"g{number}", 3, epochs=2, seconds=0.2)
        log = str(tmp_path / "detached.log")
        supervise = [sys.executable, str(STAND_IN), "supervise", str(lab.runs_dir), "2", "9", "9", "1"]
        server = subprocess.Popen([sys.executable, "-c", SERVER, log, *supervise], cwd=ROOT, start_new_session=True)
        wait_for(lambda: supervising(lab.runs_dir))
        time.sleep(random.uniform(0, 1))
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        begin = time.monotonic()
        states = lab.states(group)
        assert time.monotonic() - begin < RIGHT_WITHIN_SECONDS
        assert set(states) <= {"queued", "starting", "running", "done"}
        lab.until(group, "done", "done", "done")
        assert_all_epochs_once(group)
        wait_for(lambda: not supervising(lab.runs_dir))


@pytest.mark.parametrize("rounds", ROUNDS)
def test_the_supervisor_is_killed(lab, rounds):
    group = lab.group("g", 3, epochs=2 * rounds, seconds=0.3)
    for _ in range(rounds):
        supervisor = lab.supervise(slots=2)
        wait_for(lambda: supervising(lab.runs_dir))
        time.sleep(random.uniform(0, 1))
        os.killpg(supervisor.pid, signal.SIGKILL)
        supervisor.wait()
        trainers = [process_file(run.path).get("child") for run in group.runs]
        assert sum(map(is_alive, trainers)) <= 2
        assert set(lab.states(group)) <= {"queued", "starting", "running", "done"}
    lab.supervise(slots=2)
    lab.until(group, "done", "done", "done", seconds=60)
    assert_all_epochs_once(group)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_the_run_is_killed_and_resumed(lab, rounds):
    group = lab.group("g", 1, epochs=2 * rounds + 20, seconds=0.1)
    lab.supervise()
    run = group.runs[0]
    least = 0
    for _ in range(rounds):
        lab.until(group, "running")
        time.sleep(random.uniform(0, 0.3))
        os.kill(process_file(run.path)["child"]["pid"], signal.SIGKILL)
        wait_for(lambda: Run(run.path).state in ENDED_EARLY, 5)
        assert Run(run.path).state == "failed", Run(run.path).status
        assert len(epochs(run)) >= least
        least = len(epochs(run))
        assert requeue(Group(group.path)) == [0]
    lab.until(group, "done", seconds=60)
    assert_all_epochs_once(group)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_stopped_at_any_moment(lab, rounds):
    group = lab.group("g", 2, epochs=9, seconds=60, family=True)
    lab.supervise(slots=2, term_after=5, kill_after=2)
    for _ in range(rounds):
        time.sleep(random.uniform(0, 1.5))
        known = [member for run in group.runs for member in below(run)]
        begin = time.monotonic()
        assert stop(Group(group.path), 20) == {0: "stopped", 1: "stopped"}
        assert time.monotonic() - begin < 12
        known += [process_file(run.path).get("child") for run in group.runs]
        assert not any(map(is_alive, known))
        assert requeue(Group(group.path)) == [0, 1]
    stop(Group(group.path))
