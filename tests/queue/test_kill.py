"""Killed at random moments, again and again: stand-in runs, so that many rounds fit. `make test-kill` has the loops."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from queueing import STAND_IN, busy, promised, wait_for

from colora.queue.actions import requeue, stop
from colora.queue.supervisor import supervising
from colora.runs.folder import ENDED_EARLY, Group, Run, read_json_lines
from colora.runs.verdict import process_file
from colora.system.installation import ROOT
from colora.system.process import is_alive, tree

ROUNDS = [pytest.param(2, id="short"), pytest.param(20, id="loop", marks=[pytest.mark.kill, pytest.mark.slow])]
RIGHT_WITHIN_SECONDS, DEAD_WITHIN_SECONDS, GONE_WITHIN_SECONDS = 3, 5, 10
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


def living(group: Group) -> dict[Path, dict]:
    """The training process of each run that has one."""
    known = {run.path: process_file(run.path).get("child") for run in group.runs}
    return {path: child for path, child in known.items() if is_alive(child)}


def as_it_is(group: Group) -> bool:
    """Whether the states are those of the processes: one that lives runs, without one a run waits or is done."""
    alive = living(group)
    return all(
        run.state in (("starting", "running") if run.path in alive else ("queued", "starting", "done"))
        for run in Group(group.path).runs
    )


def assert_all_epochs_once(group: Group) -> None:
    count = len(group.runs)
    assert [epochs(run) for run in group.runs] == [list(range(1, group.config.epochs + 1))] * count


@pytest.mark.parametrize("rounds", ROUNDS)
def test_the_server_is_killed_with_its_process_group(lab, tmp_path, rounds):
    """What a server has started outlives it: the supervisor, and the runs."""
    for number in range(rounds):
        group = lab.group(f"g{number}", 3, epochs=2, seconds=0.2)
        log = str(tmp_path / "detached.log")
        supervise = [sys.executable, str(STAND_IN), "supervise", str(lab.runs_dir), "2", "9", "9", "0.3"]
        server = subprocess.Popen([sys.executable, "-c", SERVER, log, *supervise], cwd=ROOT, start_new_session=True)
        wait_for(lambda group=group: supervising(lab.runs_dir) or Group(group.path).state == "done")
        time.sleep(random.uniform(0, 1))
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        begin = time.monotonic()
        states = lab.states(group)
        assert time.monotonic() - begin < promised(RIGHT_WITHIN_SECONDS, rounds)
        assert set(states) <= {"queued", "starting", "running", "done"}
        lab.until(group, "done", "done", "done")
        assert_all_epochs_once(group)
        wait_for(lambda: not supervising(lab.runs_dir))


@pytest.mark.parametrize("rounds", ROUNDS)
def test_the_supervisor_is_killed(lab, rounds):
    """Whenever it dies, the runs go on under their guards, and the next one takes them over as they are."""
    group, least = lab.group("g", 3, epochs=3 * rounds, seconds=0.3), [0, 0, 0]
    supervisor = lab.supervise(slots=2)
    for _ in range(rounds):
        wait_for(lambda: supervising(lab.runs_dir))
        time.sleep(random.uniform(0, 1))
        before = living(group)
        os.killpg(supervisor.pid, signal.SIGKILL)
        supervisor.wait()
        assert set(lab.states(group)) <= {"queued", "starting", "running", "done"}
        supervisor = lab.supervise(slots=2)
        wait_for(lambda: supervising(lab.runs_dir))
        wait_for(lambda: as_it_is(group), promised(RIGHT_WITHIN_SECONDS, rounds), lambda: living(group))
        now = [len(epochs(run)) for run in group.runs]
        assert all(here >= there for here, there in zip(now, least, strict=True))
        least, after = now, living(group)
        assert len(after) <= 2
        for run, trainer in before.items():
            assert after.get(run) == trainer or len(epochs(Run(run))) == 3 * rounds
    lab.until(group, "done", "done", "done", seconds=60 * busy())
    assert_all_epochs_once(group)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_the_run_is_killed_and_resumed(lab, rounds):
    group = lab.group("g", 1, epochs=10_000, seconds=0.1)
    lab.supervise()
    run = group.runs[0]
    least = 0
    for number in range(1, rounds + 1):
        lab.until(group, "running")
        time.sleep(random.uniform(0, 0.3))
        os.kill(lab.trainer(run)["pid"], signal.SIGKILL)
        wait_for(lambda: Run(run.path).state in ENDED_EARLY, promised(DEAD_WITHIN_SECONDS, rounds))
        assert Run(run.path).state == "failed", Run(run.path).status
        assert len(epochs(run)) >= least
        least = len(epochs(run))
        lab.plan(group, epochs=10_000, seconds=0.1) if number < rounds else lab.plan(group, epochs=least + 2)
        assert requeue(Group(group.path)) == [0]
    lab.until(group, "done", seconds=60 * busy())
    assert epochs(run) == list(range(1, least + 3))


@pytest.mark.parametrize("rounds", ROUNDS)
def test_stopped_at_any_moment(lab, rounds):
    group = lab.group("g", 2, epochs=9, seconds=60, family=True)
    lab.supervise(slots=2, term_after=5, kill_after=2)
    for _ in range(rounds):
        time.sleep(random.uniform(0, 0.5 if rounds < 3 else 1.5))
        known = [member for run in group.runs for member in below(run)]
        begin = time.monotonic()
        assert stop(Group(group.path), 20 * busy()) == {0: "stopped", 1: "stopped"}
        assert time.monotonic() - begin < promised(GONE_WITHIN_SECONDS, rounds)
        known += [process_file(run.path).get("child") for run in group.runs]
        assert not any(map(is_alive, known))
        assert requeue(Group(group.path)) == [0, 1]
    stop(Group(group.path))
