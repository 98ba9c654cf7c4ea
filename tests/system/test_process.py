"""Which process a file speaks of, and whose it is."""

import os
import subprocess
import sys

from colora.system.process import identity, is_alive, os_user, own_process, same


def test_a_zombie_is_dead():
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    known = identity(child.pid)
    assert is_alive(known)
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(known)
    child.wait()


def test_a_user_without_a_name_is_a_number(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: (_ for _ in ()).throw(KeyError("uid not found: 1234")))
    assert os_user() == f"uid-{os.getuid()}"


def test_where_start_times_are_inexact_they_are_compared_within_a_second(monkeypatch):
    one = own_process() | {"started": 1000.4}
    assert not same(one, one | {"started": 1000.6})
    monkeypatch.setattr("colora.system.process.WITHIN", 1)
    assert same(one, one | {"started": 1000.6}) and not same(one, one | {"started": 1002.0})
