"""What a run ran on: versions, device, code and memory, for the record beside its results."""

import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

from colora.system.installation import ROOT


def environment(device: torch.device) -> dict[str, Any]:
    """Library versions, device, code version and command line, for the record."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: version(name) for name in ("torch", "torchvision", "numpy", "scikit-learn", "pandas")},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device} ({_processor()})",
        "git_commit": _git_commit(),
        "command": ["colora" if sys.argv[0].endswith("__main__.py") else Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def _processor() -> str:
    """The processor's name, where Linux tells it, else its architecture."""
    told = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    names = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _git_commit() -> str | None:
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        return None
    asked = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    return asked.stdout.strip() if asked.returncode == 0 else None


def forget_peak_memory(device: torch.device) -> None:
    """The high-water mark begins anew at what is in use now. On macOS and Windows it cannot, and stays."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mib(device: torch.device) -> float:
    """High-water mark of this process so far: of the GPU's memory, else of main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 2**20
    if sys.platform == "linux":  # not getrusage, whose figure a process inherits from the one that started it
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
