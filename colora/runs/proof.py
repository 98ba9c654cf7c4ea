"""Which process is a run's own: the one that was started for its folder, as its command line says.

Any program may have written a run folder, or a copy of one, and its files may name any process of this user. So none is
believed, adopted or signalled on their word: pid and start time must be those of a process that lives here, and it must
have been started as one of

    python -m colora.queue.guard FOLDER -- ...          the guard (colora.queue.guard)
    python -m colora train --run-dir FOLDER             the training, also by hand and as `colora train`
    python -m colora.engines.slurm.task GROUP ...       a cluster's task, on its node

with this very folder, whatever it is called there: another path to it, or a relative one.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from colora.system.process import Identity, command_line, lives_here, working_folder

GUARD, TASK = "colora.queue.guard", "colora.engines.slurm.task"
PROGRAMS = ("colora", "colora.exe", "__main__.py")  # the last is what `python colora` and some debuggers run
MOST_REMEMBERED = 4096

_proven: set[tuple[int, float, str]] = set()  # (pid, start time, folder): a process keeps its words


def is_own(known: Identity | None, folder: Path) -> bool:
    """Whether this is a process of the run of `folder` that lives here. One whose words cannot be read is believed: it
    may have begun this very moment, or be another user's."""
    return lives_here(known) and _told(known, folder) is not False


def is_certain(known: Identity | None, folder: Path) -> bool:
    """The same, beyond doubt: what is to be signalled."""
    return lives_here(known) and _told(known, folder) is True


def _told(known: Identity, folder: Path) -> bool | None:
    """What a living process's command line says of it; None where it cannot be read."""
    key = known["pid"], known["started"], os.fspath(folder)
    if key in _proven:
        return True
    words = command_line(known["pid"])
    if not words:
        return None
    found = [_is_place(text, place, known["pid"]) for text, place in _named(words, Path(folder))]
    if True in found:
        if len(_proven) >= MOST_REMEMBERED:
            _proven.clear()
        _proven.add(key)
        return True
    return None if None in found else False


def _named(words: list[str], folder: Path) -> Iterator[tuple[str, Path]]:
    """(the place that a command line names, which place it must be) of each way to be a run's process."""
    for word, module, place in zip(words, words[1:], words[2:], strict=False):
        if word == "-m" and module == GUARD:
            yield place, folder
        if word == "-m" and module == TASK:
            yield place, folder.parent
    programs = [n for n, word in enumerate(words) if Path(word).name in PROGRAMS]
    if not programs or "train" not in words[programs[0] :]:
        return
    options = words[words.index("train", programs[0]) + 1 :]
    for option, following in zip(options, [*options[1:], ""], strict=True):
        name, is_there, value = option.partition("=")
        if len(name) > 2 and "--run-dir".startswith(name):  # argparse takes its beginning too
            yield value if is_there else following, folder


def _is_place(text: str, place: Path, pid: int) -> bool | None:
    """Whether a process means `place` by `text`; None where it is not known from where it looks."""
    if not os.path.isabs(text):
        base = working_folder(pid)
        if base is None:
            return None
        text = os.path.join(base, text)
    try:
        return os.path.samefile(text, place)
    except (OSError, ValueError):  # not there, or no path at all
        return False
