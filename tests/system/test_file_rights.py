"""The rights of what is written, whatever the umask: the runs folder's, or those of the folder around a public file."""

import os
import shutil
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from fabricate import fabricate

from colora.cli.main import main
from colora.distillation.verdicts import judge
from colora.runs.audit import record
from colora.system import file_rights
from colora.system.file_rights import like_its_folder, write_as
from colora.system.storage import locked, made_folder, state_dir

ALL = ("a-file", "a-folder")


@pytest.fixture(autouse=True)
def asked_anew():
    file_rights._own_umask.cache_clear()
    yield
    file_rights._own_umask.cache_clear()


def rights(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def made(folder) -> dict[str, str]:
    (folder / "a-file").write_text("")
    (folder / "a-folder").mkdir()
    return {name: oct(rights(folder / name)) for name in ALL}


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o027, 0o077])
@pytest.mark.parametrize(
    ("mode", "file", "folder"),
    [
        (0o700, 0o600, 0o700),
        (0o770, 0o660, 0o770),
        (0o750, 0o640, 0o750),
        (0o2770, 0o660, 0o2770),
        (0o2750, 0o640, 0o2750),
        (0o711, 0o600, 0o711),
    ],
)
def test_a_file_has_its_runs_folders_rights(tmp_path, umask, mode, file, folder):
    runs = tmp_path / "runs"
    runs.mkdir()
    runs.chmod(mode)
    os.umask(umask)
    write_as(runs)
    others = 0o007 & ~umask  # which nobody gets beyond this user's own umask
    assert made(runs) == {"a-file": oct(file), "a-folder": oct(folder & ~0o007 | folder & others)}


def test_others_read_where_both_the_folder_and_the_umask_let_them(tmp_path):
    for name, umask, file, folder in (
        ("a", 0o022, 0o644, 0o755), ("b", 0o027, 0o640, 0o750), ("c", 0o077, 0o640, 0o750),
    ):  # fmt: skip
        file_rights._own_umask.cache_clear()
        os.umask(umask)
        (runs := tmp_path / name).mkdir()
        runs.chmod(0o755)
        write_as(runs)
        assert made(runs) == {"a-file": oct(file), "a-folder": oct(folder)}


def test_of_several_folders_the_strictest_counts_and_a_missing_one_is_private(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o770)
    os.umask(0o022)
    for others in ([tmp_path / "none"], [tmp_path]):  # which pytest makes 0700
        write_as(shared, *others)
        assert oct(os.umask(0o077)) == oct(0o077)
    write_as(shared)
    assert oct(os.umask(0o077)) == oct(0o007)


def test_the_umask_is_not_changed_for_a_moment_while_threads_write(tmp_path):
    """A server sets it at each run of a page."""
    (runs := tmp_path / "runs").mkdir()
    runs.chmod(0o770)
    os.umask(0o022)
    write_as(runs)
    end = threading.Event()

    def again() -> None:
        while not end.is_set():
            write_as(runs)

    other = threading.Thread(target=again)
    other.start()
    try:
        for number in range(500):
            (runs / f"{number}").write_text("")
    finally:
        end.set()
        other.join()
    assert {oct(rights(path)) for path in runs.iterdir()} == {"0o660"}


@pytest.mark.skipif(shutil.which("setfacl") is None, reason="no setfacl")
def test_default_acls_are_left_as_they_are(tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    runs.chmod(0o700)
    subprocess.run(["setfacl", "-d", "-m", "u:nobody:rwx", str(runs)], check=True)
    os.umask(0o022)
    write_as(runs)
    (runs / "file").write_text("")
    said = subprocess.run(["getfacl", "-cp", str(runs / "file")], check=True, capture_output=True, text=True).stdout
    assert "user:nobody:rwx" in said and "mask::rw-" in said  # no umask has cut the mask


@pytest.mark.parametrize(("mode", "file", "folder"), [(None, 0o600, 0o700), (0o2770, 0o660, 0o2770)])
def test_what_commands_write_has_the_folders_rights(tmp_path, mode, file, folder):
    """Made by a command, a runs folder is its user's alone."""
    os.umask(0o022)
    runs = tmp_path / "open" / "runs"
    runs.parent.mkdir(mode=0o755)
    if mode:
        runs.mkdir()
        runs.chmod(mode)
    write_as(runs)  # as `launch` begins
    group = fabricate(runs, "g", ["done"])
    os.umask(0o022)
    file_rights._own_umask.cache_clear()
    assert main(["note", "g", "--text", "of Ms Miller's eye", "--runs-dir", str(runs)]) == 0
    judge(runs, "ann", "0" * 64, "Miller-1.jpeg", "hard")
    record(runs, "note", "g", [])
    assert main(["verdicts", "export", str(runs / "out.csv"), "--runs-dir", str(runs)]) == 0
    assert main(["rm", str(group.path)]) == 0  # from another folder, by its path
    fabricated = set(runs.rglob("epoch-*.safetensors"))  # by the library, which has rights of its own
    found = {path: rights(path) for path in {runs, *runs.rglob("*")} - fabricated}
    names = {path.name for path in found}
    assert {"notes.txt", "ann.jsonl", "audit.jsonl", "out.csv", "test.parquet", "log.txt", ".colora"} <= names
    wrong = {str(path): oct(m) for path, m in found.items() if m != (folder if path.is_dir() else file)}
    assert not wrong


def test_the_folder_that_comes_with_the_program_becomes_its_users_alone_when_it_is_first_used(tmp_path, monkeypatch):
    monkeypatch.setattr(file_rights, "ROOT", tmp_path)
    (runs := tmp_path / "runs").mkdir()
    (runs / "README.md").write_text("What was run.")
    runs.chmod(0o755)
    write_as(runs)
    assert rights(runs) == 0o700
    runs.chmod(0o755)  # somebody's wish from now on
    (runs / "first").mkdir()
    write_as(runs)
    assert rights(runs) == 0o755
    (runs / "first").rmdir()
    runs.chmod(0o2770)
    write_as(runs)
    assert rights(runs) == 0o2770


def test_state_is_its_users_alone(tmp_path):
    os.umask(0o002)
    with locked(tmp_path / "set"):
        assert (rights(state_dir()), rights(state_dir() / "locks")) == (0o700, 0o700)


@pytest.mark.parametrize(
    ("around", "folder", "file"),
    [
        (0o755, 0o755, 0o644),
        (0o2775, 0o2775, 0o664),
        (0o700, 0o700, 0o600),
        (0o1777, 0o755, 0o644),
        (0o777, 0o775, 0o664),
    ],
)
def test_public_files_take_after_the_folder_around_them(tmp_path, around, folder, file):
    os.umask(0o077)  # as a process over private runs has it
    tmp_path.chmod(around)
    made_folder(tmp_path / "data" / "sets")
    assert [rights(tmp_path / "data"), rights(tmp_path / "data" / "sets")] == [folder, folder]
    (path := tmp_path / "set.npz").write_text("")
    like_its_folder(path)
    assert rights(path) == file


def test_a_folder_whose_name_no_system_takes_is_as_one_that_is_not_there():
    os.umask(0o022)
    file_rights._own_umask.cache_clear()
    write_as(Path("a\ud800"))
    assert os.umask(0o022) == 0o077
