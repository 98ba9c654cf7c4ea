r"""Looking for leaks between the splits of many images: seconds and peak memory.

    python benchmarks/leaks.py --out benchmarks/results/leaks.json

Generated images, noise with a bright line at one of 16 heights: 70 % for training, 15 % each for validation and test,
of which 1 % are brighter copies of training images. They are mapped from files in a temporary folder, 5 GB for 100,000
at 224 px, which the system's cache still holds. Two worst cases: `equal`, all images black; `alike`, all of them copies
of one picture under noise of their own. `private_mib` is the highest memory beside what was there before, without the
mapped files (Linux's RssAnon); each row is a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from colora.data.dataset import SPLITS, Dataset, Split
from colora.data.leaks import find_leaks

CASES = [
    *((count, size, "usual") for size in (64, 224) for count in (1_000, 10_000, 100_000)),
    (100_000, 64, "equal"),
    (100_000, 64, "alike"),
]
SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
CHUNK = 1_000
COPIES = 100  # of so many test images one is a copy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--most", type=int, default=100_000, help="leave out the rows of more images")
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        print(json.dumps(measure(int(args.row[0]), int(args.row[1]), args.row[2])))
        return
    rows = [in_own_process(*case) for case in CASES if case[0] <= args.most]
    print(json.dumps(rows, indent=1))
    if args.out:
        result = {"about": " ".join(__doc__.split()), "environment": about_this_machine(), "rows": rows}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")


def in_own_process(*case: object) -> dict:
    arguments = [sys.executable, __file__, "--row", *map(str, case)]
    return json.loads(subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True).stdout)


def measure(count: int, size: int, kind: str) -> dict:
    """One row: what was looked at, seconds and memory, and what was found."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = make_dataset(Path(folder), count, size, kind)
        before = private_mib()
        with Peak() as peak:
            begin = time.perf_counter()
            leaks = find_leaks(dataset)
            seconds = time.perf_counter() - begin
    sizes = [len(dataset.splits[name]) for name in SPLITS]
    return {
        "images": count,
        "size": size,
        "kind": kind,
        "pairs": sizes[0] * sum(sizes[1:]) + sizes[1] * sizes[2],
        "seconds": seconds,
        "private_mib": peak.highest - before,
        "array_mib": count * size * size / 2**20,
        "near": leaks.near_across_splits,
        "exact": leaks.exact_across_splits,
        "train_images": len(leaks.leaking),
    }


def make_dataset(folder: Path, count: int, size: int, kind: str) -> Dataset:
    rng = np.random.default_rng(0)
    splits: dict[str, Split] = {}
    for name in SPLITS:
        n = round(SHARES[name] * count)
        images = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, (n, size, size))
        for start in range(0, n, CHUNK):
            part = images[start : start + CHUNK]
            part[:] = draw(rng, len(part), size, kind)
        if name == "test" and kind == "usual":
            images[::COPIES] = splits["train"].images[: len(images[::COPIES])] + 20
        images.flush()
        mapped = np.load(folder / f"{name}.npy", mmap_mode="r")
        ids = np.array([f"{name}/{i:06d}" for i in range(n)])
        splits[name] = Split(mapped, np.arange(n) % 4, ids)
    return Dataset(splits, tuple("ABCD"), True, "generated", "as drawn", synthetic=True)


def draw(rng: np.random.Generator, n: int, size: int, kind: str) -> np.ndarray:
    """(n, size, size) uint8."""
    if kind == "equal":
        return np.zeros((n, size, size), dtype=np.uint8)
    if kind == "alike":
        one = np.random.default_rng(1).integers(20, 220, (8, 8)).repeat(size // 8, 0).repeat(size // 8, 1)
        return (one + rng.integers(0, 20, (n, size, size))).astype(np.uint8)
    images = rng.integers(0, 60, (n, size, size), dtype=np.uint8)
    for image, height in zip(images, rng.integers(0, 16, n) * size // 20, strict=True):
        image[height : height + size // 8] += 150
    return images


class Peak:
    """The highest private memory while something runs, looked at a hundred times a second."""

    def __enter__(self) -> "Peak":
        self.highest, self.ended = 0.0, threading.Event()
        self.watch = threading.Thread(target=self.look, daemon=True)
        self.watch.start()
        return self

    def look(self) -> None:
        while not self.ended.wait(0.01):
            self.highest = max(self.highest, private_mib())

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.watch.join()


def private_mib() -> float:
    """Memory of this process that is no part of a file: RssAnon."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 2**10


def about_this_machine() -> dict:
    from colora.system.environment import environment  # torch: only now, when all is measured
    from colora.training.images import choose_device

    return environment(choose_device("cpu")) | {"command": "python benchmarks/leaks.py", "cores": os.cpu_count()}


if __name__ == "__main__":
    main()
