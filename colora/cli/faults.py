"""An exception that nobody foresaw: one line for the person, the traceback in a file of this user's state folder.

    ~/.local/state/colora/faults/20260131T120000123456Z-4711.txt     0600, since arguments can name patients

The newest KEPT stay. What is told must reach somebody: where no file can be written, stderr has the traceback too.
"""

import os
import platform
import traceback
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from colora.system.errors import UserError
from colora.system.installation import VERSION
from colora.system.storage import state_dir
from colora.system.typed import one_line, shortened

KEPT = 50
LONGEST = 1 << 20  # characters of one file: the end is what counts


def folder() -> Path:
    """It need not exist. Raises UserError where this account has no home."""
    return state_dir() / "faults"


def fault(error: BaseException, arguments: Sequence[str]) -> str:
    """The clause for the person, without a full stop; the traceback goes into its file, else to stderr."""
    what = f"{type(error).__name__}: {shortened(one_line(str(error)))}" if str(error) else type(error).__name__
    said = f"this is a fault of the program ({what})"
    try:
        return f"{said}; details: {_written(error, arguments)}"
    except (OSError, UserError, MemoryError) as trouble:
        print_traceback(error)
        return f"{said}; its details could not be kept ({one_line(str(trouble)) or 'no memory'})"


def print_traceback(error: BaseException) -> None:
    traceback.print_exception(error)


def _written(error: BaseException, arguments: Sequence[str]) -> Path:
    place = folder()
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = sorted(path for path in place.iterdir() if path.suffix == ".txt")
    for path in kept[: len(kept) - KEPT + 1]:
        with suppress(OSError):  # another command was faster
            path.unlink()
    head = f"colora {VERSION}, Python {platform.python_version()}, {platform.platform()}\ncolora {arguments!a}\n\n"
    text = "".join(traceback.format_exception(error))[-LONGEST:]
    path = place / f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{os.getpid()}.txt"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(head + text)
    return path
