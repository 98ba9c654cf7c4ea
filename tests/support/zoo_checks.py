"""What adapters promise, measured on one network: they change nothing before they train, merge and leave to the bit."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from zoo_networks import PACKAGES, Network

from colora.adapters.layer import AdaptedLayer, keyed_generator
from colora.adapters.model import CoLoRAConfig, adapt, merge_, plain_state, strip
from colora.adapters.summary import trainable_summary
from colora.adapters.walk import adapted_layers

CONFIGS = {"full": CoLoRAConfig(), "rank 8": CoLoRAConfig(pointwise_rank=8)}
LORA_RANK = 8
LAYERS = (nn.modules.conv._ConvNd, nn.Linear)


@dataclass
class Adapted:
    """One network with one config. Differences are the largest of any output, absolute, in fp32."""

    layers: int
    share_adapted: float  # of the weights that do not train themselves, in adapted layers
    share_trained: float  # of the same, the factors
    share_lora: float  # the same of LoRA with r = 8 on the same layers
    adapting: float  # by what adapters that have not trained change the output
    update: float  # those that have, over the largest output
    merging: float
    stripping: float
    same_state: bool  # plain_state is strip's state_dict, to the bit
    same_network: bool  # classes and keys are as before
    no_gradient: list[str]  # factors without one, in layers whose own weight gets one in the plain network
    # (other than 0: what stands behind a ReLU that lets nothing through has none)
    surplus_gradient: list[str]  # layers with one whose own weight gets none


@dataclass
class Row:
    library: str
    family: str
    name: str
    input: list[int]
    weights: int = 0
    convolutions: int = 0
    linear: int = 0
    refused: str = ""
    unreached: list[str] = field(default_factory=list)  # layers that the forward pass does not come to
    configs: dict[str, Adapted] = field(default_factory=dict)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def faults(row: Row) -> list[str]:
    """What is not as promised, in words; empty where all is."""
    if row.refused:
        return [f"refused: {row.refused}"]
    found = []
    for label, seen in row.configs.items():
        for what in ("adapting", "merging", "stripping"):
            if getattr(seen, what) != 0:
                found.append(f"{label}: {what} changes the output by {getattr(seen, what):.3g}")
        if not seen.update > 0:
            found.append(f"{label}: the update changes nothing")
        if not seen.same_state:
            found.append(f"{label}: plain_state is not the state_dict of strip")
        if not seen.same_network:
            found.append(f"{label}: strip leaves another network")
        for what in ("no_gradient", "surplus_gradient"):
            if names := getattr(seen, what):
                found.append(f"{label}: {what} in {', '.join(names[:8])}")
    return found


def measure(network: Network) -> Row:
    """Builds the network, adapts it with each of `CONFIGS` and takes the adapters off again."""
    import_module(PACKAGES[network.library])  # which takes longer than some networks
    start = time.perf_counter()
    row = Row(network.library, network.family, network.name, list(network.shape))
    model, x = ready(network)
    row.weights = sum(p.numel() for p in model.parameters())
    row.convolutions = sum(isinstance(m, LAYERS[0]) for m in model.modules())
    row.linear = sum(isinstance(m, nn.Linear) for m in model.modules())
    model.requires_grad_(True)
    gradients_of(model, x, network)
    live = {n for n, m in layers_of(model) if m.weight.grad is not None and m.weight.grad.any()}
    row.unreached = [n for n, m in layers_of(model) if m.weight.grad is None]
    model.requires_grad_(False)  # as adapt leaves it: torch multiplies by a weight that trains in another order
    try:
        for label, config in CONFIGS.items():
            row.configs[label] = _adapted(model, x, config, network, live, row.unreached)
    except ValueError as error:
        row.refused = str(error)
    row.seconds = round(time.perf_counter() - start, 2)
    return row


def _adapted(
    model: nn.Module, x: Tensor, config: CoLoRAConfig, network: Network, live: set[str], unreached: list[str]
) -> Adapted:
    """`live` layers are those whose own weight had a gradient other than 0 before."""
    classes, keys = [type(m) for m in model.modules()], list(model.state_dict())
    plain = outputs(model, x)
    model = adapt(model, config)
    layers, summary = adapted_layers(model), trainable_summary(model)
    adapting = difference(outputs(model, x), plain)

    train_like_(model)
    gradients_of(model, x, network)
    without = [
        f"{name}.{factor}"
        for name, layer in layers.items()
        for factor, p in layer.named_parameters(recurse=False)
        if p.requires_grad and name in live and not _has_gradient(factor, p)
    ]
    surplus = [n for n in unreached if n in layers and any(p.grad is not None for p in layers[n].adapter_parameters())]
    updated = outputs(model, x)
    update = difference(updated, plain) / max(float(y.abs().max()) for y in plain)
    merge_(model)
    merging = difference(outputs(model, x), updated)

    train_like_(model)
    updated, state = outputs(model, x), plain_state(model)
    model = strip(model)
    left = model.state_dict()
    return Adapted(
        layers=len(layers),
        share_adapted=summary.share_adapted,
        share_trained=summary.share_trained,
        share_lora=sum(map(lora_weights, layers.values())) / (summary.adapted + summary.missed),
        adapting=adapting,
        update=update,
        merging=merging,
        stripping=difference(outputs(model, x), updated),
        same_state=list(state) == list(left) and all(torch.equal(state[key], left[key]) for key in left),
        same_network=[type(m) for m in model.modules()] == classes and list(left) == keys,
        no_gradient=without,
        surplus_gradient=surplus,
    )


def _has_gradient(factor: str, p: nn.Parameter) -> bool:
    """db's may be 0: what a normalisation takes away again."""
    return p.grad is not None and bool(p.grad.isfinite().all()) and (factor == "bias_update" or bool(p.grad.any()))


def layers_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Convolutions and linear layers with a weight of their own, by name."""
    return ((n, m) for n, m in model.named_modules() if isinstance(m, LAYERS) and isinstance(m.weight, nn.Parameter))


def ready(network: Network) -> tuple[nn.Module, Tensor]:
    """The network in evaluation mode as if it had trained, and its input.

    What starts as zeros or ones, as scales and biases do, is moved from there, and batch norm has seen its input: fresh
    networks have branches that are multiplied by 0, and others grow without bounds.
    """
    torch.manual_seed(0)
    model, x = network.build().eval(), torch.randn(network.shape)
    with torch.no_grad():
        for p in model.parameters():
            first = p.flatten()[:1]
            if p.numel() and bool((p == first).all()):
                p.copy_((1 + 0.1 * torch.randn_like(p)) * first if first.abs() > 0.1 else 0.2 * torch.randn_like(p))
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.training, norm.momentum = True, 0.5
    outputs(model, x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.training, norm.momentum = False, momentum
    return model, x


def leaves(given: Any) -> list[Tensor]:
    """The real tensors in what a network returns: one, a tuple, a list or a dictionary."""
    return [y for y in tree_leaves(given) if isinstance(y, Tensor) and y.is_floating_point()]


@torch.no_grad()
def outputs(model: nn.Module, x: Tensor) -> list[Tensor]:
    torch.manual_seed(1)
    found = leaves(model(x))
    assert found and all(y.isfinite().all() for y in found), "the network itself gives no finite output"
    return found


def difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    assert len(ours) == len(theirs)
    return max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))


def gradients_of(model: nn.Module, x: Tensor, network: Network) -> None:
    """Of a random weighting of all outputs, into `.grad`; in training mode where only that has all outputs."""
    model.zero_grad()
    if network.auxiliary:
        model.train()
    torch.manual_seed(1)
    found = leaves(model(x))
    model.eval()
    sum((y * torch.randn(y.shape, generator=keyed_generator("weights"))).mean() for y in found).backward()


@torch.no_grad()
def train_like_(model: nn.Module) -> None:
    """Random values for the factors that start at zero: each dK of a twentieth of its kernel's size, db of 0.01."""
    for name, layer in adapted_layers(model).items():
        generator = keyed_generator("trained", name)
        zero = layer.pointwise_b if layer.depthwise is None else layer.depthwise
        zero.copy_(torch.randn(zero.shape, generator=generator))
        zero.mul_(0.05 * layer.base_weight.norm() / layer.delta_weight().norm())
        if layer.bias_update is not None:
            layer.bias_update.copy_(0.01 * torch.randn(layer.bias_update.shape, generator=generator))


def lora_weights(layer: AdaptedLayer) -> int:
    """Of PEFT's LoRA with r = 8 on the same layer: A is a convolution of r channels with the base's kernel, B one of
    1x1 with its groups."""
    base = layer.base
    if isinstance(base, nn.Linear):
        return LORA_RANK * (base.in_features + base.out_features)
    return LORA_RANK * (base.in_channels * base.weight[0, 0].numel() + base.out_channels // base.groups)
