"""Files that are complete or absent: written beside, synced, renamed; read with a memory of what has not changed.

Standard library only: the guard of each run writes with these too, and is to start fast and stay small.
"""

import errno
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from colora.system.beside import beside, sweep
from colora.system.errors import UserError
from colora.system.typed import one_line

WINDOWS = os.name == "nt"
AT_ONCE = getattr(os, "O_NONBLOCK", 0)  # where a pipe lies in place of a file, that is an error and no wait for ever
NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # what a link in place of a log leads to is not ours to add to
TO_ADD = os.O_WRONLY | os.O_APPEND | os.O_CREAT | AT_ONCE | NO_LINK
REPLACE_TRIES = 50  # on Windows a reader's open file forbids the rename for a moment
REPLACE_PAUSE_SECONDS = 0.02
SETTLED_SECONDS = 0.1  # a file changed this recently may change again within one tick of its time of change
REMEMBERED_FILES = 16_384
PART_BYTES = 2**16
MOST_BYTES = 64 * 2**20  # of a document: a cut of 100,000 images takes 5
LONGEST_WHY = 200  # characters of what a library says of a file

FileStamp = tuple[int, int, int]

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
    write_bytes(path, _json(value, indent=1))


def append_json(path: Path, value: Any) -> None:
    """Adds one line of JSON and syncs it."""
    append_bytes(path, _json(value))


def _json(value: Any, indent: int | None = None) -> bytes:
    """A document and a newline. Bytes that are no text, as in a file's name, become question marks: JSON could hold
    them, and its readers refuse it."""
    text = json.dumps(value, indent=indent, allow_nan=False)
    if "\\ud" in text:
        whole = json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False)
        return f"{whole}\n".encode(errors="replace")
    return f"{text}\n".encode()


def append_bytes(path: Path, data: bytes) -> None:
    """Adds to a file and syncs it; one write, so that lines of several processes do not mix. A part that a full disk
    has taken is given back, so that the next line does not follow half of one."""
    with naming(path):
        handle, taken = os.open(path, TO_ADD, 0o666), 0
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


def open_log(path: Path) -> BinaryIO:
    """A regular file to add to, made where there is none, for a process to be started with. Raises OSError, also of
    what else has the name, such as a pipe, which would keep the caller waiting for whoever reads it."""
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))
    return open(os.open(path, TO_ADD, 0o666), "ab")


def read_file(path: str | Path, most: int = MOST_BYTES) -> bytes:
    """All of a regular file. Raises OSError as `open` does, ValueError for anything else that has a name, such as a
    pipe that nobody writes to, and where there are more than `most` bytes."""
    handle, parts, size = regular(path), [], 0
    try:
        while part := os.read(handle, PART_BYTES):
            parts.append(part)
            size += len(part)
            if size > most:
                raise ValueError(f"it is larger than {most >> 20} MiB")
    finally:
        os.close(handle)
    return b"".join(parts)


def regular(path: str | Path) -> int:
    """A handle to read a regular file with; opening waits for nobody. Raises OSError and ValueError as `read_file`."""
    handle = os.open(path, os.O_RDONLY | AT_ONCE | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise ValueError("it is a folder" if stat.S_ISDIR(mode) else "it is no regular file")
    return handle


def read_json(path: str | Path) -> Any:
    """The file's document, to read and not to change: the next reader gets the same one while the file stays the same.

    Raises UserError that names the file if it is missing or damaged.
    """
    return read_remembered(_document, path)


def read_remembered(read: Any, path: str | Path) -> Any:
    """`remembered`. Raises UserError that names the file if it is missing, or for whatever else stands against it,
    which is that file's alone."""
    try:
        return remembered(read, path)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{_shown(path)} does not exist.") from error
    except Exception as error:  # a pipe, a loop of links, no permission, nesting without end, what is no JSON ...
        raise UserError(f"{_shown(path)} cannot be read ({why(error)}); the run folder is damaged.") from error


def why(error: BaseException) -> str:
    """What stands against a file, in a few words; of a library that says much, the beginning of its first line."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it takes more memory than there is"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(str(error).strip().partition("\n")[0])[:LONGEST_WHY] or type(error).__name__


def _shown(path: str | Path) -> str:
    """A path's letters; bytes that are no text are replaced."""
    return os.fspath(path).encode(errors="replace").decode()


def read_json_lines(path: str | Path) -> list[dict[str, Any]]:
    """The complete lines of an appended file, none where there is no such file; a last line still being written is left
    out. Raises UserError that names the file if it is damaged."""
    return list(read_remembered(_lines, path)) if os.path.lexists(path) else []


def file_stamp(path: Path) -> FileStamp | None:
    """Size, time of last change and which file it is: what a cached reading of a file is keyed by; None where there is
    none to be seen, which reading it will explain."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def remembered(read: Any, path: str | Path) -> Any:
    """`read(path, stamp)`, an lru_cache'd function, or what it gave when inode, time of change and size were equal."""
    name = os.fspath(path)
    found = os.stat(name)
    if abs(time.time() - found.st_mtime) < SETTLED_SECONDS:
        return read.__wrapped__(name, None)
    return read(name, (found.st_ino, found.st_mtime_ns, found.st_size))


def parsed_json(data: bytes) -> Any:
    """Raises ValueError of what is no JSON, and of bytes that are no text, which JSON can hold as lone surrogates and
    nothing can show."""
    found = json.loads(data)
    if b"\\ud" in data.lower():
        json.dumps(found, ensure_ascii=False).encode()
    return found


@lru_cache(maxsize=REMEMBERED_FILES)
def _document(path: str, stamp: Any) -> Any:
    return parsed_json(read_file(path))


@lru_cache(maxsize=REMEMBERED_FILES)
def _lines(path: str, stamp: Any) -> list[dict[str, Any]]:
    rows = [parsed_json(line) for line in read_file(path).split(b"\n")[:-1]]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line is no object")
    return rows
