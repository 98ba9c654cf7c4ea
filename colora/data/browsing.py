"""What a person can pick on this computer: the entries of a folder, and how many images of which classes one holds, by
names alone, as a launch would find them.

Bounded in entries and seconds, since somebody waits and a home folder may hold everything. What may not be named is
neither listed nor told of. Imports no torch.
"""

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from colora.data import not_images
from colora.data.layout import class_parts
from colora.data.layout_parts import NoClasses, split_folders
from colora.data.listing import LeadsOut, Tree, list_tree, shown
from colora.runs.access import data_roots, may_be_named, named_place
from colora.system.errors import UserError
from colora.system.typed import clean_path

MOST_LISTED = 20_000  # entries of a folder; more are no list to look through
MOST_COUNTED = 300_000  # files and folders of one that is counted
COUNT_SECONDS = 5.0
MOST_CLASSES_TOLD = 6
NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Listing:
    """The entries of a folder by their own names, each in its order; `more`: it has over MOST_LISTED, and these are
    some of them."""

    folders: list[str]
    files: list[str]
    more: bool = False


@dataclass(frozen=True)
class Held:
    """What a folder holds. `classes`: {class: images}, in all splits, those named in `splits`; empty where a launch
    would not take the folder as it is, `why` in a few words and `sentence` as the launch says it."""

    images: int
    classes: dict[str, int] = field(default_factory=dict)
    splits: tuple[str, ...] = ()
    why: str = ""
    sentence: str = ""

    def says(self) -> str:
        """`700 images: CNV 251, DME 151, DRUSEN 100, NORMAL 198`."""
        number = f"{self.images:,} image{'s' * (self.images != 1)}" if self.images else ""
        if not self.classes:
            return ", ".join(filter(None, (number, self.why)))
        told = [f"{name} {count:,}" for name, count in self.classes.items()]
        more = f" and {len(told) - MOST_CLASSES_TOLD:,} more classes" if len(told) > MOST_CLASSES_TOLD else ""
        splits = f", in {', '.join(self.splits)}" if self.splits else ""
        return f"{number}: {', '.join(told[:MOST_CLASSES_TOLD])}{more}{splits}"


class _Enough(Exception):
    """A count has come to its bound."""


def list_folder(path: Path, endings: tuple[str, ...] = ()) -> Listing:
    """The folders in a folder, and its files with one of these endings (in small letters). What is hidden, of the
    system, or leads to where nobody may name anything is left out. Raises UserError where it may not be named, or
    cannot be read."""
    path = named_place(path)
    folders, files, seen = [], [], 0
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if (seen := seen + 1) > MOST_LISTED:
                    break
                if entry.name.startswith(".") or entry.name.lower() in not_images.SYSTEM_FOLDERS:
                    continue
                if entry.is_symlink() and not may_be_named(Path(entry.path)):
                    continue
                kind = _kind(entry)
                if kind == "folder":
                    folders.append(entry.name)
                elif kind == "file" and endings and entry.name.lower().endswith(endings):
                    files.append(entry.name)
    except PermissionError as error:
        raise UserError(f"There is no permission to look into {shown(str(path))}.") from error
    except OSError as error:
        raise UserError(f"{shown(str(path))} cannot be looked into: {error.strerror}.") from error
    return Listing(sorted(folders, key=_numbered), sorted(files, key=_numbered), seen > MOST_LISTED)


def _kind(entry: os.DirEntry) -> str | None:
    """None of a link that leads in a circle or to where nobody may look: the others are listed all the same."""
    try:
        return "folder" if entry.is_dir() else "file" if entry.is_file() else None
    except OSError:
        return None


def _numbered(name: str) -> tuple[list[str], str]:
    """Sorts P2 before P10, and whatever is alike by its letters."""
    parts = NUMBERS.split(name.casefold())
    key = [part if n % 2 == 0 else f"{int(part):030d}" for n, part in enumerate(parts)]
    return key, name


def held(path: Path) -> Held:
    """What a launch would find in a folder, as long as nobody answers a question about it. What cannot be read is said
    in `why`; nothing is raised."""
    end = time.monotonic() + COUNT_SECONDS

    def tell(seen: int, total: int) -> None:
        if seen > MOST_COUNTED or time.monotonic() > end:
            raise _Enough(f"more than {seen:,} files, not counted")

    tree = None
    try:
        tree = list_tree(path, on_progress=tell)
        if not (images := _images(tree)):
            return Held(0, why="no images below")
        _, parts, names = class_parts(path, tree)
    except _Enough as error:
        return Held(0, why=str(error))
    except UserError as error:
        sentence = "" if isinstance(error, LeadsOut) and data_roots() is not None else str(error)  # it tells where to
        return Held(_images(tree) if tree else 0, why=_few_words(error, tree), sentence=sentence)
    classes = dict.fromkeys(names, 0)
    for part in parts:
        classes[part.class_name] += sum(len(folder.images) for folder in part.folder.everywhere())
    splits = tuple(split_folders(parts)) if parts[0].split is not None else ()
    return Held(images, classes, splits)


def _images(tree: Tree) -> int:
    return sum(len(folder.images) for folder in tree.top.everywhere())


def _few_words(error: UserError, tree: Tree | None) -> str:
    if isinstance(error, LeadsOut):
        return "a link leads out of it"
    if isinstance(error.__cause__, PermissionError):
        return "not all may be read"
    if isinstance(error, NoClasses) and tree:
        above = tree.top.with_images()
        return "in no sub-folder" if not above else "of one class only" if len(above) == 1 else "in no class folders"
    return {"layout": "classes not clear", "ignore_splits": "splits not clear"}.get(error.field, "not to be trained on")


def typable(path: Path) -> bool:
    """Whether a field of text can hold the path, and means it and no other one."""
    text = os.fspath(path)
    try:
        text.encode()
        return text.isprintable() and clean_path(text) == text
    except (UserError, UnicodeEncodeError):
        return False
