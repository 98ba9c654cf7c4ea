r"""head, colora, full and logistic regression on the real OCT sample, each with settings of its own, chosen alike.

    python benchmarks/first_study/study.py --data oct2017-sample_224.npz --weights-dir weights --workers 2

Every method gets the same budget: eight settings, each trained with one seed (100) that is used for nothing else. The
best validation accuracy wins (ties: lower validation loss), and seeds 0 to 4 are trained with it. All share 128 px,
batch 32, 10 epochs, Adam, a cosine schedule and no augmentation. `colora` spends four settings on its rates and four on
merge_every and order at the best of these. Test images choose nothing.

The sample is a part of the test split that OCTMNIST's own test split is made from: none of these figures may stand
beside a result on OCTMNIST. Runs are kept in --runs-dir, so an interrupted study goes on where it was. `report.py`
makes the tables.
"""

import argparse
import json
import os
import statistics
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads: several runs share the cores

from colora.results.summary import run_summary
from colora.runs.folder import Run, create_group
from colora.settings.config import make_config
from colora.system.environment import environment
from colora.training.images import choose_device
from colora.training.run import train_run

HERE = Path(__file__).parent
BACKBONES = {
    "squeezenet1_1": "squeezenet1_1_imagenet_features.safetensors",
    "mobilenet_v2": "mobilenet_v2_imagenet_features.safetensors",
    "resnet18:layer3": "resnet18_imagenet_to_layer3.safetensors",
}
CHOOSING, REPORTING = (100,), (0, 1, 2, 3, 4)
EPOCHS = 10
COMMON = {
    "image_size": 128,
    "batch_size": 32,
    "epochs": EPOCHS,
    "schedule": "cosine",
    "train_figures": "pass",
    "threads": 1,
    "device": "cpu",
}
Settings = dict[str, Any]

HEAD = [{"lr": lr} for lr in (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)]
FULL = [{"lr": lr, "lr_head": head} for lr, head in product((3e-5, 1e-4, 3e-4, 1e-3), (1e-4, 1e-3))]
COLORA_RATES = [
    {"lr": lr, "lr_head": head, "merge_every": EPOCHS}
    for lr, head in ((3e-3, 1e-4), (1e-2, 1e-4), (3e-2, 1e-4), (1e-2, 1e-3))
]
COLORA_MERGES = [
    {"merge_every": 1},
    {"merge_every": 5},
    {"merge_every": 1, "order": "separable"},
    {"merge_every": EPOCHS, "order": "separable"},
]


def study_arguments(about: str | None) -> argparse.Namespace:
    """The flags that study.py and why.py share."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights-dir", type=Path, required=True)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs-first-study"))
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, one thread each")
    return parser.parse_args()


def main() -> None:
    args = study_arguments(__doc__)
    with ProcessPoolExecutor(args.workers) as pool:
        study = Study(args.data.absolute(), args.weights_dir.absolute(), args.runs_dir, pool)
        cells = [study.cell(backbone, method) for backbone in BACKBONES for method in ("head", "full", "colora")]
        from logistic import logistic_cell

        cells += pool.map(logistic_cell, *zip(*((b, *study.source(b)) for b in BACKBONES), strict=True))
    result = {
        "about": " ".join(__doc__.split()),
        "common": COMMON,
        "cells": cells,
        "environment": environment(choose_device("cpu")) | {"command": "python benchmarks/first_study/study.py"},
    }
    (HERE / "study.json").write_text(json.dumps(result, indent=1) + "\n")


class Study:
    """Trains what is asked for, several runs at a time, and remembers by the run folders."""

    def __init__(self, data: Path, weights: Path, runs_dir: Path, pool: ProcessPoolExecutor):
        self.data, self.weights, self.runs_dir, self.pool = data, weights, runs_dir, pool

    def source(self, backbone: str) -> tuple[str, str]:
        return str(self.data), str(self.weights / BACKBONES[backbone])

    def cell(self, backbone: str, method: str) -> dict[str, Any]:
        """One backbone with one method: the whole grid on validation, the choice, and the five seeds at it."""
        if method == "colora":
            grid = self.grid(backbone, method, COLORA_RATES)
            rates = best(grid)["settings"]
            grid += self.grid(backbone, method, [rates | merges for merges in COLORA_MERGES])
        else:
            grid = self.grid(backbone, method, HEAD if method == "head" else FULL)
        cell = self.reported(backbone, method, best(grid)["settings"]) | {"grid": grid}
        print(json.dumps({k: cell[k] for k in ("backbone", "method", "chosen")} | {"val": best(grid)}), flush=True)
        return cell

    def reported(self, backbone: str, method: str, chosen: Settings) -> dict[str, Any]:
        """The five seeds at the settings that were chosen."""
        seeds = self.trained(backbone, method, [(chosen, seed) for seed in REPORTING])
        return {"backbone": backbone, "method": method, "chosen": chosen, "seeds": seeds}

    def grid(self, backbone: str, method: str, settings: Iterable[Settings]) -> list[dict[str, Any]]:
        settings = list(settings)
        runs = iter(self.trained(backbone, method, list(product(settings, CHOOSING))))
        rows = []
        for each in settings:
            row: dict[str, Any] = {"settings": each}
            tried = [next(runs)["val"] for _ in CHOOSING]
            for figure in ("accuracy", "loss", "auc"):
                row[f"val_{figure}"] = [run[figure] if run else None for run in tried]
            rows.append(row)
        return rows

    def trained(self, backbone: str, method: str, wanted: list[tuple[Settings, int]]) -> list[dict[str, Any]]:
        data, weights = self.source(backbone)
        common = COMMON | {"dataset": f"npz:{data}", "weights": weights, "backbone": backbone, "method": method}
        return list(
            self.pool.map(_train, *zip(*((self.runs_dir, common | s, seed) for s, seed in wanted), strict=True))
        )


def best(grid: list[dict[str, Any]]) -> dict[str, Any]:
    """The row of highest mean validation accuracy; of equal ones that of the lowest validation loss."""

    def key(row: dict[str, Any]) -> tuple[float, float]:
        if None in row["val_accuracy"]:  # a rate at which a run broke off
            return 0.0, 0.0
        return statistics.mean(row["val_accuracy"]), -statistics.mean(row["val_loss"])

    return max(grid, key=key)


def _train(runs_dir: Path, settings: Settings, seed: int) -> dict[str, Any]:
    """One run, or what it once was: the figures of its selected epoch. A run that broke off has val and test None."""
    told = ("backbone", "method", "lr", "lr_head", "merge_every", "order", "rank", "bias", "epochs")
    name = "-".join(str(settings.get(k, "")) for k in told).replace(":", "-") + f"-{seed}"
    path = Path(runs_dir) / name / f"seed-{seed:02d}"
    run = Run(path) if path.exists() else create_group(Path(runs_dir), name, make_config(settings), [seed]).runs[0]
    if train_run(run.path) == 2:
        return {"seed": seed, "val": None, "test": None, "reason": Run(run.path).status["reason"]}
    run = Run(run.path)
    if run.state != "done":
        raise RuntimeError(f"{run.path}: {run.status['reason']}")
    summary = run_summary(run)
    return {
        "seed": seed,
        "selected_epoch": summary["selected_epoch"],
        "val": summary["val"],
        "test": summary["test"],
        "trainable": run.resolved.parameters["trainable"],
        "seconds_per_epoch": summary["seconds_per_epoch"],
    }


if __name__ == "__main__":
    main()
