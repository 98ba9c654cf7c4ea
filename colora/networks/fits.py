"""Which networks a file of weights fits, and why it does not fit the one that was asked for: by the rule of a launch,
from names and shapes alone, so that a person is told before one.
"""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from colora.networks.backbones import build_meta, features_of, matching
from colora.networks.tensor_file import read_weights
from colora.settings.catalog import BACKBONES
from colora.system.errors import UserError

SIDE = 224  # pixels; what the features' weights are does not depend on it


@dataclass(frozen=True)
class Fit:
    """A backbone, and the block after which it has to be cut, as the file has nothing behind it; None: it is whole."""

    backbone: str
    cut: str | None = None

    @property
    def spec(self) -> str:
        return f"{self.backbone}:{self.cut}" if self.cut else self.backbone

    @property
    def title(self) -> str:
        return BACKBONES[self.backbone].title + (f" (to {self.cut})" if self.cut else "")

    def as_dict(self) -> dict[str, str | None]:
        return {"backbone": self.backbone, "cut": self.cut, "spec": self.spec, "title": self.title}


def examine(path: Path, specs: Sequence[str] = (), partial: bool = False) -> dict[str, Any]:
    """A file as JSON has it: its `bytes`; `fits`, the networks that could start from it; `why` it can be none's, where
    it is no file of weights; `refused`, {spec: {"field", "sentence"} of a launch's refusal, or None} of each spec.

    Nothing is raised for a file or a spec that is wrong: that is the answer.
    """
    about: dict[str, Any] = {"path": str(path), "bytes": None, "fits": [], "why": None, "refused": {}}
    try:
        state = read_weights(path, mapped=True)
        about["bytes"] = path.stat().st_size
    except UserError as error:
        refused = {spec: {"field": "weights", "sentence": str(error)} for spec in specs}
        return about | {"why": str(error), "refused": refused}
    fits = [fit.as_dict() for fit in fitting(path, state)]
    return about | {"fits": fits, "refused": {spec: _refused(spec, path, state, partial) for spec in specs}}


def fitting(path: Path, state: dict[str, Tensor]) -> list[Fit]:
    """The networks that a launch lets start from these tensors, whole ones first."""
    found = [fit for name in BACKBONES if (fit := _fit(name, path, state))]
    return sorted(found, key=lambda fit: fit.cut is not None)


def _fit(name: str, path: Path, state: dict[str, Tensor]) -> Fit | None:
    if _refused(name, path, state, partial=False) is None:
        return Fit(name)
    wanted, held = features_of(_model(name), state)
    blocks = {key.partition(".")[0] for key in wanted}
    if any(key not in wanted and key.partition(".")[0] in blocks for key in held):
        return None  # such as VGG16's for SqueezeNet, whose first layers are alike: it is of another network
    if any(held[key].shape != wanted[key].shape for key in wanted.keys() & held.keys()):
        return None
    cut = _last_block(OrderedDict(_model(name).named_children()), [key for key in wanted if key not in held])
    fit = Fit(name, cut)
    return fit if cut and _refused(fit.spec, path, state, partial=False) is None else None


def _last_block(blocks: OrderedDict[str, nn.Module], missing: Collection[str], above: str = "") -> str | None:
    """The path of the last block before the first one with a weight that is missing; None where there is none."""
    last = None
    for name, block in blocks.items():
        inside = f"{above}{name}."
        if name == "head" or any(key.startswith(inside) for key in missing if not key.endswith("num_batches_tracked")):
            inner = OrderedDict(block.named_children()) if isinstance(block, nn.Sequential) and name != "head" else {}
            return _last_block(inner, missing, inside) or last
        last = f"{above}{name}"
    return last


def _refused(spec: str, path: Path, state: dict[str, Tensor], partial: bool) -> dict[str, str] | None:
    try:
        matching(_model(spec), spec, path, state, partial)
    except UserError as error:
        return {"field": error.field or "weights", "sentence": str(error)}
    return None


@cache
def _model(spec: str) -> nn.Sequential:
    """Without storage."""
    return build_meta(spec, 2, SIDE)
