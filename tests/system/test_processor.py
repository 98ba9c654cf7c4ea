"""Threads that wait and memory that is kept: set once, and never against the environment."""

import platform
import subprocess
import sys

import pytest

from colora.system import processor

AFTER_A_STEP = """
import psutil, numpy
from colora.system import processor
processor.prepare()
blocks = [numpy.ones(2 << 20) for _ in range(10)]  # 16 MiB each
del blocks
print(psutil.Process().memory_info().rss >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
@pytest.mark.parametrize(("given", "kept"), [({}, True), ({"MALLOC_PERTURB_": "0"}, False)])
def test_freed_memory_stays_unless_the_environment_says_how(monkeypatch, given, kept):
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-c", AFTER_A_STEP], capture_output=True, text=True, check=True)
    assert (int(done.stdout) > 160) == kept


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("PASSIVE", "1000")),
        ({"GOMP_SPINCOUNT": "7"}, ("PASSIVE", "7")),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ("ACTIVE", None)),
    ],
)
def test_threads_spin_a_little_unless_the_environment_says_how(monkeypatch, given, expected):
    environment = dict(given)
    monkeypatch.setattr(processor.os, "environ", environment | {"MALLOC_PERTURB_": "0"})
    processor.prepare()
    assert (processor.os.environ.get("OMP_WAIT_POLICY"), processor.os.environ.get("GOMP_SPINCOUNT")) == expected
