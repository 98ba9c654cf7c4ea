"""The supervisor as a service of systemd: its file, and what systemctl is asked, with a stand-in for it."""

import os
import shutil
import subprocess
import sys

import pytest
from commands import mistake
from queueing import wait_for

from colora.cli.main import main
from colora.queue.slots import asked_slots
from colora.queue.supervisor import Supervisor, supervise, supervising
from colora.queue.unit import unit_name, unit_path, unit_text
from colora.runs.lock import supervisor_lock, try_lock
from colora.system.errors import UserError
from colora.system.installation import ROOT
from colora.system.process import os_user

SYSTEMCTL = """#!/bin/sh
echo "$@" >> "{log}"
case "$*" in *"$REFUSES"*) echo "Failed to connect to bus: No medium found" >&2; exit 1;; esac
"""


@pytest.fixture
def systemctl(tmp_path, monkeypatch):
    """What a stand-in for systemctl was asked, line by line; what $REFUSES names it refuses."""
    folder, log = tmp_path / "bin", tmp_path / "asked"
    folder.mkdir()
    (folder / "systemctl").write_text(SYSTEMCTL.format(log=log))
    (folder / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("REFUSES", "nothing of the kind")
    return lambda: log.read_text().splitlines() if log.exists() else []


def test_it_is_written_enabled_and_started_and_all_of_that_is_undone(systemctl, lab, tmp_path, capsys):
    there = ["--runs-dir", str(lab.runs_dir)]
    assert main(["supervise", "--install", *there, "--slots", "2"]) == 0
    name = unit_name(lab.runs_dir)
    path = tmp_path / "config" / "systemd" / "user" / name
    assert path == unit_path(lab.runs_dir) and path.read_text() == unit_text(lab.runs_dir)
    assert systemctl() == ["--user daemon-reload", f"--user enable --now {name}"]
    assert f"loginctl enable-linger {os_user()}" in capsys.readouterr().out
    assert asked_slots(lab.runs_dir) == {"cpu_slots": 2}  # which the service takes over, as any supervisor
    wants = path.parent / "default.target.wants"
    wants.mkdir()
    (wants / name).symlink_to(path)
    assert main(["supervise", "--uninstall", *there]) == 0
    assert systemctl()[2:] == [f"--user disable --now {name}", "--user daemon-reload"]
    assert not path.exists() and not (wants / name).is_symlink()
    assert "what trains goes on" in capsys.readouterr().out
    assert "nothing was installed for" in mistake(capsys, "supervise", "--uninstall", *there)


def test_where_systemd_does_not_answer_it_says_what_is_left_to_do(systemctl, lab, monkeypatch, capsys):
    there, name = ["--runs-dir", lab.runs_dir], unit_name(lab.runs_dir)
    monkeypatch.setenv("REFUSES", "enable --now")
    said = mistake(capsys, "supervise", "--install", *there)
    assert said == (
        f"colora supervise: {unit_path(lab.runs_dir)} is written, but systemctl --user enable failed (Failed to "
        "connect to bus: No medium found). What is left to do: systemctl --user daemon-reload && systemctl --user "
        f"enable --now {name}\n"
    )
    assert unit_path(lab.runs_dir).read_text() == unit_text(lab.runs_dir)
    monkeypatch.setenv("REFUSES", "disable")
    said = mistake(capsys, "supervise", "--uninstall", *there)
    assert "is removed, but systemctl --user disable failed (Failed" in said and f"--user stop {name} &&" in said
    assert not unit_path(lab.runs_dir).exists()


def test_where_there_is_no_systemctl_the_file_is_written_all_the_same(systemctl, lab, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    said = mistake(capsys, "supervise", "--install", "--runs-dir", lab.runs_dir)
    assert "there is no systemctl on this machine" in said
    assert unit_path(lab.runs_dir).exists()


def words_of(line: str) -> list[str]:
    """How systemd reads a line of quoted words: C's escapes, %% and $$."""
    found, word, rest = [], None, iter(line)
    for character in rest:
        if character == '"':
            found, word = (found, "") if word is None else ([*found, word], None)
        elif word is None:
            assert character == " "
        elif character == "\\":
            following = next(rest)
            word += chr(int(next(rest) + next(rest), 16)) if following == "x" else following
        else:
            word += character
            if character in "%$":
                assert next(rest) == character
    assert word is None
    return found


HOSTILE = 'runs "of" ann\'s 100% $HOME \\ ; & {} é \t[x]'


def test_no_name_of_a_folder_changes_what_is_started(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / 'state "100%"'))
    runs_dir = tmp_path / HOSTILE
    lines = dict(line.split("=", 1) for line in unit_text(runs_dir).splitlines() if line.startswith("ExecStart"))
    assert words_of(lines["ExecStart"]) == [
        sys.executable, "-m", "colora", "supervise", "--stay", "--runs-dir", str(runs_dir)
    ]  # fmt: skip
    text = unit_text(runs_dir)
    assert f'Environment="XDG_STATE_HOME={tmp_path}/state \\"100%%\\""\n' in text
    assert f"WorkingDirectory={ROOT}\n" in text and "KillMode=process\n" in text and "Restart=on-failure\n" in text
    assert text.count("\n[") == 2 and "100%% $HOME" in text.splitlines()[1]
    with pytest.raises(UserError, match="systemd takes names in UTF-8 only"):
        unit_text(tmp_path / "runs\udce9")
    assert unit_name(runs_dir) != unit_name(tmp_path / "runs")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("name", ["runs", HOSTILE])
def test_systemd_itself_finds_nothing_wrong_with_it(tmp_path, name):
    path = tmp_path / unit_name(tmp_path / name)
    path.write_text(unit_text(tmp_path / name))
    command = ["systemd-analyze", "verify", "--user", str(path)]
    here = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path / "runtime")}
    (tmp_path / "runtime").mkdir()
    done = subprocess.run(command, env=here, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if path.name in line]) == (0, [])


def test_one_that_stays_waits_for_its_turn_and_never_ends_by_itself(lab, monkeypatch):
    """The command as the service starts it: another one works, and ends; then this one works, though nothing waits."""
    lock = supervisor_lock(lab.runs_dir)
    assert try_lock(lock, 0)
    (started,) = (line for line in unit_text(lab.runs_dir).splitlines() if line.startswith("ExecStart="))
    command = words_of(started.removeprefix("ExecStart="))
    service = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert supervising(lab.runs_dir) is None
        lock.release()
        wait_for(lambda: (known := supervising(lab.runs_dir)) and known["pid"] == service.pid)
        monkeypatch.setattr("colora.queue.supervisor.LINGER_SECONDS", 0)
        assert not supervise(Supervisor(lab.runs_dir, [], tell=lambda said: None))  # as the app would start one
        assert service.poll() is None
    finally:
        service.kill()
        service.communicate()
