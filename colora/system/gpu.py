"""This machine's NVIDIA GPUs, asked of nvidia-smi without torch: which there are, and how much memory is taken.

Standard library only: the guard of each run asks too.
"""

import os
import shutil
import subprocess
import time

ASK_SECONDS = 20
POLL_SECONDS = 0.2
SLACK_MIB = 64  # the driver's own figures move by a few MiB


def found_gpus() -> list[str]:
    """Numbers of this machine's GPUs, as CUDA_VISIBLE_DEVICES restricts them."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    return _ask("--query-gpu=index")


def used_mib(gpu: str) -> int | None:
    """MiB taken on one GPU, by whomever; None where that cannot be asked."""
    answer = _ask("--query-gpu=memory.used", gpu)
    return int(answer[0]) if answer and answer[0].isdecimal() else None


def left_mib(gpu: str, before: int, gone: list[int], patience: float) -> int:
    """Wait until the memory that processes `gone` took is back; MiB of it that are not after `patience` seconds, or 0.

    It is back when no more is taken than `before` they began, or nvidia-smi names others as holders and none of them
    (in a container it names nobody).
    """
    end = time.monotonic() + patience
    while True:
        used = used_mib(gpu)
        left = 0 if used is None else used - before
        if left > SLACK_MIB:
            holders = {int(pid) for pid in _ask("--query-compute-apps=pid", gpu) if pid.isdecimal()}
            left = 0 if holders and not holders & set(gone) else left
        if left <= SLACK_MIB:
            return 0
        if time.monotonic() > end:
            return left
        time.sleep(POLL_SECONDS)


def _ask(question: str, gpu: str | None = None) -> list[str]:
    """The lines of nvidia-smi's answer; none where there is no such program, or it refuses or hangs, as one does
    whose driver is in trouble."""
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", question, "--format=csv,noheader,nounits", *(["--id", gpu] if gpu is not None else [])]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=ASK_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return []
    return [line.strip() for line in asked.stdout.splitlines() if line.strip()] if asked.returncode == 0 else []
