"""What waiting threads and freed memory cost a training step on the CPU: colora.system.processor's settings and others.

    python benchmarks/processor.py --out benchmarks/results/processor.json

`spin` is GOMP_SPINCOUNT: how often a waiting OpenMP thread looks before the kernel puts it to sleep. libgomp's own is
about 300,000; 0 is what OMP_WAIT_POLICY=PASSIVE means. `kept` is whether freed memory stays with the process up to a
gigabyte, or glibc moves its thresholds as it likes. The settings take turns, alone and with two processes on the same
cores; a figure is the median step of CoLoRA over the processes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from colora.system.environment import environment
from colora.system.processor import KEPT_BYTES, MAPPED_FROM_BYTES
from colora.training.images import choose_device

SETTINGS = {  # (spin, kept)
    "neither set": (300_000, False),
    "threads sleep at once": (0, False),
    "threads spin a little": (1000, False),
    "memory is kept too": (1000, True),
}
KEPT = {"MALLOC_MMAP_THRESHOLD_": str(MAPPED_FROM_BYTES), "MALLOC_TRIM_THRESHOLD_": str(KEPT_BYTES)}
GLIBCS_OWN = {"MALLOC_PERTURB_": "0"}  # changes nothing, but tells colora.system.processor to leave glibc alone
BENCH = "bench --batch-size 32 --methods colora --repeats 9 --device cpu --json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbone", default="squeezenet1_1")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    command = [sys.executable, "-m", "colora", *BENCH.split(), "--backbone", args.backbone]
    command += ["--image-size", str(args.image_size)]
    rows = []
    for at_once in (1, 2):
        steps: dict[str, list[float]] = {name: [] for name in SETTINGS}
        for _ in range(args.rounds):
            for name, (spin, kept) in SETTINGS.items():
                steps[name] += timed(command, spin, kept, at_once)
        for name, seconds in steps.items():
            rows.append({"setting": name, "at_once": at_once, "seconds_a_step": round(statistics.median(seconds), 4)})
            print(rows[-1], flush=True)
    about = {"backbone": args.backbone, "image_size": args.image_size, "batch_size": 32}
    result = about | {"rows": rows, "environment": environment(choose_device("cpu"))}
    args.out.write_text(json.dumps(result, indent=1) + "\n")


def timed(command: list[str], spin: int, kept: bool, at_once: int) -> list[float]:
    """Seconds a step of each of the processes that ran at once."""
    own = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": str(spin)} | (KEPT if kept else GLIBCS_OWN)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    processes = [subprocess.Popen(command, env=own, **pipes) for _ in range(at_once)]
    return [json.loads(process.communicate()[0])["results"][0]["seconds"] for process in processes]


if __name__ == "__main__":
    main()
