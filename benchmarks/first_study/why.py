r"""What separates CoLoRA from full fine-tuning on few images: one setting changed at a time, on validation only.

    python benchmarks/first_study/why.py --data oct2017-sample_224.npz --weights-dir weights --workers 2

SqueezeNet 1.1, where the gap was widest, 128 px, batch 32, 10 epochs, two seeds (100, 101). The test images are
not looked at. Beside the accuracy stand two figures that 102 validation images measure more finely: the lowest
validation loss, and the mean accuracy of the last four epochs, which no choice of epoch flatters. folds.py asks more.

The images are 700 B-scans of Kermany et al. (doi:10.17632/rscbjbr9sj, CC BY 4.0), a part of the test split that
OCTMNIST's own test split is made from: none of these figures may stand beside a result on OCTMNIST.
"""

import json
import os
import statistics
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from study import BACKBONES, COMMON, HERE, study_arguments

from colora.runs.folder import Run, create_group
from colora.settings.config import make_config
from colora.system.environment import environment
from colora.training.images import choose_device
from colora.training.run import train_run

SEEDS = (100, 101)
PAPER = {"method": "colora", "lr": 1e-3, "merge_every": 1, "schedule": "constant"}
TUNED = {"method": "colora", "lr": 1e-2, "lr_head": 1e-4, "merge_every": 10, "schedule": "cosine"}
VARIANTS: dict[str, dict[str, Any]] = {
    "full, 1e-4, constant": {"method": "full", "lr": 1e-4, "schedule": "constant"},
    "full, 1e-4, cosine": {"method": "full", "lr": 1e-4, "schedule": "cosine"},
    "CoLoRA as the paper: 1e-3, merge each epoch, constant": PAPER,
    "  head at 1e-4": PAPER | {"lr_head": 1e-4},
    "  head at 1e-4, cosine": PAPER | {"lr_head": 1e-4, "schedule": "cosine"},
    "  head at 1e-4, cosine, adapters at 1e-2": PAPER | {"lr": 1e-2, "lr_head": 1e-4, "schedule": "cosine"},
    "CoLoRA tuned: 1e-2, head 1e-4, one merge at the end, cosine": TUNED,
    "  merge every 5 epochs": TUNED | {"merge_every": 5},
    "  merge every epoch, Adam's moments kept": TUNED | {"merge_every": 1, "optimizer_at_merge": "keep"},
    "  rank 4": TUNED | {"rank": 4},
}


def main() -> None:
    args = study_arguments(__doc__)
    backbone = "squeezenet1_1"
    source = {
        "dataset": f"npz:{args.data.absolute()}",
        "weights": str((args.weights_dir / BACKBONES[backbone]).absolute()),
        "backbone": backbone,
    }
    jobs = [
        (args.runs_dir, f"why-{n:02d}-{seed}", COMMON | source | settings, seed)
        for n, settings in enumerate(VARIANTS.values())
        for seed in SEEDS
    ]
    with ProcessPoolExecutor(args.workers) as pool:
        found = iter(list(pool.map(_train, *zip(*jobs, strict=True))))
    rows = []
    for title, settings in VARIANTS.items():
        seeds = [next(found) for _ in SEEDS]
        means = {f"mean_{k}": round(statistics.mean(s[k] for s in seeds), 4) for k in seeds[0]}
        rows.append({"variant": title.strip(), "settings": settings} | means | {"seeds": seeds})
        print(f"{title:62} " + "  ".join(f"{k} {v:.3f}" for k, v in means.items()))
    result = {
        "about": " ".join(__doc__.split()),
        "rows": rows,
        "environment": environment(choose_device("cpu")) | {"command": "python benchmarks/first_study/why.py"},
    }
    (HERE / "why.json").write_text(json.dumps(result, indent=1) + "\n")


def _train(runs_dir: Path, name: str, settings: dict[str, Any], seed: int) -> dict[str, float]:
    path = runs_dir / name / f"seed-{seed:02d}"
    run = Run(path) if path.exists() else create_group(runs_dir, name, make_config(settings), [seed]).runs[0]
    if train_run(run.path):
        raise RuntimeError(f"{run.path}: {Run(run.path).status['reason']}")
    metrics = Run(path).metrics
    return {
        "lowest_loss": float(metrics["val_loss"].min()),
        "last_four": float(metrics["val_accuracy"].tail(4).mean()),
        "best_accuracy": float(metrics["val_accuracy"].max()),
        "last_training_loss": float(metrics["train_loss"].iloc[-1]),
    }


if __name__ == "__main__":
    main()
