"""Leaks that were found once, kept for the next seed and for the pages:

    ~/.cache/colora/checks/leaks-VERSION-CHECKSUM-NAMES.json

CHECKSUM is the data set's own, over pixels and labels; NAMES a hash of the image ids, which it does not cover. A file
that is damaged is as none: the leaks are found anew. Where the disk takes no file they are found each time, and nothing
else is lost. Of two processes that need the same one, the second waits for the first.
"""

import hashlib
import os
import re
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from colora.data.dataset import SPLITS, Dataset
from colora.data.leaks import RULE_VERSION, Leaks, find_leaks
from colora.data.prepare import Progress, quiet
from colora.data.prepared import KEEP_DAYS, cache_dir
from colora.system.errors import UserError
from colora.system.file_rights import PRIVATE
from colora.system.files import parsed_json, read_file, write_json
from colora.system.storage import locked, state_folder

CHECKSUM = re.compile(r"[0-9a-f]{64}")
MINE = re.compile(r"leaks-\d+-[0-9a-f]{64}-[0-9a-f]{16}\.json")


def leaks_of(dataset: Dataset, on_progress: Progress = quiet) -> Leaks:
    """`find_leaks`, or what it found of the same images before. What `on_progress` raises ends it."""
    place = _place(dataset)
    if place is None:
        return find_leaks(dataset, on_progress)
    total = sum(map(len, dataset.splits.values()))
    with ExitStack() as lock:
        if _has_state():
            with suppress(OSError):
                lock.enter_context(locked(place, on_wait=lambda: on_progress(0, total)))
        found = _read(place)  # another process may have found them while this one waited
        if found is None:
            found = find_leaks(dataset, on_progress)
            _keep(place, found)
    return found


def known_leaks(data_checksum: str) -> Leaks | None:
    """Of data with this checksum, where they were looked for here; None where they were not, or that was forgotten.

    The same images under other names have the same checksum: the ids are those of whoever asked last.
    """
    folder = _folder()
    if folder is None or not CHECKSUM.fullmatch(data_checksum):
        return None
    with suppress(OSError):
        for place in sorted(folder.glob(f"leaks-{RULE_VERSION}-{data_checksum}-*.json"), key=_used, reverse=True):
            if (found := _read(place)) is not None:
                return found
    return None


def _folder() -> Path | None:
    """It need not exist; None where this account has no home and none is named."""
    try:
        return cache_dir().with_name("checks")
    except UserError:
        return None


def _place(dataset: Dataset) -> Path | None:
    if (folder := _folder()) is None:
        return None
    digest = hashlib.sha256()
    for name in SPLITS:
        for image_id in dataset.splits[name].image_ids.tolist():
            digest.update(f"{image_id}\0".encode(errors="surrogatepass"))
    return folder / f"leaks-{RULE_VERSION}-{dataset.checksum()}-{digest.hexdigest()[:16]}.json"


def _has_state() -> bool:
    """Whether this user has a folder for locks. Without one two processes may do the same work."""
    try:
        state_folder("locks")
    except UserError:
        return False
    return True


def _read(place: Path) -> Leaks | None:
    """None of no file, and of one that is damaged."""
    try:
        found = Leaks.from_dict(parsed_json(read_file(place)))
    except (OSError, ValueError, RecursionError):
        return None
    with suppress(OSError):
        os.utime(place)  # used today
    return found


def _keep(place: Path, leaks: Leaks) -> None:
    """A disk that is full or takes no file costs the next one the time to find them, and this one nothing."""
    with suppress(OSError):
        place.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)  # the ids may name patients
        _drop_unused(place.parent)
        write_json(place, leaks.as_dict())


def _drop_unused(folder: Path) -> None:
    """Files of ours that nothing has used for KEEP_DAYS, of earlier versions too."""
    for place in folder.iterdir():
        if MINE.fullmatch(place.name) and time.time() - _used(place) > KEEP_DAYS * 86_400:
            place.unlink(missing_ok=True)


def _used(place: Path) -> float:
    try:
        return place.stat().st_mtime
    except FileNotFoundError:  # dropped meanwhile
        return time.time()
