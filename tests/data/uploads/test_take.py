"""What comes in is complete or not there, once, with the rights of its runs folder; nothing is left of what fails."""

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from small_data import load
from zips import class_files, image_bytes, zip_of

from colora.data.check import look
from colora.data.uploads import take
from colora.data.uploads.kept import list_uploads, read_upload
from colora.data.uploads.names import name_of
from colora.data.uploads.take import take_files, take_zip
from colora.runs import audit
from colora.runs.names import NAME
from colora.settings.config import make_config
from colora.system.errors import Cancelled, UserError
from colora.system.installation import ROOT


def folder_files(name: str = "eyes", **more: bytes) -> list[tuple[str, io.BytesIO]]:
    return [(f"{name}/{path}", io.BytesIO(content)) for path, content in (class_files() | more).items()]


def test_a_zip_can_be_trained_on_and_says_what_it_is(runs):
    files = class_files()
    upload, again = take_zip(runs, zip_of(files), "eyes.zip")
    assert not again and upload == read_upload(runs / ".colora" / "uploads" / "eyes")
    about = upload.about
    assert {key: about[key] for key in ("called", "came_as", "images", "tables", "folders", "first_folders")} == {
        "called": "eyes.zip",
        "came_as": "zip",
        "images": 12,
        "tables": 0,
        "folders": 3,
        "first_folders": ["AMD", "DME", "NORMAL"],
    }
    assert about["bytes"] == sum(map(len, files.values())) and about["left_out"] == {}
    lines = (f"{path}\0{hashlib.sha256(content).hexdigest()}\n" for path, content in sorted(files.items()))
    assert about["checksum"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    data = load(upload.dataset)
    assert data.class_names == ("AMD", "DME", "NORMAL") and sum(map(len, data.splits.values())) == 12
    assert not data.warnings and data.not_read.total == 0  # upload.json is in nobody's way
    (line,) = audit.recorded(runs)
    assert (line["action"], line["detail"]["upload"]) == ("upload", "eyes")


def test_a_table_beside_the_images_can_be_trained_on_too(runs):
    images = {f"images/{n}.png": image_bytes(n) for n in range(12)}
    lines = "".join(f"{n}.png,{'AB'[n % 2]}\n" for n in range(12))
    upload, _ = take_zip(runs, zip_of(images | {"labels.csv": f"image,label\n{lines}".encode()}), "set.zip")
    assert (upload.about["images"], upload.about["tables"]) == (12, 1)
    assert upload.says() == "12 images in 1 folder (images) and 1 table"
    found = look(make_config({"dataset": f"table:{upload.place}/labels.csv"}))
    assert found["classes"] == ["A", "B"] and sum(sum(own.values()) for own in found["counts"].values()) == 12


def test_the_same_images_come_in_once_however_they_are_packed(runs):
    first, _ = take_zip(runs, zip_of(class_files()), "eyes.zip")
    again = take_zip(runs, zip_of(dict(reversed(class_files().items())), 0), "other.zip")
    as_folder = take_files(runs, folder_files("third", **{".DS_Store": b"x"}))
    assert again == as_folder == (first, True)
    other, new = take_files(runs, folder_files("eyes", **{"AMD/more.png": image_bytes(99)}))
    moved, moved_new = take_zip(runs, zip_of({f"x/{p}": c for p, c in class_files().items()}), "eyes.zip")
    assert [other.name, moved.name, new, moved_new] == ["eyes-2", "eyes-3", False, False]
    assert [upload.name for upload in list_uploads(runs)] == ["eyes-3", "eyes-2", "eyes"]
    assert sum(line["action"] == "upload" for line in audit.recorded(runs)) == 3


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("eyes.zip", "eyes"),
        ("Scans (1).ZIP", "Scans-1"),
        ("../../etc/passwd.zip", "passwd"),
        ("..\\x.zip", "x"),
        (".zip", "scans"),
        ("网膜.zip", "scans"),
        (f"{'n' * 300}.zip", "n" * 60),
        ("a.cut.zip", "a.cut"),
        ("OCT 2019 – Zürich.zip", "OCT-2019-Zurich"),
    ],
)
def test_the_name_is_one_that_a_folder_can_have(called, name):
    assert name_of(take._without_ending(called)) == name and NAME.fullmatch(name)


@pytest.mark.parametrize(
    "paths", [["1.png", "2.png"], ["a/1.png", "b/2.png"], ["a/1.png", "2.png"], [], ["/etc/1.png", "x/2.png"]]
)
def test_files_whose_folder_is_not_told_are_refused(runs, left, paths):
    with pytest.raises(UserError, match="has not told in which folders the files lie"):
        take_files(runs, [(path, io.BytesIO(image_bytes())) for path in paths])
    assert left() == []


def test_hostile_paths_of_a_folder_are_left_out(runs, tmp_path):
    files = [(f"eyes/{path}", io.BytesIO(b"evil")) for path in ("../evil.png", "/evil.png", "C:/evil.png", "a\0.png")]
    upload, _ = take_files(runs, [*folder_files(), *files])
    assert upload.about["left_out"] == {"leads out of the folder": 3, "no possible name": 1}
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == b"evil"]


def test_nothing_usable_is_a_sentence_and_leaves_nothing(runs, left):
    files = {"1.dcm": b"x", "2.dcm": b"x", "inner.zip": b"x", "labels.csv": b"image,label\n1.png,A\n"}
    with pytest.raises(UserError, match=r"holds no image .*; there are 2 \.dcm, 1 archive, not unpacked\. Export"):
        take_zip(runs, zip_of(files), "eyes.zip")
    assert left() == [] and audit.recorded(runs) == []


def test_what_the_disk_has_no_room_for_is_refused_before_and_while_it_is_written(runs, left, monkeypatch):
    class Usage:
        free = take.KEPT_FREE + 100

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    with pytest.raises(UserError, match=r"eyes\.zip, with 1\.1 GB left for runs, needs"):
        take_zip(runs, zip_of(class_files()), "eyes.zip")
    files = folder_files()
    monkeypatch.setattr(take, "_loose", lambda path, file: take.Entry(path, 1, lambda: iter([file.getvalue()])))
    with pytest.raises(UserError, match=r"eyes, with 1\.1 GB left for runs, needs"):
        take_files(runs, files)
    assert left() == []


@pytest.mark.parametrize("call", ["open", "mkdir", "fsync", "rename"])
def test_a_disk_that_fails_leaves_nothing(runs, left, monkeypatch, call):
    take_zip(runs, zip_of({"A/1.png": image_bytes()}), "first.zip")
    real, count = {"open": open, "mkdir": os.mkdir, "fsync": os.fsync, "rename": os.rename}[call], []

    def failing(*args, **kwargs):
        if call == "fsync" or ".new" in str(args[0]):
            count.append(1)
            if len(count) == (1 if call == "rename" else 2):
                raise OSError(errno.ENOSPC, "No space left on device", str(args[0]))
        return real(*args, **kwargs)

    monkeypatch.setattr(take, "open", failing, raising=False) if call == "open" else monkeypatch.setattr(
        f"os.{call}", failing
    )
    with pytest.raises(UserError, match=r"The disk is full: .* Free some space, or choose another runs folder"):
        take_zip(runs, zip_of(class_files()), "eyes.zip")
    monkeypatch.undo()
    assert left() == ["first"] and [upload.name for upload in list_uploads(runs)] == ["first"]


def test_it_can_be_stopped_and_leaves_nothing(runs, left):
    told = []
    with pytest.raises(Cancelled, match=r"Cancelled while eyes\.zip was unpacked; nothing of it is kept\."):
        take_zip(runs, zip_of(class_files()), "eyes.zip", lambda *at: told.append(at), lambda: len(told) >= 5)
    assert len(told) == 5 and left() == []


def test_progress_ends_with_all_of_it(runs):
    told, files = [], class_files()
    take_zip(runs, zip_of(files), "eyes.zip", lambda *at: told.append(at))
    total = sum(map(len, files.values()))
    done = [done for doing, done, whole in told if doing == "Unpacking" and whole == total]
    assert done == sorted(done) and done[-1] == total
    assert told[-1] == ("Saving", 12, 12)


@pytest.mark.parametrize(("umask", "folder", "file"), [(0o077, 0o700, 0o600), (0o027, 0o750, 0o640)])
def test_the_rights_are_those_of_the_runs_folder(runs, umask, folder, file):
    before = os.umask(umask)
    try:
        upload, _ = take_zip(runs, zip_of(class_files()), "eyes.zip")
    finally:
        os.umask(before)
    for path in (upload.place, *upload.place.rglob("*")):
        assert path.stat().st_mode & 0o777 == (folder if path.is_dir() else file)


def test_what_a_killed_process_has_left_is_swept_and_what_one_is_at_stays(runs, left):
    code = f"""
        import io, sys, time
        from pathlib import Path
        from colora.data.uploads.take import Entry, _Taking
        def endless():
            yield b"x"
            print("begun", flush=True)
            time.sleep(600)
        taking = _Taking(Path({str(runs)!r}), "slow", "zip", 10**9, lambda *_: None, lambda: False)
        taking.take("slow", [Entry("A/1.png", 1, endless)])
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, cwd=ROOT
    )
    try:
        assert process.stdout.readline() == b"begun\n"
        (half,) = left()
        assert half.startswith(".slow.") and list_uploads(runs) == []
        take_zip(runs, zip_of(class_files()), "eyes.zip")
        assert left() == [half, "eyes"]  # somebody is still at it
        process.send_signal(signal.SIGKILL)
        process.wait()
        take_zip(runs, zip_of(class_files(5)), "more.zip")
        assert left() == ["eyes", "more"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
