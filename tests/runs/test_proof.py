"""Which process is a run's own, whatever its files say: the forms in which guards, trainings and tasks are started."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from queueing import wait_for

from colora.runs import proof
from colora.runs.proof import is_certain, is_own
from colora.system.process import command_line, identity


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run folder; nothing is remembered of earlier ones."""
    monkeypatch.setattr(proof, "_proven", set())
    folder = tmp_path / "runs" / "g" / "seed-03"
    folder.mkdir(parents=True)
    (tmp_path / "runs" / "g" / "seed-04").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    return folder


@pytest.fixture
def started(tmp_path) -> Iterator:
    """`started("colora", "train", ...)`: the identity of a process with these words behind its own, in `tmp_path`."""
    processes = []

    def start(*words: str) -> dict:
        command = ["sh", "-c", "read line", *map(str, words)]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, cwd=tmp_path))
        wait_for(lambda: command_line(processes[-1].pid) == command)
        return identity(processes[-1].pid)

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdin.close()


PYTHON = sys.executable
OWN = [
    (PYTHON, "-m", "colora", "train", "--run-dir", "{run}"),
    (PYTHON, "-X", "importtime", "/venv/bin/colora", "train", "--run-dir={run}"),
    ("/venv/bin/colora", "train", "--run", "runs/g/seed-03"),
    (PYTHON, "colora/__main__.py", "train", "--run-dir", "link/g/seed-03"),
    (PYTHON, "-m", "colora.queue.guard", "{run}", "--", "some", "command"),
    (PYTHON, "-m", "colora.engines.slurm.task", "runs/g", "2"),
]
FOREIGN = [
    ("sleep", "60"),
    (PYTHON, "-m", "colora", "train", "--run-dir", "runs/g/seed-04"),
    (PYTHON, "-m", "colora", "train", "--run-dir", "seed-03"),
    (PYTHON, "-m", "colora", "show", "{run}"),
    (PYTHON, "-m", "other", "train", "--run-dir", "{run}"),
    (PYTHON, "-m", "colora", "train", "{run}"),
    (PYTHON, "-m", "colora", "train", "--run-dir"),
    (PYTHON, "-m", "colora", "supervise", "--runs-dir", "runs"),
    (PYTHON, "-m", "colora.queue.guard"),
    (PYTHON, "-m", "colora.queue.guard", "runs/g/seed-04", "--", "some", "{run}"),
    (PYTHON, "-m", "colora.engines.slurm.task", "runs", "2"),
    ("vim", "{run}/log.txt"),
]


@pytest.mark.parametrize("words", OWN)
def test_what_was_started_for_a_folder_is_its_own(run, started, words):
    known = started(*(word.format(run=run) for word in words))
    assert is_own(known, run) and is_certain(known, run)
    elsewhere = known | {"started": known["started"] + 1}, known | {"host": "elsewhere"}, known | {"boot_id": "before"}
    assert not any(is_own(other, run) or is_certain(other, run) for other in elsewhere)


@pytest.mark.parametrize("words", FOREIGN)
def test_what_was_not_is_no_runs(run, started, words):
    known = started(*(word.format(run=run) for word in words))
    assert not is_own(known, run) and not is_certain(known, run)


def test_none_and_what_has_ended_are_no_runs(run, started):
    known = started("colora", "train", "--run-dir", run)
    os.kill(known["pid"], 9)
    wait_for(lambda: not is_own(known, run))
    assert not is_certain(known, run) and not is_own(None, run) and not is_certain(None, run)


def test_a_process_without_words_is_believed_to_live_and_never_signalled(run, started, monkeypatch):
    known = started("sleep", "60")
    monkeypatch.setattr(proof, "command_line", lambda pid: [])
    assert is_own(known, run) and not is_certain(known, run)


def test_a_relative_path_of_a_process_that_hides_where_it_works_is_no_proof(run, started, monkeypatch):
    known = started("colora", "train", "--run-dir", "runs/g/seed-03")
    monkeypatch.setattr(proof, "working_folder", lambda pid: None)
    assert is_own(known, run) and not is_certain(known, run)


def test_words_are_read_once_for_each_process_and_folder(run, started, monkeypatch):
    own, foreign, read = started("colora", "train", "--run-dir", run), started("sleep", "60"), []
    monkeypatch.setattr(proof, "command_line", lambda pid: read.append(pid) or command_line(pid))
    for _ in range(5):
        assert is_own(own, run) and is_certain(own, run) and not is_own(own, run.with_name("seed-04"))
    assert read.count(own["pid"]) == 1 + 5  # what is not proven is asked again: it may have become another program
    assert not is_own(foreign, run)
