"""What happens around runs: clocks set back, folders copied to another machine, what is removed or killed meanwhile."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import stand_in
from fabricate import fabricate
from queueing import wait_for

from colora.cli.main import main
from colora.engines import view
from colora.queue import order
from colora.queue.actions import requeue, stop
from colora.queue.slots import make_slots
from colora.queue.supervisor import Supervisor, supervising
from colora.results.summary import group_summary, run_report
from colora.runs import verdict
from colora.runs.folder import Group, Run, create_group
from colora.runs.listing import list_groups, listing, written_state
from colora.runs.lock import supervisor_lock, try_lock
from colora.runs.trash import listed, remove, restore
from colora.runs.verdict import process_file, short
from colora.settings.config import make_config
from colora.system.errors import UserError
from colora.system.files import read_json, write_json
from colora.system.process import is_alive, own_process
from pages.components.removed import unless_removed

HOURS_BACK = -7200


def test_a_clock_set_back_changes_nothing(lab, tmp_path, monkeypatch):
    """Before, while and after a run trains: it is not lost, keeps its place, and stops and resumes as ever."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    monkeypatch.setenv("STAND_IN_CLOCK", str(clock))
    first, second = lab.group("first", epochs=4000, seconds=0.1), lab.group("second", epochs=1, seconds=0.05)
    lab.supervise()
    lab.until(first, "running")
    trainer = lab.trainer(first.runs[0])
    epoch = Run(first.runs[0].path).status["epoch"]
    tmp_path.joinpath("new clock").write_text(str(HOURS_BACK))
    tmp_path.joinpath("new clock").replace(clock)  # at once: a stand-in may be reading it
    stand_in.set_clock(clock, monkeypatch.setattr)  # and this process's
    third = lab.group("third", epochs=1, seconds=0.05)
    wait_for(lambda: Run(first.runs[0].path).status["epoch"] > epoch + 1)
    assert (lab.states(first), lab.states(second), lab.states(third)) == (["running"], ["queued"], ["queued"])
    assert [folder.parent.name for folder in order.waiting(lab.runs_dir)] == ["second", "third"]
    assert stop(Group(first.path)) == {0: "stopped"} and not is_alive(trainer)
    assert requeue(Group(first.path)) == [0]
    lab.until(third, "done")
    lab.until(first, "running")
    assert process_file(second.runs[0].path)["started"] <= process_file(third.runs[0].path)["started"]
    os.kill(lab.trainer(first.runs[0])["pid"], signal.SIGKILL)
    lab.until(first, "failed")


def test_what_was_removed_last_comes_back_first_though_the_clock_was_set_back(lab, tmp_path, monkeypatch):
    for seeds in (1, 2, 3):
        group = lab.group("g", seeds)
        stop(group)
        if seeds == 3:
            monkeypatch.setattr("colora.runs.trash.datetime", _yesterday())
        remove(Group(group.path))
    assert [len(Group(entry.path).runs) for entry in listed(lab.runs_dir)] == [1, 2, 3]
    assert len(Group(restore(lab.runs_dir, "g")).runs) == 3


def _yesterday() -> type:
    from datetime import datetime, timedelta

    class Clock(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone) - timedelta(days=1)

    return Clock


def test_a_runs_folder_copied_to_another_machine(tmp_path, monkeypatch, capsys):
    """What was active there is lost here, what was finished is done and readable; resume continues it here."""
    there = tmp_path / "there"
    fabricate(there, "finished", ["done"] * 2)
    group = fabricate(there, "active", ["done", "running", "starting", "stopping", "queued"])
    for run in group.runs:
        far = own_process() | {"host": "elsewhere", "boot_id": "another"}
        status = Run(run.path).written_status()
        process = far if status["process"] else None
        write_json(run.path / "status.json", status | {"process": process, "heartbeat": 1.7e9})
        write_json(run.path / "process.json", {"guard": far, "child": far})
        write_json(run.path / "queue.json", order.last_place(there) | {"host": "elsewhere"})
    here = tmp_path / "here"
    subprocess.run(["cp", "-r", str(there), str(here)], check=True)
    copied = Group(here / "active")
    assert [run.state for run in copied.runs] == ["done", "lost", "lost", "lost", "queued"]
    assert "copied from there" in copied.runs[1].status["reason"]
    assert [row["note"] for row in view.rows(here)] == [
        f"queued by {order.place(copied.runs[4].path)['user']} on elsewhere: "
        "it starts there, or here once it is resumed"
    ]
    finished = Group(here / "finished")
    assert {row["name"]: row["state"] for row in listing(here)} == {"finished": "done", "active": "lost"}
    assert group_summary(finished)["seeds"] == group_summary(Group(there / "finished"))["seeds"]
    assert run_report(finished.runs[0], "test") == run_report(Group(there / "finished").runs[0], "test")
    told = []
    assert Supervisor(here, make_slots(), stand_in.command, tell=told.append).turn() is False and not told
    monkeypatch.setattr("colora.runs.verdict.WATCH_SECONDS", 0.1)
    assert requeue(copied) == [1, 2, 3, 4]
    assert [run.state for run in Group(here / "active").runs] == ["done"] + ["queued"] * 4


def test_a_run_whose_guard_was_never_named_waits_as_before(lab):
    """As after a supervisor that died between the two files that it writes to start a run."""
    group = lab.group("g")
    run = group.runs[0].path
    gone = own_process() | {"started": 0.0}
    status = group.runs[0].written_status()
    write_json(run / "status.json", status | {"state": "starting", "process": gone})
    assert Run(run).state == "queued" and written_state(run) == "starting"
    Supervisor(lab.runs_dir, [], tell=lambda said: None).turn()
    assert written_state(run) == "queued" and order.waiting(lab.runs_dir) == [run]
    write_json(run / "status.json", status | {"state": "starting", "process": gone})
    write_json(run / "process.json", {"guard": gone, "child": None})
    assert Run(run).state == "lost"  # this guard was named: it may have started something


def test_a_run_whose_guard_was_killed_goes_on_though_its_process_has_not_told_of_itself_yet(lab):
    run = lab.group("g").runs[0]
    gone = own_process() | {"started": 0.0}
    write_json(run.path / "process.json", {"guard": gone, "child": own_process()})
    write_json(run.path / "status.json", run.written_status() | {"state": "starting", "process": gone})
    assert Run(run.path).state == "starting"


def test_a_run_that_another_host_trains_is_not_taken_over_whatever_the_clocks_say(lab, monkeypatch):
    looks, heartbeat = [], verdict._heartbeat

    def beats_at_the_second_look(folder):
        looks.append(folder)
        if len(looks) == 2:
            write_json(run.path / "status.json", status | {"heartbeat": 6.0})
        return heartbeat(folder)

    monkeypatch.setattr(verdict, "WATCH_SECONDS", 600)
    monkeypatch.setattr(verdict, "_heartbeat", beats_at_the_second_look)
    group = lab.group("g")
    run = group.runs[0]
    far = own_process() | {"host": "elsewhere"}
    status = run.written_status() | {"state": "running", "process": far}
    write_json(run.path / "status.json", status | {"heartbeat": 1.0})
    assert Run(run.path).state == "lost"
    with pytest.raises(UserError, match="seed-00 of g still trains on elsewhere: stop it there, or wait for its end"):
        requeue(Group(group.path))
    monkeypatch.setattr(verdict, "WATCH_SECONDS", 0.1)
    monkeypatch.setattr(verdict, "_heard", {})
    assert requeue(Group(group.path)) == [0]


def test_each_host_has_a_lock_and_a_supervisor_of_its_own_also_where_they_share_a_home(lab, monkeypatch):
    lab.supervise()
    wait_for(lambda: supervising(lab.runs_dir))
    here = supervisor_lock(lab.runs_dir)
    assert not try_lock(here, 0)
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    assert supervising(lab.runs_dir) is None
    there = supervisor_lock(lab.runs_dir)
    assert try_lock(there, 0)
    there.release()


def test_a_launch_that_was_killed_leaves_no_group_and_takes_no_name(tmp_path):
    """Killed between any two files; the next launch of the name sweeps up what it left."""
    code = """
import os, signal, sys
from pathlib import Path
import colora.runs.folder
from colora.settings.config import RunConfig
left, write = int(sys.argv[2]), colora.runs.folder.write_json
def counted(path, value):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, value)
colora.runs.folder.write_json = counted
colora.runs.folder.create_group(Path(sys.argv[1]), "g", RunConfig(), [0, 1], {"order": 1})
"""
    files = 2 * 3 + 1
    for left in (0, 3, files - 1):
        killed = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(left)], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert list_groups(tmp_path) == [] and not (tmp_path / "g").exists()
    create_group(tmp_path, "g", make_config({}), [0, 1])
    assert [path.name for path in tmp_path.iterdir()] == ["g"]
    assert listing(tmp_path)[0]["state"] == "queued"


def test_a_disk_that_is_full_at_the_launch_leaves_nothing(tmp_path, monkeypatch):
    def full(path: Path, value) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("colora.runs.folder.write_json", full)
    with pytest.raises(UserError, match=r"g cannot be made: No space left on device"):
        create_group(tmp_path, "g", make_config({}), [0])
    assert list(tmp_path.iterdir()) == []


def test_a_group_that_is_removed_at_this_moment_is_not_listed(tmp_path, monkeypatch):
    fabricate(tmp_path, "stays", ["done"])
    going = fabricate(tmp_path, "goes", ["done"])
    real = Path.iterdir

    def removed_meanwhile(folder):
        found = list(real(folder))
        read_json(going.path / "group.json")
        (going.path / "group.json").rename(tmp_path / "elsewhere.json")
        return iter(found)

    monkeypatch.setattr(Path, "iterdir", removed_meanwhile)
    assert [group.name for group in list_groups(tmp_path)] == ["stays"]


@pytest.mark.parametrize(
    ("ending", "sentence"),
    [
        ({"code": 3}, "The training process ended with exit code 3."),
        ({"signal": 15}, "The training process was killed by signal 15 (SIGTERM)."),
        ({"signal": 9}, "killed by signal 9 (SIGKILL), probably out of memory: lower the batch size"),
        ({"signal": 9, "oom_kills": 1}, "the kernel ended it for lack of memory. Lower the batch size"),
    ],
)
def test_the_reason_of_a_death_and_the_last_40_lines(tmp_path, ending, sentence):
    run = fabricate(tmp_path, "g", ["lost"]).runs[0]
    gone = run.written_status()["process"]
    assert run.state == "lost"
    write_json(
        run.path / "exit.json", {"guard": None, "child": gone, "code": None, "signal": None, "oom_kills": 0} | ending
    )
    (run.path / "log.txt").write_text("".join(f"line {n}\n" for n in range(60)))
    status = Run(run.path).status
    assert status["state"] == "failed" and sentence in status["reason"]
    assert status["reason"].splitlines()[1:] == [f"line {n}" for n in range(20, 60)]
    assert short(status["reason"]).endswith("Resume continues after epoch 3. (line 59)")
    (run.path / "log.txt").write_text("OSError: [Errno 28] No space left on device\n")
    assert f"The disk of {run.path} is full: free some space" in Run(run.path).status["reason"]


def test_a_reason_is_one_line_on_the_command_line(tmp_path, capsys):
    run = fabricate(tmp_path, "g", ["lost"]).runs[0]
    (run.path / "log.txt").write_text("".join(f"line {n}\n" for n in range(60)))
    assert main(["show", str(tmp_path / "g")]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "seed  0" in line)
    assert line.endswith("(killed, or the machine restarted). Resume continues after epoch 3. (line 59)")


def test_a_group_that_is_removed_while_a_page_draws_it_is_a_page_drawn_anew(tmp_path, monkeypatch):
    """Before or while; what goes wrong with a group that is there is told as ever."""
    again, drawn = [], []
    monkeypatch.setattr("pages.components.removed.st.rerun", lambda: again.append(True))
    group = fabricate(tmp_path, "g", ["running"])

    def draw(shown: Group, removes: bool) -> None:
        drawn.append(shown)
        if removes:
            shown.path.rename(tmp_path / "away")
        _ = Group(shown.path).info if removes else read_json(shown.path / "nothing.json")

    with pytest.raises(UserError, match=r"nothing\.json does not exist"):
        unless_removed(draw)(group, False)
    assert (len(drawn), len(again)) == (1, 0)
    for _ in range(2):
        unless_removed(draw)(group, True)
    assert (len(drawn), len(again)) == (2, 2)
    fabricate(tmp_path, "g", ["running"])  # another one
    unless_removed(draw)(group, False)
    assert (len(drawn), len(again)) == (2, 3)
