"""An array file read row by row, in place of a mapping of it.

A process that touches a mapped file which was cut short in place, as `cp` over it does, is ended by SIGBUS. That may
end one training, which says so. It may not end the server, whose pages look at files that people replace.
"""

import math
import os

import numpy as np


class Rows:
    """The rows (N, ...) of an array in C order that `array` maps, each read when it is asked for."""

    def __init__(self, array: np.memmap):
        self.path, self.offset = str(array.filename), array.offset
        self.shape, self.dtype = array.shape, array.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, row: int) -> np.ndarray:
        """Raises OSError where the file is gone or too short."""
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        with open(self.path, "rb", buffering=0) as file:
            content = os.pread(file.fileno(), size, self.offset + row * size) if 0 <= row < len(self) else b""
        if len(content) < size:
            raise OSError(f"{self.path} ends before row {row}")
        return np.frombuffer(content, self.dtype).reshape(self.shape[1:])


def unmapped(array: np.ndarray) -> np.ndarray | Rows:
    """`array` itself, or its rows where it maps a file."""
    return Rows(array) if isinstance(array, np.memmap) and array.flags.c_contiguous and os.name == "posix" else array
