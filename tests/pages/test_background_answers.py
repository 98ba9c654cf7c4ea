"""What the Launch form asks in the background: true answers are kept for all, within bounds; failures for nobody."""

import subprocess
import time
from types import SimpleNamespace

import pytest
from opened import COUNTS, ESTIMATE, MEASURED, ran, texts

from colora.system.devices import Gpu, Machine
from colora.system.errors import UserError


def metrics(app) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def asking(monkeypatch, command, *answers) -> list[str]:
    """What `colora params` answers, one after another, and the last one for good; returns which commands were asked."""
    asked, left = [], list(answers)

    def run_colora(arguments, timeout=0):
        asked.append(arguments[0])
        if arguments[0] == "preflight":
            return ESTIMATE
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(command, "run_colora", run_colora)
    return asked


def test_a_failure_is_told_once_with_try_again_and_kept_for_nobody(command, open_page, monkeypatch):
    killed = command.Unanswered("colora params was killed by signal 9: it said nothing")
    asked = asking(monkeypatch, command, killed, COUNTS)
    app = open_page("launch")
    assert "Trained" not in metrics(app)
    assert app.warning[0].value == "Not known: colora params was killed by signal 9: it said nothing"
    assert "cannot be built" not in texts(app)
    assert metrics(open_page("launch"))["Trained"] == "0.91 M"  # another browser
    assert asked.count("params") == 2
    assert "Trained" not in metrics(ran(app)) and asked.count("params") == 2  # it is not asked at every letter typed
    app.button(key="again-params").click()
    assert metrics(ran(app))["Trained"] == "0.91 M"
    assert not [button for button in app.button if button.key == "again-params"]
    assert asked.count("params") == 2 and asked.count("preflight") == 1  # what the other browser was told is true


def test_a_refusal_is_a_sentence_and_stands_as_long_as_the_settings_do(command, open_page, monkeypatch):
    refusal = UserError("ResNet-50 needs images of at least 32 px.")
    asked = asking(monkeypatch, command, refusal)
    app = open_page("launch")
    said = "This model cannot be built. ResNet-50 needs images of at least 32 px."
    assert said in texts(ran(app)) and "Time" not in metrics(app)  # what it takes would be refused in the same words
    assert not [button for button in app.button if button.key.startswith("again")]
    assert asked.count("params") == 1


@pytest.mark.parametrize(
    ("done", "says", "failed"),
    [
        (SimpleNamespace(returncode=2, stderr="colora params: No.", stdout=""), "No.", False),
        (SimpleNamespace(returncode=-9, stderr="", stdout=""), "killed by signal 9: it said nothing", True),
        (SimpleNamespace(returncode=1, stderr="x\nNo module named 'torch'", stdout=""), "named 'torch'", True),
        (SimpleNamespace(returncode=0, stderr="", stdout='{"features": 6'), "cannot be read", True),
        (subprocess.TimeoutExpired("colora", 120), "not answered within 120 s", True),
        (OSError(12, "Cannot allocate memory"), "Cannot allocate memory", True),
        (ValueError("embedded null byte"), "embedded null byte", False),
    ],
)
def test_what_is_a_failure_and_what_a_refusal(command, monkeypatch, done, says, failed):
    def run(*_, **__):
        if isinstance(done, Exception):
            raise done
        return done

    monkeypatch.setattr(command.subprocess, "run", run)
    with pytest.raises(UserError, match=says) as told:
        command.run_colora(["params"])
    assert isinstance(told.value, command.Unanswered) == failed


def test_answers_are_kept_within_bounds_the_last_used_ones(command, monkeypatch):
    asked = []
    monkeypatch.setattr(command, "KEPT_ANSWERS", 2)
    monkeypatch.setattr(command, "run_colora", lambda question: asked.append(question[0]) or {})
    answers = command._Answers()
    for question in ("a", "b", "a", "c", "d", "a", "b"):
        answers.to((question,)).result(60)
    assert asked == ["a", "b", "c", "d", "b"]  # when d was asked, c and a were the last used
    assert len(answers._answers) <= 3


def test_times_of_a_busy_computer_are_those_of_others_for_a_minute_only(command, monkeypatch):
    asked = []

    def run_colora(question):
        asked.append(question)
        return {"busy": "2 trainings run" if question[0] == "busy" else None}

    monkeypatch.setattr(command, "run_colora", run_colora)
    answers = command._Answers()
    for question in ("busy", "idle", "busy"):
        answers.to((question,)).result(60)
    assert asked == [("busy",), ("idle",)]
    later = time.monotonic() + 61
    monkeypatch.setattr(command.time, "monotonic", lambda: later)
    for question in ("busy", "idle"):
        answers.to((question,)).result(60)
    assert asked == [("busy",), ("idle",), ("busy",)]


def test_a_background_question_asks_for_no_session(command, monkeypatch, caplog):
    done = SimpleNamespace(returncode=0, stderr="", stdout="{}")
    monkeypatch.setattr(command.subprocess, "run", lambda *_, **__: done)
    assert command._Answers().to(("params",)).result(60) == {}
    assert "ScriptRunContext" not in caplog.text


def test_the_memory_and_the_load_are_those_of_now(command, open_page, monkeypatch):
    on_gpu = {"device": "cuda", "gpu_free_bytes": 22_500_000_000, "gpu_bytes": 24_000_000_000}
    answer = ESTIMATE | {"measured": MEASURED | on_gpu}
    monkeypatch.setattr(command, "run_colora", lambda a, timeout=0: answer if a[0] == "preflight" else COUNTS)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    from pages.components.machine import machine_now

    def here(used: int, busy: float) -> None:
        gpus = (Gpu(0, "NVIDIA L4", busy, used, 24_000_000_000),)
        found = Machine(16, 0.0, 0, 16_000_000_000, 0, 270_000_000_000, gpus, None)
        monkeypatch.setattr("pages.components.machine.machine", lambda folder: found)
        machine_now.clear()

    here(11_000_000_000, 0.0)
    app = open_page("launch")
    memory = next(metric for metric in app.metric if metric.label == "Memory")
    assert memory.help == "One run's share; 13.0 GB are free on cuda now."
    assert "It takes longer while" not in texts(app)
    here(23_500_000_000, 0.97)
    memory = next(metric for metric in ran(app).metric if metric.label == "Memory")
    assert memory.help == "One run's share; 500.0 MB are free on cuda now."
    assert "It takes longer while 97% of the GPU are taken, as now." in texts(app)
    assert "This does not fit into the memory that is free now" in app.warning[0].value
    machine_now.clear()
