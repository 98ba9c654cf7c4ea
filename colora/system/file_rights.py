"""Who may read what is written: this user alone, or whom a runs folder is shared with.

Predictions, verdicts, notes and the audit log name patients and people. What a process of ours makes in a runs folder
therefore has that folder's own rights, and a runs folder that we make is its user's alone (0700). It is the process's
umask that says so: set once, where a process begins, it holds for every file and folder, those of libraries and of the
processes that are started from there too, and where a folder has default ACLs or its group's bit (setgid) the system
goes by these, as it should. What is public, and lies beside other files of its kind, takes after the folder around it
(`like_its_folder`). Standard library only.
"""

import os
import stat
from contextlib import suppress
from functools import cache, reduce
from operator import and_
from pathlib import Path

from colora.system.installation import ROOT

PRIVATE = 0o700
OTHERS, GROUP_AND_OTHERS = 0o007, 0o077
CHECKED_OUT = (0o755, 0o775)  # rights that nobody has chosen
COMES_WITH_IT = {"README.md"}


def write_as(*runs_dirs: Path) -> None:
    """From now on this process writes as these folders have it, of several as the strictest; one that is not there yet
    will be this user's alone. Others never get more than this user's own umask gives them."""
    own = _own_umask()
    given = reduce(and_, map(_rights, runs_dirs))
    os.umask((GROUP_AND_OTHERS & ~given) | (own & OTHERS))


@cache
def _own_umask() -> int:
    """As the process began with; asked once, since asking sets another one for a moment, and threads may be at work."""
    own = os.umask(GROUP_AND_OTHERS)
    os.umask(own)
    return own


def _rights(folder: Path) -> int:
    try:
        found = folder.stat()
        rights = stat.S_IMODE(found.st_mode)
        if rights in CHECKED_OUT and folder.samefile(ROOT / "runs") and _is_new_and_own(folder, found):
            folder.chmod(PRIVATE)
            return PRIVATE
    except (OSError, ValueError):  # none yet, none that can be, or that this user may look at: who writes will say
        return PRIVATE
    return rights & 0o777


def _is_new_and_own(folder: Path, found: os.stat_result) -> bool:
    """Whether the folder that comes with the program is as it came: it is taken into use now."""
    return found.st_uid == getattr(os, "geteuid", lambda: found.st_uid)() and set(os.listdir(folder)) <= COMES_WITH_IT


def like_its_folder(path: Path) -> None:
    """A file or folder that was just made, and that those may read who may read the folder around it, whatever this
    process's umask: it gets that folder's rights, but for everybody's to write, as they have it in /tmp."""
    around, own = path.parent.stat().st_mode, path.stat().st_mode
    rights = around & (0o755 if around & stat.S_ISVTX else 0o775)
    if not stat.S_ISDIR(own):
        rights &= 0o664
    with suppress(PermissionError):  # somebody else's, who made it before, or a disk that knows no rights
        path.chmod(stat.S_IMODE(own) & 0o7000 | rights)
