"""Where the images are that a table names: at that path from the table's folder on, else where a path ends alike.

Tables are written on one computer and read on another, beside images that were unpacked elsewhere, and some name files
without their folder or ending. The folder is listed once, so that a million rows cost no look at the disk each. No
image outside the folder is found but in one of the data roots, whatever a path or a link says.
"""

import os
import posixpath
import re
from collections.abc import Iterator
from functools import cached_property

from colora.data import not_images
from colora.data.listing import SUFFIXES, TELL_EVERY, inside, shown
from colora.data.prepare import Progress
from colora.system.errors import UserError
from colora.system.files import WINDOWS
from colora.system.typed import bare, clean_path, one_line

DISK = "" if WINDOWS else "|[A-Za-z]:(?=/)"
ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^/]*/?" + DISK)  # gs://bucket/, C:
LONGEST_SHOWN = 300  # letters


class Outside(Exception):
    """A path that leads out of the folder and of the data roots, to this folder."""


class Places:
    """Image files below `root`, a real path, and in `roots`, real paths too.

    links and odd: those that are links, and what is named like an image and is no file; meant: what links led to;
    unread: folders that may not be read. All are complete once `files` was asked for.
    """

    def __init__(self, root: str, roots: list[str], on_progress: Progress):
        self.root, self.roots, self.on_progress = root, roots, on_progress
        self.links: set[str] = set()
        self.odd: set[str] = set()
        self.meant: set[str] = set()
        self.unread: list[str] = []
        self._folders: dict[str, tuple[str, dict[str, os.DirEntry]] | None] = {}
        self._ends: dict[str, list[str]] | None = None

    @cached_property
    def files(self) -> dict[str, str]:
        """{path below the root, as people type it: as the disk has it}"""
        return {path if path.isascii() else shown(path): path for path in self._listed()}

    def _listed(self) -> Iterator[str]:
        waiting, seen = [""], 0
        while waiting:
            below = waiting.pop()
            try:
                with os.scandir(os.path.join(self.root, below)) as entries:
                    for entry in entries:
                        seen += 1
                        if seen % TELL_EVERY == 0:
                            self.on_progress(seen, 0)
                        if entry.name.startswith((".", "@")) or entry.name.lower() in not_images.SYSTEM_FOLDERS:
                            continue  # what systems keep beside files
                        path = f"{below}{os.sep}{entry.name}" if below else entry.name
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(path)
                        elif entry.name.lower().endswith(SUFFIXES):
                            if entry.is_symlink():
                                self.links.add(path)
                            elif not entry.is_file(follow_symlinks=False):
                                self.odd.add(path)
                            yield path
            except OSError:  # no permission, or gone since
                self.unread.append(below)

    def named(self, text: str) -> str | None:
        """The image that a path means by itself: below the root as a path from there, else absolute; None where there
        is none. Raises Outside, and UserError for a link that leads out and for what is no file."""
        if (path := self.files.get(text)) is None:
            text = plain_path(text)
            if not text or ELSEWHERE.match(text):
                return None
            path = self.files.get(posixpath.normpath(text))
        return self._checked(path) if path is not None else self._elsewhere(text)

    def _checked(self, path: str) -> str:
        if path in self.odd:
            raise UserError(
                f"{shown(os.path.join(self.root, path))} is named like an image but is a pipe, socket or device: "
                "take it out of the table.",
                field="dataset",
            )
        if path in self.links:
            target = os.path.realpath(os.path.join(self.root, path))
            if not self.inside(target):
                raise UserError(
                    f"{brief(path)}, which the table names, is a link that leads out of its folder, to "
                    f"{brief(target)}: if images may be read from there, say so with --data-roots "
                    f"{brief(os.path.dirname(target))} (in the app: the field Data roots), or put a copy in its place.",
                    field="data_roots",
                )
            self.meant.add(target.removeprefix(os.path.join(self.root, "")))
        return path

    def inside(self, real: str) -> bool:
        return inside(real, (self.root, *self.roots))

    def _elsewhere(self, text: str) -> str | None:
        """Through a folder that was not listed: by a link, a hidden one, one outside the root."""
        folder, name = os.path.split(os.path.normpath(os.path.join(self.root, text)))
        if folder not in self._folders:
            self._folders[folder] = self._looked_into(os.path.realpath(folder))
        looked = self._folders[folder]
        if looked is None:
            raise Outside(os.path.realpath(folder))
        real, entries = looked
        if not name.lower().endswith(SUFFIXES) or (entry := entries.get(name)) is None:
            return None
        path, below = os.path.join(real, entry.name), os.path.join(self.root, "")
        path = path.removeprefix(below)
        if entry.is_symlink():
            self.links.add(path)
        elif not entry.is_file(follow_symlinks=False):
            self.odd.add(path)
        return self._checked(path)

    def _looked_into(self, real: str) -> tuple[str, dict[str, os.DirEntry]] | None:
        if not self.inside(real):
            return None
        try:
            with os.scandir(real) as entries:
                return real, {shown(entry.name): entry for entry in entries}
        except OSError:
            return real, {}

    def ending_alike(self, text: str, label: str) -> list[str]:
        """Images below the root whose path has the longest end in common with this one; its name, which may lack the
        ending, at least. Of several those in a folder named as the row's label. Raises as `named` does."""
        parts = _parts(text)
        alike = self._by_end().get(parts[-1], [])
        if len(alike) > 1:
            agreeing = [_common_end(parts[:-1], path.casefold().split(os.sep)[:-1]) for path in alike]
            alike = [path for path, n in zip(alike, agreeing, strict=True) if n == max(agreeing)]
        if len(alike) > 1:
            alike = [path for path in alike if label.casefold() in shown(path).casefold().split("/")[:-1]] or alike
        if len(alike) > 1:  # a mask or a thumbnail is named as its scan
            alike = [path for path in alike if not any(map(not_images.of_folder, path.split(os.sep)[:-1]))] or alike
        return [self._checked(path) for path in alike]

    def is_end(self, text: str, path: str) -> bool:
        """Whether all that a text tells of a path is its end, with the file's ending or without."""
        parts, own = _parts(text), _parts(shown(path))
        names = (own[-1], own[-1].rpartition(".")[0])
        return parts[-1] in names and _common_end(parts[:-1], own[:-1]) == len(parts) - 1

    def _by_end(self) -> dict[str, list[str]]:
        """{a file's name, or its name without ending, in small letters: paths}."""
        if self._ends is None:
            self._ends = {}
            for typed, path in self.files.items():
                name = typed.rpartition("/")[2].casefold()
                self._ends.setdefault(name, []).append(path)
                self._ends.setdefault(name.rpartition(".")[0], []).append(path)
        return self._ends

    def is_image(self, text: str) -> bool:
        """Whether there is a file of that name, with an ending or without."""
        return plain_path(text).casefold().rpartition("/")[2] in self._by_end()


def plain_path(text: str) -> str:
    """A path with / between its parts, as people type it."""
    text = bare(text)
    if text[:5].lower() == "file:":
        text = clean_path(text, "dataset")
    return shown(text.replace("\\", "/")) if not text.isascii() or "\\" in text else text


def _parts(text: str) -> list[str]:
    """Of a path, in small letters, without what names a computer or a disk."""
    return ELSEWHERE.sub("", plain_path(text)).casefold().split("/")


def _common_end(one: list[str], other: list[str]) -> int:
    """Parts at the ends of both that are the same."""
    common = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        common += 1
    return common


def brief(path: str) -> str:
    """A path in a sentence: all of it, but for one that nobody has."""
    text = one_line(shown(path))
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN // 2]}…{text[-LONGEST_SHOWN // 2 :]}"
