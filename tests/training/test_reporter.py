"""What a run tells of itself while it trains: its heart, its work, and whose wish ended it."""

import subprocess
import sys
import time

import pytest
from queueing import wait_for

from colora.runs.folder import Run, create_group
from colora.settings.config import make_config
from colora.system.errors import UserError
from colora.system.process import own_process
from colora.training.reporter import Reporter, Stopped, begun, heed
from colora.training.run import train_run


@pytest.fixture
def run(tmp_path, monkeypatch) -> Run:
    monkeypatch.setattr("colora.training.reporter.HEARTBEAT_SECONDS", 0.05)
    return create_group(tmp_path, "g", make_config({"epochs": 2}), [0]).runs[0]


def beat(run: Run) -> float:
    return run.written_status()["beat"]


def test_a_heart_that_beats_is_not_the_work_that_goes_on(run):
    with begun(run.path) as reporter:
        reporter.write(state="running")
        first = run.written_status()
        assert first["worked"] == pytest.approx(first["beat"], abs=1) and first["process"] == own_process()
        wait_for(lambda: beat(run) > first["beat"] + 0.1)
        assert run.written_status()["worked"] == first["worked"]
        heed(run, reporter, lambda: False, "nowhere")  # as after each step: nothing is written for it
        wait_for(lambda: run.written_status()["worked"] > first["worked"])
        reporter.end("stopped")
        last = run.written_status()
        time.sleep(0.2)  # some heartbeats
    assert run.written_status() == last  # what has ended beats no more: others may write now


def test_what_a_reader_has_derived_is_not_written_down(run, monkeypatch):
    monkeypatch.setattr("colora.runs.folder.silence", lambda folder, status: {"silent": 99, "silent_says": "x"})
    Reporter(run).write(state="running")
    assert Run(run.path).status["silent"] == 99
    Reporter(Run(run.path))
    assert "silent" not in run.written_status()


def test_a_run_tells_of_itself_before_torch_is_loaded():
    """From a cold network disk that takes a minute, in which it would count as silent."""
    code = "import sys, colora.cli.runs, colora.training.reporter; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_whoever_comes_second_is_refused_and_what_is_done_stays(run):
    with begun(run.path), pytest.raises(UserError, match="is being trained by process"), begun(run.path):
        raise AssertionError("two train one run")
    Reporter(run).end("done")
    before = run.written_status()
    with begun(run.path) as reporter:
        assert reporter is None
    assert run.written_status() == before


def test_a_limit_that_ends_a_run_is_its_reason(run):
    (run.path / "stop").write_text("It was silent for 700 s, beyond the limit of 600 s (--max-silence)")
    reporter = Reporter(run)
    with pytest.raises(Stopped, match=r"--max-silence\): ended in epoch 1; resume") as ended:
        heed(run, reporter, lambda: False, "in epoch 1; resume continues after epoch 0.")
    assert ended.value.state == "failed"


@pytest.mark.parametrize(
    ("wish", "code", "state", "begins"),
    [("It ran for 2.00 h", 1, "failed", "It ran for 2.00 h: ended "), ("", 0, "stopped", "Stopped on request ")],
)
def test_a_real_training_is_failed_by_a_limit_and_stopped_by_a_person(new_run, wish, code, state, begins):
    run = new_run()
    (run.path / "stop").write_text(wish)
    assert train_run(run.path) == code
    assert (Run(run.path).state, Run(run.path).stop_requested) == (state, False)
    assert Run(run.path).status["reason"].startswith(begins)
