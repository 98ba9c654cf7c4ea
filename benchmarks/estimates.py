r"""What runs take of memory and disk, beside what was estimated: every method, two networks, two sizes; the quick look;
a network with a wide last map; a small network with as many images as OCTMNIST has.

    python benchmarks/estimates.py --sample DIR --weights DIR --out benchmarks/results/estimates.json

DIR of --sample holds the OCT sample as oct2017-sample_64.npz and _224.npz, DIR of --weights the networks' features.
Each run is a training process of its own, as the queue starts it. Memory is the most that the system has seen of it,
its end included, and what the run itself has recorded; disk is the sum of its folder's files. The many images are
noise: what they show changes nothing. CPU only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from colora.runs.folder import Run, create_group
from colora.settings.config import RunConfig, launch_arguments, make_config
from colora.settings.presets import QUICK_LOOK
from colora.system.environment import environment
from colora.training.images import choose_device

NETWORKS = {
    "resnet18:layer3": "resnet18_imagenet_to_layer3.safetensors",
    "squeezenet1_1": "squeezenet1_1_imagenet_features.safetensors",
}
SIZES = {64: "oct2017-sample_64.npz", 128: "oct2017-sample_224.npz"}
METHODS = ("colora", "head", "full")
MANY = {"train": 97_477, "val": 10_832, "test": 1_000}  # images
KIB = 1024 if sys.platform == "linux" else 1  # unit of ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--per-class", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    shared = {"train_set": "balanced", "per_class": args.per_class, "epochs": args.epochs, "device": "cpu"}
    configs = [
        make_config(
            shared
            | {"backbone": network, "weights": str((args.weights / file).absolute()), "partial_weights": True}
            | {"dataset": f"npz:{(args.sample / data).absolute()}", "image_size": size, "method": method}
        )
        for network, file in NETWORKS.items()
        for size, data in SIZES.items()
        for method in METHODS
    ]
    wide = {"backbone": "resnet50", "weights": "none", "image_size": 64, "method": "head"}
    configs.append(make_config(shared | wide | {"dataset": f"npz:{(args.sample / SIZES[64]).absolute()}"}))
    configs.append(make_config(QUICK_LOOK.values | {"epochs": args.epochs, "device": "cpu"}))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        small = {"backbone": "squeezenet1_1", "weights": "none", "image_size": 28, "method": "head"}
        configs.append(make_config(shared | small | {"dataset": f"npz:{many_images(Path(folder))}"}))
        for config in configs:
            rows.append(row(config))
            print(json.dumps(rows[-1]), flush=True)
    command = f"python benchmarks/estimates.py --per-class {args.per_class} --epochs {args.epochs}"
    result = {
        "about": " ".join(__doc__.split()),
        "rows": rows,
        "environment": environment(choose_device("cpu")) | {"command": command},
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n")


def many_images(folder: Path) -> Path:
    """A file of noise, of 28 pixels and four classes."""
    rng, path, arrays = np.random.default_rng(0), folder / "many.npz", {}
    for split, count in MANY.items():
        arrays[f"{split}_images"] = rng.integers(256, size=(count, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.arange(count)[:, None] % 4
    np.savez(path, **arrays)
    return path


def row(config: RunConfig) -> dict:
    """One run and its estimate, at the same time: neither memory nor disk depend on how busy the machine is."""
    with tempfile.TemporaryDirectory() as folder:
        run = create_group(Path(folder), "g", config, [0]).runs[0]
        flags = launch_arguments("g", config, [0])[3:]
        with open(run.path / "log.txt", "wb") as log:
            train = subprocess.Popen(_colora("train", "--run-dir", str(run.path)), stdout=log, stderr=log)
            asked = subprocess.run(
                _colora("preflight", *flags, "--runs-dir", folder, "--json"), capture_output=True, check=True
            )
            _, status, used = os.wait4(train.pid, 0)
            train.returncode = os.waitstatus_to_exitcode(status)  # which Popen would wait for in vain
        if train.returncode:
            sys.exit((run.path / "log.txt").read_text())
        found, disk = json.loads(asked.stdout), sum(p.stat().st_size for p in run.path.rglob("*") if p.is_file())
        recorded = round(Run(run.path).metrics["peak_memory_mib"].max() * 2**20)
    seen = used.ru_maxrss * KIB
    return {
        "backbone": config.backbone,
        "dataset": config.dataset.partition(":")[0],
        "image_size": config.image_size,
        "batch_size": config.batch_size,
        "images": sum(found["images"][split] for split in MANY),
        "method": config.method,
        "memory_bytes": seen,
        "recorded_memory_bytes": recorded,
        "estimated_memory_bytes": found["memory_bytes"],
        "memory_ratio": round(found["memory_bytes"] / max(seen, recorded), 3),
        "disk_bytes": disk,
        "estimated_disk_bytes": found["disk_bytes"],
        "disk_ratio": round(found["disk_bytes"] / disk, 4),
    }


def _colora(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "colora", *arguments]


if __name__ == "__main__":
    main()
