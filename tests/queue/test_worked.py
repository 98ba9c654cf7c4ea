"""Somebody works the queue: what looking at it starts, what it costs, and what is said where none can be started."""

import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from commands import document
from host import small_disk
from opened import opener, ran, texts
from queueing import STAND_IN, Lab, wait_for
from serving import Site

import colora.queue.supervisor
from colora.cli.main import main
from colora.engines.engine import engine_of
from colora.queue import order, worked
from colora.queue.detach import detached
from colora.queue.supervisor import ensure_supervisor, finds_work, supervising
from colora.queue.worked import begin, see_to, watched
from colora.runs.folder import Group, Run, create_group, write_json
from colora.runs.verdict import process_file
from colora.settings.config import make_config
from colora.system.process import is_alive, is_halted, os_user, own_process, send


@pytest.fixture
def begun(lab, monkeypatch) -> list[list[str]]:
    """The commands with which supervisors were begun, of which each is one of stand-ins; and looking begins them."""
    commands: list[list[str]] = []

    def begin(log: Path, command: list[str]) -> int:
        commands.append(command)
        runs_dir = command[command.index("--runs-dir") + 1]
        return detached(log, [sys.executable, str(STAND_IN), "supervise", runs_dir, "1", "20", "5", "0.5"])

    monkeypatch.setattr(worked, "ensure_supervisor", ensure_supervisor)
    monkeypatch.setattr(colora.queue.supervisor, "detached", begin)
    return commands


def give(group: Group, **whose) -> None:
    """Let its runs be queued by somebody else, or on another host."""
    for run in group.runs:
        write_json(run.path / "queue.json", order.place(run.path) | whose)


def test_whoever_looks_starts_a_supervisor_for_what_waits(lab, begun):
    group = lab.group("g", 2, epochs=1, seconds=0.01)
    assert see_to(lab.runs_dir) is None
    lab.until(group, "done", "done")
    assert begun == [[sys.executable, "-m", "colora", "supervise", "--runs-dir", str(lab.runs_dir)]]


@pytest.mark.parametrize("command", ["list", "show", "queue"])
def test_so_do_the_commands_that_list(lab, begun, command, capsys):
    group = lab.group("g", epochs=1, seconds=0.01)
    found = document(capsys, command, *(["g"] if command == "show" else []), "--runs-dir", lab.runs_dir)
    assert "nobody" not in str(found)
    lab.until(group, "done")
    assert len(begun) == 1
    document(capsys, command, *(["g"] if command == "show" else []), "--runs-dir", lab.runs_dir)
    assert len(begun) == 1


@pytest.mark.parametrize("page", ["overview", "monitor"])
def test_so_do_the_pages(lab, begun, page, monkeypatch):
    group = lab.group("g", epochs=1, seconds=0.01)
    app = opener(monkeypatch, lab.runs_dir)(page)
    assert "nobody trains" not in texts(app)
    lab.until(group, "done")


def test_a_run_that_its_supervisor_has_left_in_the_lurch_is_settled(lab, begun):
    run = lab.group("g").runs[0]
    status = {"state": "running", "process": own_process() | {"started": 0.0}}
    write_json(run.path / "status.json", run.written_status() | status)
    write_json(run.path / "process.json", {"guard": None, "child": None})
    assert see_to(lab.runs_dir) is None
    wait_for(lambda: run.written_status()["state"] == "lost")


def test_where_nothing_waits_for_this_user_and_host_nothing_is_started(lab, begun, capsys):
    done = lab.group("done").runs[0]
    write_json(done.path / "status.json", done.written_status() | {"state": "stopped"})
    give(lab.group("theirs"), user="ann")
    give(lab.group("there"), host="elsewhere")
    assert see_to(lab.runs_dir) is None and see_to(lab.runs_dir / "nowhere") is None
    rows = {row["name"]: row["unattended"] for row in document(capsys, "list", "--runs-dir", lab.runs_dir)}
    says = "waits, nobody trains here: queued by {} on {}: it starts there, or here once it is resumed"
    theirs, there = says.format("ann", socket.gethostname()), says.format(os_user(), "elsewhere")
    assert rows == {"done": None, "theirs": theirs, "there": there}
    assert begun == []


def test_where_one_works_two_small_files_are_all_that_is_read(lab, begun, monkeypatch):
    lab.group("g", seconds=600)
    lab.supervise()
    wait_for(lambda: supervising(lab.runs_dir))
    monkeypatch.setattr(worked, "finds_work", lambda runs_dir: 1 / 0)
    assert see_to(lab.runs_dir) is None and begun == []


def test_a_supervisor_that_is_halted_is_said_to_be(lab, begun):
    group = lab.group("g", epochs=1, seconds=0.01)
    supervisor = lab.supervise()
    wait_for(lambda: supervising(lab.runs_dir))
    lab.until(group, "done")
    supervisor.send_signal(signal.SIGSTOP)
    wait_for(lambda: is_halted(supervising(lab.runs_dir)))
    waiting = lab.group("waits")
    assert see_to(lab.runs_dir) == (
        f"The supervisor of {lab.runs_dir}, process {supervisor.pid}, is halted by a signal: kill -CONT "
        f"{supervisor.pid} lets it go on."
    )
    supervisor.send_signal(signal.SIGCONT)
    wait_for(lambda: see_to(lab.runs_dir) is None)
    lab.until(waiting, "done")


def test_why_none_can_be_started_is_said_wherever_what_waits_is_shown(lab, begun, monkeypatch, capsys):
    """And every command and page works."""
    group = lab.group("g", 2)

    def begin_in_vain(log: Path, command: list[str]) -> int:
        begun.append(command)
        return detached(log, [sys.executable, "-c", "raise SystemExit('no luck')"])

    def begin_not_at_all(log: Path, command: list[str]) -> int:
        raise OSError("no fork")

    monkeypatch.setattr(colora.queue.supervisor, "detached", begin_in_vain)
    why = see_to(lab.runs_dir, wait=3600)
    assert why.startswith(f"The supervisor of {lab.runs_dir} ends at once (no luck); see ")
    assert len(begun) == 3
    monkeypatch.setattr(colora.queue.supervisor, "START_TRIES", 1)
    there = ["--runs-dir", str(lab.runs_dir)]
    for command in (["list"], ["show", "g"], ["queue"]):
        assert main([*command, *there]) == 0
        assert f"waits, nobody trains: {why}" in capsys.readouterr().out
    assert document(capsys, "show", "g", *there)["unattended"] == f"waits, nobody trains: {why}"
    opened = opener(monkeypatch, lab.runs_dir)
    assert f"**g**: waits, nobody trains: {why}" in texts(opened("overview"))
    monitor = opened("monitor", "g")
    assert f"Waits, nobody trains: {why}" in texts(monitor)
    assert "resume" in [button.key for button in monitor.button] and engine_of(group).forgotten(Group(group.path))
    monkeypatch.setattr(colora.queue.supervisor, "detached", begin_not_at_all)
    assert see_to(lab.runs_dir) == f"The supervisor of {lab.runs_dir} cannot be started (no fork)."
    lab.supervise()
    wait_for(lambda: supervising(lab.runs_dir))
    assert "nobody trains" not in texts(ran(monitor)) and not engine_of(group).forgotten(Group(group.path))


def test_whatever_goes_wrong_is_a_sentence(lab, begun, monkeypatch):
    lab.group("g")

    def raising(error: Exception):
        def raises(where: Path) -> bool:
            raise error

        return raises

    for error, said in ((RecursionError("too deep"), "too deep"), (KeyError(), "KeyError"), (OSError(5, "I/O"), "I/O")):
        monkeypatch.setattr(worked, "finds_work", raising(error))
        assert see_to(lab.runs_dir).endswith(said)
    monkeypatch.setattr(worked, "finds_work", finds_work)
    monkeypatch.setattr(order, "is_mine", raising(RecursionError("one folder's")))
    assert see_to(lab.runs_dir) is None and begun == []  # others may wait, and this one says itself what is wrong


def test_a_runs_folder_that_cannot_be_written_to_is_read_as_ever(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(worked, "ensure_supervisor", ensure_supervisor)
    with small_disk(tmp_path / "disk", 4096) as disk:
        lab = Lab(disk / "runs")
        lab.runs_dir.mkdir()
        lab.group("g", 2)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        why = f"{lab.runs_dir} cannot be written to by this user, so that nothing can be trained in it."
        assert see_to(lab.runs_dir) == why and supervising(lab.runs_dir) is None
        rows = document(capsys, "queue", "--runs-dir", lab.runs_dir)
        assert [row["note"] for row in rows] == [f"waits, nobody trains: {why}"] * 2
        assert f"**g**: waits, nobody trains: {why}" in texts(opener(monkeypatch, lab.runs_dir)("overview"))


def test_a_server_watches_beside_its_pages_which_never_wait(tmp_path, monkeypatch):
    looks, may_go_on = [], []

    def slow(runs_dir: Path) -> str:
        looks.append(runs_dir)
        wait_for(lambda: may_go_on)
        worked._found[runs_dir] = f"look {len(looks)}"
        return worked._found[runs_dir]

    monkeypatch.setattr(worked, "see_to", slow)
    with ThreadPoolExecutor(8) as pages:
        assert list(pages.map(lambda _: watched(tmp_path), range(8))) == [None] * 8
    wait_for(lambda: looks)
    may_go_on.append(True)
    wait_for(lambda: watched(tmp_path) == "look 1")
    time.sleep(0.05)
    assert looks == [tmp_path]  # one for all of them, and none anew so soon
    monkeypatch.setattr(worked, "RETRY_SECONDS", 0)
    worked._looks[tmp_path].counts_until = 0
    wait_for(lambda: watched(tmp_path) == "look 2")
    wait_for(lambda: not worked._looks[tmp_path].is_alive())


def test_what_was_queued_this_very_moment_waits_for_no_look_from_before(lab, tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(worked, "ensure_supervisor", lambda runs_dir, wait: begun.append(runs_dir))
    assert watched(lab.runs_dir) is None
    wait_for(lambda: not worked._looks[lab.runs_dir].is_alive())
    lab.group("g")
    assert watched(lab.runs_dir) is None and begun == []  # it has looked a moment ago
    begin(lab.runs_dir)
    wait_for(lambda: begun == [lab.runs_dir])
    wait_for(lambda: not worked._looks[lab.runs_dir].is_alive())


def test_after_a_reboot_queued_seeds_train_by_the_start_of_the_app_alone(lab, tiny_npz, monkeypatch):
    """Real training, a real server, and nobody who opens a page: supervisor, guard and training were killed, and their
    files are of another boot."""
    small = {"backbone": "resnet18:layer1", "weights": "none", "image_size": 32, "batch_size": 8, "threads": 1}
    config = make_config({"dataset": f"npz:{tiny_npz}", "epochs": 1, **small})
    group = create_group(lab.runs_dir, "g", config, [0, 1], order.last_place(lab.runs_dir))
    lab.plan(group, seconds=600)
    supervisor, run = lab.supervise(), group.runs[0]
    lab.until(group, "running", "queued")
    known = process_file(run.path)
    supervisor.kill()
    supervisor.wait()
    for process in (known["guard"], known["child"]):
        send(process, signal.SIGKILL)
        wait_for(lambda process=process: not is_alive(process))
    before = {"boot_id": "another"}
    write_json(run.path / "status.json", run.written_status() | {"process": known["child"] | before})
    write_json(run.path / "process.json", known | {"guard": known["guard"] | before, "child": known["child"] | before})
    assert lab.states(group) == ["lost", "queued"] and supervising(lab.runs_dir) is None
    site = Site(lab.runs_dir)
    try:
        site.start()
        lab.until(group, "lost", "done")
        assert Run(run.path).written_status()["state"] == "lost"
        assert "the machine restarted" in Run(run.path).status["reason"]
    finally:
        site.kill()
