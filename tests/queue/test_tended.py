"""What the supervisor does to processes: foreign ones, whatever files name them; halted, silent and overlong runs."""

import re
import signal
import subprocess

import pytest
import stand_in
from queueing import PATIENCE_SECONDS, wait_for

import colora.queue.actions
from colora.queue.actions import ask_to_stop, requeue, retry, stop
from colora.queue.slots import make_slots
from colora.queue.supervisor import Supervisor
from colora.runs.folder import ACTIVE, STATES, Group, Run
from colora.runs.listing import trainings
from colora.runs.trash import remove
from colora.runs.verdict import process_file
from colora.system.files import write_json
from colora.system.process import identity, is_alive, is_halted, send, tree


@pytest.fixture
def foreign(monkeypatch):
    """A program of this user that has nothing to do with any run."""
    monkeypatch.setattr(colora.queue.actions, "ensure_supervisor", lambda runs_dir: None)
    program = subprocess.Popen(["sleep", "600"])
    yield program
    program.kill()
    program.wait()


def name_it(group: Group, state: str, program: subprocess.Popen) -> None:
    """Let every file of the group's runs name a foreign process, as what is active and as what has been."""
    known = identity(program.pid)
    for run in group.runs:
        write_json(run.path / "status.json", run.written_status() | {"state": state, "process": known})
        write_json(run.path / "process.json", {"guard": known, "child": known, "slot": "cpu-0"})


def supervisor_of(lab, **patience) -> Supervisor:
    """One that is turned by hand, and whose patience ends at once."""
    patience = {"term_after": 0, "kill_after": 0} | patience
    return Supervisor(lab.runs_dir, make_slots(cpu_slots=1), stand_in.command, **patience, tell=lambda said: None)


@pytest.mark.parametrize("wish", [False, True])
def test_a_foreign_process_is_never_believed_adopted_or_signalled(lab, foreign, wish):
    """Whatever files name it, of runs in any state."""
    states = [state for state in STATES if state != "damaged"]
    groups = {state: lab.group(state, epochs=1, seconds=0.01) for state in states}
    for state, group in groups.items():
        name_it(group, state, foreign)
        if wish:
            (group.runs[0].path / "stop").touch()
    assert trainings(lab.runs_dir) == []
    assert lab.states(groups["running"]) == ["stopped" if wish else "lost"]
    supervisor = supervisor_of(lab)
    for _ in range(5):
        supervisor.turn()
    wait_for(lambda: not supervisor.turn())
    gone = "stopped" if wish else "lost"
    expected = {state: gone if state in ACTIVE else state for state in states}
    expected["queued"] = "stopped" if wish else "done"
    assert {state: lab.states(group)[0] for state, group in groups.items()} == expected
    assert foreign.poll() is None


def test_nor_whatever_is_done_to_the_run_then(lab, foreign):
    group, supervisor = lab.group("g", epochs=1, seconds=0.01), supervisor_of(lab)
    name_it(group, "queued", foreign)
    assert stop(Group(group.path)) == {0: "stopped"}
    name_it(group, "running", foreign)
    assert stop(Group(group.path)) == {0: "lost"}  # there is nothing to stop
    assert requeue(Group(group.path)) == [0]
    name_it(group, "stopping", foreign)
    wait_for(lambda: not supervisor.turn())
    assert retry(Group(group.path))["seeds"] == [0]
    name_it(group, "queued", foreign)
    wait_for(lambda: not supervisor.turn())
    assert lab.states(group) == ["done"]
    name_it(group, "starting", foreign)
    remove(Group(group.path))
    assert foreign.poll() is None and not group.path.exists()


def test_beside_a_real_guard_a_foreign_training_is_left_alone_and_the_real_one_ends(lab, foreign):
    """process.json and status.json were changed while it runs: what hangs below its guard is the run's."""
    group = lab.group("g", seconds=600, deaf=True, family=True)
    supervisor = supervisor_of(lab, kill_after=0.3)
    supervisor.turn()
    run, trainer = group.runs[0], lab.trainer(group.runs[0])
    wait_for(lambda: Run(run.path).state == "running")
    known = identity(foreign.pid)
    write_json(run.path / "process.json", process_file(run.path) | {"child": known})
    write_json(run.path / "status.json", run.written_status() | {"process": known})
    assert Run(run.path).state == "running"
    (run.path / "stop").touch()
    wait_for(lambda: not supervisor.turn(), PATIENCE_SECONDS)
    assert not is_alive(trainer) and foreign.poll() is None
    assert Run(run.path).state == "stopped"


def halted(lab, group: Group, members: int = 1) -> dict:
    """The training process of a group's only run, once it runs with all its family and has been stopped as by
    Ctrl-Z."""
    wait_for(lambda: Run(group.runs[0].path).state == "running")
    trainer = lab.trainer(group.runs[0])
    wait_for(lambda: len(tree(trainer)) >= members)
    assert send(trainer, signal.SIGSTOP)
    wait_for(lambda: is_halted(trainer))
    return trainer


def test_a_halted_run_is_woken_to_hear_the_wish_to_stop_and_its_slot_is_free(lab):
    group, other = lab.group("g", epochs=9, seconds=600), lab.group("other", epochs=9, seconds=600)
    lab.supervise(term_after=600)
    trainer = halted(lab, group)
    assert stop(Group(group.path)) == {0: "stopped"}
    assert Run(group.runs[0].path).status["reason"] == "Stopped on request in epoch 1."
    assert not is_alive(trainer)
    lab.until(other, "running")


@pytest.mark.parametrize("with_its_guard", [False, True])
def test_a_halted_run_that_is_deaf_is_killed_and_its_slot_is_free(lab, with_its_guard):
    group, other = lab.group("g", seconds=600, deaf=True, family=True), lab.group("other", epochs=1, seconds=0.01)
    supervisor = supervisor_of(lab, kill_after=0.3)
    supervisor.turn()
    trainer = halted(lab, group, members=3)
    family = tree(trainer)
    if with_its_guard:
        send(process_file(group.runs[0].path)["guard"], signal.SIGSTOP)
    (group.runs[0].path / "stop").touch()
    wait_for(lambda: not supervisor.turn())
    assert not any(map(is_alive, family))
    assert Run(group.runs[0].path).status["reason"].startswith("Stopped on request: its process was ended.")
    assert lab.states(group) + lab.states(other) == ["stopped", "done"]


def limited(lab, name: str = "g", limits: dict | None = None, **plan) -> Group:
    group = lab.group(name, **plan)
    write_json(group.path / "group.json", group.info | {"limits": limits})
    return Group(group.path)


@pytest.fixture
def short_limits(monkeypatch):
    """Those of a test may be shorter than a launch may ask for."""
    monkeypatch.setattr("colora.runs.limits.LEAST_SILENCE_SECONDS", 0)


@pytest.mark.parametrize("heeds", [True, False])
def test_a_run_that_is_silent_too_long_is_ended_with_that_reason_and_resumes(lab, short_limits, heeds):
    """A heart that beats is no sign of work: what counts is what the training itself tells."""
    group = limited(lab, limits={"max_silence": 1}, epochs=2, seconds=600, mute=True, deaf=not heeds)
    supervisor = supervisor_of(lab, term_after=600 if heeds else 0)
    wait_for(lambda: not supervisor.turn())
    run = Run(group.runs[0].path)
    how = "ended in epoch 1." if heeds else "its process was ended. Resume continues after epoch 0."
    assert re.fullmatch(
        rf"It was silent for \d+ s, beyond the limit of 1 s \(--max-silence\): {re.escape(how)}",
        run.status["reason"],
    )
    assert run.state == "failed" and not run.stop_requested
    lab.plan(group, epochs=2, seconds=0.01)
    assert requeue(Group(group.path)) == [0]
    wait_for(lambda: not supervisor.turn())
    assert lab.states(group) == ["done"]


def test_a_halted_run_is_ended_by_its_limit_too(lab, short_limits):
    group = limited(lab, limits={"max_silence": 2}, seconds=600, deaf=True)
    supervisor = supervisor_of(lab)
    supervisor.turn()
    trainer = halted(lab, group)
    wait_for(lambda: not supervisor.turn())
    assert "--max-silence): its process was ended" in Run(group.runs[0].path).status["reason"]
    assert not is_alive(trainer)


def test_a_run_is_ended_after_its_hours_which_count_anew_from_a_resume_on(lab, monkeypatch):
    group = limited(lab, limits={"max_hours": 2}, epochs=9, seconds=600)
    supervisor, run = supervisor_of(lab, term_after=600), group.runs[0].path
    supervisor.turn()
    first = lab.trainer(group.runs[0])
    monkeypatch.setattr("colora.queue.tended.age_seconds", lambda known: 7290 if known["pid"] == first["pid"] else 7190)
    wait_for(lambda: not supervisor.turn())
    said = "It ran for 2.02 h, beyond the limit of 2 h (--max-hours): ended in epoch 1."
    assert (Run(run).state, Run(run).status["reason"]) == ("failed", said)
    assert requeue(Group(group.path)) == [0]
    supervisor.turn()
    assert lab.trainer(group.runs[0]) != first
    wait_for(lambda: Run(run).state == "running")
    for _ in range(3):
        supervisor.turn()
    assert Run(run).state == "running" and not Run(run).stop_requested
    ask_to_stop(Group(group.path))
    wait_for(lambda: not supervisor.turn())


def test_what_ended_a_run_is_known_also_when_the_supervisor_dies_over_it(lab, short_limits):
    """And a person's wish that comes later does not hide it."""
    group = limited(lab, limits={"max_silence": 0.5}, seconds=600, mute=True, deaf=True)
    first = supervisor_of(lab, term_after=600)
    run = group.runs[0].path
    wait_for(lambda: first.turn() and (run / "stop").exists())
    ask_to_stop(Group(group.path))
    assert Run(run).state == "stopping"
    second = supervisor_of(lab)
    wait_for(lambda: not second.turn())
    assert Run(run).state == "failed" and "beyond the limit of 0.5 s (--max-silence)" in Run(run).status["reason"]
    first.tended.clear()
