"""Prepared images of large folders in the cache: the same pixels, once, also with two processes or a full disk."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from queueing import PATIENCE_SECONDS
from small_data import load, write_folder

from colora.data import prepared
from colora.data.layout import folder_catalogue
from colora.data.prepared import cache_dir, prepare_files
from colora.data.sources import load_dataset
from colora.settings.config import RunConfig
from colora.system.errors import UserError
from colora.system.storage import locked


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder of 72 images that counts as large, in chunks of 16."""
    monkeypatch.setattr(prepared, "MAPPED_FROM", 1)
    monkeypatch.setattr(prepared, "CHUNK", 16)
    return write_folder(tmp_path / "oct")


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """The paths of the images that were opened."""
    paths: list[str] = []
    read = prepared.read_image

    def listed(path, image_size, **options):
        paths.append(path)
        return read(path, image_size, **options)

    monkeypatch.setattr(prepared, "read_image", listed)
    return paths


def entries() -> list[Path]:
    return [p for p in cache_dir().iterdir() if p.is_dir()] if cache_dir().exists() else []


def whole(root, image_size=32, **how):
    listing = folder_catalogue(root)
    return prepare_files(listing.root, listing.paths, image_size, **how)


def test_small_folders_leave_nothing_behind(tiny_folder):
    assert load(f"folder:{tiny_folder}").splits["train"].images.flags.writeable
    assert not cache_dir().exists()


def test_a_large_folder_is_prepared_once_and_mapped(root, opened, tiny_folder, monkeypatch):
    data = load(f"folder:{root}")
    assert len(opened) == 72
    (entry,) = entries()
    assert sorted(p.name for p in entry.iterdir()) == ["images.npy", "notes.json"]
    assert "may be deleted at any time" in (cache_dir() / "README.txt").read_text()
    assert not data.splits["train"].images.flags.writeable
    again = load(f"folder:{root}")
    assert len(opened) == 72
    monkeypatch.setattr(prepared, "MAPPED_FROM", 1000)
    in_memory = load(f"folder:{tiny_folder}")
    assert data.checksum() == again.checksum() == in_memory.checksum()
    if os.name == "posix":
        assert entry.stat().st_mode & 0o077 == 0  # patients' images are this user's alone


def test_notes_are_kept_with_the_images(root, opened):
    (root / "ONE" / "ONE-999-1.png").write_text("no image")
    Image.new("RGB", (32, 32), "red").save(root / "TWO" / "TWO-900-1.png")
    first = load(f"folder:{root}")
    again = load(f"folder:{root}")
    assert len(opened) == 74
    assert first.warnings == again.warnings
    assert first.left_out == again.left_out == ("ONE/ONE-999-1.png: it is no PNG, JPEG, TIFF, BMP, GIF or WEBP",)
    assert sum(len(s) for s in again.splits.values()) == 73
    assert first.checksum() == again.checksum()


@pytest.mark.parametrize("what", ["content", "new", "gone", "size", "seed"])
def test_whatever_changes_the_pixels_makes_another_entry(root, opened, what):
    load(f"folder:{root}")
    path, settings, expected = root / "ONE" / "ONE-0-1.png", {}, 144
    if what == "content":
        Image.new("L", (32, 32), 9).save(path)
    elif what == "new":
        shutil.copy(path, path.with_name("ONE-0-9.png"))
        expected = 145
    elif what == "gone":
        path.unlink()
        expected = 143
    elif what == "size":
        settings = {"image_size": 16}
    else:
        settings = {"split_seed": 3}
    load(f"folder:{root}", **settings)
    assert len(opened) == expected
    assert len(entries()) == 2


def test_progress_and_order(root):
    told = []
    result = whole(root, on_progress=lambda *done: told.append(done))
    assert [done for done, _ in told][-6:] == [0, 16, 32, 48, 64, 72]
    assert {total for _, total in told} == {72}
    in_order = [np.asarray(Image.open(root / p).convert("L"))[:, 8:40] for p in folder_catalogue(root).paths]
    assert np.array_equal(result.images, in_order)
    assert result.kept.tolist() == list(range(72))


@pytest.mark.parametrize("mapped_from", [1, 1000])
def test_what_progress_raises_ends_the_preparation_and_leaves_no_part(root, monkeypatch, mapped_from):
    monkeypatch.setattr(prepared, "MAPPED_FROM", mapped_from)

    class Enough(Exception):
        pass

    def stop(done, total):
        if done >= 32:
            raise Enough

    with pytest.raises(Enough):
        load_dataset(RunConfig(dataset=f"folder:{root}", image_size=32), on_progress=stop)
    assert entries() == []


def test_a_bad_folder_is_refused_before_all_of_it_is_read(root, opened):
    for path in root.rglob("*.png"):
        path.write_text("no image")
    with pytest.raises(UserError, match=r"16 of 72 images in .*oct do not open \(more than 5 %, 56 not tried yet\)"):
        load(f"folder:{root}")
    assert len(opened) == 16
    assert entries() == []


PREPARE = """
import sys, time
from pathlib import Path
from colora.data import prepared
from colora.data.layout import folder_catalogue
assert "torch" not in sys.modules
prepared.MAPPED_FROM, prepared.CHUNK = 1, 8
read = prepared.read_image
def slow(path, size, **options):
    with open(sys.argv[2], "a") as log:
        log.write(path + "\\n")
    time.sleep(0.02)
    return read(path, size, **options)
prepared.read_image = slow
listing = folder_catalogue(Path(sys.argv[1]))
told = []
result = prepared.prepare_files(listing.root, listing.paths, 32, on_progress=lambda *done: told.append(done))
print(result.images.shape, int(result.images.sum()), len(told))
"""


def start(root, log):
    arguments = [sys.executable, "-c", PREPARE, str(root), str(log)]
    where = Path(__file__).parents[2]
    return subprocess.Popen(arguments, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once_do_the_work_once(root, tmp_path):
    processes = [start(root, tmp_path / "log") for _ in range(2)]
    told = [process.communicate(timeout=PATIENCE_SECONDS) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    answers = [out.split()[:4] for out, _ in told]
    assert answers[0] == answers[1]
    assert len((tmp_path / "log").read_text().splitlines()) == 72
    assert len(entries()) == 1


def test_a_killed_process_leaves_nothing_that_is_taken_for_whole(root, tmp_path):
    log = tmp_path / "log"
    process = start(root, log)
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end and not (log.exists() and len(log.read_text().splitlines()) > 20):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert [p.suffix for p in entries()] == [".part"]
    assert sum(map(len, load(f"folder:{root}").splits.values())) == 72
    whole(root)
    assert not [p for p in entries() if p.suffix == ".part"]


def test_who_waits_for_another_process_may_stop(root):
    class Enough(Exception):
        pass

    listing = folder_catalogue(root)
    key = prepared._key(listing.root, listing.paths, 32, lambda done, total: None)
    waited = []

    def stop(done, total):
        waited.append((done, total))
        if len(waited) > 20:
            raise Enough

    with locked(cache_dir() / key), pytest.raises(Enough):
        whole(root, on_progress=stop)
    assert set(waited) == {(0, 72)}


def test_too_little_room_is_found_before_anything_is_written(root, monkeypatch):
    class Full:
        free = 1000

    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Full)
    sentence = (
        r"Preparing 72 images at 32 px needs 74 kB, but the disk of .* has 1 kB free: free some space, or set "
        "COLORA_CACHE to a folder that has room"
    )
    with pytest.raises(UserError, match=sentence):
        load(f"folder:{root}")
    assert entries() == []


@pytest.mark.parametrize(
    ("number", "sentence"), [(errno.ENOSPC, "The disk is full: .*COLORA_CACHE"), (errno.EDQUOT, "The disk is full")]
)
def test_a_disk_that_fills_up_meanwhile(root, monkeypatch, number, sentence):
    written = []

    def full(file, content):
        written.append(len(content))
        if len(written) == 3:
            raise OSError(number, os.strerror(number))
        file.write(content)

    monkeypatch.setattr(prepared, "_write_all", full)
    with pytest.raises(UserError, match=sentence):
        load(f"folder:{root}")
    assert len(written) == 3
    assert entries() == []


def test_a_full_disk_for_real(root, tmp_path, monkeypatch):
    """64 kB are free where 74 kB are needed; the check before is made to believe that there is room."""
    small = tmp_path / "small"
    small.mkdir()
    mount = shutil.which("mount")
    if sys.platform != "linux" or not mount:
        pytest.skip("needs Linux's mount")
    mounted = subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"this user may not mount: {mounted.stderr.strip()}")
    try:
        monkeypatch.setenv("COLORA_CACHE", str(small))
        with monkeypatch.context() as patch:
            patch.setattr(prepared, "check_room", lambda *args: None)
            with pytest.raises(UserError, match=r"The disk is full: .*COLORA_CACHE"):
                load(f"folder:{root}")
            assert entries() == []
        with pytest.raises(UserError, match="needs 74 kB, but the disk of"):
            load(f"folder:{root}")
        assert entries() == []
        assert load(f"folder:{root}", image_size=16).counts("train")  # 18 kB still fit
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_cache_that_may_not_be_written(root, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COLORA_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"could not be written .* set COLORA_CACHE to a folder that has room"):
        load(f"folder:{root}")


@pytest.mark.parametrize("damage", ["notes", "short", "shape", "lost"])
def test_a_damaged_entry_says_which_folder_to_delete(root, damage):
    whole(root)
    (entry,) = entries()
    if damage == "notes":
        (entry / "notes.json").write_text("{")
    elif damage == "short":
        (entry / "images.npy").write_bytes((entry / "images.npy").read_bytes()[:-100])
    elif damage == "shape":
        (entry / "notes.json").write_text(json.dumps({"left_out": [[3, "x"]], "converted": {}}))
    else:
        (entry / "images.npy").unlink()
    with pytest.raises(UserError, match=rf"{entry} is damaged .*: delete that folder and start again"):
        whole(root)
    shutil.rmtree(entry)
    assert len(whole(root).images) == 72


def test_what_is_not_used_for_30_days_is_dropped_when_something_is_added(root):
    whole(root)
    (old,) = entries()
    foreign = cache_dir() / "somebody-elses"
    foreign.mkdir()
    part = old.with_name("0" * 32 + ".part")
    part.mkdir()
    month = time.time() - 31 * 86_400
    for path in (old, foreign, part):
        os.utime(path, (month, month))
    whole(root)  # uses the old one, which is old no more
    whole(root, image_size=16)
    assert old.exists()
    assert not part.exists()
    os.utime(old, (month, month))
    whole(root, image_size=24)
    assert not old.exists()
    assert foreign.exists()
    assert len(entries()) == 3


def test_where_the_cache_is(monkeypatch, tmp_path):
    assert cache_dir() == tmp_path / "colora-cache" / "prepared"
    monkeypatch.delenv("COLORA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert cache_dir() == tmp_path / "c" / "colora" / "prepared"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "colora" / "prepared"
