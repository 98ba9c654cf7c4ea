"""How many planted wrong labels confident learning finds: labels of training and validation flipped, groups trained on
them by cross-fitting, and what their models say of the labels held against which ones were flipped.

    python benchmarks/label_doubt.py --npz sample.npz --weights resnet18.safetensors --out results/label_doubt.json

--npz: a file in MedMNIST's format, with patients or without; beside it the phantom (synthetic). Each is trained at 64
px with five folds and seeds 0 to 4 (`colora launch --preset my-images --folds 5`), with 10 % of the labels flipped to
another class, in three draws, and with none; that of --npz also by full fine-tuning for 30 epochs, in one draw. "held
out": an image is judged by the seed that left it out, as the app does it; "in sample": by the mean of the four that
learned from it, which is what a group without folds could say. Validation images are judged by all five.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:1] = [str(ROOT)]

import numpy as np  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402

from colora.data.phantom import generate  # noqa: E402
from colora.distillation.scores import read_predictions  # noqa: E402
from colora.metrics.classification import entropy  # noqa: E402
from colora.metrics.label_doubt import LabelDoubt  # noqa: E402
from colora.runs.folder import Group  # noqa: E402

SHARE, SIDE = 0.1, 64
COLORA = ["--method", "colora", "--lr", "0.003"]
FULL = ["--method", "full", "--lr", "0.0003", "--epochs", "30"]


def flipped(labels: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Labels (N,) of which a share, drawn at random, stands for another class, each of them as likely."""
    changed = generator.choice(len(labels), round(share * len(labels)), replace=False)
    classes = labels.max() + 1
    out = labels.copy()
    out[changed] = (labels[changed] + generator.integers(1, classes, len(changed))) % classes
    return out


def phantom_file(path: Path) -> Path:
    arrays = {}
    for split in ("train", "val", "test"):
        drawn = generate(split, SIDE)
        arrays |= {f"{split}_images": drawn.images, f"{split}_labels": drawn.labels[:, None]}
    np.savez(path, **arrays)
    return path


def planted(source: Path, place: Path, share: float, seed: int) -> dict[str, np.ndarray]:
    """Writes the data with flipped labels to `place`; returns which of each split were flipped."""
    arrays, generator, wrong = dict(np.load(source)), np.random.default_rng(seed), {}
    for split in ("train", "val"):
        labels = arrays[f"{split}_labels"].ravel()
        given = flipped(labels, share, generator)
        wrong[split] = given != labels
        arrays[f"{split}_labels"] = given.reshape(-1, 1)
    np.savez(place, **arrays)
    return wrong


def found(told: LabelDoubt, wrong: np.ndarray) -> dict[str, Any]:
    """Of images that all can be judged; what asks which were flipped is None where none was."""
    count, doubted = int(wrong.sum()), int(told.doubted.sum())
    first = np.argsort(-told.doubt, kind="stable")[:count]
    hits = int((told.doubted & wrong).sum())
    return {
        "images": len(wrong),
        "planted": count,
        "accuracy_on_right_labels": float((told.p.argmax(1) == told.labels)[~wrong].mean()),
        "doubted": doubted,
        "auroc": float(roc_auc_score(wrong, told.doubt)) if count else None,
        "auroc_of_entropy": float(roc_auc_score(wrong, entropy(told.p))) if count else None,
        "found_among_first": float(wrong[first].mean()) if count else None,
        "found_by_rule": hits / count if count else None,
        "wrong_of_doubted": hits / doubted if count and doubted else None,
    }


def measured(source: Path, settings: list[str], share: float, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        data, runs = Path(place) / "planted.npz", Path(place) / "runs"
        wrong, begun = planted(source, data, share, seed), time.time()
        asked = ["--name", "g", "--dataset", f"npz:{data}", "--image-size", str(SIDE), "--seeds", "0-4", "--folds", "5"]
        launch = ["launch", "--preset", "my-images", "--runs-dir", str(runs), *asked, *settings, "--wait"]
        subprocess.run([sys.executable, "-m", "colora", *launch], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        group, seconds = Group(runs / "g"), time.time() - begun
        train, val = (read_predictions(group, split) for split in ("train", "val"))
        given = train.images["label"].to_numpy()
        return {
            "share": share,
            "draw": seed,
            "seconds": seconds,
            "held out": found(train.label_doubt, wrong["train"]),
            "in sample": found(LabelDoubt.of(train.probabilities, given, ~train.learned), wrong["train"]),
            "validation": found(val.label_doubt, wrong["val"]),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--npz", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="of ResNet-18 to layer3, for the images of --npz")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    network = ["--backbone", "resnet18:layer3", "--weights", str(args.weights), "--batch-size", "32"]
    small = ["--backbone", "texturenet", "--weights", "shipped", "--batch-size", "32"]
    rows = []
    with tempfile.TemporaryDirectory() as place:
        data = {"real": (args.npz, network), "phantom": (phantom_file(Path(place) / "phantom.npz"), small)}
        for name, (source, on) in data.items():
            wanted = [("colora", COLORA, SHARE, draw) for draw in (1, 2, 3)]
            wanted += [("colora", COLORA, 0.0, 0)] + [("full", FULL, SHARE, 1)] * (name == "real")
            for method, settings, share, seed in wanted:
                row = {"data": name, "method": method} | measured(source, [*settings, *on], share, seed)
                rows.append(row)
                print(json.dumps(row), flush=True)
    about = {
        "command": " ".join(["python", "benchmarks/label_doubt.py", *sys.argv[1:]]),
        "processor": platform.processor() or platform.machine(),
        "versions": {name: version(name) for name in ("torch", "cleanlab", "scikit-learn")},
    }
    args.out.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
