"""This user's state folder and locks, and trouble with the disk as sentences that say what to do next.

State and locks live in the host's own state directory, never beside the data: a network folder may not know locks, and
a data folder may be shared or read-only.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from colora.system.errors import Cancelled, UserError
from colora.system.file_rights import PRIVATE, like_its_folder
from colora.system.typed import at_home, exists, is_file

Stop = Callable[[], bool]  # asked now and then whether a person wants to stop
LOCK_POLL_SECONDS = 0.1
FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
ELSEWHERE = "choose another folder with --data-dir"
STATE_ELSEWHERE = "set XDG_STATE_HOME to a folder that you may write to"
LONGEST_NAME = 150  # bytes of a file's own name in that of its lock


def never() -> bool:
    """Nobody stops it."""
    return False


def state_dir() -> Path:
    """$XDG_STATE_HOME/colora, else ~/.local/state/colora; it need not exist yet. Raises UserError where this account
    has no home."""
    return at_home(os.environ.get("XDG_STATE_HOME") or "~/.local/state", STATE_ELSEWHERE) / "colora"


def state_folder(name: str) -> Path:
    """A folder of this user's state, made where it is missing; nobody else looks into it. Raises UserError where it
    cannot be."""
    folder = state_dir() / name
    with disk_errors(folder, STATE_ELSEWHERE):
        state_dir().mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        folder.mkdir(mode=PRIVATE, exist_ok=True)
    return folder


def made_folder(folder: Path, elsewhere: str = ELSEWHERE) -> Path:
    """The folder, made where it is missing, with the rights of the one around it. Raises UserError where it cannot
    be."""
    with disk_errors(folder, elsewhere):
        missing = [place for place in (folder, *folder.parents) if not exists(place)]
        folder.mkdir(parents=True, exist_ok=True)
        for place in reversed(missing):
            like_its_folder(place)
    return folder


@contextmanager
def locked(target: Path, should_stop: Stop = never, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """One process of this user at a time works on `target`; the others wait. A process that dies lets go.

    Raises Cancelled where `should_stop` says so while waiting.
    """
    folder, path = state_folder("locks"), os.fsencode(target.absolute())
    name = target.name if len(os.fsencode(target.name)) <= LONGEST_NAME else ""
    lock = FileLock(folder / f"{name}-{hashlib.sha256(path).hexdigest()[:16]}.lock")
    while True:
        try:
            lock.acquire(timeout=LOCK_POLL_SECONDS)
            break
        except Timeout:
            on_wait()
            if should_stop():
                raise Cancelled(f"Cancelled while another process was at work on {target.name}.") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def disk_errors(path: Path, elsewhere: str = ELSEWHERE, kept: str = "") -> Iterator[None]:
    """Turns what the disk refuses about `path`, or about a file in it that the error names, into a UserError; `kept`
    says at its end what is not lost."""
    try:
        yield
    except OSError as error:
        path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
        if error.errno in FULL:
            sentence = f"The disk is full: {path} could not be written. Free some space, or {elsewhere}."
        elif error.errno in FORBIDDEN:
            sentence = f"There is no permission to write {path}: ask who owns {path.parent}, or {elsewhere}."
        else:
            sentence = f"{path} could not be written ({error.strerror or error}): look at that folder, or {elsewhere}."
        raise UserError(sentence + kept) from error


def check_room(folder: Path, needed: int, what: str, elsewhere: str = ELSEWHERE) -> None:
    """Raises UserError where the disk of `folder` has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{what} needs {size_text(needed)}, but the disk of {folder} has {size_text(free)} free: "
            f"free some space, or {elsewhere}."
        )


def file_size(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size if is_file(path) else 0
    except FileNotFoundError:  # gone since, as what is written beside a file and then renamed
        return 0


def size_text(count: float) -> str:
    """`5489312345` -> `"5.5 GB"`."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while count >= 1000 and len(units) > 1:
        count /= 1000
        del units[0]
    return f"{count:.0f} {units[0]}" if units[0] in ("B", "kB") else f"{count:.1f} {units[0]}"
