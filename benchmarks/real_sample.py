r"""head, colora and full on the real OCT sample: each method's learning rate chosen on validation, by the same budget.

    python benchmarks/real_sample.py --data oct2017-sample_224.npz --weights-dir weights \
                                     --out benchmarks/results/real_sample.json

For each backbone and method every rate is tried with seed 0; the one of highest validation accuracy (ties: lower
validation loss) is trained with the other seeds. Test images choose nothing. The sample is a part of the test split
that OCTMNIST's own test split is made from, so none of these figures may stand beside a result on OCTMNIST.
"""

import argparse
import json
import tempfile
from pathlib import Path

from colora.config import make_config
from colora.environment import environment
from colora.images import choose_device
from colora.results import Spread, run_summary
from colora.runs import Run, create_group
from colora.train import train_run

BACKBONES = {
    "squeezenet1_1": "squeezenet1_1_imagenet_features.safetensors",
    "resnet18:layer3": "resnet18_imagenet_to_layer3.safetensors",
}
RATES = {"head": (3e-4, 1e-3, 3e-3), "colora": (3e-4, 1e-3, 3e-3), "full": (3e-5, 1e-4, 3e-4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as runs_dir:
        for backbone, weights in BACKBONES.items():
            for method, rates in RATES.items():
                rows.append(_compare(args, Path(runs_dir), backbone, weights, method, rates))
                print(json.dumps(rows[-1]), flush=True)
    result = {
        "about": " ".join(__doc__.split()),
        "epochs": args.epochs,
        "image_size": 128,
        "batch_size": 32,
        "environment": environment(choose_device("auto")) | {"command": "python benchmarks/real_sample.py"},
        "rows": rows,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")


def _compare(args: argparse.Namespace, runs_dir: Path, backbone: str, weights: str, method: str, rates: tuple) -> dict:
    def train(rate: float, seed: int) -> Run:
        name = f"{backbone.replace(':', '-')}-{method}-{rate:g}-{seed}"
        settings = {"backbone": backbone, "method": method, "lr": rate, "epochs": args.epochs, "image_size": 128}
        source = {"dataset": f"npz:{args.data.absolute()}", "weights": str((args.weights_dir / weights).absolute())}
        run = create_group(runs_dir, name, make_config(settings | source), [seed]).runs[0]
        if train_run(run.path):
            raise SystemExit(f"{name} failed: {Run(run.path).status['reason']}")
        return Run(run.path)

    tried = {rate: train(rate, 0) for rate in rates}
    figures = {rate: run_summary(run)["val"] for rate, run in tried.items()}
    chosen = max(rates, key=lambda rate: (figures[rate]["accuracy"], -figures[rate]["loss"]))
    runs = [tried[chosen], *(train(chosen, seed) for seed in range(1, args.seeds))]
    summaries = [run_summary(run) for run in runs]
    return {
        "backbone": backbone,
        "method": method,
        "validation_accuracy_by_lr": {f"{rate:g}": figures[rate]["accuracy"] for rate in rates},
        "lr": chosen,
        "trainable": runs[0].resolved.parameters["trainable"],
        "seconds_per_epoch": Spread.of([s["seconds_per_epoch"] for s in summaries]).median,
        "selected_epochs": [s["selected_epoch"] for s in summaries],
        "test_accuracy": [s["test"]["accuracy"] for s in summaries],
        "test_auc": [s["test"]["auc"] for s in summaries],
    }


if __name__ == "__main__":
    main()
