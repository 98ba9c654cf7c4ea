"""What nobody foresaw is one line with a file to look into; what the system refuses is a sentence; all can be shown."""

import errno
import io
import os
import stat
import subprocess
import sys

import pytest
from commands import mistake
from queueing import PATIENCE_SECONDS

from colora.cli.faults import KEPT, folder
from colora.cli.main import main
from colora.runs.audit import acting_user
from colora.system.installation import ROOT


def raising(monkeypatch, error):
    """Let `colora list` meet it."""

    def listing(_):
        raise error

    monkeypatch.setattr("colora.cli.results.listing", listing)


def deep():
    return deep()


def a_real_one(monkeypatch, how):
    monkeypatch.setattr("colora.cli.results.listing", lambda _: how())


class Panic(BaseException):
    """As a library in Rust raises where it gives up."""


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lambda: {}["a key"], "KeyError: 'a key'"),
        (deep, "RecursionError: maximum recursion depth exceeded"),
        (lambda: (_ for _ in ()).throw(MemoryError()), "MemoryError"),
        (lambda: (_ for _ in ()).throw(Panic("index out of bounds")), "Panic: index out of bounds"),
        (lambda: (_ for _ in ()).throw(ValueError("two\nlines\x1b[31m")), r"ValueError: two lines\x1b[31m"),
        (lambda: (_ for _ in ()).throw(ValueError("x" * 500)), f"ValueError: {'x' * 59}…"),
        (lambda: (_ for _ in ()).throw(OSError("of no kind")), "OSError: of no kind"),
    ],
)
def test_a_fault_is_one_line_and_its_traceback_a_file_for_this_user_alone(monkeypatch, capsys, how, said):
    a_real_one(monkeypatch, how)
    assert main(["list", "--runs-dir", "a folder"]) == 1
    out, err = capsys.readouterr()
    (file,) = folder().iterdir()
    assert (out, err) == ("", f"colora list: this is a fault of the program ({said}); details: {file}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(folder().stat().st_mode) == 0o700
    kept = file.read_text()
    assert "colora ['list', '--runs-dir', 'a folder']\n" in kept and "in _list" in kept
    assert said.partition(":")[0] in kept.partition("in _list")[2]


@pytest.mark.parametrize("place", [0, 1, 3])
def test_with_debug_the_traceback_is_shown_wherever_it_stands(monkeypatch, capsys, place):
    a_real_one(monkeypatch, lambda: {}["a key"])
    arguments = ["list", "--runs-dir", "runs"]
    assert main([*arguments[:place], "--debug", *arguments[place:]]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):") and err.endswith("KeyError: 'a key'\n")
    assert not folder().exists()


def test_behind_two_dashes_debug_is_a_name(capsys):
    assert "There is no group '--debug' in" in mistake(capsys, "show", "--", "--debug")


def test_the_newest_faults_stay(monkeypatch, capsys):
    a_real_one(monkeypatch, lambda: {}["a key"])
    folder().mkdir(parents=True)
    old = [folder() / f"2020{i:04d}T000000000000Z-1.txt" for i in range(KEPT + 5)]
    for path in old:
        path.touch()
    (folder() / "mine.md").touch()
    main(["list"])
    there = sorted(path.name for path in folder().glob("*.txt"))
    assert len(there) == KEPT and there[:-1] == [path.name for path in old[-KEPT + 1 :]]
    assert (folder() / "mine.md").exists()


@pytest.mark.parametrize("trouble", ["no home", "full", "a file there"])
def test_where_no_file_can_be_written_the_traceback_is_on_stderr(monkeypatch, capsys, tmp_path, trouble):
    a_real_one(monkeypatch, lambda: {}["a key"])
    if trouble == "no home":
        monkeypatch.delenv("XDG_STATE_HOME")
        monkeypatch.setattr("os.path.expanduser", lambda path: path)
        why = "There is no home folder ~ on this computer: set XDG_STATE_HOME to a folder that you may write to."
    elif trouble == "full":
        monkeypatch.setattr("os.open", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
        why = "[Errno 28] No space left"
    else:
        folder().parent.mkdir(parents=True)
        folder().touch()
        why = f"[Errno 17] File exists: '{folder()}'"
    assert main(["list"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):" and lines[-2] == "KeyError: 'a key'"
    said = "colora list: this is a fault of the program (KeyError: 'a key'); its details could not be kept"
    assert lines[-1] == f"{said} ({why})"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "x", "/d/status.json"), "/d/status.json cannot be read or written: the disk is full"),
        (OSError(errno.EDQUOT, "x", b"/d/a"), "/d/a cannot be read or written: the disk is full: free some space."),
        (OSError(errno.EROFS, "x", "/disk/a"), "/disk/a cannot be read or written: there is no permission."),
        (OSError(errno.EIO, "Input/output error", "/disk/a"), "/disk/a cannot be read or written: Input/output error."),
        (OSError(errno.ENOSPC, "x"), "The output, or a file, cannot be read or written: the disk is full"),
        (FileNotFoundError(2, "No such file or directory", "/a"), "/a cannot be read or written: No such file"),
        (OSError(errno.ESTALE, "Stale file handle", "/" + "d" * 400 + "/a.json"), "d/a.json cannot be read or"),
    ],
)
def test_what_the_system_refuses_is_a_sentence_that_names_the_file(monkeypatch, capsys, error, said):
    raising(monkeypatch, error)
    line = mistake(capsys, "list")
    assert said in line and len(line) < 450 and not folder().exists()
    assert main(["--debug", "list"]) == 2
    assert "Traceback" in capsys.readouterr().err


def run(*arguments, **options):
    """A command in a process of its own: (code, stdout, stderr), as bytes."""
    command = [sys.executable, "-m", "colora", *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT, **options}
    done = subprocess.run(command, timeout=PATIENCE_SECONDS, **options)
    return done.returncode, done.stdout, done.stderr


def test_characters_that_the_output_cannot_show_are_written_as_their_escapes(tmp_path):
    runs = os.fsencode(tmp_path / "Jürgen") + b"\xff"
    plain = os.environ | {"PYTHONIOENCODING": "ascii"}
    for environment in (plain, os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, os.environ):
        code, out, err = run("list", "--runs-dir", runs, env=environment)
        assert (code, err) == (0, b"") and rb"\udcff yet." in out
        if environment is plain:
            assert rb"J\xfcrgen\udcff" in out
        code, out, err = run("show", b"M\xc3\xbcller\xff", env=environment)
        assert (code, out, err.count(b"\n")) == (2, b"", 1) and rb"\udcff' in runs" in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_behind_the_output_is_one_line(tmp_path):
    with open("/dev/full", "wb") as full:
        code, _, err = run("list", "--runs-dir", str(tmp_path), stdout=full)
    said = b"colora list: The output, or a file, cannot be read or written: the disk is full: free some space.\n"
    assert (code, err) == (2, said)


def test_a_reader_that_has_had_enough_is_no_complaint(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as closed:
        code, _, err = run("list", "--runs-dir", str(tmp_path), stdout=closed)
    assert (code, err) == (1, b"")


def test_a_folder_that_is_gone_is_a_sentence(tmp_path, monkeypatch, capsys):
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    gone = "the folder in which this command was given is gone: change to another one.\n"
    assert mistake(capsys, "distil", "g", "--name", "d", "--runs-dir", "runs") == f"colora distil: {gone}"
    raising(monkeypatch, FileNotFoundError(2, "No such file or directory"))
    assert mistake(capsys, "list") == f"colora list: {gone}"


def test_an_account_without_a_home_is_a_sentence_for_what_needs_one_and_nothing_else(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert main(["list"]) == 0 and capsys.readouterr().out == "No group in runs yet.\n"
    (tmp_path / "in.csv").write_text("reader,image_id,verdict,data_checksum\nann,a,hard,d\n")
    home = "There is no home folder ~ on this computer"
    for arguments, instead in (
        (["weights", "list"], "set TORCH_HOME to another folder"),
        (["weights", "get", "vgg16"], "set TORCH_HOME to another folder"),
        (["verdicts", "rm", "--undo"], None),
        (["verdicts", "import", "in.csv"], "set XDG_STATE_HOME to a folder that you may write to"),
        (["show", "~/runs/first"], "type the whole path"),
        (["evaluate", "~/runs/first", "--dataset", "phantom"], "type the whole path"),
    ):
        said = mistake(capsys, *arguments)
        assert (f"{home}: {instead}." in said) if instead else ("No verdicts are removed" in said), arguments
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "runs"], "no folder ~ either"


AS_MEDMNIST_DOES = """
import os, warnings
home = os.path.expanduser("~")
try:
    os.makedirs(os.path.join(home, ".medmnist"))
    DEFAULT_ROOT = home
except OSError:
    warnings.warn("Failed to setup default root.")
    DEFAULT_ROOT = None
"""


def test_medmnists_own_folder_is_made_nowhere_else_where_there_is_no_home(monkeypatch, capsys, tmp_path, medmnist):
    """The medmnist package makes a folder `~` where it is imported without a home, and warns on stderr."""
    info = medmnist.root.parent / "package" / "medmnist" / "info.py"
    info.write_text(AS_MEDMNIST_DOES + info.read_text().replace("DEFAULT_ROOT", "OTHER_ROOT"))
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path.replace("~", os.environ.get("HOME", "~")))
    monkeypatch.chdir(tmp_path)
    said = mistake(capsys, "data", "list")
    assert "The folder ~/.medmnist cannot be made: name another with --data-dir." in said
    assert not (tmp_path / "~").exists() and "HOME" not in os.environ


def test_a_name_from_the_environment_is_text_on_one_line_and_not_endless(monkeypatch):
    monkeypatch.setenv("COLORA_USER", "Ann\n\udcff" + "n" * 5_000)
    name = acting_user()
    assert name.startswith(r"Ann \udcffnnn") and len(name) == 200
    monkeypatch.setenv("COLORA_USER", "Dr. Ann Müller <ann@clinic.org>")
    assert acting_user() == "Dr. Ann Müller <ann@clinic.org>"


def test_a_mistake_with_line_breaks_and_escapes_in_it_is_one_line(capsys):
    said = mistake(capsys, "show", "a\nb\x1b[2J", "--no\nsuch\u2028option")
    assert said == "colora: unrecognized arguments: --no such option\n"
    assert r"There is no group 'a b\x1b[2J' in runs" in mistake(capsys, "show", "a\nb\x1b[2J")


def test_streams_that_cannot_be_set_are_left_as_they_are(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert main(["list", "--runs-dir", str(tmp_path)]) == 0
    monkeypatch.setattr("sys.stdout", None)
    assert main(["list", "--runs-dir", str(tmp_path)]) == 0
