"""What of a zip or a dropped folder is kept, and under which path: told by names alone, none of which is trusted.

Kept are images and tables that name them, as the data code reads them. Everything else is counted under a reason, as
are names that lead out of the folder, that no disk takes, and that stand there twice.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from colora.data import not_images
from colora.data.catalogue import NotRead
from colora.data.listing import SUFFIXES
from colora.runs.names import NAME
from colora.system.errors import UserError
from colora.system.table_file import ENDINGS
from colora.system.typed import LONGEST_NAME

DEEPEST = 20  # folders and the file: each folder of a path is an entry of the disk
MOST_FOLDERS = 50_000
LONGEST_PATH = 1_000  # bytes below the folder: with that folder's own it stays below what a system takes
OUTSIDE, NO_NAME, TWICE = "leads out of the folder", "no possible name", "same name twice"
ARCHIVE = "archive, not unpacked"
ARCHIVES = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst")
DRIVE = re.compile(r"[A-Za-z]:")
UNSEEN = {"Cc", "Cs", "Zl", "Zp"}  # Unicode's control characters, halves of characters, ends of lines and paragraphs


def name_of(text: str, instead: str = "scans") -> str:
    """A name that `runs.names` takes, made of a zip's or a folder's own: plain letters for accented ones, and a dash
    for what no name has."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    found = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip("._-")[:60].rstrip("._-")
    return found if NAME.fullmatch(found) else instead


def parts_of(path: str) -> tuple[str, ...] | str:
    """The names of the folders that a file lies in and its own, NFC; or the reason why it has no place. A backslash
    separates too, as some programs on Windows write it."""
    if any(unicodedata.category(letter) in UNSEEN for letter in path):
        return NO_NAME
    parts = unicodedata.normalize("NFC", path).replace("\\", "/").split("/")
    if not parts[0] or DRIVE.match(parts[0]) or ".." in parts:
        return OUTSIDE
    found = tuple(part for part in parts if part not in ("", "."))
    lengths = [len(part.encode()) for part in found]
    if not found or max(lengths) > LONGEST_NAME or sum(lengths) + len(found) > LONGEST_PATH or len(found) > DEEPEST:
        return NO_NAME
    return found


def is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def why_not_kept(parts: tuple[str, ...]) -> str | None:
    """The reason why a file of this path is left out; None of one that is kept."""
    *folders, name = parts
    if system := next(filter(None, (not_images.SYSTEM_FOLDERS.get(folder.lower()) for folder in folders)), None):
        return system
    if any(part.startswith(".") for part in parts):
        return not_images.HIDDEN
    if is_image(name) or name.lower().endswith(ENDINGS):
        return None
    ending = not_images.ending(name)
    return not_images.SYSTEM_FILES.get(name.lower()) or (ARCHIVE if ending in ARCHIVES else ending)


@dataclass
class Places:
    """Gives each file its place, once; `left_out` counts those that get none."""

    left_out: NotRead = field(default_factory=NotRead)
    _files: set[str] = field(default_factory=set)  # paths as a disk that knows no case has them
    _folders: set[str] = field(default_factory=set)

    @property
    def folders(self) -> int:
        """In how many folders the placed files lie, those between counted."""
        return len(self._folders)

    def place(self, path: str, refused: str | None = None) -> str | None:
        """The path below the folder, with slashes; None of what is left out, as what is `refused` for a reason of its
        own. Raises UserError for more than MOST_FOLDERS."""
        parts = parts_of(path)
        reason = parts if isinstance(parts, str) else refused or why_not_kept(parts)
        if reason is None and self._is_taken(parts):
            reason = TWICE
        if reason is not None:
            self.left_out.add(reason, "", [path])
            return None
        return "/".join(parts)

    def _is_taken(self, parts: Iterable[str]) -> bool:
        own = [part.casefold() for part in parts]
        whole, above = "/".join(own), {"/".join(own[:n]) for n in range(1, len(own))}
        if whole in self._files or whole in self._folders or not above.isdisjoint(self._files):
            return True
        self._files.add(whole)
        self._folders |= above
        if len(self._folders) > MOST_FOLDERS:
            raise UserError(
                f"There are more than {MOST_FOLDERS:,} folders in it: put the scans onto the computer that runs this "
                "app, and name their folder."
            )
        return False
