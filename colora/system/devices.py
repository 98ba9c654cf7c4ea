"""What this machine has and how busy it is: GPUs, processor, memory, disk. Imports no torch, so that pages can ask."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from colora.system import cgroup
from colora.system.process import cpu_count

NO_GPU = "No NVIDIA GPU is seen: training runs on the CPU."
NO_LIBRARY = "GPUs are not looked for: the package nvidia-ml-py is not installed."

psutil.cpu_percent()  # later calls tell the share since the one before


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU; bytes, and shares in [0, 1]. `busy` is None where the driver does not tell it (MIG)."""

    index: int
    name: str
    busy: float | None
    memory_used: int
    memory: int


@dataclass(frozen=True)
class Machine:
    """Bytes, and shares in [0, 1]; `gpu_note` says why there is no GPU in the list."""

    cores: int
    cpu_busy: float
    memory_used: int
    memory: int
    disk_used: int
    disk: int
    gpus: tuple[Gpu, ...]
    gpu_note: str | None


def memory() -> tuple[int, int]:
    """(free, total) bytes of this machine, or of this process's share of it where that is less."""
    here = psutil.virtual_memory()
    free, limit = cgroup.memory() or (here.available, here.total)
    return min(here.available, free), min(here.total, limit)


def machine(folder: Path) -> Machine:
    """The machine now; its disk is the one of `folder`, which need not exist yet."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    (free, total), disk = memory(), shutil.disk_usage(there)
    gpus, note = gpus_here()
    return Machine(
        cores=cpu_count(),
        cpu_busy=psutil.cpu_percent() / 100,
        memory_used=total - free,
        memory=total,
        disk_used=disk.total - disk.free,
        disk=disk.total,
        gpus=gpus,
        gpu_note=note,
    )


def gpus_here() -> tuple[tuple[Gpu, ...], str | None]:
    """The GPUs that NVIDIA's management library lists, or why there are none."""
    try:
        import pynvml
    except ModuleNotFoundError:
        return (), NO_LIBRARY if shutil.which("nvidia-smi") else NO_GPU
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver, or none that answers
        return (), NO_GPU
    try:
        found = tuple(_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        return (), f"The GPU driver does not answer: {error}."
    finally:
        pynvml.nvmlShutdown()
    return found, None if found else NO_GPU


def _gpu(pynvml, index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    name, memory = pynvml.nvmlDeviceGetName(handle), pynvml.nvmlDeviceGetMemoryInfo(handle)
    try:
        busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    except pynvml.NVMLError:
        busy = None
    return Gpu(index, name if isinstance(name, str) else name.decode(), busy, memory.used, memory.total)
