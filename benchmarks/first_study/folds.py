r"""Full fine-tuning and CoLoRA, at the study's choices and at settings that it did not try, over four folds.

    python benchmarks/first_study/folds.py --data oct2017-sample_224.npz --weights-dir weights --workers 2

The study's validation split has 102 images, too few to tell neighbouring settings apart. Here the 584 images of its
training and validation splits are dealt into four folds by patient, classes balanced; each variant trains on three
folds and is judged on the fourth, four times, so that each of the 584 images is held out once. The test images are not
looked at. Batch 32, 10 epochs, Adam and a cosine schedule as in the study; 64 px, which take a fifth of the time that
128 px take. Fold k is trained with seed k. Each method has the settings that the study chose for it at 128 px, and some
that it did not try.

Accuracy and loss are means over the last four epochs, which no choice of an epoch flatters. A difference is paired
image by image; its interval is the 95 % of 10,000 bootstrap draws of patients, so it holds the chance in the images but
not in the seeds. minus_full is against full fine-tuning, minus_first_colora against CoLoRA's first row of that network.

The sample is a part of the test split that OCTMNIST's own test split is made from: none of these figures may stand
beside a result on OCTMNIST. Runs are kept in --runs-dir, so an interrupted study goes on where it was.
"""

import hashlib
import json
import os
import shutil
import statistics
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from folds_variants import VARIANTS, Variant
from safetensors import safe_open
from safetensors.numpy import load_file
from sklearn.model_selection import StratifiedGroupKFold
from study import BACKBONES, COMMON, HERE, study_arguments

from colora.adapters.conv import CoLoRAConv
from colora.runs.folder import Run, create_group
from colora.settings.config import make_config
from colora.system import processor
from colora.system.environment import environment
from colora.training.images import choose_device
from colora.training.loop import Fit
from colora.training.run import train_run

FOLDS, LAST, DRAWS = 4, 4, 10_000


def main() -> None:
    processor.prepare()  # its part for memory; the workers inherit it
    args = study_arguments(__doc__)
    args.runs_dir.mkdir(parents=True, exist_ok=True)
    patients = make_folds(args.data, args.runs_dir)
    jobs = [(args.runs_dir, args.weights_dir.absolute(), variant, k) for variant in VARIANTS for k in range(FOLDS)]
    with ProcessPoolExecutor(args.workers) as pool:
        found = iter(pool.map(_train, *zip(*jobs, strict=True)))
        outcomes = {}
        for variant in VARIANTS:
            outcomes[variant.key] = [next(found) for _ in range(FOLDS)]
            text = json.dumps(figures(outcomes[variant.key]))
            print(f"{variant.backbone:16} {variant.title:60}", text, flush=True)
    rows = []
    first: dict[str, Variant] = {}
    for variant in VARIANTS:
        folds = outcomes[variant.key]
        row = {"backbone": variant.backbone, "variant": variant.title, "settings": variant.settings}
        row |= {"hook": variant.hook} if variant.hook else {}
        row |= figures(folds)
        if variant.against:
            row["minus_full"] = paired(folds, outcomes[variant.against], patients)
            before = first.setdefault(variant.backbone, variant)
            if before is not variant:
                row["minus_first_colora"] = paired(folds, outcomes[before.key], patients)
        row["folds"] = [{k: v for k, v in fold.items() if k not in ("right", "losses")} for fold in folds]
        rows.append(row)
    result = {
        "about": " ".join(__doc__.split()),
        "common": COMMON,
        "rows": rows,
        "environment": environment(choose_device("cpu")) | {"command": "python benchmarks/first_study/folds.py"},
    }
    (HERE / "folds.json").write_text(json.dumps(result, indent=1) + "\n")


def make_folds(data: Path, folder: Path) -> np.ndarray:
    """fold-K.npz for each fold, in MedMNIST's format; returns the patient (584,) of each held-out image, fold by fold.

    The format wants a test split: it gets the first held-out image of each class, whose figures nothing reads.
    """
    with np.load(data) as file:
        parts = ("images", "labels", "patients")
        images, labels, patients = (np.concatenate([file[f"{s}_{part}"] for s in ("train", "val")]) for part in parts)
        names = file["class_names"]
    labels = labels.ravel()
    dealt = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(labels, labels, patients)
    held_out = []
    for k, (train, val) in enumerate(dealt):
        test = val[[int(np.argmax(labels[val] == c)) for c in range(len(names))]]
        arrays = {"class_names": names}
        for split, index in (("train", train), ("val", val), ("test", test)):
            arrays |= {f"{split}_images": images[index], f"{split}_labels": labels[index]}
            arrays |= {f"{split}_patients": patients[index]}
        if not (folder / f"fold-{k}.npz").exists():
            np.savez(folder / f"fold-{k}.npz", **arrays)
        held_out.append(patients[val])
    return np.concatenate(held_out)


def _train(runs_dir: Path, weights: Path, variant: Variant, fold: int) -> dict[str, Any]:
    """One variant without one fold, with the fold's number as seed."""
    with hooked(variant.hook):
        return train_fold(runs_dir, weights, variant.backbone, variant.settings, fold, fold, variant.hook)


def train_fold(
    runs_dir: Path, weights: Path, backbone: str, settings: dict[str, Any], fold: int, seed: int, hook: Any = None
) -> dict[str, Any]:
    """A run without one fold: right and losses (N,) of the held-out images, means over the last epochs, and figures.

    `hook` names what is changed that is no setting; a hooked run that was interrupted is begun anew.
    """
    own = COMMON | settings | {"backbone": backbone}
    own |= {"dataset": f"npz:{(runs_dir / f'fold-{fold}.npz').absolute()}"}
    own |= {"weights": str(weights / BACKBONES[backbone])}
    key = json.dumps([backbone, settings, *([hook] if hook else [])], sort_keys=True)
    name = f"fold-{fold}-{hashlib.sha256(key.encode()).hexdigest()[:16]}" + (f"-{seed}" if seed != fold else "")
    path = runs_dir / name / f"seed-{seed:02d}"
    if hook and path.exists() and Run(path).state != "done":
        shutil.rmtree(path.parent)
    run = Run(path) if path.exists() else create_group(runs_dir, name, make_config(own), [seed]).runs[0]
    if train_run(run.path):
        raise RuntimeError(f"{path}: {Run(path).status['reason']}")
    run = Run(path)
    with np.load(runs_dir / f"fold-{fold}.npz") as file:
        labels = file["val_labels"]
    epochs = sorted((path / "predictions" / "epochs").glob("*.safetensors"))[-LAST:]
    p = np.stack([load_file(epoch)["val"] for epoch in epochs]).astype(np.float64)  # (LAST, N, C)
    right = (p.argmax(2) == labels).mean(0)
    losses = -np.log(np.clip(p[:, np.arange(len(labels)), labels], 1e-7, 1)).mean(0)
    metrics = run.metrics
    return {
        "right": right,
        "losses": losses,
        "accuracy": float(right.mean()),
        "loss": float(losses.mean()),
        "lowest_loss": float(metrics["val_loss"].min()),
        "best_accuracy": float(metrics["val_accuracy"].max()),
        "training_loss": float(metrics["train_loss"].iloc[-1]),
        "training_accuracy": float(metrics["train_accuracy"].iloc[-1]),
        "trained": _trained(run),
    }


def _trained(run: Run) -> int:
    """Weights that train: at the end, for a rank that grows, as the last epoch's factors and what trains beside."""
    if run.config.method != "colora":
        return run.resolved.parameters["trainable"]
    with safe_open(sorted((run.path / "history").glob("epoch-*.safetensors"))[-1], "np") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    merges = sorted({name.partition("/")[0] for name in shapes if not name.startswith(("trained/", "buffer/"))})
    last = merges[-1]  # "adapter", or the last merge
    return sum(int(np.prod(shape)) for name, shape in shapes.items() if name.startswith((f"{last}/", "trained/")))


@contextmanager
def hooked(hook: dict[str, float]) -> Iterator[None]:
    """Training with what is no setting of the app: `warm_up`, a rate that grows over so many epochs; `kp_scale`, a
    factor on Kp's draw."""
    set_rates, reset = Fit._set_rates, CoLoRAConv.reset_

    def warmed(fit: Fit, steps_per_epoch: int) -> None:
        set_rates(fit, steps_per_epoch)
        for group in fit.optimizer.param_groups:  # the cosine sets each rate anew at every step
            group["lr"] *= min(1.0, (fit.step + 1) / (hook["warm_up"] * steps_per_epoch))

    def scaled(layer: CoLoRAConv, *draw: Any) -> None:
        reset(layer, *draw)
        with torch.no_grad():
            layer.pointwise *= hook["kp_scale"]

    with ExitStack() as stack:
        if "warm_up" in hook:
            stack.enter_context(patch.object(Fit, "_set_rates", warmed))
        if "kp_scale" in hook:
            stack.enter_context(patch.object(CoLoRAConv, "reset_", scaled))
        yield


def figures(folds: list[dict[str, Any]]) -> dict[str, float]:
    """Over all held-out images; the training loss is the mean over the folds, in the last epoch's own pass."""
    found = {"accuracy": float(np.concatenate([f["right"] for f in folds]).mean())}
    found["loss"] = float(np.concatenate([f["losses"] for f in folds]).mean())
    found["lowest_loss"] = statistics.mean(f["lowest_loss"] for f in folds)
    found["training_loss"] = statistics.mean(f["training_loss"] for f in folds)
    return {name: round(value, 5) for name, value in found.items()}


def paired(folds: list[dict[str, Any]], others: list[dict[str, Any]], patients: np.ndarray) -> dict[str, Any]:
    """{figure: [difference, low, high]} with a 95 % bootstrap interval over patients, and by fold for the accuracy."""
    _, groups = np.unique(patients, return_inverse=True)
    count = groups.max() + 1
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), DRAWS)  # (DRAWS, patients)
    images = draws @ np.bincount(groups)
    found: dict[str, Any] = {}
    for figure, key in (("accuracy", "right"), ("loss", "losses")):
        each = np.concatenate([a[key] - b[key] for a, b in zip(folds, others, strict=True)])
        low, high = np.quantile(draws @ np.bincount(groups, weights=each) / images, (0.025, 0.975))
        found[figure] = [round(float(v), 4) for v in (each.mean(), low, high)]
    by_fold = [float((a["right"] - b["right"]).mean()) for a, b in zip(folds, others, strict=True)]
    found["accuracy_by_fold"] = [round(v, 4) for v in by_fold]
    return found


if __name__ == "__main__":
    main()
