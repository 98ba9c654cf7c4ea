"""Which layers of a model are meant: by kind, by name, by glob; and which cannot be adapted.

Names match as in PEFT: "conv1" is every layer whose name is that or ends in ".conv1", a glob likewise.
"""

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from colora.adapters.conv import adaptable_conv, kind_of_convolution
from colora.adapters.layer import AdaptedLayer, name_taken, own_forward
from colora.adapters.linear import adaptable_linear
from colora.adapters.walk import modules_by_name

Targets = str | Sequence[str] | Callable[[str, nn.Module], bool]
Layers = Literal["auto", "conv", "conv+linear"]
LISTED = 12  # names in a sentence


class LeftOutWarning(UserWarning):
    """Some targeted layers never use their weight in their forward pass, so that an adapter would do nothing."""


def adaptable(module: nn.Module) -> bool:
    """A convolution or linear layer, of torch's or of a subclass, whose weight is a parameter of its own."""
    return adaptable_conv(module) or adaptable_linear(module)


def listed(names: Sequence[str]) -> str:
    """The first names, with commas, and how many there are."""
    shown = ", ".join(name or "the model itself" for name in names[:LISTED]) or "none"
    return f"{shown}, ... ({len(names)} in all)" if len(names) > LISTED else shown


def matches(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"*.{pattern}")


def patterns_of(given: str | Sequence[str]) -> list[str]:
    """Names and globs, of a text with commas between."""
    return [p.strip() for p in (given.split(",") if isinstance(given, str) else given)]


def check_layers(layers: str) -> None:
    """Raises ValueError for what is no `Layers`."""
    if layers not in ("auto", "conv", "conv+linear"):
        raise ValueError(f"layers must be 'auto', 'conv' or 'conv+linear', got {layers!r}")


def check_targets(targets: Targets) -> None:
    """Raises ValueError for what is no `Targets`."""
    several = isinstance(targets, Sequence) and all(isinstance(name, str) for name in targets)
    if not several and not callable(targets):
        raise ValueError(f"targets must be 'all', 'spatial', names or a function, got {targets!r}")


def choose_layers(
    model: nn.Module, layers: Layers, targets: Targets, taken: Callable[[nn.Module], bool]
) -> dict[str, nn.Module]:
    """The layers to adapt by name, of those that are not `taken`.

    Raises ValueError where nothing matches, where one of several patterns matches nothing, where a layer that matches
    is parametrized, normed, pruned or has no shape yet, and where one shares its weight with another.
    """
    modules = modules_by_name(model)
    known = {n: m for n, m in modules.items() if isinstance(m, nn.Linear) or kind_of_convolution(m)}
    free = {n: m for n, m in known.items() if not isinstance(m, AdaptedLayer) and not taken(m)}
    check_layers(layers)
    linear_too = layers == "conv+linear" or (layers == "auto" and mostly_linear(free.values()))
    wanted = {n: m for n, m in free.items() if linear_too or not isinstance(m, nn.Linear)}
    elsewhere = {n: "is a linear layer, which layers='conv+linear' adapts" for n in free if n not in wanted}
    given = [n for n, m in modules.items() if isinstance(m, AdaptedLayer) or (n in known and n not in free)]
    elsewhere |= dict.fromkeys(given, "has an adapter already or trains as a whole")
    meant = dict(_meant(wanted, targets, elsewhere))
    for name, module in meant.items():
        if why := _unusable(module):
            raise ValueError(f"{name or 'the model'} ({type(module).__name__}) cannot be adapted: {why}")
    unused = [name for name, module in meant.items() if not _uses_its_weight(module)]
    if unused:
        warnings.warn(
            f"{len(unused)} layers never use their weight in their forward pass and stay frozen: {listed(unused)}",
            LeftOutWarning,
            stacklevel=4,  # whoever called `adapt`
        )
    chosen = {name: module for name, module in meant.items() if name not in unused}
    if not chosen:
        raise ValueError(f"the model has no layer that can be adapted: {listed(unused)} never use their weight")
    _refuse_tied(chosen, modules)
    return chosen


def mostly_linear(modules) -> bool:
    """Whether more than half of the weights of these convolutions and linear layers lie in the linear ones."""
    sizes = [(isinstance(m, nn.Linear), m.weight.numel()) for m in modules if adaptable(m)]
    return 2 * sum(size for linear, size in sizes if linear) > sum(size for _, size in sizes)


def _meant(
    wanted: dict[str, nn.Module], targets: Targets, elsewhere: dict[str, str]
) -> Iterator[tuple[str, nn.Module]]:
    """Those of `wanted` that `targets` names. Raises ValueError for what names none; `elsewhere` says of layers that
    are not `wanted` why."""
    has = f"the model has {listed(list(wanted))}"
    if not wanted and elsewhere:
        has += "".join(f" ({name or 'it'} {why})" for name, why in list(elsewhere.items())[:1])
    if callable(targets):
        found = [name for name, module in wanted.items() if targets(name, module)]
    elif targets == "all":
        found = list(wanted)
    elif targets == "spatial":
        spatial = {n: getattr(m, "kernel_size", ()) for n, m in wanted.items()}
        found = [name for name, sides in spatial.items() if any(side > 1 for side in sides)]
    else:
        patterns = patterns_of(targets)
        for pattern in patterns:
            if not any(matches(pattern, name) for name in wanted):
                why = "".join([f"{listed([n])} {w}; " for n, w in elsewhere.items() if matches(pattern, n)][:1])
                raise ValueError(f"targets {pattern!r} matches no layer to adapt; {why}{has}")
        found = [name for name in wanted if any(matches(pattern, name) for pattern in patterns)]
    if not found:
        raise ValueError(f"targets {targets!r} match no layer to adapt; {has}")
    return ((name, wanted[name]) for name in found)


def _unusable(module: nn.Module) -> str:
    """Why no adapter can stand on a layer, or ""."""
    weight = module._parameters.get("weight")
    if weight is not None and is_lazy(weight):
        return "its weight has no shape yet; run the model once before"
    if parametrize.is_parametrized(module, "weight"):
        return (
            "its weight is parametrized; torch.nn.utils.parametrize.remove_parametrizations makes it plain, or leave "
            "it out of the targets"
        )
    if "weight_orig" in module._parameters and "weight_mask" in module._buffers:
        return "its weight is pruned; torch.nn.utils.prune.remove makes it plain, or leave it out of the targets"
    if weight is None:
        return "its weight is made from others before each call; make it a plain one, or leave it out of the targets"
    if not weight.is_floating_point():
        return f"its weight is {weight.dtype}, and adapters are for real floating-point numbers"
    if name := name_taken(module):
        return f"it has a {name!r} of its own, where the adapter's would stand"
    return ""


class _Bare(nn.Module):
    """A layer's forward pass without its hooks."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer.forward(x)


def _uses_its_weight(module: nn.Module) -> bool:
    """Whether the weight of a layer with a forward pass of its own reaches its output, by a pass in shapes alone.

    A forward pass that wants other inputs is believed.
    """
    kind = kind_of_convolution(module) or nn.Linear
    if not own_forward(module, kind):
        return True
    if kind is nn.Linear:
        shape = (2, module.in_features)
    else:
        sides = [dilation * (side - 1) + 1 for side, dilation in zip(module.kernel_size, module.dilation, strict=True)]
        shape = (2, module.in_channels, *(2 * side for side in sides))
    bare, dtype = _Bare(copy.copy(module)), module.weight.dtype  # what it counts, it counts in the copy
    state = {n: _shape_of(v) for n, v in (*bare.named_parameters(), *bare.named_buffers())}
    state["layer.weight"].requires_grad_(True)
    try:
        with torch.enable_grad():
            y = torch.func.functional_call(bare, state, (torch.empty(shape, device="meta", dtype=dtype),))
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return True
    return not isinstance(y, Tensor) or y.requires_grad


def _shape_of(value: Tensor) -> Tensor:
    return torch.empty_like(value, device="meta", requires_grad=False)


def _refuse_tied(chosen: dict[str, nn.Module], modules: dict[str, nn.Module]) -> None:
    """A merge writes into the layer's own weight and bias: another layer that holds one of them would change too, be
    it as the same parameter or as another one over the same memory."""
    holders: dict[tuple, list[str]] = {}
    for name, module in modules.items():
        for parameter in module.parameters(recurse=False):
            if not is_lazy(parameter):
                holders.setdefault(_memory(parameter), []).append(name)
    for layer in chosen.values():
        for parameter in layer.parameters():
            if len(names := holders[_memory(parameter)]) > 1:
                raise ValueError(f"{' and '.join(names)} share one parameter, so none of them can be merged into")


def _memory(parameter: Tensor) -> tuple:
    """What tells one parameter's memory from another's; a meta tensor has none."""
    start = 0 if parameter.is_meta else parameter.data_ptr()
    return (parameter.device, start) if start else (id(parameter),)
