"""Files that are complete or absent, and appended lines that are whole."""

import errno
import io
import os
import re
from pathlib import Path

import pytest

from colora.system.errors import UserError
from colora.system.files import append_json, read_json, read_json_lines, write_bytes, write_json


def test_a_file_that_did_not_change_is_read_once(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    os.utime(path, (1, 1))
    first = read_json(path)
    assert read_json(path) is first
    path.write_text('{"a": 2}')
    assert read_json(path) == {"a": 2}  # at once, though its time of change may not tell it from the next one
    path.write_text('{"a": 3}')
    assert read_json(path) == {"a": 3}


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"half")
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_file_and_its_folder_are_synced_around_the_rename(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, real=real: (done.append((name, *a)), real(*a))[1])
    monkeypatch.setattr(os, "open", lambda *a, real=os.open: (done.append(("open", a[0])), real(*a))[1])
    write_json(tmp_path / "a.json", {"a": 1})
    assert [step[0] for step in done] == ["fsync", "replace", "open", "fsync"]
    assert done[2] == ("open", tmp_path)
    append_json(tmp_path / "b.jsonl", {"a": 1})
    assert [step[0] for step in done[4:]] == ["open", "fsync"]


def test_on_windows_a_file_that_is_being_read_is_replaced_a_moment_later(tmp_path, monkeypatch):
    tries, real = [], os.replace

    def busy(*paths):
        tries.append(paths)
        if len(tries) < 4:
            raise PermissionError("the file is in use")
        real(*paths)

    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr("colora.system.files.WINDOWS", True)
    monkeypatch.setattr("colora.system.files.REPLACE_PAUSE_SECONDS", 0)
    write_json(tmp_path / "a.json", {"a": 1})
    assert len(tries) == 4 and read_json(tmp_path / "a.json") == {"a": 1}


def test_a_line_that_a_full_disk_took_half_of_is_taken_back(tmp_path, monkeypatch):
    path, real, room = tmp_path / "a.jsonl", os.write, [7, 0]

    def full(handle, data):
        if not (left := room.pop(0)):
            raise OSError(28, "No space left on device")
        return real(handle, data[:left])

    append_json(path, {"a": 1})
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, "write", full)
        append_json(path, {"something": "longer"})
    append_json(path, {"a": 2})
    assert path.read_text() == '{"a": 1}\n{"a": 2}\n'


@pytest.mark.parametrize("broken", ["write", "fsync", "close"])
def test_a_disk_that_is_full_names_the_file_and_not_what_lies_beside_it(tmp_path, monkeypatch, broken):
    """The system names no file where writing or syncing fails."""
    path, full = tmp_path / "a.json", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Full(io.FileIO):
        def write(self, data):
            raise full

    def fail(*_):
        raise full

    if broken == "close":
        monkeypatch.setattr("builtins.open", lambda name, mode: io.BufferedWriter(Full(name, mode)))
    elif broken == "write":
        monkeypatch.setattr("builtins.open", lambda name, mode: Full(name, mode))
        monkeypatch.setattr(os, "write", fail)
    else:
        monkeypatch.setattr(os, "fsync", fail)
    for write in (write_json, append_json):
        if write is append_json and broken == "close":
            continue  # it has no buffer
        with pytest.raises(OSError, match=f"No space left on device: '{re.escape(str(path))}'$") as caught:
            write(path, {"a": 1})
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
        assert path.read_bytes() == b"" if path.exists() else True
        assert [entry.name for entry in tmp_path.iterdir() if entry != path] == []


def test_a_pipe_in_place_of_a_file_is_an_error_and_no_wait_for_ever(tmp_path):
    os.mkfifo(tmp_path / "audit.jsonl")
    with pytest.raises(OSError, match=r"audit\.jsonl"):
        append_json(tmp_path / "audit.jsonl", {})


def test_what_cannot_be_cut_keeps_the_first_reason(tmp_path):
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        append_json(Path("/dev/full"), {})


def test_a_line_still_being_written_is_left_out(tmp_path):
    path = tmp_path / "m.jsonl"
    append_json(path, {"epoch": 1})
    with open(path, "a") as file:
        file.write('{"epoch": 2')
    assert read_json_lines(path) == [{"epoch": 1}]
    with open(path, "a") as file:
        file.write("x\n")
    with pytest.raises(UserError, match="cannot be read"):
        read_json_lines(path)


def test_bytes_that_are_no_text_are_written_as_question_marks(tmp_path):
    """As in the name of a file that a reason quotes: JSON could hold them, and nothing could show it."""
    write_json(tmp_path / "s.json", {"reason": "scan-\udcff.png does not open", "title": "eye \U0001f441"})
    assert read_json(tmp_path / "s.json") == {"reason": "scan-?.png does not open", "title": "eye \U0001f441"}
    append_json(tmp_path / "s.jsonl", {"who": "\ud800"})
    assert read_json_lines(tmp_path / "s.jsonl") == [{"who": "?"}]


def test_nothing_is_added_behind_a_link(tmp_path):
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="audit"):
        append_json(tmp_path / "audit.jsonl", {"a": 1})
    assert not (tmp_path / "elsewhere").exists()
