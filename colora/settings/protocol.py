"""The paper's protocol as a table, and where a config departs from it.

Rivera & Hoyos, arXiv 2505.18315, first version. Where the paper is silent the default is ours: `open_points` names
those, so that nobody takes them for the paper's.
"""

from dataclasses import dataclass
from typing import Any

from colora.settings.catalog import split_backbone
from colora.settings.config import RunConfig
from colora.settings.relevance import in_effect

SEEDS = 10
BALANCED = 7_754  # images of each class
METHODS = {"vgg16": ("colora", "head"), "resnet50": ("colora", "full")}  # what the paper trained
STATED: dict[str, tuple[tuple[Any, ...], str]] = {
    "dataset": (("octmnist",), "OCTMNIST"),
    "folds": ((None,), "every seed trains on all training images"),
    "weights": (("imagenet",), "ImageNet weights"),
    "rank": ((1,), "one depthwise-separable term (rank 1)"),
    "pointwise_rank": ((None,), "a whole pointwise factor"),
    "layers": (("conv",), "convolutions alone"),
    "merge_every": ((1,), "a merge after every epoch"),
    "merge_unit": (("epochs",), "a merge after every epoch"),
    "epochs": ((20,), "20 epochs"),
    "lr": ((1e-3,), "Adam with default parameters: 0.001"),
    "lr_head": ((None, 1e-3), "one learning rate for all"),
    "schedule": (("constant",), "Adam with default parameters: constant"),
    "selection": (("paper",), "the one model of best TEST accuracy over all seeds and epochs (optimistic)"),
}
OPEN: dict[str, str] = {
    "image_size": "not said; 224 px follows from its head's parameter count",
    "batch_size": "not said",
    "augment": "not said",
    "order": "figures 3 and 4 show inception, section 3.3 separable",
    "bias": "not said for layers without a bias",
    "targets": "not said; all of VGG16's convolutions follows from its parameter count",
    "optimizer_at_merge": "not said",
    "eps": "not said; torch has 1e-8, Keras 1e-7",
    "batch_norm": "not said",
}


@dataclass(frozen=True)
class Point:
    """One setting: what it is here, and what the paper has or says of it."""

    field: str
    here: Any
    paper: str


def differences(config: RunConfig, seeds: int) -> list[Point]:
    """Where this group does something else than the paper says; empty if nowhere."""
    used = in_effect(config)
    found = [
        Point(field, used[field], says)
        for field, (values, says) in STATED.items()
        if field in used and used[field] not in values
    ]
    found += _network(config)
    if config.train_set == "balanced" and config.per_class not in (None, BALANCED):
        found.append(Point("per_class", config.per_class, f"{BALANCED:,} of each class"))
    if seeds != SEEDS:
        found.append(Point("seeds", seeds, f"{SEEDS} independent runs"))
    return found


def _network(config: RunConfig) -> list[Point]:
    name, cut = split_backbone(config.backbone)
    if cut or name not in METHODS:
        return [Point("backbone", config.backbone, "VGG16 or ResNet50V2, whole")]
    found = [] if name == "vgg16" else [Point("backbone", "ResNet-50, version 1", "ResNet50V2 (Keras)")]
    if config.method not in METHODS[name]:
        found.append(Point("method", config.method, f"on this network {' or '.join(METHODS[name])}"))
    return found


def open_points(config: RunConfig) -> list[Point]:
    """Settings that the paper leaves open, with what stands there in this group."""
    used = in_effect(config)
    return [Point(field, used[field], says) for field, says in OPEN.items() if field in used]
