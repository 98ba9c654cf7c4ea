"""How a process that trains on the CPU uses it: threads that wait, and memory that is kept for the next step.

Both are measured: benchmarks/processor.py. A library should not set them for the program that imports it, so only the
command line does, and whoever sets them in the environment is left alone.
"""

import ctypes
import os
import platform

SPIN_COUNT = "1000"
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt(3)
KEPT_BYTES = 1 << 30
MAPPED_FROM_BYTES = 32 << 20  # as far as glibc would move it by itself


def prepare() -> None:
    """For this process, and before torch loads.

    Threads: OpenMP's wait for each other after each of a step's many small operations. They spin for a few
    microseconds and then sleep: without the spinning a run alone takes a fifth longer, with as much of it as is usual
    runs on the same cores hold each other up.

    Memory: glibc gives what lies free at the top of the heap back to the system, and the next step pays for each of its
    pages again. Up to a gigabyte stays here until the process ends. Larger blocks than 32 MiB go back at once.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    if platform.libc_ver()[0] == "glibc" and not any(name.startswith("MALLOC_") for name in os.environ):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
