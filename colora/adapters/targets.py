"""Which layers of a model are meant: by kind, by name, by glob; what trains beside them; and which cannot be adapted.

Names match as in PEFT: "conv1" is every layer whose name is that or ends in ".conv1", a glob likewise.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from colora.adapters.conv import adaptable_conv, kind_of_convolution
from colora.adapters.layer import AdaptedLayer, own_forward
from colora.adapters.linear import adaptable_linear

Targets = str | Sequence[str] | Callable[[str, nn.Module], bool]
Layers = Literal["auto", "conv", "conv+linear"]
CLASSIFIER = "classifier"  # in `train_also`: wherever the model has it
CLASSIFIERS = ("head", "fc", "classifier", "heads", "last_linear", "segmentation_head", "classification_head")
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


def classifier_names(model: nn.Module) -> list[str]:
    """The names of the modules that turn features into classes: timm's `get_classifier`, else by their usual names.

    Empty where there is none.
    """
    if callable(get := getattr(model, "get_classifier", None)):
        found = get()
        wanted = {id(m) for m in (found if isinstance(found, tuple | list) else (found,)) if isinstance(m, nn.Module)}
        names = [n for n, m in model.named_modules() if id(m) in wanted and any(True for _ in m.parameters())]
        if names:
            return names
    children = dict(model.named_children())
    return [n for n in CLASSIFIERS if n in children and any(True for _ in children[n].parameters())][:1]


def trained_beside(model: nn.Module, train_also: str | Sequence[str] | None) -> list[str]:
    """The modules that `train_also` names, by their names in the model; None is the classifier, where there is one.

    Raises ValueError, with the classifier that was found, for a name that is not there.
    """
    modules, found = dict(model.named_modules()), classifier_names(model)
    if train_also is None:
        return found
    names: list[str] = []
    for wanted in [train_also] if isinstance(train_also, str) else train_also:
        if wanted in modules:
            there = [wanted]
        elif wanted == CLASSIFIER:
            there = found
        else:
            there = [name for name in modules if matches(wanted, name)]
        if not there:
            known = f"its classifier is {listed(found)}" if found else "no classifier was found in it"
            children = listed([name for name, _ in model.named_children()])
            raise ValueError(f"train_also names {wanted!r}, which the model lacks: {known}; it has {children}")
        names += there
    return list(dict.fromkeys(names))


def choose_layers(
    model: nn.Module, layers: Layers, targets: Targets, taken: Callable[[nn.Module], bool]
) -> dict[str, nn.Module]:
    """The layers to adapt by name, of those that are not `taken`.

    Raises ValueError where nothing matches, where one of several patterns matches nothing, where a layer that matches
    is parametrized, normed, pruned or has no shape yet, and where one shares its weight with another.
    """
    modules = dict(model.named_modules())
    known = {n: m for n, m in modules.items() if isinstance(m, nn.Linear) or kind_of_convolution(m)}
    free = {n: m for n, m in known.items() if not isinstance(m, AdaptedLayer) and not taken(m)}
    if layers not in ("auto", "conv", "conv+linear"):
        raise ValueError(f"layers must be 'auto', 'conv' or 'conv+linear', got {layers!r}")
    linear_too = layers == "conv+linear" or (layers == "auto" and mostly_linear(free.values()))
    wanted = {n: m for n, m in free.items() if linear_too or not isinstance(m, nn.Linear)}
    meant = dict(_meant(wanted, targets, len(free) > len(wanted)))
    for name, module in meant.items():
        if why := _unusable(module):
            raise ValueError(f"{name or 'the model'} ({type(module).__name__}) cannot be adapted: {why}")
    unused = [name for name, module in meant.items() if not _uses_its_weight(module)]
    if unused:
        warnings.warn(
            f"{len(unused)} layers never use their weight in their forward pass and stay frozen: {listed(unused)}",
            LeftOutWarning,
            stacklevel=3,
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


def _meant(wanted: dict[str, nn.Module], targets: Targets, linear_left: bool) -> Iterator[tuple[str, nn.Module]]:
    """Those of `wanted` that `targets` names. Raises ValueError for what names none."""
    hint = "; layers='conv+linear' adapts linear layers too" if linear_left else ""
    has = f"the model has {listed(list(wanted))}{hint}"
    if callable(targets):
        found = [name for name, module in wanted.items() if targets(name, module)]
    elif targets == "all":
        found = list(wanted)
    elif targets == "spatial":
        spatial = {n: getattr(m, "kernel_size", ()) for n, m in wanted.items()}
        found = [name for name, sides in spatial.items() if any(side > 1 for side in sides)]
    else:
        patterns = [p.strip() for p in (targets.split(",") if isinstance(targets, str) else targets)]
        for pattern in patterns:
            if not any(matches(pattern, name) for name in wanted):
                raise ValueError(f"targets {pattern!r} matches no layer to adapt; {has}")
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
    return ""


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
    state = {n: _shape_of(v) for n, v in (*module.named_parameters(), *module.named_buffers())}
    state["weight"].requires_grad_(True)
    try:
        with torch.enable_grad():
            y = torch.func.functional_call(module, state, (torch.empty(shape, device="meta"),))
    except (TypeError, ValueError, RuntimeError, NotImplementedError):
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
