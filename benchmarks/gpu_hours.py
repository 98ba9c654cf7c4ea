"""How many GPU hours the paper's protocol takes, computed from images per second that someone has measured.

    python benchmarks/gpu_hours.py --markdown                                # from the published figures below
    python benchmarks/gpu_hours.py --bench MY.json --gpu "my GPU" --markdown # from `colora bench --device cuda --json`
    python benchmarks/gpu_hours.py --out benchmarks/results/gpu_hours.json

A seed trains 20 epochs. After each it evaluates the merged model on the images trained on, on validation and on test;
at the end the selected epoch predicts the whole train split, validation and test. Ten seeds, one on each GPU at a time,
so that more than ten GPUs help no further. Reading the data, starting up and writing files are not in it.

No GPU figure here is ours. Those published are of FULL fine-tuning. CoLoRA's and head-only training's steps are scaled
by the ratios that we measured on two CPU cores (results/bench_cpu_*.json); a GPU may have others. Where no rate of
evaluation is known an image is reckoned at a third of a full training step, the share of the forward pass in its FLOPs.
"""

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).with_name("results")
SEEDS, EPOCHS = 10, 20
TRAIN, VALIDATION, TEST = 97_477, 10_832, 1_000  # images of OCTMNIST's splits
BALANCED, DISTILLED = 4 * 7_754, 4 * 7_040
FORWARD_SHARE = 1 / 3  # of a full training step's FLOPs: forward once, and backward twice as much
GPUS = (1, 4, 16)


@dataclass(frozen=True)
class Rate:
    """Training images a second, full fine-tuning at 224 px, and who measured them where."""

    gpu: str
    backbone: str
    images_per_s: float
    source: str


TIMM = "timm, mixed precision, channels_last"
PUBLISHED = (
    Rate("RTX 3090", "vgg16", 546, TIMM),
    Rate("RTX 3090", "resnet50", 1218, TIMM),
    Rate("A100", "resnet50", 2470, "NVIDIA DeepLearningExamples, mixed precision"),
)
CPU_STEPS = {"vgg16": "bench_cpu_vgg16_224.json", "resnet50": "bench_cpu_resnet50_128.json"}

# The presets of the paper's runs: backbone, what is trained, images in the training set
PRESETS = {
    "vgg16-colora-balanced": ("vgg16", "colora", BALANCED),
    "vgg16-colora-distilled": ("vgg16", "colora", DISTILLED),
    "vgg16-colora-complete": ("vgg16", "colora", TRAIN),
    "vgg16-head-distilled": ("vgg16", "head", DISTILLED),
    "resnet50-colora-balanced": ("resnet50", "colora", BALANCED),
    "resnet50-full-balanced": ("resnet50", "full", BALANCED),
}


def step_ratio(backbone: str, method: str) -> float:
    """A training step's time over full fine-tuning's, as measured on two CPU cores."""
    rows = json.loads((RESULTS / CPU_STEPS[backbone]).read_text())["results"]
    return next(row["ratio_to_full"] for row in rows if row["method"] == method)


def seed_seconds(images: int, train_per_s: float, evaluate_per_s: float) -> float:
    """One seed: its epochs with their evaluations, and the predictions at the end."""
    evaluated = EPOCHS * (images + VALIDATION + TEST) + TRAIN + VALIDATION + TEST
    return EPOCHS * images / train_per_s + evaluated / evaluate_per_s


def hours(seconds: float, gpus: int) -> float:
    """From start to end: as many rounds as it takes to give each seed a GPU of its own."""
    return math.ceil(SEEDS / gpus) * seconds / 3600


def rows_of(rates: list[Rate], ratios: dict[str, float] | None = None) -> list[dict]:
    """One row for each preset and GPU whose rate is known."""
    rows = []
    for name, (backbone, method, images) in PRESETS.items():
        for rate in (rate for rate in rates if rate.backbone == backbone):
            ratio = (ratios or {}).get(method) or step_ratio(backbone, method)
            train, evaluate = rate.images_per_s / ratio, rate.images_per_s / FORWARD_SHARE
            seconds = seed_seconds(images, train, evaluate)
            rows.append(
                {
                    "preset": name,
                    "gpu": rate.gpu,
                    "train_images_per_s": round(train),
                    "gpu_hours": SEEDS * seconds / 3600,
                    "hours_on": {str(gpus): hours(seconds, gpus) for gpus in GPUS},
                    "source": rate.source,
                }
            )
    return rows


def benched(path: Path, gpu: str) -> tuple[list[Rate], dict[str, float]]:
    """The rate and the ratios of one's own `colora bench --json`."""
    found = json.loads(path.read_text())
    if found["backbone"] not in CPU_STEPS or found["image_size"] != 224:
        sys.exit(f"{path}: the protocol's presets are vgg16 and resnet50 at 224 px.")
    full = next(row for row in found["results"] if row["method"] == "full")
    rate = Rate(gpu, found["backbone"], full["images_per_s"], f"colora bench, {found['environment']['device']}")
    return [rate], {row["method"]: row["ratio_to_full"] for row in found["results"]}


def markdown(rows: list[dict]) -> str:
    head = " | ".join(f"hours on {gpus}" for gpus in GPUS)
    lines = [
        f"| preset | GPU | training images/s | GPU hours | {head} |",
        "| --- | --- " + "| ---: " * (2 + len(GPUS)) + "|",
    ]
    for row in rows:
        spent = " | ".join(f"{row['hours_on'][str(gpus)]:.1f}" for gpus in GPUS)
        rate = f"{row['train_images_per_s']:,}"
        lines.append(f"| `{row['preset']}` | {row['gpu']} | {rate} | {row['gpu_hours']:.1f} | {spent} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, help="your own: the JSON of colora bench --methods full,head,colora")
    parser.add_argument("--gpu", default="this GPU", help="how the table calls it")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rates, ratios = benched(args.bench, args.gpu) if args.bench else (list(PUBLISHED), None)
    rows = rows_of(rates, ratios)
    if args.markdown:
        print(markdown(rows))
    document = {
        "command": ["python", *sys.argv],
        "measured_by_us_on_a_gpu": args.bench is not None,
        "rates": [asdict(rate) for rate in rates],
        "step_ratios_from": "the same bench" if ratios else "two CPU cores (results/bench_cpu_*.json)",
        "forward_share": FORWARD_SHARE,
        "rows": rows,
    }
    if args.out:
        args.out.write_text(json.dumps(document, indent=1) + "\n")
    elif not args.markdown:
        print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
