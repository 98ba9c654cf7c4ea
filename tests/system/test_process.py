"""Which process a file speaks of, and whose it is."""

import os
import signal
import subprocess
import sys
import time

from queueing import wait_for

from colora.system.process import (
    age_seconds,
    command_line,
    identity,
    is_alive,
    is_halted,
    is_identity,
    os_user,
    own_process,
    same,
    working_folder,
)


def test_a_zombie_is_dead():
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    known = identity(child.pid)
    assert is_alive(known)
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(known)
    child.wait()


def test_how_long_a_process_lives_and_what_it_was_started_with(tmp_path):
    begin = time.monotonic()
    child = subprocess.Popen(["sh", "-c", "read line", "a b", ""], stdin=subprocess.PIPE, cwd=tmp_path)
    known = identity(child.pid)
    time.sleep(0.05)
    assert 0.03 <= age_seconds(known) <= time.monotonic() - begin + 0.03  # started in hundredths of a second
    wait_for(lambda: command_line(child.pid) == ["sh", "-c", "read line", "a b", ""])
    assert working_folder(child.pid) == str(tmp_path)
    child.communicate(b"\n")
    assert command_line(child.pid) == [] and working_folder(child.pid) is None


def test_a_halted_process_is_told_from_one_that_waits():
    child = subprocess.Popen(["sleep", "60"])
    known = identity(child.pid)
    assert not is_halted(known)
    child.send_signal(signal.SIGSTOP)
    wait_for(lambda: is_halted(known))
    assert is_alive(known) and not is_halted(known | {"started": 1.0})
    child.kill()
    child.wait()
    assert not is_halted(known)


def test_no_process_has_such_a_number():
    known = own_process()
    assert is_identity(known)
    for pid in (0, -1, 2**31, 10**30, "1"):
        assert not is_identity(known | {"pid": pid})


def test_a_user_without_a_name_is_a_number(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: (_ for _ in ()).throw(KeyError("uid not found: 1234")))
    assert os_user() == f"uid-{os.getuid()}"


def test_where_start_times_are_inexact_they_are_compared_within_a_second(monkeypatch):
    one = own_process() | {"started": 1000.4}
    assert not same(one, one | {"started": 1000.6})
    monkeypatch.setattr("colora.system.process.WITHIN", 1)
    assert same(one, one | {"started": 1000.6}) and not same(one, one | {"started": 1002.0})
