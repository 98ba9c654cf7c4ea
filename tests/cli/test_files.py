"""`colora data` and `colora weights`, and the downloads that a page starts, watches and cancels."""

import contextlib
import fcntl
import hashlib
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from commands import document, mistake
from queueing import PATIENCE_SECONDS

import colora.networks.weights
from colora.cli.main import main
from colora.data.medmnist import on_disk
from colora.queue.transfers import cancel, downloads, forget, start_download
from colora.runs.folder import write_json
from colora.system.errors import UserError
from colora.system.installation import ROOT
from colora.system.storage import state_dir


def wait_for(condition, seconds=PATIENCE_SECONDS):
    end = time.monotonic() + seconds
    while not (met := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return met


def test_data_list_tells_what_is_here(medmnist, capsys):
    (medmnist.root / "octmnist_64.npz.part").write_bytes(b"x" * 70)
    (medmnist.root / "octmnist_128.npz").write_bytes(b"x" * 80)
    document(capsys, "data", "get", "octmnist", "--size", 28)
    listed = document(capsys, "data", "list")
    assert listed["folder"] == str(medmnist.root)
    oct_set, colour = listed["sets"]
    assert (oct_set["name"], oct_set["classes"], oct_set["licence"]) == ("octmnist", 4, "CC BY 4.0")
    assert oct_set["images"] == {"train": 30, "val": 30, "test": 30}
    assert {size: s["state"] for size, s in oct_set["sizes"].items()} == {
        "28": "unpacked", "64": "partial", "128": "downloaded", "224": "absent",
    }  # fmt: skip
    assert [oct_set["sizes"][size]["bytes"] for size in ("64", "128", "224")] == [70, 80, 0]
    assert (colour["name"], colour["colour"]) == ("colourmnist", True)
    assert main(["data", "list"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"octmnist +4 classes +30 \+ 30 \+ 30 +CC BY 4.0 +grey\n +28 px ready \(1.. kB\)", said)
    assert "64 px begun, not complete (70 B)" in said


def test_data_get_says_where_it_is_and_what_may_go(medmnist, capsys, tmp_path):
    assert main(["data", "get", "octmnist", "--size", "28", "--data-dir", str(tmp_path / "sets")]) == 0
    out, err = capsys.readouterr()
    assert f"octmnist at 28 px is ready in {tmp_path / 'sets' / 'octmnist'} (7" in out
    assert "octmnist.npz (7" in out
    assert "is not needed any more: delete it to free space" in out
    assert err == ""
    got = document(capsys, "data", "get", "octmnist", "--size", 28, "--data-dir", tmp_path / "sets")
    assert got["folder"] == str(tmp_path / "sets" / "octmnist")


def test_mistakes_are_one_line(medmnist, capsys, tmp_path):
    assert "did you mean 'octmnist'?" in mistake(capsys, "data", "get", "octmnis", "--size", 28)
    assert "choose from 28, 64, 128, 224" in mistake(capsys, "data", "get", "octmnist", "--size", 29)
    assert "several labels an image" in mistake(capsys, "data", "get", "chestmnist", "--size", 28)
    medmnist.status = 404
    line = mistake(capsys, "data", "get", "octmnist", "--size", 64)
    assert "octmnist_64.npz could not be downloaded: 127.0.0.1" in line
    assert f"answers 404 Not Found. Try again later, or fetch {medmnist.url('octmnist_64.npz')}" in line
    assert f"put it at {medmnist.root / 'octmnist_64.npz'}" in line
    launch = ["launch", "--name", "x", "--dataset", "octmnist", "--runs-dir", tmp_path / "runs"]
    line = mistake(capsys, *launch, "--weights", "none")
    assert "OCTMNIST at 224 px is not in" in line
    assert "run `colora data get octmnist --size 224`" in line
    assert "did you mean 'octmnist'?" in mistake(capsys, *launch[:3], "--dataset", "octmnst")
    assert not (tmp_path / "runs").exists()


def test_data_verify_ends_with_1_where_something_is_damaged(medmnist, capsys):
    assert document(capsys, "data", "verify") == []
    assert "Nothing of octmnist is in" in mistake(capsys, "data", "verify", "octmnist")
    document(capsys, "data", "get", "octmnist", "--size", 28)
    good = document(capsys, "data", "verify", "octmnist", "--size", 28)
    assert [(Path(row["path"]).name, row["good"]) for row in good] == [("octmnist.npz", True), ("octmnist", True)]
    with open(medmnist.root / "octmnist.npz", "r+b") as file:
        file.write(b"damage")
    bad = document(capsys, "data", "verify", code=1)
    assert [row["good"] for row in bad] == [False, True]
    assert main(["data", "verify"]) == 1
    assert "Delete it and get it again" in capsys.readouterr().out


@pytest.fixture
def published(host, monkeypatch, tmp_path):
    """torchvision's host, with small files; torch hub's folder is the test's own."""
    body = b"weights of squeezenet" * 5000
    name = f"squeezenet1_1-{hashlib.sha256(body).hexdigest()[:8]}.pth"
    host.files = {name: body}
    monkeypatch.setattr(colora.networks.weights, "HOST", host.url("").rstrip("/"))
    monkeypatch.setitem(colora.networks.weights.IMAGENET, "squeezenet1_1", (name, 0.1))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints" / name


def test_weights_list_get_verify(host, published, capsys):
    states = {row["backbone"]: row["state"] for row in document(capsys, "weights", "list")}
    assert set(states.values()) == {"absent"}
    got = document(capsys, "weights", "get", "squeezenet1_1")
    assert got["path"] == str(published)
    assert got["bytes"] == len(published.read_bytes()) == 105_000
    assert [r["path"] for r in document(capsys, "weights", "list") if r["state"] == "downloaded"] == [str(published)]
    assert document(capsys, "weights", "verify") == [{"path": str(published), "good": True, "problem": None}]
    published.write_bytes(b"other")
    assert not document(capsys, "weights", "verify", code=1)[0]["good"]


def test_weights_offline_say_how_to_carry_them_over(host, published, capsys):
    host.close()
    line = mistake(capsys, "weights", "get", "squeezenet1_1:features.6")
    assert f"{published.name} could not be downloaded: 127.0.0.1" in line
    assert re.search(rf"\(SHA-256 \w{{8}}\.\.\.\) and put it at {published}\. .* --weights FILE", line)
    assert "There is no backbone 'squeeze'" in mistake(capsys, "weights", "get", "squeeze")


def test_ctrl_c_keeps_what_arrived_and_says_how_to_continue(medmnist):
    medmnist.piece, medmnist.pause = 1024, 0.2
    command = [sys.executable, "-m", "colora", "data", "get", "octmnist", "--size", "28"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    part = medmnist.root / "octmnist.npz.part"
    wait_for(lambda: part.exists() and part.stat().st_size)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out) == (130, "")
    assert err.strip() == "stopped, and what has arrived is kept; continue with: colora data get octmnist --size 28"
    kept = part.stat().st_size
    medmnist.pause = 0
    assert main(["data", "get", "octmnist", "--size", "28"]) == 0
    assert medmnist.asked == [None, f"bytes={kept}-"]
    assert [t.state for t in downloads()] == ["done"]


BAR = """
import time
from colora.cli.progress import Bar
with Bar("set.npz") as bar:
    for done in (900_000, 900_000, 910_000, 920_000):
        bar("downloading", done, 1_000_000)
        time.sleep(0.15)
"""


@pytest.mark.parametrize("columns", [0, 100])
def test_a_bar_is_drawn_on_a_terminal_without_a_size_and_kept_bytes_do_not_count_as_just_arrived(columns):
    """A continued download has 900 kB already; the rest comes at less than 100 kB a second."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24 if columns else 0, columns, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", BAR], cwd=ROOT, stderr=theirs)
    os.close(theirs)
    drawn = b""
    with open(ours, "rb", buffering=0) as terminal, contextlib.suppress(OSError):  # EIO: the other end has closed
        while part := terminal.read(4096):
            drawn += part
    assert process.wait() == 0
    lines = re.findall(r"downloading set\.npz: +(\d+)%.*?(\d+k?)/1\.00M \[.*?, +([^]]+)B/s\]", drawn.decode())
    assert lines[0][:2] == ("90", "900k")
    assert lines[-1][:2] == ("92", "920k")
    rates = [float(rate.rstrip("k")) * (1000 if "k" in rate else 1) for _, _, rate in lines if rate != "?"]
    assert 0 < max(rates) < 100_000


def test_a_download_is_started_watched_cancelled_and_continued(medmnist):
    medmnist.piece, medmnist.pause = 1024, 0.2
    started = start_download("data", "octmnist", 28)
    assert (started.kind, started.name, started.size, started.active) == ("data", "octmnist", 28, True)
    assert started.path == medmnist.root / "octmnist.npz"
    now = wait_for(lambda: next((t for t in downloads() if t.bytes), None))
    assert now.state == "downloading"
    assert now.total == len(medmnist.files["octmnist.npz"])
    again = start_download("data", "octmnist", 28)
    assert (again.id, again.process) == (started.id, now.process)  # one is enough
    with pytest.raises(UserError, match="octmnist is still downloading: cancel it first"):
        forget(started.id)
    cancelled = cancel(started.id, PATIENCE_SECONDS)
    assert (cancelled.state, cancelled.active) == ("cancelled", False)
    assert "the next try continues there" in cancelled.message
    kept = on_disk("octmnist", 28).part_bytes
    assert kept > 0
    medmnist.pause = 0
    start_download("data", "octmnist", 28)
    wait_for(lambda: downloads()[0].state == "done")
    assert on_disk("octmnist", 28).state == "unpacked"
    assert medmnist.asked == [None, f"bytes={kept}-"]
    assert cancel(started.id).state == "done"
    forget(started.id)
    assert downloads() == []


def test_a_dead_downloader_is_recognised(medmnist):
    medmnist.piece, medmnist.pause = 1024, 0.2
    started = start_download("data", "octmnist", 28)
    wait_for(lambda: on_disk("octmnist", 28).part_bytes)
    os.kill(started.process["pid"], signal.SIGKILL)
    gone = wait_for(lambda: next((t for t in downloads() if not t.active), None))
    assert gone.state == "interrupted"
    assert "Started again, it continues" in gone.message


def test_a_failed_download_keeps_its_sentence(medmnist):
    medmnist.status = 403
    start_download("data", "octmnist", 28)
    failed = wait_for(lambda: next((t for t in downloads() if not t.active), None))
    assert failed.state == "failed"
    assert "answers 403 Forbidden" in failed.message
    with pytest.raises(UserError, match="did you mean 'octmnist'"):
        start_download("data", "octmnis", 28)
    with pytest.raises(UserError, match="data with a size, or of weights"):
        start_download("data", "octmnist")
    with pytest.raises(UserError, match="There is no backbone"):
        start_download("weights", "vgg17")


def test_weights_are_downloaded_in_the_background_too(host, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", host.url(""))  # which is gone: a network that refuses, with or without one
    host.close()
    started = start_download("weights", "squeezenet1_1")
    assert (started.kind, started.name, started.size) == ("weights", "squeezenet1_1", None)
    failed = wait_for(lambda: next((t for t in downloads() if not t.active), None))
    assert failed.state == "failed"
    assert f"put it at {tmp_path / 'hub' / 'checkpoints' / 'squeezenet1_1-b8a52dc0.pth'}" in failed.message


def test_a_damaged_record_names_its_file(host):
    (_made(state_dir() / "transfers") / "data-x.json").write_text('{"kind": "data"}')
    with pytest.raises(UserError, match=r"data-x\.json is damaged: delete it"):
        downloads()


def test_a_download_that_cannot_start_says_why(medmnist, monkeypatch):
    monkeypatch.setattr("colora.queue.transfers.sys.executable", shutil.which("false"))
    with pytest.raises(UserError, match="The download ended at once: it said nothing"):
        start_download("data", "octmnist", 28)
    assert downloads() == []


def test_a_cancel_reaches_a_process_of_another_host_by_its_file(medmnist):
    """Home folders may be shared between hosts; a signal does not reach there."""
    elsewhere = {"pid": 1, "started": 1.0, "host": "another", "boot_id": "x"}
    record = {"kind": "data", "name": "octmnist", "size": 28, "path": "/octmnist.npz", "state": "downloading"}
    write_json(_made(state_dir() / "transfers") / "data-x.json", record | {"process": elsewhere})
    assert cancel("data-x", wait=0.2).state == "downloading"
    assert (state_dir() / "transfers" / "data-x.cancel").exists()


def _made(folder):
    folder.mkdir(parents=True)
    return folder
