"""Reading an .npz file that nobody vouches for: every claim is checked before memory is taken for it.

numpy.load believes an array's header, holds an array whole and unpickles if asked. Here the header must fit what the
archive holds, arrays of images are read some rows at a time, and Python objects are refused.
"""

import math
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import psutil

from colora.system.errors import UserError
from colora.system.files import why
from colora.system.storage import size_text
from colora.system.typed import is_file, one_line, shortened

CHUNK_ROWS, CHUNK_BYTES = 256, 1 << 24


class Header(NamedTuple):
    """What an array says of itself."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran_order: bool

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


class NpzFile:
    """The arrays of an open .npz file. Every method raises UserError where the file is damaged."""

    def __init__(self, path: Path, archive: zipfile.ZipFile):
        self.path, self.archive = path, archive
        self.members = {i.filename.removesuffix(".npy"): i for i in archive.infolist() if not i.is_dir()}
        self._headers: dict[str, Header] = {}

    def __contains__(self, key: str) -> bool:
        return key in self.members

    def header(self, key: str) -> Header:
        """Shape and type, which the size of the stored array bears out."""
        if key not in self._headers:
            with damage(self.path), self.archive.open(self.members[key]) as stream:
                self._headers[key] = self._read_header(key, stream)
        return self._headers[key]

    def _read_header(self, key: str, stream: IO[bytes]) -> Header:
        version = np.lib.format.read_magic(stream)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in readers:
            raise ValueError(f"{key} is of numpy's format {version}")
        shape, fortran_order, dtype = readers[version](stream)
        if dtype.hasobject:
            raise UserError(
                f"{self.path}: {key} holds Python objects, which are never unpickled: save plain numbers or text.",
                field="dataset",
            )
        claimed, held = math.prod(shape) * dtype.itemsize, self.members[key].file_size - stream.tell()
        if min(shape, default=0) < 0 or claimed != held or not dtype.itemsize:
            raise ValueError(f"{key} claims {dtype} {shape}, {size_text(claimed)}, but holds {size_text(held)}")
        return Header(shape, dtype, fortran_order)

    def read(self, key: str) -> np.ndarray:
        """A whole array."""
        header = self.header(key)
        need_memory(math.prod(header.shape) * header.dtype.itemsize, f"{self.path}: {key}")
        with damage(self.path), self.archive.open(self.members[key]) as stream:
            values = np.lib.format.read_array(stream, allow_pickle=False)
            stream.read(1)  # at the end zipfile compares the checksum
        return values

    def rows(self, key: str) -> Iterator[np.ndarray]:
        """An array (N, ...) as consecutive parts (n, ...) of a few megabytes."""
        shape, dtype, fortran_order = self.header(key)
        row_bytes = math.prod(shape[1:]) * dtype.itemsize
        step = max(1, min(CHUNK_ROWS, CHUNK_BYTES // max(row_bytes, 1)))
        if fortran_order:  # an image is scattered over the whole array
            whole = self.read(key)
            yield from (whole[start : start + step] for start in range(0, len(whole), step))
            return
        with damage(self.path):
            stream = self.archive.open(self.members[key])
            self._read_header(key, stream)
        with stream:
            for start in range(0, shape[0], step):
                count = min(step, shape[0] - start)
                with damage(self.path):
                    content = stream.read(count * row_bytes)
                    if len(content) < count * row_bytes:
                        raise EOFError(f"{key} ends early")
                yield np.frombuffer(content, dtype).reshape(count, *shape[1:])

    def verify(self) -> None:
        """Reads everything once and compares the checksums."""
        with damage(self.path):
            if bad := self.archive.testzip():
                raise zipfile.BadZipFile(f"the checksum of {bad.removesuffix('.npy')} is wrong")


@contextmanager
def open_npz(path: Path, expected: str) -> Iterator[NpzFile]:
    """Raises UserError where `path` is no .npz file; `expected` says what was wanted."""
    if not is_file(path):
        raise UserError(f"There is no file {path}.", field="dataset")
    with damage(path):
        with open(path, "rb") as file:
            if file.read(6) == np.lib.format.MAGIC_PREFIX:
                raise UserError(f"{path} is a single array, not an .npz archive: {expected}.", field="dataset")
        archive = zipfile.ZipFile(path)
    with archive:
        counted = Counter(info.filename.removesuffix(".npy") for info in archive.infolist())
        if twice := next((name for name, count in counted.items() if count > 1), None):
            raise UserError(
                f"{path} holds {one_line(shortened(twice))} twice, and which one counts is not said: save it anew.",
                field="dataset",
            )
        yield NpzFile(path, archive)


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Turns what is raised on damaged files into a UserError."""
    try:
        yield
    except PermissionError as error:
        raise UserError(f"There is no permission to read {path}.", field="dataset") from error
    except UserError:
        raise
    except Exception as error:  # zipfile, zlib, lzma, ast and numpy raise nearly everything on damaged bytes
        raise UserError(
            f"{path} cannot be read as an .npz file ({why(error)}): is the copy complete?", field="dataset"
        ) from error


def need_memory(count: int, what: str, instead: str = "take a machine with more") -> None:
    """Raises UserError where `count` bytes are more than this machine has free."""
    free = psutil.virtual_memory().available
    if count > free:
        raise UserError(
            f"{what} needs {size_text(count)} of memory, but this machine has {size_text(free)} free: {instead}.",
            field="dataset",
        )
