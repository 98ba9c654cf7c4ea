"""Files that are complete or absent: written beside, synced, renamed; read with a memory of what has not changed.

Standard library only: the guard of each run writes with these too, and is to start fast and stay small.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from colora.system.beside import beside, sweep
from colora.system.errors import UserError

WINDOWS = os.name == "nt"
AT_ONCE = getattr(os, "O_NONBLOCK", 0)  # where a pipe lies in place of a file, that is an error and no wait for ever
REPLACE_TRIES = 50  # on Windows a reader's open file forbids the rename for a moment
REPLACE_PAUSE_SECONDS = 0.02
SETTLED_SECONDS = 0.1  # a file changed this recently may change again within one tick of its time of change
REMEMBERED_FILES = 16_384


_swept: set[str] = set()  # folders in which this process has looked once for what killed writers have left


def write_bytes(path: Path, data: bytes) -> None:
    """Atomic: after a crash the file holds the old or the new content, never a part.

    The first file that a process writes in a folder also sweeps up what killed writers have left there.
    """
    _sweep_once(path.parent)
    part = beside(path)
    with naming(path):
        try:
            with open(part, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(path.parent)


def _sweep_once(folder: Path) -> None:
    """Once for each process and folder: a heartbeat every few seconds reads no folder, and a new run does."""
    if (name := os.fspath(folder)) not in _swept:
        _swept.add(name)
        sweep(folder)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Lets an OSError name the file that it is about: those of write() and fsync() name none, and that of what is
    written beside a file one that nobody knows."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error


def _replace(beside: Path, path: Path) -> None:
    for _ in range(REPLACE_TRIES if WINDOWS else 0):
        try:
            return os.replace(beside, path)
        except PermissionError:
            time.sleep(REPLACE_PAUSE_SECONDS)
    os.replace(beside, path)


def sync_folder(folder: Path) -> None:
    if not WINDOWS:  # it cannot open a folder; its rename is durable enough
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def append_json(path: Path, value: Any) -> None:
    """Adds one line of JSON and syncs it."""
    append_bytes(path, (json.dumps(value, allow_nan=False) + "\n").encode())


def append_bytes(path: Path, data: bytes) -> None:
    """Adds to a file and syncs it; one write, so that lines of several processes do not mix. A part that a full disk
    has taken is given back, so that the next line does not follow half of one."""
    with naming(path):
        handle, taken = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | AT_ONCE, 0o666), 0
        try:
            while taken < len(data):  # a second round only where the disk took a part
                taken += os.write(handle, data[taken:])
            os.fsync(handle)
        except OSError:
            with suppress(OSError):  # it is no file that can be cut, such as a device: what was said first counts
                end = os.lseek(handle, 0, os.SEEK_CUR)
                if os.fstat(handle).st_size == end:  # nobody has added anything behind it
                    os.ftruncate(handle, end - taken)
            raise
        finally:
            os.close(handle)


def read_json(path: str | Path) -> Any:
    """The file's document, to read and not to change: the next reader gets the same one while the file stays the same.

    Raises UserError that names the file if it is missing or damaged.
    """
    return read_remembered(_document, path)


def read_remembered(read: Any, path: str | Path) -> Any:
    """`remembered`. Raises UserError that names the file if it is missing or damaged."""
    try:
        return remembered(read, path)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist.") from error
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}); the run folder is damaged.") from error


def read_json_lines(path: str | Path) -> list[dict[str, Any]]:
    """The complete lines of an appended file; a last line still being written is left out."""
    try:
        return list(remembered(_lines, path))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise UserError(f"{path} holds a line that is not JSON ({error}); the run folder is damaged.") from error


def remembered(read: Any, path: str | Path) -> Any:
    """`read(path, stamp)`, an lru_cache'd function, or what it gave when inode, time of change and size were equal."""
    name = os.fspath(path)
    stat = os.stat(name)
    if abs(time.time() - stat.st_mtime) < SETTLED_SECONDS:
        return read.__wrapped__(name, None)
    return read(name, (stat.st_ino, stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=REMEMBERED_FILES)
def _document(path: str, stamp: Any) -> Any:
    with open(path, "rb") as file:
        return json.loads(file.read())


@lru_cache(maxsize=REMEMBERED_FILES)
def _lines(path: str, stamp: Any) -> list[dict[str, Any]]:
    with open(path, "rb") as file:
        rows = [json.loads(line) for line in file.read().split(b"\n")[:-1]]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line is no object")
    return rows
