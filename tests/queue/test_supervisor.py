"""The supervisor over stand-in runs: order, adoption, deaths with their reasons, stops that leave nothing alive."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import stand_in
from queueing import PATIENCE_SECONDS, wait_for

import colora.queue.supervisor
from colora.queue import order
from colora.queue.actions import move, requeue, stop
from colora.queue.detach import detached
from colora.queue.slots import make_slots
from colora.queue.supervisor import Supervisor, ensure_supervisor, supervising
from colora.runs.folder import Group, Run
from colora.runs.verdict import process_file
from colora.system.files import read_json, read_json_lines, write_json
from colora.system.process import is_alive, own_process, tree


def started_order(groups) -> list[str]:
    runs = [run.path for group in groups for run in group.runs]
    runs.sort(key=lambda path: process_file(path)["started"])
    return [f"{path.parent.name}-{int(path.name[-2:])}" for path in runs]


def test_first_in_first_out_by_priority_and_moved_ones(lab):
    plan = {"epochs": 1, "seconds": 0.05}
    groups = [lab.group("a", 2, **plan), lab.group("b", **plan), lab.group("c", priority=1, **plan)]
    groups += [lab.group("d", 2, **plan)]
    move(lab.runs_dir, "d/seed-01", "first")
    move(lab.runs_dir, "a", "last")
    lab.supervise()
    for group in groups:
        lab.until(group, *["done"] * len(group.runs))
    assert started_order(groups) == ["c-0", "d-1", "b-0", "d-0", "a-0", "a-1"]


def test_slots_are_filled_and_never_more(lab):
    group = lab.group("g", 4, epochs=1, seconds=600)
    lab.supervise(slots=2)
    lab.until(group, "running", "running", "queued", "queued")
    time.sleep(0.5)  # some turns
    assert lab.states(group) == ["running", "running", "queued", "queued"]
    for run in group.runs:
        (run.path / "go").touch()
    lab.until(group, *["done"] * 4)
    wait_for(lambda: all((run.path / "exit.json").exists() for run in group.runs))
    spans = [(process_file(r.path)["started"], read_json(r.path / "exit.json")["finished"]) for r in group.runs]
    at_once = [sum(begin <= moment < end for begin, end in spans) for moment, _ in spans]
    assert max(at_once) == 2
    assert {process_file(run.path)["slot"] for run in group.runs} == {"cpu-0", "cpu-1"}


def test_of_two_supervisors_one_works(lab):
    group = lab.group("g", 1, seconds=600)
    both = [lab.supervise(), lab.supervise()]
    wait_for(lambda: any(one.poll() is not None for one in both))
    assert sorted(one.poll() is None for one in both) == [False, True]
    assert next(one for one in both if one.poll() is not None).returncode == 4
    (group.runs[0].path / "go").touch()
    lab.until(group, "done")
    assert supervising(lab.runs_dir)["pid"] == next(one.pid for one in both if one.poll() is None)


def test_runs_outlive_their_supervisor_and_the_next_adopts_them(lab):
    group = lab.group("g", 2, epochs=3, seconds=600)
    first = lab.supervise()
    trainer = lab.trainer(group.runs[0])
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert is_alive(trainer) and Run(group.runs[0].path).state in ("starting", "running")
    assert supervising(lab.runs_dir) is None
    lab.supervise()
    wait_for(lambda: "g/seed-00: adopted" in lab.log())
    for run in group.runs:
        (run.path / "go").touch()
    lab.until(group, "done", "done")
    assert [row["epoch"] for row in read_json_lines(group.runs[0].path / "metrics.jsonl")] == [1, 2, 3]
    assert process_file(group.runs[1].path)["slot"] == "cpu-0"


def test_a_killed_run_failed_with_its_reason_and_resumes(lab):
    group = lab.group("g", 1, epochs=1000, seconds=0.3, say="the last line")
    lab.supervise()
    run = group.runs[0].path
    wait_for(lambda: Run(run).written_status()["epoch"] >= 1)
    os.kill(lab.trainer(group.runs[0])["pid"], signal.SIGKILL)
    wait_for(lambda: Run(run).state == "failed", what=lambda: Run(run).status)
    wait_for(lambda: Run(run).written_status()["state"] == "failed")
    reason = Run(run).status["reason"]
    assert "killed by signal 9 (SIGKILL), probably out of memory" in reason
    assert reason.endswith("the last line")
    finished = len(read_json_lines(run / "metrics.jsonl"))
    lab.plan(group, epochs=finished + 2, seconds=0.1)
    requeue(Group(group.path))
    lab.until(group, "done")
    assert [row["epoch"] for row in read_json_lines(run / "metrics.jsonl")] == list(range(1, finished + 3))


def test_how_a_run_ended_is_read_without_any_supervisor(lab):
    codes = lab.group("g", 1, epochs=2, seconds=600, exit=7, say="bad luck")
    full = lab.group("full", 1, seconds=600, exit=1, say="OSError: [Errno 28] No space left on device")
    killed = lab.group("killed", 1, seconds=600)
    supervisor = lab.supervise(slots=3)
    trainers = [lab.trainer(group.runs[0]) for group in (codes, full, killed)]
    supervisor.kill()
    for group in (codes, full):
        (group.runs[0].path / "go").touch()
    wait_for(lambda: not is_alive(trainers[0]) and not is_alive(trainers[1]))
    lab.until(codes, "failed")
    assert Run(codes.runs[0].path).status["reason"].startswith("The training process ended with exit code 7. Resume")
    assert Run(codes.runs[0].path).status["reason"].endswith("bad luck")
    lab.until(full, "failed")
    assert "is full: free some space" in Run(full.runs[0].path).status["reason"]
    for number in (process_file(killed.runs[0].path)["guard"]["pid"], trainers[2]["pid"]):
        os.kill(number, signal.SIGKILL)  # the guard too: nobody could write anything down
    lab.until(killed, "lost")


def test_a_stop_that_is_heeded(lab):
    group = lab.group("g", 2, epochs=9, seconds=600)
    lab.supervise(term_after=600)
    lab.until(group, "running", "queued")
    begin = time.monotonic()
    assert stop(Group(group.path), 500) == {0: "stopped", 1: "stopped"}
    assert time.monotonic() - begin < 500  # nobody waited for the grace to end
    assert Run(group.runs[1].path).status["reason"] == "Stopped on request before it started."
    # The wish is taken away right after the state is written, so a reader may see it a moment longer.
    wait_for(lambda: not any((run.path / "stop").exists() for run in group.runs))


def test_what_waits_is_stopped_before_what_runs(lab, monkeypatch):
    """However long it takes from one wish to the next: a waiting seed never starts in the place of a stopped one."""
    group = lab.group("g", 2, epochs=9, seconds=600)
    lab.supervise()
    lab.until(group, "running", "queued")
    touch, pauses = Path.touch, [2]  # behind the first wish: long enough for a run to end and for another to start
    monkeypatch.setattr(Path, "touch", lambda path: (touch(path), pauses and time.sleep(pauses.pop())))
    assert stop(Group(group.path)) == {0: "stopped", 1: "stopped"}
    assert not pauses
    assert Run(group.runs[1].path).status["reason"] == "Stopped on request before it started."


def test_a_stop_does_not_wait_for_what_was_resumed_meanwhile(lab):
    group = lab.group("g", 2, epochs=9, seconds=600)
    write_json(group.runs[0].path / "plan.json", {"seconds": 600, "deaf": True})
    lab.supervise(slots=2, term_after=600)
    lab.until(group, "running", "running")
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(stop, Group(group.path), 600)
        wait_for(lambda: Run(group.runs[1].path).state == "stopped")
        assert requeue(Group(group.path)) == [1]
        os.kill(lab.trainer(group.runs[0])["pid"], signal.SIGKILL)  # it would hear nobody for ten minutes
        wait_for(stopping.done)
    assert stopping.result()[1] in ("queued", "starting", "running")


def test_a_deaf_run_and_its_family_are_gone_when_it_counts_as_stopped(lab):
    group = lab.group("g", 1, seconds=60, deaf=True, family=True)
    lab.supervise(term_after=0.3, kill_after=0.3)
    trainer = lab.trainer(group.runs[0])
    wait_for(lambda: len(tree(trainer)) == 3)
    family = tree(trainer)
    (group.runs[0].path / "stop").touch()
    assert Run(group.runs[0].path).state in ("stopping", "stopped")
    wait_for(lambda: Run(group.runs[0].path).state == "stopped" or not any(map(is_alive, family)))
    lab.until(group, "stopped")
    assert not any(map(is_alive, family))
    assert Run(group.runs[0].path).status["reason"].startswith("Stopped on request: its process was ended.")


def test_stop_works_where_no_supervisor_does_and_starts_nothing(lab):
    other, group = lab.group("other"), lab.group("g")
    assert stop(Group(group.path)) == {0: "stopped"}
    assert lab.states(other) == ["queued"]
    assert supervising(lab.runs_dir) is None


def test_a_supervisor_without_work_ends_and_misses_nothing(lab):
    supervisor = lab.supervise(linger=0.5)
    assert supervisor.wait(PATIENCE_SECONDS) == 0
    for number in range(3):  # queued at the very time at which the other ends
        group = lab.group(f"g{number}", epochs=1, seconds=0.02)
        second = lab.supervise(linger=0)
        lab.until(group, "done")
        assert second.wait(PATIENCE_SECONDS) == 0


def test_whoever_queues_finds_or_starts_the_supervisor(lab):
    running = lab.supervise()
    wait_for(lambda: supervising(lab.runs_dir))
    assert ensure_supervisor(lab.runs_dir) == running.pid
    running.kill()
    running.wait()
    pid = ensure_supervisor(lab.runs_dir)
    assert supervising(lab.runs_dir)["pid"] == pid != running.pid
    assert os.getsid(pid) == pid  # a session of its own, and nobody's child here
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_a_supervisor_that_ends_at_once_is_started_again(lab, monkeypatch):
    """It may have found its lock taken, for the moment in which another process asked whether one works."""
    begun = []

    def first_in_vain(log, command):
        begun.append(command)
        return detached(log, command if len(begun) > 1 else [sys.executable, "-c", ""])

    monkeypatch.setattr(colora.queue.supervisor, "detached", first_in_vain)
    assert ensure_supervisor(lab.runs_dir) == supervising(lab.runs_dir)["pid"]
    assert len(begun) == 2 and begun[0] == begun[1]


def test_runs_of_other_hosts_and_users_are_left_alone(lab, monkeypatch):
    monkeypatch.setattr("colora.runs.verdict.WATCH_SECONDS", 0.1)  # nobody tells of the copied one any more
    for name, change in (("host", {"host": "elsewhere"}), ("user", {"user": "somebody"})):
        run = lab.group(name).runs[0].path
        write_json(run / "queue.json", order.place(run) | change)
    copied = lab.group("copied").runs[0].path
    foreign = own_process() | {"host": "elsewhere"}
    status = Run(copied).written_status() | {"state": "running", "process": foreign, "heartbeat": time.time() - 3600}
    write_json(copied / "status.json", status)
    write_json(copied / "process.json", {"guard": foreign, "child": foreign})
    write_json(copied / "queue.json", order.place(copied) | {"host": "elsewhere"})
    supervisor = Supervisor(lab.runs_dir, [], lambda run: ["false"])
    assert supervisor.turn() is False
    assert read_json(copied / "status.json") == status
    assert Run(copied).state == "lost"
    assert "its folder was copied from there" in Run(copied).status["reason"]
    assert requeue(Group(copied.parent)) == [0]
    lab.supervise()
    lab.until(Group(copied.parent), "done")


def test_damaged_folders_stop_nobody(lab):
    bad = lab.group("bad", 2)
    (bad.runs[0].path / "status.json").write_text('{"state": "run')
    (lab.group("worse").path / "group.json").write_text("{")
    (lab.group("odd").runs[0].path / "queue.json").write_text("[]")
    (lab.group("exit").runs[0].path / "exit.json").write_text("{}")
    lab.supervise()
    lab.until(bad, "damaged", "done")
    lab.until(Group(lab.runs_dir / "odd"), "done")
    assert "status.json cannot be read" in Run(bad.runs[0].path).status["reason"]


def test_one_runs_trouble_keeps_no_other_from_training(lab, monkeypatch):
    """A folder that cannot be written is told once and tried again; the guard that was begun for it is gone."""
    bad, good = lab.group("bad"), lab.group("good", epochs=1, seconds=0.05)
    told, write = [], colora.queue.supervisor.write_json

    def full(path, value):
        if "bad" in path.parts:
            raise OSError(28, "No space left on device", str(path))
        write(path, value)

    monkeypatch.setattr(colora.queue.supervisor, "write_json", full)
    supervisor = Supervisor(lab.runs_dir, make_slots(cpu_slots=1), stand_in.command, tell=told.append)

    def turned_until_done():
        supervisor.turn()
        return lab.states(good) == ["done"]

    wait_for(turned_until_done)
    assert lab.states(bad) == ["queued"]
    trouble = [said for said in told if said.startswith("bad")]
    assert len(trouble) == 1 and "No space left on device" in trouble[0]


def test_a_run_started_by_hand_takes_a_slot_and_can_be_stopped(lab):
    by_hand, other = lab.group("by-hand", epochs=9, seconds=60), lab.group("other", seconds=60)
    run = by_hand.runs[0]
    trainer = subprocess.Popen(stand_in.command(run.path))
    try:
        lab.until(by_hand, "running")
        lab.supervise()
        wait_for(lambda: "by-hand/seed-00: adopted" in lab.log())
        time.sleep(0.5)  # some turns
        assert lab.states(other) == ["queued"]
        (run.path / "stop").touch()
        # It has told its end itself; what then still lives of it, on a busy machine, the supervisor kills.
        assert trainer.wait(PATIENCE_SECONDS) in (0, -signal.SIGKILL)
        assert Run(run.path).status["reason"] == "Stopped on request in epoch 1."
        lab.until(other, "running")
    finally:
        trainer.kill()
        trainer.wait()
