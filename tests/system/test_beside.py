"""What killed writers leave beside a file is swept up; what a living one is writing never is."""

import os
import signal
import subprocess
import sys
import time

import pytest
from queueing import PATIENCE_SECONDS

import colora.system.beside as beside_module
from colora.system.beside import FOLDER, OF_OTHERS_SECONDS, beside, sweep
from colora.system.files import write_bytes, write_json
from colora.system.installation import ROOT

WRITER = """
import os, sys
from pathlib import Path
import colora.system.files as files
def hang(*_):
    print("half", flush=True)
    sys.stdin.read()
os.fsync = hang
files.write_bytes(Path(sys.argv[1]), b"never complete")
"""


@pytest.fixture
def writer(tmp_path):
    """A process that has written half of a.json, and goes no further."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "a.json")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout.readline() == "half\n"
    yield process
    process.kill()
    process.wait(PATIENCE_SECONDS)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_killed_writers_file_goes_with_the_next_writer_in_its_folder_and_a_living_ones_stays(tmp_path, writer):
    (half,) = names(tmp_path)
    write_json(tmp_path / "b.json", {})
    assert names(tmp_path) == [half, "b.json"]
    writer.send_signal(signal.SIGKILL)
    writer.wait(PATIENCE_SECONDS)
    write_json(tmp_path / "b.json", {})
    assert names(tmp_path) == [half, "b.json"]  # this process has looked here once already: a heartbeat looks no more
    again = "import sys; from pathlib import Path; from colora.system.files import *; write_json(Path(sys.argv[1]), 1)"
    command = [sys.executable, "-c", again, str(tmp_path / "b.json")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=PATIENCE_SECONDS)
    assert names(tmp_path) == ["b.json"]


def test_a_folder_is_read_once_by_a_process_that_writes_often(tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr("colora.system.files.sweep", looked.append)
    for _ in range(50):
        write_bytes(tmp_path / "status.json", b"{}")
    assert looked == [tmp_path]


def test_only_what_is_known_to_be_left_is_swept_up(tmp_path):
    gone = beside(tmp_path / "a").name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")  # above every pid of Linux
    folder = gone.replace(".tmp", ".new")
    foreign = gone.replace(gone.split(".")[2].split("-")[0], "00000000")
    others = [".a.txt", "a.tmp", ".a.tmp", ".a.4711.tmp", ".a.host.12345678.tmp", f"x{gone}", f"{gone}x"]
    for name in (gone, foreign, *others, own := beside(tmp_path / "b").name):
        (tmp_path / name).write_text("x")
    (tmp_path / folder / "seed-00").mkdir(parents=True)
    (tmp_path / beside(tmp_path / "c", FOLDER).name).mkdir()
    before = set(names(tmp_path))
    sweep(tmp_path)
    assert before - set(names(tmp_path)) == {gone, folder} and (tmp_path / own).exists()
    old = time.time() - OF_OTHERS_SECONDS - 60
    for name in names(tmp_path):
        os.utime(tmp_path / name, (old, old))
    sweep(tmp_path)
    assert before - set(names(tmp_path)) == {gone, folder, foreign}
    sweep(tmp_path, unmarked=True)  # where nobody else writes
    assert before - set(names(tmp_path)) == {gone, folder, foreign, ".a.4711.tmp", ".a.host.12345678.tmp"}


def test_a_process_that_has_got_the_pid_of_a_dead_writer_keeps_nothing_from_being_swept_up(tmp_path):
    own = beside(tmp_path / "a").name
    pid, started = own.split("-")[1:3]
    earlier = own.replace(f"-{pid}-{started}-", f"-{pid}-{int(started) - 100}-")
    (tmp_path / earlier).touch()
    sweep(tmp_path)
    assert names(tmp_path) == []


def test_a_link_that_looks_like_something_left_is_unlinked_and_never_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "scan.png").touch()
    (tmp_path / "runs").mkdir()
    gone = beside(tmp_path / "runs" / "a").name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")
    (tmp_path / "runs" / gone).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "runs" / gone.replace(".tmp", ".new")).symlink_to(tmp_path / "elsewhere")
    sweep(tmp_path / "runs")
    assert names(tmp_path / "elsewhere") == ["scan.png"]
    assert names(tmp_path / "runs") == [gone.replace(".tmp", ".new")]  # no folder


def test_every_call_has_a_place_of_its_own_and_long_names_leave_room(tmp_path):
    places = {beside(tmp_path / name) for name in ("a", "a", "ä" * 127, "x" * 255)}
    assert len(places) == 4
    for place in places:
        place.touch()  # none is too long
    write_bytes(tmp_path / ("y" * 255), b"1")


def test_what_is_swept_up_cannot_stand_in_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr(beside_module, "_is_left", lambda *_: True)
    (tmp_path / ".a").mkdir()
    (tmp_path / ".b").touch()
    monkeypatch.setattr("os.unlink", lambda *_: (_ for _ in ()).throw(PermissionError(13, "no")))
    sweep(tmp_path)
    sweep(tmp_path / "missing")
    assert (tmp_path / ".b").exists()
