"""Locks of targets with odd names, an account without a home, and which file a full disk is told of."""

import errno
import os
from pathlib import Path

import pytest

from colora.system.errors import UserError
from colora.system.storage import disk_errors, locked, state_dir
from colora.system.typed import at_home, one_line, typed_path


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "a\udcffb", "seed"])
def test_whatever_a_target_is_called_it_can_be_locked(tmp_path, name):
    with locked(tmp_path / name):
        (lock,) = (state_dir() / "locks").iterdir()
        assert lock.name.startswith("seed-") or name != "seed"  # as versions before this one call it: they share it


def test_a_full_disk_is_told_of_the_file_that_the_error_names(tmp_path):
    file = tmp_path / "cache" / "images.npy"
    for named, said in ((str(file), file), (os.fsencode(file), file), (None, tmp_path)):
        with pytest.raises(UserError) as caught, disk_errors(tmp_path):
            raise OSError(errno.ENOSPC, "No space left on device", named)
        assert str(caught.value).startswith(f"The disk is full: {said} could not be written.")


def test_an_account_without_a_home_gets_a_sentence(monkeypatch):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    monkeypatch.delenv("XDG_STATE_HOME")
    with pytest.raises(UserError, match="no home folder ~ on this computer: set XDG_STATE_HOME to a folder"):
        state_dir()
    with pytest.raises(UserError, match="no home folder ~ on this computer: type the whole path"):
        typed_path("~/scans")
    assert at_home("/data") == Path("/data")


def test_another_users_home_that_is_not_there_is_a_sentence():
    with pytest.raises(UserError, match="no home folder ~nobody-has-this-name on this computer: do this") as caught:
        at_home("~nobody-has-this-name/x", "do this", "group")
    assert caught.value.field == "group"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n b\t\tc ", "a b c"),
        ("Müller – 眼底", "Müller – 眼底"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\udcff", r"a\udcff"),
        ("\u202eabc\u2028d", r"\u202eabc d"),
        ("a" * 100_000 + "b", "a" * 2_000 + "…" + "a" * 1_999 + "b"),
    ],
)
def test_a_text_in_a_sentence_is_one_line_of_what_can_be_printed(text, line):
    assert one_line(text) == line
