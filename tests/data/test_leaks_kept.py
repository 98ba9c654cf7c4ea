"""Leaks that were found are kept for the next seed, and whatever is wrong with what is kept costs time alone."""

import errno
import os
import time
from dataclasses import replace

import numpy as np
import pytest
from small_data import load

from colora.data import leaks_kept
from colora.data.leaks import find_leaks
from colora.data.leaks_kept import known_leaks, leaks_of


@pytest.fixture
def dataset(tiny_npz):
    """The tiny data, with its first test image in training too."""
    data = load(f"npz:{tiny_npz}")
    train, test = data.splits["train"], data.splits["test"]
    images = np.concatenate([train.images[:-1], test.images[:1]])
    return replace(data, splits=data.splits | {"train": replace(train, images=images)})


@pytest.fixture
def looked(monkeypatch):
    """The data sets that were looked at, one entry each time."""
    found = []
    monkeypatch.setattr(leaks_kept, "find_leaks", lambda data, *how: found.append(data) or find_leaks(data, *how))
    return found


def files(own_folders):
    return sorted((own_folders / "checks").iterdir()) if (own_folders / "checks").exists() else []


def test_leaks_are_found_once_and_known_by_the_checksum(dataset, looked, own_folders):
    assert known_leaks(dataset.checksum()) is None and files(own_folders) == []
    found = leaks_of(dataset)
    assert (found.exact_across_splits, found.leaking) == (1, {"train/000029"})
    assert leaks_of(dataset) == known_leaks(dataset.checksum()) == found and len(looked) == 1
    (file,) = files(own_folders)
    assert file.name.startswith(f"leaks-1-{dataset.checksum()}-")
    if os.name == "posix":
        assert file.parent.stat().st_mode & 0o077 == 0  # the ids may name patients


def test_other_pixels_labels_and_names_are_other_data(dataset, looked, own_folders):
    leaks_of(dataset)
    train = dataset.splits["train"]
    for changed in (
        replace(train, images=255 - train.images),
        replace(train, labels=train.labels[::-1]),
        replace(train, image_ids=np.char.add("new/", train.image_ids)),
    ):
        other = replace(dataset, splits=dataset.splits | {"train": changed})
        assert leaks_of(other).leaking <= set(changed.image_ids.tolist())
    assert len(looked) == 4 and len(files(own_folders)) == 4
    assert known_leaks(dataset.checksum()).leaking == {"new/train/000029"}  # whoever asked last


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\x00", b'{"pairs": 1}', b"[" * 100_000])
def test_a_damaged_file_is_as_none(dataset, looked, own_folders, content):
    found = leaks_of(dataset)
    (file,) = files(own_folders)
    file.write_bytes(content)
    assert known_leaks(dataset.checksum()) is None
    assert leaks_of(dataset) == found and len(looked) == 2
    assert known_leaks(dataset.checksum()) == found


@pytest.mark.parametrize("put", [os.mkdir, os.mkfifo, lambda path: os.symlink(path, path)])
def test_what_is_no_file_costs_time_alone(dataset, looked, own_folders, put):
    found = leaks_of(dataset)
    (file,) = files(own_folders)
    file.unlink()
    put(file)
    assert known_leaks(dataset.checksum()) is None and leaks_of(dataset) == found


def test_a_disk_that_takes_nothing_costs_time_alone(dataset, looked, own_folders, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(leaks_kept, "write_json", full)
    assert leaks_of(dataset) == leaks_of(dataset) and len(looked) == 2 and files(own_folders) == []


def test_a_cache_or_a_state_that_is_a_file_costs_time_alone(dataset, looked, own_folders, monkeypatch):
    own_folders.write_text("no folder")
    assert leaks_of(dataset).exact_across_splits == 1 and known_leaks(dataset.checksum()) is None
    own_folders.unlink()
    monkeypatch.setenv("XDG_STATE_HOME", __file__)
    assert leaks_of(dataset) == known_leaks(dataset.checksum())
    for name in ("COLORA_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "~nobody-of-this-name")
    assert leaks_of(dataset).exact_across_splits == 1 and known_leaks(dataset.checksum()) is None
    assert len(looked) == 3


def test_what_nothing_has_used_for_thirty_days_is_dropped(dataset, own_folders):
    leaks_of(dataset)
    (used,) = files(own_folders)
    old = used.with_name(f"leaks-0-{'a' * 64}-{'b' * 16}.json")
    recent, mine = used.with_name(old.name.replace("a", "c")), used.with_name("notes.txt")
    long_ago = time.time() - 31 * 86_400
    for file in (old, recent, mine, used):
        file.touch()
        os.utime(file, (long_ago, long_ago))
    os.utime(recent)
    leaks_of(dataset)  # which uses it
    leaks_of(replace(dataset, splits=dataset.splits | {"val": dataset.splits["test"]}))
    assert {file.name for file in files(own_folders)} >= {used.name, recent.name, mine.name}
    assert not old.exists() and len(files(own_folders)) == 4


@pytest.mark.parametrize("checksum", ["", "*", "../" + "a" * 61, "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_what_is_no_checksum_is_not_known(own_folders, checksum):
    (own_folders / "checks").mkdir(parents=True)
    assert known_leaks(checksum) is None


def test_whoever_waits_for_another_process_is_told_and_takes_what_it_found(dataset, looked, own_folders, monkeypatch):
    found = leaks_of(dataset)
    (file,) = files(own_folders)
    content = file.read_bytes()
    file.unlink()
    real, told = leaks_kept.locked, []

    def waits(place, on_wait):
        on_wait()
        place.write_bytes(content)  # as the other process does meanwhile
        return real(place)

    monkeypatch.setattr(leaks_kept, "locked", waits)
    assert leaks_of(dataset, lambda *done: told.append(done)) == found
    assert told == [(0, 90)] and len(looked) == 1
