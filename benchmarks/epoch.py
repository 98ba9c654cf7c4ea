"""What an epoch spends outside forward, backward and optimizer, on the images of a real training loop.

    GOMP_SPINCOUNT=1000 python benchmarks/epoch.py --backbone vgg16 --image-size 224 --batch-size 32 \\
                            --out benchmarks/results/epoch_cpu_vgg16_224.json

In each round the loop of `colora train` (`training.loop.Fit`) trains one epoch and merges; then forward, backward and
optimizer alone take as many steps on batches that lie ready. `outside` is 1 - alone / epoch: gathering and normalising
batches, watching loss and stop file, the merge. Evaluation, and what a run writes after an epoch, are timed apart.
Images and weights are random: neither changes the time of a step.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from colora.adapters.history import save_epoch
from colora.adapters.model import merge_
from colora.networks.backbones import build
from colora.networks.methods import apply_method, settle_forms_
from colora.runs.folder import create_group
from colora.settings.config import make_config
from colora.system.environment import environment
from colora.system.files import write_bytes
from colora.training.checkpoint import save_checkpoint
from colora.training.images import DeviceImages, autocast, choose_device, choose_precision
from colora.training.loop import Fit, make_optimizer
from colora.training.reporter import Reporter

CLASSES = 4
READY = 8  # batches that lie ready, taken in turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="vgg16")
    parser.add_argument("--method", default="colora", choices=("colora", "head", "full"))
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=32, help="of an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, help="default: torch's own choice")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(args, Path(folder))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "environment"}, indent=1))


def measure(args: argparse.Namespace, folder: Path) -> dict:
    """Seconds as medians over the rounds; `outside` also with the 25th and 75th percentile of the paired rounds."""
    fit = make_fit(args, folder)
    device = fit.images["used"].device
    ready = list(ready_batches(fit))
    rows = []
    for epoch in range(args.rounds + 1):
        row, merged, _ = fit.epoch(epoch + 1)
        rows.append(
            {
                "epoch": row["seconds"],
                "alone": timed(device, steps_alone, fit, ready, args.steps),
                "merge": timed(device, merge_, fit.model) if args.method == "colora" else 0.0,
                "evaluation": row["eval_seconds"],
                "saving": timed(device, save, fit, epoch + 1, row, merged),
            }
        )
    rounds = {key: np.array([row[key] for row in rows[1:]]) for key in rows[0]}  # the first one warms up
    low, middle, high = np.percentile(1 - rounds["alone"] / rounds["epoch"], [25, 50, 75])
    settings = ("backbone", "method", "image_size", "batch_size", "steps", "rounds")
    return {
        **{name: getattr(args, name) for name in settings},
        "outside": middle,
        "outside_low": low,
        "outside_high": high,
        "seconds": {name: float(np.median(values)) for name, values in rounds.items()},
        "images_evaluated": sum(len(fit.images[name]) for name in ("used", "val", "test")),
        "threads": torch.get_num_threads(),
        "precision": fit.precision,
        "environment": environment(device),
    }


def make_fit(args: argparse.Namespace, folder: Path) -> Fit:
    """The loop as `colora train` sets it up, over random images."""
    config = make_config(
        {
            "backbone": args.backbone,
            "weights": "none",
            "method": args.method,
            "image_size": args.image_size,
            "batch_size": args.batch_size,
            "epochs": args.rounds + 1,
            "device": args.device,
            "precision": args.precision,
        }
    )
    device = choose_device(config.device)
    rng = np.random.default_rng(0)

    def images(count: int) -> DeviceImages:
        pixels = rng.integers(0, 256, (count, args.image_size, args.image_size), dtype=np.uint8)
        return DeviceImages(pixels, np.arange(count) % CLASSES, device)

    used = args.steps * args.batch_size
    splits = {"used": images(used), "val": images(max(used // 4, CLASSES)), "test": images(max(used // 4, CLASSES))}
    model = build(config.backbone, CLASSES, config.image_size)
    apply_method(model, config, seed=0)
    model.to(device, memory_format=torch.channels_last)
    run = create_group(folder, "bench", config, [0]).runs[0]
    precision = choose_precision(config.precision, device)
    settle_forms_(model, config, device, precision)
    optimizer = make_optimizer(model, config)
    return Fit(run, config, 0, model, optimizer, splits, precision, Reporter(run), should_stop=lambda: False)


def ready_batches(fit: Fit) -> Iterator[tuple[Tensor, Tensor]]:
    """The first batches of an epoch, gathered and normalised."""
    size = fit.config.batch_size
    for start in range(0, min(len(fit.images["used"]), READY * size), size):
        index = torch.arange(start, start + size)
        yield fit.images["used"].inputs(index), fit.images["used"].labels[index.to(fit.images["used"].device)]


def steps_alone(fit: Fit, ready: list[tuple[Tensor, Tensor]], steps: int) -> None:
    """Forward, backward and optimizer, nothing else."""
    for number in range(steps):
        inputs, labels = ready[number % len(ready)]
        with autocast(inputs.device, fit.precision):
            logits = fit.model(inputs)
        loss = cross_entropy(logits.float(), labels)
        fit.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        fit.optimizer.step()


def save(fit: Fit, epoch: int, row: dict, merged: dict) -> None:
    """What a run writes that grows with the network: the history of the epoch and the checkpoint."""
    save_epoch(fit.run.path / "history", fit.model, epoch, merged, write_bytes)
    progress = {"epoch": epoch, "merges": fit.merges, "step": fit.step, "metrics": row}
    save_checkpoint(fit.run, fit.model, fit.optimizer, progress)


def timed(device: torch.device, work: Callable[..., object], *arguments: object) -> float:
    """Seconds of `work(*arguments)`, the device's queue included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work(*arguments)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
