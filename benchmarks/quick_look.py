r"""The quick look as a newcomer runs it, from the shipped weights and from random ones: wall time and test accuracy.

    python benchmarks/quick_look.py --out benchmarks/results/quick_look.json

Each is one `colora launch --wait` of the preset, three seeds one after another, process starts included. The settings
were settled on 480 generated images of another seed (`generate("test", 64, seed=101)`), not on the test images.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from colora.settings.config import launch_arguments, make_config
from colora.settings.presets import QUICK_LOOK
from colora.settings.seeds import parse_seeds
from colora.system.environment import environment
from colora.training.images import choose_device


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rows = [_timed(weights) for weights in ("shipped", "none")]
    gain = 100 * (rows[0]["test_accuracy"]["median"] - rows[1]["test_accuracy"]["median"])
    result = {
        "about": " ".join(__doc__.split()),
        "rows": rows,
        "points_above_random_weights": round(gain, 1),
        "environment": environment(choose_device("cpu")) | {"command": "python benchmarks/quick_look.py"},
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


def _colora(*arguments: str) -> bytes:
    return subprocess.run([sys.executable, "-m", "colora", *arguments], check=True, capture_output=True).stdout


def _timed(weights: str) -> dict:
    config = make_config(QUICK_LOOK.values | {"weights": weights})
    with tempfile.TemporaryDirectory() as runs_dir:
        command = launch_arguments("quick-look", config, parse_seeds(QUICK_LOOK.seeds))
        start = time.perf_counter()
        _colora(*command, "--runs-dir", runs_dir, "--wait")
        seconds = time.perf_counter() - start
        summary = json.loads(_colora("show", f"{runs_dir}/quick-look", "--json"))
    accuracies = [seed["test"]["accuracy"] for seed in summary["seeds"]]
    return {
        "weights": weights,
        "wall_seconds": round(seconds, 1),
        "test_accuracy": {"median": sorted(accuracies)[len(accuracies) // 2], "seeds": accuracies},
    }


if __name__ == "__main__":
    main()
