"""A rank that grows and merges that wait, as changes of the training loop: what pointwise_rank.py tries them with."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from colora.adapters.conv import CoLoRAConv
from colora.adapters.forms import updated_kernel
from colora.adapters.walk import adapted_convolutions
from colora.training.loop import Fit

START, EQUAL_TO, GROWTHS = 2, 8, 4  # ranks; the number of epochs after which a model may grow
PLATEAU, SPENT = 0.02, 0.1


@contextmanager
def growing() -> Iterator[None]:
    """Low-rank layers grow at the ends of the first epochs until the model has the weights of rank 8 everywhere."""
    train_epoch = Fit._train_epoch

    updated_weight = CoLoRAConv.updated_weight

    def watched(layer: CoLoRAConv) -> Tensor:
        if not (layer.pointwise_rank and torch.is_grad_enabled()):
            return updated_weight(layer)
        kp = layer.pointwise_b @ layer.pointwise_a
        kp.register_hook(partial(_accumulate, layer))
        return updated_kernel(layer.base_weight, kp, layer.depthwise, layer.order, layer.base.groups)

    def grown(fit: Fit, epoch: int, merged: dict) -> np.ndarray | None:
        layers = adapted_convolutions(fit.model).values()
        for layer in layers:
            layer.form = "plain"  # in which autograd comes by Kp
            layer.seen = None
        seen = train_epoch(fit, epoch, merged)
        if epoch <= GROWTHS:
            _grow(fit, [m for m in layers if m.pointwise_rank], 1 / (GROWTHS - epoch + 1))
        return seen

    with ExitStack() as stack:
        stack.enter_context(patch.object(CoLoRAConv, "updated_weight", watched))
        stack.enter_context(patch.object(Fit, "_train_epoch", grown))
        yield


def _accumulate(layer: CoLoRAConv, gradient: Tensor) -> None:
    layer.seen = gradient[0].clone() if layer.seen is None else layer.seen.add_(gradient[0])


def _sides(layer: CoLoRAConv) -> tuple[int, int]:
    return layer.pointwise_b.shape[1], layer.pointwise_a.shape[2]


@torch.no_grad()
def _grow(fit: Fit, layers: list[CoLoRAConv], share: float) -> None:
    """Spends `share` of the weights that are left to equal rank 8, term by term where most is gained for each."""
    left = 0
    wanted = []  # (energy for each weight, layer's place, term)
    directions = []
    for place, layer in enumerate(layers):
        out_channels, width = _sides(layer)
        cost = out_channels + width
        left += min(EQUAL_TO * cost, out_channels * width) - layer.pointwise_rank * cost
        inside_b, _ = torch.linalg.qr(layer.pointwise_b[0])  # (Cout, p)
        inside_a, _ = torch.linalg.qr(layer.pointwise_a[0].T)  # (Cin/G, p)
        g = layer.seen - inside_b @ (inside_b.T @ layer.seen)
        g = g - (g @ inside_a) @ inside_a.T
        _, values, right = torch.linalg.svd(g, full_matrices=False)
        directions.append(right)
        room = min(out_channels, width) - layer.pointwise_rank
        wanted += [(float(v) ** 2 / cost, place, cost) for v in values[:room]]
    allowed = left * share
    new = [0] * len(layers)
    for _, place, cost in sorted(wanted, reverse=True):
        if cost <= allowed:
            new[place] += 1
            allowed -= cost
    for layer, right, count in zip(layers, directions, new, strict=True):
        if count:
            scale = layer.pointwise_a[0].norm(dim=1).mean()
            _widen(fit, layer, "pointwise_a", torch.cat([layer.pointwise_a[0], scale * right[:count]])[None])
            _widen(fit, layer, "pointwise_b", nn.functional.pad(layer.pointwise_b, (0, count)))
            layer.pointwise_rank += count


def _widen(fit: Fit, layer: CoLoRAConv, name: str, value: Tensor) -> None:
    """The larger factor in the smaller one's place, in the optimizer too, where its new moments are zero."""
    old, new = getattr(layer, name), nn.Parameter(value)
    setattr(layer, name, new)
    for group in fit.optimizer.param_groups:
        group["params"] = [new if p is old else p for p in group["params"]]
    state = fit.optimizer.state.pop(old, None)
    if state:
        missing = [n - o for n, o in zip(new.shape, old.shape, strict=True)]
        pad = [part for size in reversed(missing) for part in (0, size)]
        for key in ("exp_avg", "exp_avg_sq"):
            state[key] = nn.functional.pad(state[key], pad)
        fit.optimizer.state[new] = state


@contextmanager
def _merging(wanted: Callable[[Fit, np.ndarray, dict], bool]) -> Iterator[None]:
    """Merges at an epoch's end where `wanted` says so, beside the one after the last epoch."""
    train_epoch = Fit._train_epoch
    known: dict = {}

    def trained(fit: Fit, epoch: int, merged: dict) -> np.ndarray | None:
        seen = train_epoch(fit, epoch, merged)
        if wanted(fit, seen, known) and epoch < fit.config.epochs:
            fit._merge(merged)
        return seen

    with patch.object(Fit, "_train_epoch", trained):
        yield


def _on_plateau(fit: Fit, seen: np.ndarray, known: dict) -> bool:
    labels = fit.images["used"].labels.cpu().numpy()
    loss = float(-np.log(np.clip(seen[np.arange(len(labels)), labels], 1e-7, 1)).mean())
    best = known.get("best", np.inf)
    known["best"] = min(best, loss)
    return loss > (1 - PLATEAU) * best


@torch.no_grad()
def _when_spent(fit: Fit, seen: np.ndarray, known: dict) -> bool:
    now = [layer.delta_weight().clone() for layer in adapted_convolutions(fit.model).values()]
    before = known.get("delta") or [torch.zeros_like(delta) for delta in now]
    change = sum(float((a - b).square().sum()) for a, b in zip(now, before, strict=True)) ** 0.5
    spent = change < SPENT * sum(float(delta.square().sum()) for delta in now) ** 0.5
    known["delta"] = None if spent else now
    return spent


HOOKS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "growing": growing,
    "plateau": lambda: _merging(_on_plateau),
    "spent": lambda: _merging(_when_spent),
}
