"""How long a waiting OpenMP thread spins before it sleeps: what that does to a run alone, and to two at once.

    python benchmarks/waiting_threads.py --out benchmarks/results/waiting_threads.json

A training step's small operations each end with threads that wait for each other. GOMP_SPINCOUNT (libgomp, which
torch brings on Linux) is the number of turns before the kernel puts a waiting thread to sleep; 0 is what
OMP_WAIT_POLICY=PASSIVE means, about 300,000 the library's default. Each count's bench processes take turns with the
others'; figures are the median step of full fine-tuning and CoLoRA.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from colora.environment import environment
from colora.images import choose_device

SPIN_COUNTS = ("0", "1000", "20000", "300000")
BENCH = "bench --image-size 128 --batch-size 32 --methods full,colora --repeats 9 --device cpu --json --backbone"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbone", default="squeezenet1_1")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rows = []
    for at_once in (1, 2):
        found = {count: [] for count in SPIN_COUNTS}
        for _ in range(args.rounds):
            for count in SPIN_COUNTS:
                found[count] += timed(count, args.backbone, at_once)
        for count, steps in found.items():
            median = {m: round(statistics.median(step[m] for step in steps), 4) for m in ("full", "colora")}
            rows.append({"spin_count": int(count), "processes_at_once": at_once, "seconds_a_step": median})
            print(rows[-1], flush=True)
    result = {"backbone": args.backbone, "rows": rows, "environment": environment(choose_device("cpu"))}
    args.out.write_text(json.dumps(result, indent=1) + "\n")


def timed(count: str, backbone: str, at_once: int) -> list[dict[str, float]]:
    """Seconds a step by method, of each of the processes that ran at once."""
    command = [sys.executable, "-m", "colora", *BENCH.split(), backbone]
    own = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": count}
    processes = [subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True) for _ in range(at_once)]
    results = [json.loads(process.communicate()[0])["results"] for process in processes]
    return [{row["method"]: row["seconds"] for row in rows} for rows in results]


if __name__ == "__main__":
    main()
