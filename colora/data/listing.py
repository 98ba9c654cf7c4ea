"""The image files of a folder with one sub-folder a class, found without opening one of them.

Names are kept as strings, sorted folder by folder, so that a million files are listed in seconds. Links are not
followed: one that leads out of the folder is refused, one that stays inside would bring an image in twice.
"""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from colora.data.prepare import Progress, quiet
from colora.system.errors import UserError
from colora.system.typed import is_dir

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
TELL_EVERY = 4096  # directory entries


@dataclass(frozen=True)
class Listing:
    """Image files class by class, in path order.

    root: the folder's real path; paths: N file paths below it; labels (N,) int64; warnings: what was left out.
    """

    root: str
    class_names: tuple[str, ...]
    paths: list[str]
    labels: np.ndarray
    warnings: tuple[str, ...]


def list_folder(root: Path, on_progress: Progress = quiet) -> Listing:
    """Raises UserError for a missing folder, fewer than two classes with images, a folder that may not be read, a link
    that leads out of it, or anything named like an image that is no file."""
    if not is_dir(root):
        raise UserError(f"There is no folder {root}.", field="dataset")
    walk = _Walk(os.path.realpath(root), on_progress)
    folders, loose = walk.entries("")
    found = {name: list(walk.images(name)) for name in sorted(folders, key=shown)}
    classes = {name: paths for name, paths in found.items() if paths}
    _check_classes(root, list(classes), walk.links)
    return Listing(
        walk.root,
        tuple(shown(name) for name in classes),
        [path for paths in classes.values() for path in paths],
        np.repeat(np.arange(len(classes)), [len(paths) for paths in classes.values()]),
        tuple(_left_out(loose, [name for name, paths in found.items() if not paths], walk.links)),
    )


def plain(path: str) -> str:
    """A path as text that every file format takes: bytes that are no UTF-8 are written as backslash codes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace(os.sep, "/")


def shown(name: str) -> str:
    """A name as people type it: macOS writes "ä" as "a" and two dots, which looks the same and compares unequal."""
    return unicodedata.normalize("NFC", plain(name))


class _Walk:
    """One pass over a folder; `links` are the paths of links that stay inside it."""

    def __init__(self, root: str, on_progress: Progress):
        self.root, self.on_progress = root, on_progress
        self.links: list[str] = []
        self.seen = 0

    def images(self, below: str) -> Iterator[str]:
        """Paths below the root of the image files in a sub-folder and in what lies below it."""
        folders, images = self.entries(below)
        inside = set(folders)
        for name in sorted(folders + images):
            path = os.path.join(below, name)
            if name in inside:
                yield from self.images(path)
            else:
                yield path

    def entries(self, below: str) -> tuple[list[str], list[str]]:
        """Names of the sub-folders and of the image files in one folder; hidden ones are no part of the data."""
        folders: list[str] = []
        images: list[str] = []
        with self._opened(os.path.join(self.root, below)) as entries:
            for entry in entries:
                self.seen += 1
                if self.seen % TELL_EVERY == 0:
                    self.on_progress(self.seen, 0)
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    self._link(entry)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.name.lower().endswith(SUFFIXES):
                    _check_file(entry)
                    images.append(entry.name)
        return folders, images

    def _opened(self, folder: str) -> Any:
        try:
            return os.scandir(folder)
        except PermissionError as error:
            raise UserError(
                f"There is no permission to read the folder {shown(folder)}: give this user access to it, or take it "
                "out.",
                field="dataset",
            ) from error
        except OSError as error:
            raise UserError(f"The folder {shown(folder)} cannot be read: {error.strerror}.", field="dataset") from error

    def _link(self, entry: os.DirEntry) -> None:
        target = os.path.realpath(entry.path)
        if not (entry.name.lower().endswith(SUFFIXES) or os.path.isdir(target)):
            return
        if target != self.root and not target.startswith(os.path.join(self.root, "")):
            raise UserError(
                f"{shown(entry.path)} is a link that leads out of the folder, to {shown(target)}: put a copy in its "
                "place, or take it out.",
                field="dataset",
            )
        self.links.append(os.path.relpath(entry.path, self.root))


def _check_file(entry: os.DirEntry) -> None:
    if not entry.is_file(follow_symlinks=False):  # reading from a pipe would wait for ever
        raise UserError(
            f"{shown(entry.path)} is named like an image but is a pipe, socket or device: take it out of the folder.",
            field="dataset",
        )


def _check_classes(root: Path, names: list[str], links: list[str]) -> None:
    if not names:
        raise UserError(
            f"{root} has no sub-folder with images ({', '.join(SUFFIXES)}): each class is one sub-folder."
            + (f" Its {len(links)} links are not followed: put copies in their place." if links else ""),
            field="dataset",
        )
    if len(names) == 1:
        raise UserError(
            f"{root} has images of one class only ({shown(names[0])}); at least two are needed.", field="dataset"
        )
    first: dict[str, str] = {}
    for name in names:
        if first.setdefault(shown(name), name) != name:
            raise UserError(
                f"{root} has two sub-folders named {shown(name)}, which differ only in how their letters are stored: "
                "put their images into one.",
                field="dataset",
            )


def _left_out(loose: list[str], empty: list[str], links: list[str]) -> Iterator[str]:
    if loose:
        yield f"Images beside the class folders, in no class, left out: {len(loose):,}; the first: {shown(min(loose))}."
    if empty:
        yield f"Sub-folders without an image ({', '.join(SUFFIXES)}) are no class: {', '.join(map(shown, empty))}."
    if links:
        yield f"Links to places inside the folder, not followed: {len(links):,}; the first: {shown(min(links))}."
