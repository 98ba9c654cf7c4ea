"""What the supervisor does to processes: foreign ones, whatever files name them; halted, silent and overlong runs."""

import subprocess

import pytest
import stand_in
from queueing import PATIENCE_SECONDS, wait_for

import colora.queue.actions
from colora.queue.actions import requeue, retry, stop
from colora.queue.slots import make_slots
from colora.queue.supervisor import Supervisor
from colora.runs.folder import ACTIVE, STATES, Group, Run
from colora.runs.listing import trainings
from colora.runs.trash import remove
from colora.runs.verdict import process_file
from colora.system.files import write_json
from colora.system.process import identity, is_alive


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
