"""Downloads against a host on this machine: resumed, checked, cancelled, refused by disks, and by two at once."""

import hashlib
import os
import subprocess
import sys

import pytest
from host import forbidden_folder, small_disk
from queueing import PATIENCE_SECONDS, wait_for

import colora.system.download
from colora.system.download import RemoteFile, fetch, verify
from colora.system.errors import Cancelled, UserError
from colora.system.installation import ROOT
from colora.system.storage import check_room, locked, size_text

BODY = bytes(range(256)) * 4000  # 1,024,000 bytes
MD5 = hashlib.md5(BODY).hexdigest()


@pytest.fixture
def file(host, tmp_path):
    host.files = {"set.npz": BODY}
    return RemoteFile(host.url("set.npz"), f"md5:{MD5}", tmp_path / "data" / "set.npz")


def test_a_file_arrives_whole_with_progress(file, host):
    told = []
    assert fetch(file, lambda *progress: told.append(progress)) == file.path
    assert file.path.read_bytes() == BODY
    assert not file.part.exists()
    assert told[0] == ("downloading", 0, len(BODY))
    assert ("downloading", len(BODY), len(BODY)) in told
    assert told[-1] == ("verifying", len(BODY), len(BODY))
    assert fetch(file) == file.path
    assert host.asked == [None]  # the second time the file was there


def test_a_sha256_prefix_is_enough(file):
    fetch(RemoteFile(file.url, f"sha256:{hashlib.sha256(BODY).hexdigest()[:8]}", file.path))
    assert file.path.read_bytes() == BODY


def test_a_cut_connection_is_continued_where_it_broke(file, host):
    host.cuts = [300_000, 400_000]
    fetch(file)
    assert file.path.read_bytes() == BODY
    assert host.asked == [None, "bytes=300000-", "bytes=700000-"]


def test_a_host_that_falls_silent_is_asked_again(file, host, monkeypatch):
    monkeypatch.setattr(colora.system.download, "TIMEOUT_SECONDS", 3)
    host.piece, host.pause = 600_000, 60.0
    fetch(file)
    assert host.asked == [None, "bytes=600000-"]
    assert file.path.read_bytes() == BODY


def test_without_a_length_the_checksum_decides(file, host):
    host.tells_length = False
    fetch(file)
    assert file.path.read_bytes() == BODY


def test_a_host_that_goes_on_failing_is_left_with_the_part_kept(file, host):
    host.cuts = [300_000, 0, 0, 0, 0]
    with pytest.raises(UserError) as caught:
        fetch(file)
    assert "broke off. 300 kB have arrived and are kept; the next try continues there." in str(caught.value)
    assert f"fetch {file.url} on a machine with a network (MD5 {MD5}) and put it at {file.path}." in str(caught.value)
    assert len(host.asked) == colora.system.download.TRIES
    assert file.part.read_bytes() == BODY[:300_000]
    host.cuts = []
    fetch(file)
    assert host.asked[-1] == "bytes=300000-"
    assert file.path.read_bytes() == BODY


def test_a_host_without_ranges_starts_anew(file, host):
    host.ranges, host.cuts = False, [300_000]
    fetch(file)
    assert host.asked == [None, "bytes=300000-"]
    assert file.path.read_bytes() == BODY


def test_a_part_that_is_all_there_is_only_checked(file, host):
    file.path.parent.mkdir()
    file.part.write_bytes(BODY)
    fetch(file)
    assert host.asked == [f"bytes={len(BODY)}-"]  # answered with 416
    assert file.path.read_bytes() == BODY


def test_a_part_longer_than_the_file_is_begun_anew(file, host):
    file.path.parent.mkdir()
    file.part.write_bytes(BODY + b"more")
    fetch(file)
    assert host.asked == [f"bytes={len(BODY) + 4}-", None]
    assert file.path.read_bytes() == BODY


def test_a_wrong_checksum_deletes_the_part_and_says_both(file, host):
    host.files["set.npz"] = BODY[:-1] + b"x"
    found = hashlib.md5(host.files["set.npz"]).hexdigest()
    with pytest.raises(UserError, match=f"arrived damaged: MD5 {MD5} was expected, {found} was found. It was deleted"):
        fetch(file)
    assert not file.part.exists()
    assert not file.path.exists()


def test_an_existing_file_is_checked_and_never_deleted(file, host):
    file.path.parent.mkdir()
    file.path.write_bytes(BODY[:100])  # what a broken copy leaves
    with pytest.raises(UserError, match=r"set\.npz \(100 B\) is damaged or another file.*Delete it and get it again"):
        fetch(file)
    assert file.path.read_bytes() == BODY[:100]
    assert host.asked == []
    file.path.write_bytes(BODY)
    verify(file)


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (503, 2)])
def test_refusals_name_the_host_and_the_way_around(file, host, status, tries):
    host.status = status
    with pytest.raises(UserError, match=rf"127\.0\.0\.1:\d+ answers {status} .* put it at .*set\.npz"):
        fetch(file)
    assert len(host.asked) == tries


def test_no_host_and_no_http(file, host):
    host.close()
    with pytest.raises(UserError, match=r"does not answer: .*refused.*Try again later, or fetch http://127"):
        fetch(file)
    with pytest.raises(UserError, match="no http or https address"):
        fetch(RemoteFile("file:///etc/passwd", file.checksum, file.path))


def test_a_cancelled_download_keeps_its_part(file, host):
    had = []

    def should_stop():
        had.append(file.part.stat().st_size if file.part.exists() else 0)
        return had[-1] > 200_000

    host.pause = 0.01
    with pytest.raises(Cancelled, match=r"kB of set\.npz are kept; the next try continues"):
        fetch(file, should_stop=should_stop)
    kept = file.part.stat().st_size
    assert 200_000 < kept < len(BODY)
    fetch(file)
    assert host.asked == [None, f"bytes={kept}-"]
    assert file.path.read_bytes() == BODY


def test_a_full_disk_keeps_what_arrived(file, host, tmp_path):
    with small_disk(tmp_path / "small", 512) as small:
        here = RemoteFile(file.url, file.checksum, small / "set.npz")
        with pytest.raises(UserError, match=r"set\.npz needs 1\.0 MB, but the disk of .*small has 52. kB free: "):
            fetch(here)
        assert host.asked == [None]
        host.tells_length = False  # so that only the disk itself can say so
        with pytest.raises(UserError, match=r"The disk is full: .*npz\.part .*--data-dir\. What has arrived is kept"):
            fetch(here)
        kept = here.part.read_bytes()
        assert len(kept) > 100_000
        assert kept == BODY[: len(kept)]


def test_room_for_what_comes_after_is_asked_for(file):
    with pytest.raises(UserError, match=r"set\.npz needs .* TB, but the disk of"):
        fetch(file, room=10**18)
    assert not file.path.exists()
    check_room(file.path.parent, 0, "nothing")


def test_a_forbidden_folder_is_a_sentence(file, tmp_path):
    with forbidden_folder(tmp_path / "theirs") as theirs:
        for path in (theirs / "set.npz", theirs / "new" / "set.npz"):
            with pytest.raises(UserError, match=r"There is no permission to write .*theirs.* choose another folder"):
                fetch(RemoteFile(file.url, file.checksum, path))


def test_two_processes_at_once_download_once(file, host):
    host.pause = 1
    script = (
        "import sys; from pathlib import Path; from colora.system.download import RemoteFile, fetch\n"
        "told = set(); note = lambda state, *_: (told.add(state), Path(sys.argv[3] + '.' + state).touch())\n"
        "fetch(RemoteFile(sys.argv[1], sys.argv[2], Path(sys.argv[3])), note); print(sorted(told))"
    )
    command = [sys.executable, "-c", script, file.url, file.checksum, str(file.path)]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    wait_for(lambda: file.path.with_name("set.npz.waiting").exists())
    host.pause = 0
    said = sorted(process.communicate(timeout=PATIENCE_SECONDS)[0].strip() for process in both)
    assert said == ["['downloading', 'verifying']", "['verifying', 'waiting']"]
    assert host.asked == [None]
    assert file.path.read_bytes() == BODY


def test_a_killed_process_lets_go_of_its_lock(file, host):
    host.pause = 2
    script = (
        "import sys; from pathlib import Path; from colora.system.download import RemoteFile, fetch\n"
        "fetch(RemoteFile(sys.argv[1], sys.argv[2], Path(sys.argv[3])), lambda *_: print(flush=True))"
    )
    command = [sys.executable, "-c", script, file.url, file.checksum, str(file.path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.readline()
        process.kill()
    kept = file.part.stat().st_size
    assert kept > 0
    host.pause = 0
    fetch(file)
    assert host.asked == [None, f"bytes={kept}-"]


def test_waiting_for_a_lock_can_be_cancelled(file, monkeypatch, tmp_path):
    waited = []
    with locked(file.path), pytest.raises(Cancelled, match=r"another process was at work on set\.npz"):
        fetch(file, lambda *told: waited.append(told), should_stop=lambda: bool(waited))
    assert waited == [("waiting", 0, None)]
    monkeypatch.setenv("XDG_STATE_HOME", os.devnull)
    with pytest.raises(UserError, match="set XDG_STATE_HOME"):
        fetch(file)


def test_sizes_read_well():
    assert [size_text(n) for n in (0, 999, 1000, 999_999, 5_489_312_345, 2e15)] == [
        "0 B", "999 B", "1 kB", "1000 kB", "5.5 GB", "2000.0 TB",
    ]  # fmt: skip
