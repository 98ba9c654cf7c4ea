"""The guard of a run: exit codes and signals on disk, nothing left behind, never two for one run."""

import os
import signal
import subprocess
import sys
import time

import pytest
from queueing import PATIENCE_SECONDS, wait_for

from colora.queue.guard import pass_on
from colora.runs.verdict import verdict
from colora.system.cgroup import CGROUPS, memory, oom_kills
from colora.system.files import read_json, write_json
from colora.system.installation import ROOT
from colora.system.process import identity, is_alive

PYTHON = sys.executable


@pytest.fixture
def guarded(tmp_path):
    """A function that starts a guard over `code`, names it in process.json and returns it; ended by pid."""
    guards = []

    def start(code: str, named: bool = True, **options) -> subprocess.Popen:
        guard = subprocess.Popen(
            [PYTHON, "-m", "colora.queue.guard", str(tmp_path), "--", PYTHON, "-c", code], cwd=ROOT, **options
        )
        guards.append(guard)
        if named:
            claim = {"guard": identity(guard.pid), "child": None, "slot": "cpu-0", "started": time.time()}
            write_json(tmp_path / "process.json", claim)
        return guard

    yield start
    for guard in guards:
        guard.kill()
        guard.wait()


def child_of(folder) -> dict:
    wait_for(lambda: (folder / "process.json").exists() and read_json(folder / "process.json")["child"])
    return read_json(folder / "process.json")["child"]


def test_the_exit_code_and_the_output_are_on_disk(guarded, tmp_path):
    guard = guarded("import sys; print('said', flush=True); sys.exit(3)")
    assert guard.wait(PATIENCE_SECONDS) == 0
    ending = read_json(tmp_path / "exit.json")
    assert (ending["code"], ending["signal"], ending["oom_kills"]) == (3, None, 0)
    assert ending["guard"]["pid"] == guard.pid
    assert (tmp_path / "log.txt").read_text() == "said\n"


@pytest.mark.parametrize("apart", [False, True])
def test_a_signal_is_on_disk_and_nothing_is_left(guarded, tmp_path, apart):
    code = "import subprocess, sys, time; sleep = [sys.executable, '-c', 'import time; time.sleep(60)']; "
    code += f"p = subprocess.Popen(sleep, start_new_session={apart}); "
    guard = guarded(code + "print(p.pid, flush=True); time.sleep(60)")
    child = child_of(tmp_path)
    wait_for(lambda: (tmp_path / "log.txt").read_text().strip())
    grandchild = identity(int((tmp_path / "log.txt").read_text()))
    os.kill(child["pid"], signal.SIGKILL)
    assert guard.wait(PATIENCE_SECONDS) == 0
    ending = read_json(tmp_path / "exit.json")
    assert (ending["code"], ending["signal"], ending["child"]) == (None, 9, child)
    assert not is_alive(grandchild)


def test_a_killed_process_group_of_the_guard_spares_the_run(guarded, tmp_path):
    guard = guarded("import time; time.sleep(60)", start_new_session=True)
    child = child_of(tmp_path)
    for number in (signal.SIGHUP, signal.SIGINT):
        os.killpg(guard.pid, number)
    time.sleep(0.3)
    assert guard.poll() is None and is_alive(child)
    os.killpg(guard.pid, signal.SIGKILL)
    guard.wait(PATIENCE_SECONDS)
    assert is_alive(child)
    os.kill(child["pid"], signal.SIGKILL)


def test_sigterm_goes_to_the_run(guarded, tmp_path):
    guard = guarded("import time; time.sleep(60)")
    child_of(tmp_path)  # written after the handler is set
    guard.terminate()
    assert guard.wait(PATIENCE_SECONDS) == 0
    assert read_json(tmp_path / "exit.json")["signal"] == signal.SIGTERM


def test_a_signal_at_the_childs_death_leaves_its_exit_code_to_be_found():
    """Popen's own send_signal would reap it."""
    child = subprocess.Popen([PYTHON, "-c", "raise SystemExit(5)"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    pass_on(child, signal.SIGTERM)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is still there
    assert child.wait() == 5
    pass_on(child, signal.SIGTERM)  # its pid may be another's by now


@pytest.fixture
def small_memory():
    """A control group of 60 MB that processes can be put into; skips the test where none can be made."""
    version = 2 if (CGROUPS / "cgroup.controllers").exists() else 1
    folder = (CGROUPS if version == 2 else CGROUPS / "memory") / f"colora-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / ("memory.max" if version == 2 else "memory.limit_in_bytes")).write_text("60000000")
    except OSError as error:
        folder.is_dir() and folder.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    yield folder
    wait_for(lambda: not (folder / "cgroup.procs").read_text())
    folder.rmdir()


def test_the_kernels_own_kill_for_lack_of_memory_is_told_for_certain(guarded, tmp_path, small_memory):
    guard = guarded("x = [b'x' * 10**6 for _ in range(200)]", named=False)
    (small_memory / "cgroup.procs").write_text(str(guard.pid))
    write_json(tmp_path / "process.json", {"guard": identity(guard.pid), "child": None, "log_offset": 0})
    assert guard.wait(PATIENCE_SECONDS) == 0
    ending = read_json(tmp_path / "exit.json")
    assert ending["signal"] == signal.SIGKILL and ending["oom_kills"] >= 1
    told = verdict(tmp_path, {"epoch": 2, "process": ending["child"]})
    assert told["state"] == "failed"
    assert "the kernel ended it for lack of memory. Lower the batch size" in told["reason"]


def test_a_guard_that_is_not_named_starts_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("colora.queue.guard.CLAIM_WAIT_SECONDS", 0.2)
    from colora.queue.guard import main

    other = {"guard": identity(os.getppid()), "child": None}
    write_json(tmp_path / "process.json", other)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        assert main([str(tmp_path), "--", "false"]) == 3
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["process.json"]


def test_out_of_memory_kills_are_counted_in_either_version_of_control_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("colora.system.cgroup.CGROUPS", tmp_path)
    assert oom_kills() == 0
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert oom_kills() == 2
    (tmp_path / "memory.events").write_text("low 0\noom 1\noom_kill 3\n")
    assert oom_kills() == 3


def test_the_room_that_a_control_group_leaves(tmp_path, monkeypatch):
    monkeypatch.setattr("colora.system.cgroup.CGROUPS", tmp_path)
    assert memory() is None
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("1000\n")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text("700\n")
    assert memory() == (300, 1000)
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("4000\n")
    (tmp_path / "memory.stat").write_text("anon 3000\ninactive_file 500\n")
    assert memory() == (1500, 5000)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory() is None
