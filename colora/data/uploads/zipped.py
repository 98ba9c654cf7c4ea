"""A zip of which nothing is trusted: its files one by one, their bytes as they are unpacked, never what a header says.

Read is what can be read in little memory: files that are stored or deflated, without a password. Links, devices and the
like are files to no one. Names are UTF-8 where they say so or are, else of the old code page 437.
"""

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from colora.system.errors import UserError
from colora.system.typed import one_line, shortened

CHUNK_BYTES = 1 << 20
MOST_FILES = 200_000
MOST_DIRECTORY_BYTES = 24 << 20  # what a zip says of its files, which is held in memory
UTF8, ENCRYPTED = 0x800, 0x1  # bits of an entry's flags
READ = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
LINK, NO_FILE, PASSWORD, METHOD = "link", "no file", "protected by a password", "packed by another method than Deflate"
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError, NotImplementedError,
          RuntimeError)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One file: the path that it is given, the bytes that it claims to have, how they are read, some at a time, and why
    it is not to be taken (None: nothing stands against it)."""

    path: str
    bytes: int
    chunks: Callable[[], Iterator[bytes]]
    refused: str | None = None


class _Bounded:
    """A file that is asked for so much at once by nobody: zipfile reads all that a zip says of its files in one go."""

    def __init__(self, file: BinaryIO):
        self._file = file

    def read(self, count: int = -1) -> bytes:
        if not -1 <= count <= MOST_DIRECTORY_BYTES:
            raise zipfile.LargeZipFile
        return self._file.read(count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def entries_of(file: BinaryIO, called: str) -> list[Entry]:
    """The files of a zip, which stays open as long as they are. Raises UserError for what is no zip, is cut short, or
    has more than MOST_FILES."""
    try:
        archive = zipfile.ZipFile(_Bounded(file))
    except zipfile.LargeZipFile as error:
        raise too_many(called) from error
    except DAMAGE as error:
        raise UserError(
            f"{called} is no zip, or not all of it has arrived: choose it again, or pack the folder anew."
        ) from error
    infos = [info for info in archive.infolist() if not _is_folder(info)]
    if len(infos) > MOST_FILES:
        raise too_many(called)
    return [Entry(_path(info), info.file_size, _reader(archive, info, called), _refused(info)) for info in infos]


def too_many(called: str) -> UserError:
    return UserError(
        f"{called} holds more than {MOST_FILES:,} files: put the folder onto the computer that runs this app, and name "
        "it there."
    )


def _is_folder(info: zipfile.ZipInfo) -> bool:
    return info.orig_filename.endswith(("/", "\\"))


def _path(info: zipfile.ZipInfo) -> str:
    """As it stands there, with what zipfile takes away: what follows a NUL."""
    if info.flag_bits & UTF8:
        return info.orig_filename
    try:
        return info.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.orig_filename


def _refused(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind and kind != stat.S_IFREG:
        return LINK if kind == stat.S_IFLNK else NO_FILE
    if info.flag_bits & ENCRYPTED:
        return PASSWORD
    return None if info.compress_type in READ else METHOD


def _reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo, called: str) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        try:
            with archive.open(info) as member:
                while part := member.read(CHUNK_BYTES):  # the last call compares the CRC
                    yield part
        except DAMAGE as error:
            where = one_line(shortened(_path(info)))
            raise UserError(
                f"{called} is damaged or not complete, at {where}: choose it again, or pack the folder anew."
            ) from error

    return chunks
