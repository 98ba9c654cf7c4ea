"""The images of many files as one array, each file opened once.

A few thousand are prepared in memory. More are written, a chunk at a time, to one .npy file in this user's cache and
mapped from there, so that the other seeds and the next run need no second preparation and the array need not fit in
memory:

    ~/.cache/colora/prepared/KEY/images.npy   (n, S, S) uint8
                                 notes.json   which files did not open, and what was converted

KEY is a hash of all that the pixels depend on: the folder, every file's path, size and time of change, the image size,
the rule. An entry is complete or absent. Of two processes that need the same one, the second waits for the first.
"""

import hashlib
import json
import math
import os
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL

from colora.data.listing import shown
from colora.data.prepare import RULE, RULE_VERSION, Converted, ImageError, Mask, Progress, quiet, read_image
from colora.system.errors import UserError
from colora.system.process import cpu_count
from colora.system.storage import check_room, disk_errors, locked, made_folder
from colora.system.typed import at_home

MAPPED_FROM = 2_000  # files; fewer are prepared in seconds, and leave no copy of a patient's image behind
CHUNK = 256  # files under way at once
UNREADABLE_SHARE = 0.05  # more images than this that do not open: something is wrong with the whole folder
KEEP_DAYS = 30
NOTES_VERSION = 2  # counts up when an entry holds other files, or other notes, than before
ELSEWHERE = "set COLORA_CACHE to a folder that has room and that you may write to"
README = """Images of your folders as the networks read them, kept so that the next run starts at once.
Everything here may be deleted at any time. What no run has used for 30 days is deleted when something new is added.
"""


@dataclass
class Notes:
    """What happened to some of the files: (position, reason) of those that did not open, what was converted, and the
    positions of those that are masks."""

    left_out: list[tuple[int, str]] = field(default_factory=list)
    converted: Converted = field(default_factory=Converted)
    masks: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Prepared:
    """images (n, S, S) uint8, read-only where they are mapped; kept (n,) int64, the position of each one's file."""

    images: np.ndarray
    kept: np.ndarray
    notes: Notes


def prepare_files(root: str, paths: list[str], image_size: int, on_progress: Progress = quiet) -> Prepared:
    """The files `paths` below `root`, in their order.

    Raises UserError where more than 5 % do not open, or the cache has no room for them.
    """
    notes = Notes()
    if len(paths) < MAPPED_FROM:
        images = np.empty((len(paths), image_size, image_size), dtype=np.uint8)
        filled = 0
        for chunk in _chunks(root, paths, image_size, notes, on_progress):
            images[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
        images = images[:filled]
    else:
        images, notes = _mapped(root, paths, image_size, on_progress)
    opened = np.ones(len(paths), dtype=bool)
    opened[[*(position for position, _ in notes.left_out), *notes.masks]] = False
    return Prepared(images, np.flatnonzero(opened), notes)


def _chunks(
    root: str, paths: list[str], image_size: int, notes: Notes, on_progress: Progress
) -> Iterator[list[np.ndarray]]:
    """Prepared images (S, S), up to CHUNK at a time, in order; those that do not open, and masks, go into the notes."""

    def read(path: str) -> tuple[np.ndarray, tuple[str, ...]] | ImageError | Mask:
        try:
            return read_image(os.path.join(root, path), image_size, masks=False)
        except (ImageError, Mask) as error:
            return error

    with ThreadPoolExecutor(cpu_count()) as pool:  # decoding releases the interpreter's lock
        for start in range(0, len(paths), CHUNK):
            on_progress(start, len(paths))
            part, images = paths[start : start + CHUNK], []
            for position, result in enumerate(pool.map(read, part), start):
                if isinstance(result, ImageError):
                    notes.left_out.append((position, result.reason))
                elif isinstance(result, Mask):
                    notes.masks.append(position)
                else:
                    image, kinds = result
                    if kinds:
                        notes.converted.add(kinds, shown(paths[position]))
                    images.append(image)
            _refuse_bad_folder(root, paths, notes, start + len(part))
            if images:
                yield images
    on_progress(len(paths), len(paths))


def _refuse_bad_folder(root: str, paths: list[str], notes: Notes, tried: int) -> None:
    bad = notes.left_out
    if len(bad) <= UNREADABLE_SHARE * len(paths):
        return
    rest = "" if tried == len(paths) else f", {len(paths) - tried:,} not tried yet"
    raise UserError(
        f"{len(bad):,} of {len(paths):,} images in {shown(root)} do not open (more than 5 %{rest}): repair them or "
        f"take them out. The first: {'; '.join(f'{shown(paths[p])}: {reason}' for p, reason in bad[:5])}.",
        field="dataset",
    )


def cache_dir() -> Path:
    """$COLORA_CACHE/prepared, else colora/prepared in $XDG_CACHE_HOME or ~/.cache; it need not exist yet. Raises
    UserError where this account has no home."""
    if own := os.environ.get("COLORA_CACHE"):
        return at_home(own, ELSEWHERE) / "prepared"
    return at_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache", ELSEWHERE) / "colora" / "prepared"


def _mapped(root: str, paths: list[str], image_size: int, on_progress: Progress) -> tuple[np.ndarray, Notes]:
    entry = cache_dir() / _key(root, paths, image_size, on_progress)
    if not entry.is_dir():
        made_folder(entry.parent, ELSEWHERE)
        with locked(entry, on_wait=lambda: on_progress(0, len(paths))):
            if not entry.is_dir():  # another process may have finished it while this one waited
                _write(entry, root, paths, image_size, on_progress)
    try:
        os.utime(entry)  # used today
        found = json.loads((entry / "notes.json").read_text())
        left_out = [(position, reason) for position, reason in found["left_out"]]
        notes = Notes(left_out, Converted(found["converted"]), found["masks"])
        images = np.load(entry / "images.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{entry} is damaged ({error}): delete that folder and start again.") from error
    opened = len(paths) - len(notes.left_out) - len(notes.masks)
    if images.shape != (opened, image_size, image_size):
        raise UserError(f"{entry} is damaged (it holds {images.shape}): delete that folder and start again.")
    return images, notes


def _key(root: str, paths: list[str], image_size: int, on_progress: Progress) -> str:
    digest = hashlib.sha256(f"{RULE_VERSION} {NOTES_VERSION} {RULE} {PIL.__version__} {image_size}\n".encode())
    digest.update(os.fsencode(root) + b"\n")
    for number, path in enumerate(paths):
        if number % CHUNK == 0:
            on_progress(0, len(paths))
        try:
            status = os.stat(os.path.join(root, path))
        except OSError:  # no permission, or gone: what it holds counts as nothing, and opening it will say why
            stamp = "-"
        else:
            stamp = f"{status.st_size} {status.st_mtime_ns}"
        digest.update(os.fsencode(path) + f"\0{stamp}\n".encode())
    return digest.hexdigest()[:32]


def _write(entry: Path, root: str, paths: list[str], image_size: int, on_progress: Progress) -> None:
    """Makes the entry, under its lock.

    The chunks are written, not assigned to a mapping: on a full disk that would end the process with a signal.
    """
    notes, shape = Notes(), (len(paths), image_size, image_size)
    doing = f"Preparing {len(paths):,} images at {image_size} px"
    with new_entry(entry, math.prod(shape), doing) as part, open(part / "images.npy", "wb", buffering=0) as file:
        with disk_errors(part, ELSEWHERE):
            start = _write_header(file, shape)
        for images in _chunks(root, paths, image_size, notes, on_progress):
            with disk_errors(part, ELSEWHERE):
                _write_all(file, np.stack(images).data.cast("B"))
        with disk_errors(part, ELSEWHERE):
            file.seek(0)
            opened = len(paths) - len(notes.left_out) - len(notes.masks)
            assert _write_header(file, (opened, *shape[1:])) == start  # numpy leaves room for a longer axis
            os.fsync(file.fileno())
            found = {"left_out": notes.left_out, "converted": notes.converted.found, "masks": notes.masks}
            (part / "notes.json").write_text(json.dumps(found))


@contextmanager
def new_entry(entry: Path, size: int, doing: str) -> Iterator[Path]:
    """A folder beside `entry`, with room for `size` bytes, that becomes it at the end, and is gone if `doing` fails.

    What an ended process left behind is replaced. Raises UserError where the disk does not take it.
    """
    with locked(entry.parent):
        drop_unused(entry.parent)
    part = entry.with_name(entry.name + ".part")
    try:
        with disk_errors(part, ELSEWHERE):
            if part.exists():
                shutil.rmtree(part)
            part.mkdir(mode=0o700)  # patients' images are this user's alone
            (entry.parent / "README.txt").write_text(README)
            check_room(part, size, doing, ELSEWHERE)
        yield part
        with disk_errors(part, ELSEWHERE):
            os.replace(part, entry)
    finally:
        if part.exists():
            shutil.rmtree(part)


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> int:
    """Returns the position behind it."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.tell()


def _write_all(file: BinaryIO, content: memoryview) -> None:
    while content:  # the system may take a part at a time
        content = content[file.write(content) :]


def drop_unused(cache: Path) -> None:
    """Entries, and parts of them, that no run has used for KEEP_DAYS."""
    for entry in cache.iterdir():
        mine = re.fullmatch(r"[0-9a-f]{32}(\.part)?", entry.name)
        if mine and time.time() - entry.stat().st_mtime > KEEP_DAYS * 86_400:
            with disk_errors(entry, ELSEWHERE):
                shutil.rmtree(entry)
