r"""Do maps of where models look meet the lesion? Pointing game and intersection over union on the phantom, by method.

    python benchmarks/explanations/measure.py --groups runs/phantom-*          # measured.json, and the tables

The phantom draws its lesions, so their places are known to the pixel (`colora.data.phantom.lesion`). For IMAGES of
each class that has lesions, which the group calls rightly, the map of the class is made by each seed, and the mean of
all is compared with the place. Beside the methods stand variants that might have been taken, and what needs no network:
random maps as smooth as the method's (`maps.random_like`), and one that marks the picture's middle. Which variant is
taken is chosen on validation, and only there are they measured; the tables are of test. How many maps say nothing, and
the seconds, are told of some of the same images. CPU only.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads: other programs share the cores

import numpy as np
import torch
from torch import Tensor, nn

from colora.data import phantom
from colora.explanation.attribution import attribution, integrated_gradients, occlusion
from colora.explanation.maps import AttributionMap, checks_of, places, random_like, scaled
from colora.explanation.methods import METHODS
from colora.metrics.localisation import intersection_over_union, pointing_hit
from colora.prediction.explained import ModelExplainer
from colora.prediction.models import GroupModels
from colora.runs.folder import Group
from colora.system.environment import environment
from colora.training.images import choose_device

HERE = Path(__file__).parent
IMAGES = 10  # of each class that has lesions, and of each split
WORTHS = 3  # of these, in test: how many maps say nothing
RANDOM = 5  # maps an image


Make = Callable[[nn.Module, Tensor, int], Tensor]
VARIANTS: dict[str, Make] = {
    "occlusion, black patches": lambda model, x, target: occlusion(model, x, target, covered=x.amin()),
    "occlusion, patches of a seventh": lambda model, x, target: occlusion(model, x, target, 7),
    "integrated gradients, signed": lambda model, x, target: integrated_gradients(model, x, target, signed=True),
    "integrated gradients, finer": lambda model, x, target: integrated_gradients(model, x, target, 64),
}


def main() -> None:
    for line in tables(of_groups(__doc__, measured, HERE / "measured.json")):
        print(line)


def of_groups(about: str, measure: Callable[[Group], dict[str, Any]], out: Path) -> list[dict[str, Any]]:
    """What is measured of each group that the command line names, kept in `out`, unless it names another file."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=out)
    args = parser.parse_args()
    script = Path(sys.argv[0])
    result = {
        "about": " ".join(about.split()),
        "groups": [{"name": path.name, **measure(Group(path))} for path in args.groups],
        "environment": environment(choose_device("cpu"))
        | {"command": " ".join([f"python benchmarks/{HERE.name}/{script.name} --groups", *map(str, args.groups)])},
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    return result["groups"]


def measured(group: Group) -> dict[str, Any]:
    models = GroupModels.of(group, "cpu", keep=True)
    config = group.config
    if config.dataset != "phantom":
        raise SystemExit(f"{group.name} is not trained on the phantom, whose lesions' places alone are known.")
    found = {split: of_split(models, split, config.image_size) for split in ("val", "test")}
    print(f"{group.name}: done", flush=True)
    return {
        "backbone": config.backbone,
        "method": config.method,
        "image_size": config.image_size,
        "seeds": len(models.runs),
        **found,
    }


def of_split(models: GroupModels, split: str, size: int) -> dict[str, Any]:
    """{method: pointing, iou, seconds of a map of all seeds, says_nothing and worth_seconds where they were asked}."""
    makes: dict[str, Make] = {
        method.title: lambda model, inputs, target, name=name: torch.from_numpy(
            attribution(model, inputs, target, name)
        )
        for name, method in METHODS.items()
    }
    if split == "val":
        makes |= VARIANTS
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in (*makes, *(f"random as {m}" for m in makes))}
    rows |= {"the middle": [], "everywhere": []}
    for target in range(3):
        for number, (index, image) in enumerate(rightly_called(models, split, target, size)):
            there = phantom.lesion(split, index, size)
            explainer, rng = ModelExplainer(models, image), np.random.default_rng([index, target])
            for name, make in makes.items():
                begun = time.perf_counter()
                made = [make(explainer.model(run.seed), explainer.inputs, target) for run in models.runs]
                maps = np.stack([scaled(values.detach().numpy()) for values in made])
                seconds = time.perf_counter() - begun
                row = judged(scaled(maps.mean(0)), there) | {"seconds": seconds}
                key = next((key for key, method in METHODS.items() if method.title == name), None)
                if key and split == "test" and number < WORTHS:
                    attributed = AttributionMap(key, target, tuple(run.seed for run in models.runs), maps)
                    begun = time.perf_counter()
                    checks = checks_of(explainer, attributed, index)
                    row |= {"says_nothing": checks.nothing, "worth_seconds": time.perf_counter() - begun}
                    row |= {"shuffled": checks.shuffled, "between_seeds": checks.seeds}
                rows[name].append(row)
                for other in random_like(places(scaled(maps.mean(0))), RANDOM, rng):
                    rows[f"random as {name}"].append(judged(enlarged(other, size), there))
            rows["the middle"].append(judged(middle(size), there))
            rows["everywhere"].append({"iou": there.mean()})
    return {name: summed_up(found) for name, found in rows.items()}


def rightly_called(models: GroupModels, split: str, target: int, size: int) -> list[tuple[int, np.ndarray]]:
    """(index, image (S, S) uint8) of the first IMAGES of a class that the mean of the seeds calls so."""
    labels = phantom.class_labels(split)
    index = np.flatnonzero(labels == target)[: 4 * IMAGES]
    images = np.stack([phantom.draw(split, int(i), size) for i in index])
    right = np.mean([p for _, p in models.each(images)], axis=0).argmax(1) == target
    return [(int(i), image) for i, image, ok in zip(index, images, right, strict=True) if ok][:IMAGES]


def judged(values: np.ndarray, there: np.ndarray) -> dict[str, float]:
    return {"pointing": float(pointing_hit(values, there)), "iou": intersection_over_union(values, there)}


def enlarged(values: np.ndarray, size: int) -> np.ndarray:
    """(P, P) to (S, S)."""
    given = torch.from_numpy(values.astype(np.float32))[None, None]
    return nn.functional.interpolate(given, (size, size), mode="bilinear")[0, 0].numpy()


def middle(size: int) -> np.ndarray:
    away = np.abs(np.arange(size) - (size - 1) / 2)
    return (size - np.hypot(away[:, None], away[None])).astype(np.float32)


def summed_up(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means, of seconds the median."""
    names = {name for row in rows for name in row}
    found = {"images": len(rows)}
    for name in sorted(names):
        values = [float(row[name]) for row in rows if row.get(name) is not None]
        if values:
            found[name] = round(float(np.median(values) if "seconds" in name else np.mean(values)), 4)
    return found


def tables(groups: list[dict[str, Any]]) -> list[str]:
    """Markdown, of test beside validation."""
    lines = []
    for group in groups:
        of = f"{group['backbone']}, {group['method']}, {group['image_size']} px, {group['seeds']} seeds"
        lines += [f"### {of}", "", "| map | pointing game | IoU | on validation | says nothing | shuffled weights | "
                  "between seeds | s a map | s its worth |", "| --- " * 9 + "|"]  # fmt: skip
        for name, val in group["val"].items():
            row = group["test"].get(name, {})
            if name == "everywhere" or (name.startswith("random") and not row):
                continue
            cells = [f"{row[key]:.2f}" if row else "" for key in ("pointing", "iou")]
            cells.append(f"{val['pointing']:.2f}, {val['iou']:.2f}")
            for key, digits in (("says_nothing", 2), ("shuffled", 2), ("between_seeds", 2), ("seconds", 2),
                                ("worth_seconds", 1)):  # fmt: skip
                cells.append(f"{row[key]:.{digits}f}" if key in row else "")
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        share = group["test"]["everywhere"]["iou"]
        count = group["test"]["everywhere"]["images"]
        lines += ["", f"The lesions cover {share:.1%} of the picture, in the mean of {count} images.", ""]
    return lines


if __name__ == "__main__":
    main()
