"""Where runs train at the same time: one slot a GPU, or one for the CPU, unless asked for more."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from colora.runs.lock import slots_path
from colora.system.errors import UserError
from colora.system.files import read_json, write_json
from colora.system.gpu import found_gpus
from colora.system.process import cpu_count


@dataclass(frozen=True)
class Slot:
    """A place for one run; `environment` tells its process which GPU is its own and how many threads it may use."""

    name: str  # "cpu-0", "gpu-1-0": the first run on GPU 1
    environment: dict[str, str] = field(default_factory=dict)


def make_slots(gpus: list[str] | None = None, per_gpu: int = 1, cpu_slots: int | None = None) -> list[Slot]:
    """Slots for the named GPUs, all that are found (None), or, where there is none, `cpu_slots` (1) on the CPU.

    A run keeps the thread count that it resolved at its first start, whatever slot resumes it.
    """
    if per_gpu < 1 or (cpu_slots is not None and cpu_slots < 1):
        raise UserError("There must be at least one slot.")
    names = found_gpus() if gpus is None and cpu_slots is None else gpus or []
    total = len(names) * per_gpu or cpu_slots or 1
    threads = {}
    if total > 1 and "OMP_NUM_THREADS" not in os.environ:
        threads = {"OMP_NUM_THREADS": str(max(1, cpu_count() // total))}
    if not names:
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if gpus is not None or cpu_slots is not None else {}
        return [Slot(f"cpu-{n}", threads | hidden) for n in range(total)]
    order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # the numbers that nvidia-smi prints
    return [
        Slot(f"gpu-{name}-{n}", threads | order | {"CUDA_VISIBLE_DEVICES": name})
        for n in range(per_gpu)  # one on each GPU before a second on any
        for name in names
    ]


def keep_asked(runs_dir: Path, asked: dict[str, Any]) -> None:
    """Remember the arguments of `make_slots` for the supervisors of this runs folder that start by themselves."""
    make_slots(**asked)  # what makes no slots is refused, and not remembered
    write_json(slots_path(runs_dir), asked)


def asked_slots(runs_dir: Path) -> dict[str, Any]:
    """The arguments of `make_slots` that were remembered last on this host; {} where nobody has asked for any."""
    path = slots_path(runs_dir)
    return read_json(path) if path.exists() else {}


def sharing(names: Iterable[str]) -> int:
    """How many runs may train on one device at the same time, by the names of the slots."""
    return max(Counter(name.rpartition("-")[0] for name in names).values())
