"""The device panel's figures: this machine's, and those of a GPU library that answers, refuses or is not there."""

import sys
from types import SimpleNamespace

import psutil
import pytest

from colora.system import devices


class Refusal(Exception):
    pass


def library(count: int = 1, init_fails: bool = False, busy: int | None = 83) -> SimpleNamespace:
    """In place of nvidia-ml-py."""

    def init() -> None:
        if init_fails:
            raise Refusal("Driver Not Loaded")

    def rates(handle: int) -> SimpleNamespace:
        if busy is None:
            raise Refusal("Not Supported")
        return SimpleNamespace(gpu=busy)

    return SimpleNamespace(
        NVMLError=Refusal,
        nvmlInit=init,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: count,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: b"NVIDIA H100",  # older releases give bytes
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=12, total=80),
        nvmlDeviceGetUtilizationRates=rates,
    )


def test_this_machine(tmp_path):
    found = devices.machine(tmp_path / "not" / "there" / "yet")
    assert 0 < found.memory_used < found.memory <= psutil.virtual_memory().total
    assert 0 < found.disk_used <= found.disk and 0 <= found.cpu_busy <= 1 and found.cores >= 1
    assert bool(found.gpus) is (found.gpu_note is None)


def test_memory_is_the_share_that_a_container_leaves(monkeypatch, tmp_path):
    here = SimpleNamespace(available=900, total=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: here)
    for share, used, total in ((None, 100, 1000), ((300, 500), 200, 500), ((2000, 10**18), 100, 1000)):
        monkeypatch.setattr("colora.system.cgroup.memory", lambda share=share: share)
        found = devices.machine(tmp_path)
        assert (found.memory_used, found.memory) == (used, total)


@pytest.mark.parametrize(
    ("with_library", "expected", "note"),
    [
        (library(2), 2, None),
        (library(0), 0, devices.NO_GPU),
        (library(init_fails=True), 0, devices.NO_GPU),
    ],
)
def test_gpus_by_what_the_library_says(monkeypatch, with_library, expected, note):
    monkeypatch.setitem(sys.modules, "pynvml", with_library)
    gpus, said = devices.gpus_here()
    assert (len(gpus), said) == (expected, note)
    assert all(gpu == devices.Gpu(gpu.index, "NVIDIA H100", 0.83, 12, 80) for gpu in gpus)


def test_a_gpu_that_does_not_tell_how_busy_it_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", library(busy=None))
    assert devices.gpus_here()[0][0].busy is None


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert devices.gpus_here() == ((), devices.NO_GPU)
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
    assert devices.gpus_here() == ((), devices.NO_LIBRARY)
