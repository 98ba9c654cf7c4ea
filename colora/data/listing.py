"""The image files of a folder as a tree, found without opening one of them.

Names are kept as strings, sorted folder by folder, so that a million files are listed in seconds. A link is followed
once, where it stays in the folder or leads to one that was named for it; one that leads elsewhere is refused, and one
to an image that is in the folder already would bring it in twice.
"""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from colora.data import not_images
from colora.data.catalogue import NotRead
from colora.data.prepare import Progress, quiet
from colora.system.errors import UserError
from colora.system.typed import is_dir

SUFFIXES = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
TELL_EVERY = 4096  # directory entries
DEEPEST = 100  # folders within folders; more are a loop, or a joke


class LeadsOut(UserError):
    """A link in a folder leads out of it."""


@dataclass
class Folder:
    """One folder: `path` below the root ("" the root's own); names of its image files and its sub-folders, sorted;
    left_out: what else lies in it."""

    path: str
    images: list[str] = field(default_factory=list)
    folders: list["Folder"] = field(default_factory=list)
    left_out: NotRead = field(default_factory=NotRead)

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    def with_images(self) -> list["Folder"]:
        """The sub-folders that have images, in them or further below."""
        return [folder for folder in self.folders if folder.holds_images()]

    def holds_images(self) -> bool:
        return bool(self.images) or any(folder.holds_images() for folder in self.folders)

    def paths(self) -> Iterator[str]:
        """Of the images in it and below it, in path order."""
        if not self.folders:
            yield from ([os.path.join(self.path, name) for name in self.images] if self.path else self.images)
            return
        inside = {folder.name: folder for folder in self.folders}
        for name in sorted([*inside, *self.images]):
            if name in inside:
                yield from inside[name].paths()
            else:
                yield os.path.join(self.path, name)

    def everywhere(self) -> Iterator["Folder"]:
        """Itself and every folder below."""
        yield self
        for folder in self.folders:
            yield from folder.everywhere()


@dataclass(frozen=True)
class Tree:
    """A folder with its real path, the real paths of other folders that its links may lead to, and the links that were
    not followed, since their images are there already."""

    root: str
    top: Folder
    allowed: tuple[str, ...]
    twice: tuple[str, ...]


def list_tree(root: Path, allowed: Sequence[str] = (), on_progress: Progress = quiet) -> Tree:
    """`allowed`: real paths of folders, beside the root, that links may lead to.

    Raises UserError for a missing folder, one that may not be read, a link that leads elsewhere, or anything named like
    an image that is no file.
    """
    if os.path.isfile(root):
        raise UserError(
            f"{root} is a file and no folder: choose the folder that it lies in, or, if it is a table that names the "
            f"images, table:{root}.",
            field="dataset",
        )
    if not is_dir(root):
        raise UserError(f"There is no folder {root}.", field="dataset")
    walk = _Walk(os.path.realpath(root), tuple(allowed), on_progress)
    top = walk.folder(walk.root, "")
    twice = walk.follow_links(top)
    for folder in top.everywhere():
        _leave_out_pairs(folder)
    return Tree(walk.root, top, walk.allowed, tuple(twice))


def plain(path: str) -> str:
    """A path as text that every file format takes: bytes that are no UTF-8 are written as backslash codes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace(os.sep, "/")


def shown(name: str) -> str:
    """A name as people type it: macOS writes "ä" as "a" and two dots, which looks the same and compares unequal."""
    return unicodedata.normalize("NFC", plain(name))


def inside(path: str, roots: Sequence[str]) -> bool:
    """Whether a real path is one of these folders, or below one."""
    return any(path == root or path.startswith(os.path.join(root, "")) for root in roots)


class _Walk:
    """One pass over a folder, without its links, and then over these."""

    def __init__(self, root: str, allowed: tuple[str, ...], on_progress: Progress):
        self.root, self.allowed, self.on_progress = root, allowed, on_progress
        self.links: list[tuple[Folder, str, str]] = []  # the folder that a link is in, its real path, the link's name
        self.visited: dict[str, Folder] = {}  # by real path
        self.seen = 0

    def folder(self, real: str, path: str) -> Folder:
        """The folder at a real path as it appears below the root, links left for later."""
        if path.count(os.sep) > DEEPEST:
            raise UserError(f"{shown(real)} lies more than {DEEPEST} folders deep: take it out.", field="dataset")
        own = self.visited[real] = Folder(path)
        hidden, system, others, broken, inner = [], [], [], [], []
        for entry in self._entries(real):
            name = entry.name
            if name.lower() in not_images.SYSTEM_FOLDERS and entry.is_dir(follow_symlinks=False):
                system.append(name)
            elif name.startswith("."):
                hidden.append(name)
            elif entry.is_symlink():
                if name.lower().endswith(SUFFIXES) or os.path.isdir(entry.path):
                    self.links.append((own, real, name))
                else:
                    (others if os.path.exists(entry.path) else broken).append(name)
            elif entry.is_dir(follow_symlinks=False):
                if entry.path not in self.visited:  # as a link may have led below it before
                    inner.append(name)
            elif name.lower().endswith(SUFFIXES):
                _check_file(entry)
                own.images.append(name)
            else:
                others.append(name)
        own.images.sort()
        own.folders = [self.folder(os.path.join(real, name), os.path.join(path, name)) for name in sorted(inner)]
        own.left_out.add(not_images.HIDDEN, "", [os.path.join(path, name) for name in sorted(hidden)])
        own.left_out.add(not_images.BROKEN, "", [os.path.join(path, name) for name in sorted(broken)])
        for name in sorted(others):
            reason = not_images.SYSTEM_FILES.get(name.lower()) or not_images.ending(name)
            own.left_out.add(reason, "", [os.path.join(path, name)])
        for name in sorted(system):
            below = (os.path.join(base, file) for base, _, files in os.walk(os.path.join(real, name)) for file in files)
            files = (os.path.relpath(file, self.root) for file in below)
            own.left_out.add(not_images.SYSTEM_FOLDERS[name.lower()], "", files)
        return own

    def follow_links(self, top: Folder) -> list[str]:
        """Brings in what the links lead to, and returns the links whose images are there already."""
        twice: list[str] = []
        files: list[tuple[Folder, str, str]] = []  # the folder that a link to a file is in, its name, the file
        while self.links:  # a folder behind a link may have links of its own
            found, self.links = sorted(self.links, key=lambda link: os.path.join(link[0].path, link[2])), []
            for folder, real, name in found:
                path = os.path.join(folder.path, name)
                target = os.path.realpath(os.path.join(real, name))
                self._check_link(path, target)
                if not os.path.isdir(target):
                    files.append((folder, name, target))
                elif target in self.visited or inside(self.root, [target]):
                    twice.append(path)
                else:
                    folder.folders.append(self.folder(target, path))
                    folder.folders.sort(key=lambda inner: inner.name)
        return sorted(twice + self._files_of_links(top, files))

    def _check_link(self, path: str, target: str) -> None:
        if not inside(target, (self.root, *self.allowed)):
            raise LeadsOut(
                f"{shown(os.path.join(self.root, path))} is a link that leads out of the folder, to {shown(target)}: "
                "put a copy in its place, take it out, or name the folder that it leads to with --data-roots (in the "
                "app: Data roots).",
                field="dataset",
            )

    def _files_of_links(self, top: Folder, links: list[tuple[Folder, str, str]]) -> list[str]:
        """Takes each file that a link leads to once: where it lies if it is in the folder, else where the first link
        is. A folder all of whose images are linked to is a store, as in a cache: its images are where the links are."""
        by_place: dict[str, set[str]] = {}
        for folder, _, target in links:
            if folder is not top:  # where a link is in no class
                by_place.setdefault(os.path.dirname(target), set()).add(os.path.basename(target))
        places = {os.path.dirname(target) for _, _, target in links} & self.visited.keys()
        here = {real: set(self.visited[real].images) for real in places}
        stores = {r for r, names in here.items() if r != self.root and names and by_place.get(r, set()) >= names}
        taken, twice = set(), []
        for folder, name, target in links:
            path, place = os.path.join(folder.path, name), os.path.dirname(target)
            if not os.path.isfile(target):
                folder.left_out.add(not_images.BROKEN, "", [path])
            elif target in taken or (place not in stores and os.path.basename(target) in here.get(place, ())):
                twice.append(path)
            else:
                taken.add(target)
                folder.images.append(name)
        for real in stores:
            self.visited[real].images = [name for name in self.visited[real].images if name not in here[real]]
        for folder in {id(folder): folder for folder, _, _ in links}.values():
            folder.images.sort()
        return twice

    def _entries(self, folder: str) -> Iterator[os.DirEntry]:
        with self._opened(folder) as entries:
            for entry in entries:
                self.seen += 1
                if self.seen % TELL_EVERY == 0:
                    self.on_progress(self.seen, 0)
                yield entry

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


def _check_file(entry: os.DirEntry) -> None:
    if not entry.is_file(follow_symlinks=False):  # reading from a pipe would wait for ever
        raise UserError(
            f"{shown(entry.path)} is named like an image but is a pipe, socket or device: take it out of the folder.",
            field="dataset",
        )


def _leave_out_pairs(folder: Folder) -> None:
    """Thumbnails and masks whose scan lies beside them, in the same folder or in the one above or beside theirs."""
    pairs = not_images.paired(folder.images)
    if pairs:
        folder.images = [name for name in folder.images if name not in pairs]
    for name, reason in pairs.items():
        folder.left_out.add(reason, "", [os.path.join(folder.path, name)])
    for inner in folder.folders:
        reason = not_images.of_folder(inner.name)
        if reason is None or not (found := list(inner.paths())):
            continue
        others = (other for other in folder.folders if not_images.of_folder(other.name) is None)
        beside = (path for other in others for path in other.paths())
        stems = {not_images.stem(os.path.basename(path)).lower() for path in (*folder.images, *beside)}
        own = sum(not not_images.scans_of(os.path.basename(path)).isdisjoint(stems) for path in found)
        if 2 * own >= len(found):  # most of them have their scan beside them
            for below in inner.everywhere():
                below.images.clear()
            folder.left_out.add(reason, "", found)
