"""The images of one split of an .npz, memory-mapped: in the file itself, or in a copy where it is compressed.

numpy maps no .npz, but an array that is stored as it is lies in the file as a .npy would, and can be mapped there. A
compressed one, or one in Fortran's order, is copied once into this user's cache, beside the images prepared from
folders (colora.data.prepared), by the same rules: complete or absent, for this user alone, deleted when unused for a
while.
"""

import hashlib
import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from colora.data.npz import FORMAT
from colora.data.npz_file import NpzFile, damage, open_npz
from colora.data.prepare import Progress
from colora.data.prepared import ELSEWHERE, cache_dir, new_entry
from colora.system.errors import UserError
from colora.system.storage import disk_errors, locked, made_folder

COPY_BYTES = 1 << 22
LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip member: the lengths of its name and of its extra field


def npz_images(path: Path, split: str, on_progress: Progress) -> np.ndarray:
    """One split's images (N, H, W), (N, H, W, 1) or (N, H, W, 3), read-only.

    Raises UserError for a file that is missing, damaged or of another format, or a cache without room.
    """
    key = f"{split}_images"
    with open_npz(path, FORMAT) as file:
        if key not in file:
            raise UserError(f"{path} lacks {key}: {FORMAT}.", field="dataset")
        header = file.header(key)
        if file.members[key].compress_type == zipfile.ZIP_STORED and not header.fortran_order:
            return np.memmap(path, header.dtype, "r", _first_value(file, key), header.shape)
        entry = cache_dir() / _entry_name(path, key)
        if not entry.is_dir():
            made_folder(entry.parent, ELSEWHERE)
            with locked(entry, on_wait=lambda: on_progress(0, header.shape[0])):
                if not entry.is_dir():  # another process may have finished it while this one waited
                    _copy(file, key, entry, on_progress)
    try:
        os.utime(entry)  # used today
        return np.load(entry / "images.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{entry} is damaged ({error}): delete that folder and start again.") from error


def _first_value(file: NpzFile, key: str) -> int:
    """Where in the file the values of an array begin that is stored as it is."""
    start = file.members[key].header_offset
    with damage(file.path), open(file.path, "rb") as stream:
        stream.seek(start)
        name, extra = LOCAL_HEADER.unpack(stream.read(LOCAL_HEADER.size))
        stream.seek(start + LOCAL_HEADER.size + name + extra)
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        read(stream)
        return stream.tell()


def _entry_name(path: Path, key: str) -> str:
    status = path.stat()
    about = f"{path.resolve()}\0{key}\0{status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(os.fsencode(about)).hexdigest()[:32]


def _copy(file: NpzFile, key: str, entry: Path, on_progress: Progress) -> None:
    """`entry`/images.npy: a member of the archive, which is a .npy file; complete or absent."""
    member, images = file.members[key], file.header(key).shape[0]
    with new_entry(entry, member.file_size, f"Unpacking the {images:,} images of {file.path.name}") as part:
        with damage(file.path):
            stream = file.archive.open(member)
        with stream, open(part / "images.npy", "wb") as out:
            done = 0
            for content in _parts(file, stream):
                on_progress(images * done // member.file_size, images)
                with disk_errors(part, ELSEWHERE):
                    out.write(content)
                done += len(content)
            with disk_errors(part, ELSEWHERE):
                out.flush()
                os.fsync(out.fileno())
    on_progress(images, images)


def _parts(file: NpzFile, stream: BinaryIO) -> Iterator[bytes]:
    while True:
        with damage(file.path):  # at the end zipfile compares the checksum
            content = stream.read(COPY_BYTES)
        if not content:
            return
        yield content
