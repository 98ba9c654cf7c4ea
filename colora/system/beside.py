"""What is not complete yet lies beside what it will become, under a name that says whose it is; and what killed writers
have left of that is swept up.

    .status.json.3f2a9c01-4711-812345-0.tmp     a file: NAME, host and its start, pid, the process's start, a count
    .first.3f2a9c01-4711-812345-7.new           a folder

The name is all that is sure to be there after a kill. Of this very machine it tells whether the writer lives, and what
a dead one left goes at once. What another host wrote, or this one before its last start or from another container,
nobody here can ask about: it goes when it has not changed for a day, which no writer takes, however far two clocks are
apart. Standard library only.
"""

import os
import re
import socket
import time
import zlib
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path

from colora.system.process import boot_id, identity, pid_namespace

FILE, FOLDER = "tmp", "new"
MARKED = re.compile(r"\..*\.(?P<world>[0-9a-f]{8})-(?P<pid>\d+)-(?P<started>\d+)-\d+\.(tmp|new)", re.DOTALL)
UNMARKED = re.compile(r"\..*\.\d+\.(tmp|new)", re.DOTALL)  # as versions before this one named them: .NAME.PID.tmp
OF_OTHERS_SECONDS = 86_400
LONGEST_NAME = 150  # bytes of the file's own name in that of the one beside it: together they must be a name

_count = count()


def beside(path: Path, kind: str = FILE) -> Path:
    """Where this process may write what `path` will be; no other call is given the same place."""
    name = path.name
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f"{zlib.crc32(os.fsencode(name)):08x}"
    return path.with_name(f".{name}.{_world()}-{_mark(os.getpid())}-{next(_count)}.{kind}")


@cache
def _world() -> str:
    """In which a pid and its start time mean one process."""
    return f"{zlib.crc32(f'{socket.gethostname()} {boot_id()} {pid_namespace()}'.encode()):08x}"


@cache
def _mark(pid: int) -> str:
    """Of this process; by its pid, since a fork has another one."""
    return f"{pid}-{int(identity(pid)['started'])}"


def sweep(folder: Path, unmarked: bool = False) -> None:
    """Delete what writers that live no more have left in a folder; with `unmarked` also what older versions have, in a
    folder that is this program's alone. What cannot be deleted stays for the next one."""
    with suppress(OSError), os.scandir(folder) as entries:
        left = [entry for entry in entries if entry.name.startswith(".") and _is_left(entry, unmarked)]
        for entry in left:
            if entry.is_dir(follow_symlinks=False):
                import shutil  # which a run's guard does without

                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with suppress(OSError):  # another process was faster, or it is somebody else's
                    os.unlink(entry.path)


def _is_left(entry: os.DirEntry, unmarked: bool) -> bool:
    found = MARKED.fullmatch(entry.name)
    kind = found or (unmarked and UNMARKED.fullmatch(entry.name))
    if not kind or entry.is_dir(follow_symlinks=False) != entry.name.endswith(f".{FOLDER}"):
        return False
    if found and found["world"] == _world():
        return not _lives(int(found["pid"]), int(found["started"]))
    with suppress(OSError):  # gone
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > OF_OTHERS_SECONDS
    return False


def _lives(pid: int, started: int) -> bool:
    try:
        return abs(identity(pid)["started"] - started) <= 1  # of a time in seconds the fraction is not in the name
    except (ProcessLookupError, OverflowError):  # a number that no process has
        return False
