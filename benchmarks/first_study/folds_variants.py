"""The variants that folds.py compares, in the order in which they are trained."""

import json
from dataclasses import dataclass, field
from typing import Any

Settings = dict[str, Any]
SIZE = 64  # px: a fifth of the time that 128 px take


@dataclass(frozen=True)
class Variant:
    """One setting of one network; `against` is the key of the full fine-tuning that it is compared with, or ""."""

    backbone: str
    title: str
    settings: Settings
    against: str = ""
    hook: dict[str, float] = field(default_factory=dict)  # "warm_up" in epochs, "kp_scale": no settings of the app

    @property
    def key(self) -> str:
        return json.dumps([self.backbone, self.settings, *([self.hook] if self.hook else [])], sort_keys=True)


def _full(backbone: str, title: str, **settings: Any) -> Variant:
    return Variant(backbone, title, {"image_size": SIZE, "method": "full"} | settings)


def _colora(full: Variant, title: str, hook: dict[str, float] | None = None, **settings: Any) -> Variant:
    return Variant(full.backbone, title, {"image_size": SIZE, "method": "colora"} | settings, full.key, hook or {})


RESNET = _full("resnet18:layer3", "full at its choice: 1e-4, head 1e-3", lr=1e-4, lr_head=1e-3)
MOBILE = _full("mobilenet_v2", "full at its choice: 3e-4, head 1e-4", lr=3e-4, lr_head=1e-4)
SQUEEZE = _full("squeezenet1_1", "full at its choice: 3e-4, head 1e-4", lr=3e-4, lr_head=1e-4)
SLOW_HEAD = {"lr": 3e-3, "lr_head": 1e-4, "merge_every": 10}  # the preset's, and CoLoRA's choice on ResNet-18
FAST_HEAD = SLOW_HEAD | {"lr_head": 1e-3}  # not in the study's grid
BIASES = FAST_HEAD | {"bias": "all"}
FOUR_TERMS = BIASES | {"rank": 4, "lr": 1.5e-3}  # half the rate: the sum of four terms grows twice as fast

LONG = {"epochs": 20, "merge_every": 20}
RESNET_LONG = _full("resnet18:layer3", "full, 20 epochs", lr=1e-4, lr_head=1e-3, epochs=20)

VARIANTS: tuple[Variant, ...] = (
    RESNET,
    _colora(RESNET, "CoLoRA at its choice: 3e-3, head 1e-4, one merge", **SLOW_HEAD),
    _colora(RESNET, "CoLoRA: 3e-3, head 1e-3, one merge", **FAST_HEAD),
    _colora(RESNET, "CoLoRA: 3e-3, head 1e-3, one merge, bias on every layer", **BIASES),
    _colora(RESNET, "CoLoRA: 1e-3, head 1e-3, one merge, bias on every layer", **BIASES | {"lr": 1e-3}),
    _colora(RESNET, "CoLoRA: 1.5e-3, rank 4, head 1e-3, one merge, bias on every layer", **FOUR_TERMS),
    _colora(RESNET, "CoLoRA, biases as above, depthwise first (separable)", **BIASES | {"order": "separable"}),
    _colora(RESNET, "CoLoRA, biases as above, spatial kernels only", **BIASES | {"targets": "spatial"}),
    _colora(RESNET, "CoLoRA, biases as above, one epoch of warm-up", {"warm_up": 1}, **BIASES),
    _colora(RESNET, "CoLoRA, biases as above, twice Kp's scale", {"kp_scale": 2}, **BIASES),
    RESNET_LONG,
    _colora(RESNET_LONG, "CoLoRA, biases as above, 20 epochs", **BIASES | LONG),
    SQUEEZE,
    _colora(SQUEEZE, "CoLoRA at its choice: 1e-2, head 1e-3, merge every 5", lr=1e-2, lr_head=1e-3, merge_every=5),
    _colora(SQUEEZE, "CoLoRA: 3e-3, head 1e-4, one merge", **SLOW_HEAD),
    _colora(SQUEEZE, "CoLoRA: 3e-3, head 1e-3, one merge", **FAST_HEAD),
    _colora(SQUEEZE, "CoLoRA: the same, bias on every layer, where there is one anyway", **BIASES),
    _colora(SQUEEZE, "CoLoRA: 1.5e-3, rank 4, head 1e-3, one merge, bias on every layer", **FOUR_TERMS),
    MOBILE,
    _colora(MOBILE, "CoLoRA: 3e-3, head 1e-4, one merge", **SLOW_HEAD),
    _colora(MOBILE, "CoLoRA: 3e-3, head 1e-3, one merge, bias on every layer", **BIASES),
)
