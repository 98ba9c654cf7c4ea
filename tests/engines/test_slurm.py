"""SLURM's engine without a SLURM: states of a group's seeds, why jobs end, a task's first look."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import stand_in

from colora.cli.runs import look_beyond
from colora.engines.engine import ENGINES
from colora.engines.slurm import engine as engine
from colora.engines.slurm import records, task
from colora.engines.slurm.ending import ending, waits_for
from colora.engines.slurm.jobs import Job
from colora.engines.slurm.site import Site
from colora.engines.view import rows
from colora.queue import order
from colora.queue.actions import move
from colora.queue.supervisor import Supervisor, finds_work
from colora.runs.folder import Group, Run, create_group, own_process, write_json
from colora.settings.config import RunConfig
from colora.system.errors import UserError


@pytest.fixture
def group(tmp_path, site_file) -> Group:
    """Two seeds, submitted as job 12."""
    place = order.last_place(tmp_path / "runs") | {"submission": 1}
    group = create_group(tmp_path / "runs", "g", RunConfig(epochs=5), [0, 3], place, engine="slurm")
    assert records.claim(group.path) == 1
    records.write_submission(group.path, 1, job="12", seeds=[0, 3], request=Site().model_dump())
    return group


@pytest.fixture
def says(monkeypatch):
    """A function that lets SLURM say this of its jobs, and nothing in its accounting."""

    def let(*known: Job, accounting: tuple[Job, ...] = ()) -> None:
        monkeypatch.setattr(engine, "ask", lambda site, ids: {job.task: job for job in known})
        monkeypatch.setattr(engine, "remembered", lambda site, job_id: {job.task: job for job in accounting})

    return let


def set_state(run: Run, state: str, **changes) -> None:
    lines = [json.dumps(stand_in.found(epoch)) + "\n" for epoch in range(1, changes.get("epoch", 0) + 1)]
    if lines:
        (run.path / "metrics.jsonl").write_text("".join(lines))
    write_json(run.path / "status.json", Run(run.path).written_status() | {"state": state} | changes)


def states(group: Group) -> list[str]:
    engine.look(group, pause=0)
    return [run.state for run in Group(group.path).runs]


def test_a_seed_whose_end_only_the_accounting_knows_waits_for_its_word(group, says, monkeypatch):
    asked = []

    def refuse(site, job_id):
        asked.append(job_id)
        raise UserError("the database is away")

    first, second = group.runs
    set_state(first, "running", epoch=2, heartbeat=1.0, process=own_process())
    says()
    monkeypatch.setattr(engine, "remembered", refuse)
    for _ in range(2):  # the second answer is the first one's
        with pytest.raises(UserError, match="the database is away"):
            engine.look(group, pause=600)
    assert [run.written_status()["state"] for run in (first, second)] == ["running", "queued"] and asked == ["12"]
    (second.path / "stop").touch()
    assert engine.stop(group, 0)[3] == "stopped"  # which needs no accounting
    says(accounting=(Job("12_0", "TIMEOUT", "n7"),))
    assert states(group) == ["failed", "stopped"]
    engine.look(group)


def test_a_command_that_waits_says_once_that_slurm_does_not_answer(group, monkeypatch, capsys):
    answers = iter([UserError("it is away"), UserError("it is away"), {}, UserError("it is away")])

    def ask(site, ids):
        if isinstance(answer := next(answers), UserError):
            raise answer
        return answer

    monkeypatch.setattr(engine, "ask", ask)
    monkeypatch.setattr(engine, "remembered", lambda site, job_id: {"12_0": Job("12_0", "PENDING")})
    monkeypatch.setattr(engine.look, "__defaults__", (0,))
    set_state(group.runs[0], "running", process=own_process() | {"host": "n7"})
    said = []
    for _ in range(4):
        look_beyond(group)
        said.append(capsys.readouterr().err)
    assert said == ["Not asked: it is away\n", "", "", "Not asked: it is away\n"]


def test_a_job_that_slurm_killed_has_that_reason(group, says):
    first, second = group.runs
    set_state(first, "running", epoch=2, process=own_process())
    set_state(second, "running", epoch=0, process=own_process())
    says(Job("12_0", "OUT_OF_MEMORY", "n7"), Job("12_3", "NODE_FAIL", "n8"))
    assert states(group) == ["failed", "lost"]
    assert Run(first.path).status["reason"] == (
        "SLURM ended its job 12_0 on n7 for using more than the 16G of memory it had asked for: raise memory for this "
        "group, or lower the batch size. Resume continues after epoch 2."
    )
    assert Run(second.path).status["reason"].startswith("The node of its job 12_3 on n8 failed.")
    assert records.read_job(first.path)["state"] == "OUT_OF_MEMORY"


@pytest.mark.parametrize(
    ("job", "last", "state", "words"),
    [
        (Job("1_0", "TIMEOUT", "n"), {}, "failed", "at the time limit of 24:00:00"),
        (Job("1_0", "PREEMPTED", "n"), {}, "failed", "was preempted"),
        (Job("1_0", "CANCELLED"), {}, "stopped", "cancelled with SLURM's own commands"),
        (Job("1_0", "FAILED", reason="NonZeroExitCode"), {}, "failed", "NonZeroExitCode. .*\nno module"),
        (Job("1_0", "DEADLINE"), {}, "failed", "deadline"),
        (Job("1_0", "LAUNCH_FAILED"), {}, "failed", "SLURM ended its job 1_0: LAUNCH_FAILED"),
        (None, {}, "lost", "keeps no accounting"),
        (None, {"told": ["SIGTERM"], "seconds": 900}, "lost", "preempted"),
        (None, {"told": ["SIGTERM"], "seconds": 86_390}, "failed", "at the time limit"),
        (None, {"told": [], "oom_kills": 1, "seconds": 5}, "failed", "16G of memory"),
    ],
)
def test_every_ending_says_what_to_do(job, last, state, words):
    found = ending(job, "1_0", {"epoch": 3}, Site().model_dump(), last, "no module")
    assert found["state"] == state and "Resume continues after epoch 3." in found["reason"]
    assert re.search(words, found["reason"], re.DOTALL)


def test_reasons_for_waiting_are_explained_where_they_are_known():
    assert waits_for("Resources") == "for free nodes or GPUs (Resources)"
    assert waits_for("QOSMaxNodePerUserLimit") == "QOSMaxNodePerUserLimit"
    assert waits_for("") == "SLURM has not looked at it yet"


def test_what_the_run_says_itself_comes_first(group, says, monkeypatch):
    run = group.runs[0]
    set_state(run, "running", epoch=2, process=own_process())
    known = {"12_0": Job("12_0", "COMPLETED", "n7")}

    def ask(site, ids):  # the run ends while SLURM is asked
        set_state(run, "done", process=None)
        return known

    monkeypatch.setattr(engine, "ask", ask)
    monkeypatch.setattr(engine, "remembered", lambda site, job_id: {})
    assert states(group)[0] == "done"


def test_requeued_without_a_word_it_is_queued_again(group, says):
    set_state(group.runs[0], "running", epoch=2, process=own_process())
    says(Job("12_0", "PENDING", reason="BeginTime"), Job("12_3", "PENDING", reason="Resources"))
    assert states(group) == ["queued", "queued"]
    assert Run(group.runs[0].path).status["reason"] == "SLURM runs it again; it goes on after epoch 2."
    assert engine.note(group.runs[1]) == "in SLURM as 12_3: for free nodes or GPUs (Resources)"


def test_what_slurm_has_forgotten_is_asked_of_its_accounting_and_heartbeats_are_believed(group, says, monkeypatch):
    first, second = group.runs
    set_state(first, "running", epoch=2, process=own_process())
    monkeypatch.setattr("colora.runs.verdict._heard", {})
    says(accounting=(Job("12_3", "TIMEOUT", "n1", reason="TIMEOUT"),))
    assert states(group) == ["running", "failed"]  # the first one's heart beats
    assert "time limit" in Run(second.path).status["reason"]
    set_state(first, "running", heartbeat=1.0)  # long ago by every clock
    monkeypatch.setattr("colora.runs.verdict._heard", {})
    assert states(group)[0] == "lost"
    assert "keeps no accounting" in Run(first.path).status["reason"]


def test_a_wish_to_stop_stays_until_a_run_whose_heart_beats_has_heeded_it(group, says, monkeypatch):
    run = group.runs[0]
    set_state(run, "running", epoch=2, process=own_process() | {"host": "n7"})
    monkeypatch.setattr("colora.runs.verdict._heard", {})
    says()
    (run.path / "stop").touch()
    assert states(group)[0] == "stopping" and run.stop_requested
    set_state(run, "running", heartbeat=1.0)
    monkeypatch.setattr("colora.runs.verdict._heard", {})
    assert states(group)[0] == "stopped" and not run.stop_requested


def test_resume_leaves_alone_what_lives_though_slurm_does_not_know_it(group, says, monkeypatch):
    first, second = group.runs
    set_state(first, "running", epoch=2, process=own_process() | {"host": "n7"})
    set_state(second, "stopped")
    monkeypatch.setattr("colora.runs.verdict._heard", {})
    submitted = []
    monkeypatch.setattr(engine, "_submit", lambda group, runs, priority: submitted.append(runs) or {"job": "13"})
    says()
    assert engine.resume(group) == {"seeds": [3], "job": "13"} and submitted == [[second]]
    set_state(second, "done")
    with pytest.raises(UserError, match="g has no stopped, failed or lost seed to resume"):
        engine.resume(group)


def test_a_run_that_slurm_just_said_to_run_is_not_lost_by_a_wrong_clock(group, says, monkeypatch):
    run = group.runs[0]
    set_state(run, "running", heartbeat=time.time() - 3600, process=own_process() | {"host": "n7"})
    monkeypatch.setattr("colora.runs.verdict._heard", {})
    monkeypatch.setattr("colora.runs.verdict._vouched", {})
    assert Run(run.path).state == "lost"  # nobody has asked SLURM
    says(Job("12_0", "RUNNING", "n7"), Job("12_3", "PENDING"))
    assert states(group)[0] == "running"
    later = time.monotonic() + 121
    monkeypatch.setattr("colora.runs.verdict.time.monotonic", lambda: later)
    assert Run(run.path).state == "lost"


def test_the_launch_hears_that_its_priority_has_no_effect(group, monkeypatch, capsys):
    """As sbatch tells it to whoever is no administrator of SLURM's, with exit code 0; ssh's banner is not its own."""

    def answer(site, command, text=""):
        remarks = "Authorized use only\nsbatch: error: Nice value must be non-negative, value ignored\n"
        return "13\n", remarks if "--nice=-2000" in text else ""

    monkeypatch.setattr(engine, "answer", answer)
    monkeypatch.setattr(engine, "call", lambda site, command, text="": "")
    assert engine.start(group) == {"job": "13"}
    begun = engine.start(group, priority=2)
    assert begun["job"] == records.submission_of(group.runs[0].path)["job"] == "13"
    assert begun["remark"] == (
        "error: Nice value must be non-negative, value ignored; Only SLURM's administrators put jobs before those of "
        "others: priority above 0 has no effect here"
    )


def test_a_suspended_job_is_not_lost(group, says, monkeypatch):
    run = group.runs[0]
    set_state(run, "running", heartbeat=1.0, process=own_process() | {"host": "n7"})
    monkeypatch.setattr("colora.runs.verdict._heard", {})
    assert Run(run.path).state == "lost"
    says(Job("12_0", "SUSPENDED", "n7"), Job("12_3", "PENDING"))
    assert states(group) == ["running", "queued"]


def test_a_killed_training_on_a_node_may_want_more_memory(group, monkeypatch):
    run = group.runs[0]
    set_state(run, "running", epoch=1, process=own_process())
    ending = {"guard": own_process(), "child": own_process(), "code": None, "signal": 9, "oom_kills": 1}
    write_json(run.path / "exit.json", ending)
    assert task.conclude(run.path, [], -9, 0) == 1
    reason = Run(run.path).status["reason"]
    assert Run(run.path).state == "failed" and "lack of memory" in reason and "Or raise memory" in reason


@pytest.mark.parametrize("refusal", ["job may not be requeued", "nothing"])
def test_a_turn_that_slurm_does_not_grant_again_fails_with_its_words(group, monkeypatch, tmp_path, refusal):
    """The time limit is near, and the job has requeue = false, or scontrol does not answer."""
    run = group.runs[0]
    says = "exec sleep 60" if refusal == "nothing" else f"echo $* {refusal} >&2; exit 1"
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\n{says}\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    monkeypatch.setattr(task, "REQUEUE_SECONDS", 0.5 if refusal == "nothing" else 60)
    set_state(run, "queued", epoch=2, reason="SLURM took its place back")
    assert task.conclude(run.path, [signal.SIGUSR1], 0, first_epoch=1) == 1
    words = "scontrol has not answered within 0.5 s" if refusal == "nothing" else f"requeue 12_0 {refusal}"
    assert Run(run.path).state == "failed" and Run(run.path).status["reason"] == (
        f"The job's time limit is over and SLURM does not run it again ({words}). Resume continues after epoch 2."
    )


def test_tasks_cancelled_while_they_waited_are_found_under_the_arrays_number(group, says):
    (group.runs[0].path / "stop").touch()
    says(Job("12", "CANCELLED"))
    assert states(group) == ["stopped", "stopped"]
    reasons = [Run(run.path).status["reason"] for run in group.runs]
    assert reasons[0] == "Stopped on request before it started." and "cancelled with SLURM's own commands" in reasons[1]
    assert not Run(group.runs[0].path).stop_requested


def test_slurms_runs_are_not_this_machines(group):
    supervisor = Supervisor(group.path.parent, slots=[], tell=lambda said: None)
    set_state(group.runs[0], "running", process=own_process() | {"started": 0.0})
    assert not supervisor.turn() and not finds_work(group.path.parent)
    assert Run(group.runs[0].path).state == "running"  # its heart beats, and pids are not asked
    assert order.waiting(group.path.parent) == []
    assert [(row["seed"], row["state"], row["place"]) for row in rows(group.path.parent)] == [
        (0, "running", None), (3, "queued", None)
    ]  # fmt: skip
    with pytest.raises(UserError, match="Nothing of 'g' waits"):
        move(group.path.parent, "g", "first")
    assert set(ENGINES) == {"local", "slurm"}


def test_two_hosts_never_claim_the_same_submission(group):
    assert [records.claim(group.path) for _ in range(3)] == [2, 3, 4]
    assert records.submissions(group.path) == [1, 2, 3, 4]
    assert records.submission_of(group.runs[0].path)["job"] == "12"


def test_a_task_leaves_alone_what_is_not_its_own(group, monkeypatch, capsys):
    monkeypatch.setattr(task, "ATTRIBUTES_SECONDS", 0.05)
    monkeypatch.setattr(task, "POLL_SECONDS", 0.01)
    run = group.runs[0]
    assert task.is_ours(run.path, 1)
    assert not task.is_ours(run.path, 2)  # the file system has not heard of it within a minute
    write_json(run.path / "queue.json", order.place(run.path) | {"submission": 5})
    assert not task.is_ours(run.path, 1)
    assert "belongs to submission 5, not to 1: left alone" in capsys.readouterr().out
    assert task.may_begin(run.path)
    set_state(run, "running", process=own_process() | {"host": "elsewhere"})
    assert task.may_begin(run.path)  # its heart does not beat
    monkeypatch.setattr(task, "ATTRIBUTES_SECONDS", 60)
    beats = iter(range(10))
    monkeypatch.setattr(task.time, "sleep", lambda seconds: set_state(run, "running", heartbeat=float(next(beats))))
    assert not task.may_begin(run.path)
    assert "is being trained on elsewhere" in capsys.readouterr().out
    for state in ("done", "stopped"):
        set_state(run, state, process=None)
        assert not task.may_begin(run.path)
    set_state(run, "queued")
    (run.path / "stop").touch()
    assert not task.may_begin(run.path)
    assert Run(run.path).state == "stopped" and not Run(run.path).stop_requested


def test_the_engine_needs_no_torch():
    code = "import sys, colora.engines.slurm.engine, colora.engines.local, colora.engines.slurm.script; "
    code += "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = "import sys, colora.engines.slurm.task; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
