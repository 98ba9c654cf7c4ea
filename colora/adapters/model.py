"""CoLoRA on a whole model: put adapters on its convolutions, merge them, take them off, count them."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import Tensor, nn

from colora.adapters.conv import CONVOLUTIONS, Bias, CoLoRAConv, Order, adaptable, keyed_generator

Targets = str | Sequence[str] | Callable[[str, nn.Module], bool]


class LargeAdapterWarning(UserWarning):
    """Some adapters have as many parameters as the layers they adapt."""


class LeftOutWarning(UserWarning):
    """Some targeted convolutions have a forward pass or a weight of their own kind, which an adapter cannot repeat."""


@dataclass(frozen=True)
class CoLoRAConfig:
    """How the convolutions of a model are adapted."""

    order: Order = "inception"
    rank: int = 1
    targets: Targets = "all"  # "all", "spatial" (kernels larger than 1x1), module names or globs, or a callable
    bias: Bias = "auto"


def adapt(
    model: nn.Module, config: CoLoRAConfig = CoLoRAConfig(), train_also: Sequence[str] = ("head",), seed: int = 0
) -> nn.Module:
    """Put an adapter on every targeted convolution, in place, and return the model.

    A model that is itself one convolution is replaced. Only the adapters, and what lies under the module names in
    `train_also`, train from here on; no convolution under those names is adapted. A layer shared by two parents
    gets one adapter; layers that have one already keep it as it is, beside the new ones. The first Kp is drawn by the
    key (seed, 0, layer name). A subclass of a convolution with a forward pass of its own is left as it is, and a
    warning names it. Raises ValueError, listing the convolutions there are, where nothing matches `targets`, and where
    no plain convolution is left, where one shares its kernel or bias with another layer, and where a name in
    `train_also` (but for the default "head") does not exist.
    """
    modules = dict(model.named_modules())
    missing = [name for name in train_also if name not in modules and name != "head"]
    if missing:
        children = ", ".join(name for name, _ in model.named_children())
        raise ValueError(f"train_also names {', '.join(missing)}, but the model has {children}")

    adapters = {id(layer.base): layer for layer in adapted_layers(model).values()}
    trained = {id(m) for name in train_also if name in modules for m in modules[name].modules()}
    taken = trained | set(adapters)
    convolutions = {n: m for n, m in modules.items() if adaptable(m) and id(m) not in taken}
    if adapters and not convolutions:
        raise ValueError("the model has adapters already: strip it first")
    chosen = {n: m for n, m in convolutions.items() if _matches(config.targets, n, m)}
    others = {
        name: f"{name or 'the model'} ({type(m).__name__})"
        for name, m in modules.items()
        if isinstance(m, CONVOLUTIONS) and not adaptable(m) and id(m) not in trained
    }
    left_out = [text for name, text in others.items() if _matches(config.targets, name, modules[name])]
    if not chosen:
        found = f"targets {config.targets!r} match no convolution; the model has {', '.join(convolutions) or 'none'}"
        raise ValueError(f"{found} that can be adapted: {', '.join(left_out)} cannot" if left_out else found)
    if left_out:
        warnings.warn(
            f"{len(left_out)} convolutions compute in a way of their own and stay frozen: {', '.join(left_out)}",
            LeftOutWarning,
            stacklevel=2,
        )
    _refuse_tied(chosen, modules)

    kept = {id(p) for layer in adapters.values() for p in layer.parameters()}
    for parameter in model.parameters():
        if id(parameter) not in kept:
            parameter.requires_grad_(False)
    adapters |= {
        id(conv): CoLoRAConv(conv, config.order, config.rank, config.bias, keyed_generator(seed, 0, name))
        for name, conv in chosen.items()
    }
    _warn_of_large(chosen, adapters)
    for name in train_also:
        if name in modules:
            for parameter in modules[name].parameters():
                if id(parameter) not in kept:
                    parameter.requires_grad_(True)
    return _replace(model, lambda m: adapters.get(id(m)))


def _refuse_tied(chosen: dict[str, nn.Module], modules: dict[str, nn.Module]) -> None:
    """A merge writes into the layer's own weight and bias: another layer that holds one of them would change too, be
    it as the same parameter or as another one over the same memory."""
    holders: dict[tuple, list[str]] = {}
    for name, module in modules.items():
        for parameter in module.parameters(recurse=False):
            holders.setdefault(_memory(parameter), []).append(name)
    for conv in chosen.values():
        for parameter in conv.parameters():
            if len(names := holders[_memory(parameter)]) > 1:
                raise ValueError(f"{' and '.join(names)} share one parameter, so none of them can be merged into")


def _memory(parameter: Tensor) -> tuple:
    """What tells one parameter's memory from another's; a meta tensor has none."""
    start = 0 if parameter.is_meta else parameter.data_ptr()
    return (parameter.device, start) if start else (id(parameter),)


def _warn_of_large(chosen: dict[str, nn.Module], adapters: dict[int, CoLoRAConv]) -> None:
    """For a 1x1 convolution the pointwise factor is a whole kernel already; depthwise layers save nothing either."""
    sizes = {}
    for name, conv in chosen.items():
        layer = adapters[id(conv)]
        size = layer.pointwise.numel() + layer.depthwise.numel()
        if size >= conv.weight.numel():
            sizes[name] = f"{name or 'the layer'} ({size:,} for {conv.weight.numel():,})"
    if sizes:
        first = ", ".join(list(sizes.values())[:3]) + (", ..." if len(sizes) > 3 else "")
        warnings.warn(
            f"{len(sizes)} of {len(chosen)} adapters are as large as their layers: {first}; "
            "targets='spatial' leaves out 1x1 convolutions",
            LargeAdapterWarning,
            stacklevel=3,
        )


def _matches(targets: Targets, name: str, conv: nn.Module) -> bool:
    if callable(targets):
        return targets(name, conv)
    if targets == "all":
        return True
    if targets == "spatial":
        return any(side > 1 for side in conv.kernel_size)
    patterns = targets.split(",") if isinstance(targets, str) else targets
    return any(fnmatchcase(name, pattern.strip()) for pattern in patterns)


def _replace(model: nn.Module, substitute: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """`model` with each submodule for which `substitute` gives another one replaced, under every parent that
    holds it."""
    whole = substitute(model)
    if whole is not None:
        return whole
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            new = substitute(child) if child is not None else None
            if new is not None:
                setattr(parent, name, new)
    return model


def adapted_layers(model: nn.Module) -> dict[str, CoLoRAConv]:
    """The adapted convolutions by module name ("" for a model that is itself one)."""
    return {name: m for name, m in model.named_modules() if isinstance(m, CoLoRAConv)}


def merge_(model: nn.Module, seed: int = 0, step: int = 0) -> dict[str, dict[str, Tensor]]:
    """K0 += dK and b0 += db on every adapted layer, in place; returns the merged factors by layer name.

    The adapters start anew from the draw keyed by (seed, step, layer name); `step` counts merges from 1.
    """
    return {n: layer.merge_(keyed_generator(seed, step, n)) for n, layer in adapted_layers(model).items()}


def undo_(model: nn.Module, factors: dict[str, dict[str, Tensor]]) -> None:
    """Takes back a merge, in place, by the factors that `merge_` returned (paper, section 3.1).

    Raises ValueError, before anything changes, for a layer that is not adapted here.
    """
    layers = adapted_layers(model)
    unknown = [name for name in factors if name not in layers]
    if unknown:
        raise ValueError(f"the factors are of {unknown[0]!r}, which is no adapted layer of this model")
    for name, named in factors.items():
        layers[name].undo_(named)


def strip(model: nn.Module) -> nn.Module:
    """The model with plain convolutions again: same classes, same state_dict keys, updates merged (bias="all"
    adds biases)."""
    plain = {id(layer): layer.stripped() for layer in adapted_layers(model).values()}
    return _replace(model, lambda m: plain.get(id(m)))


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """The state_dict that `strip(model)` would have, without touching the model."""
    state = dict(model.state_dict())
    layers = {n: m for n, m in model.named_modules(remove_duplicate=False) if isinstance(m, CoLoRAConv)}
    for name, layer in layers.items():  # a shared layer under each of its names
        prefix = f"{name}." if name else ""
        for key in ("pointwise", "depthwise", "bias_update"):
            state.pop(prefix + key, None)
        state[prefix + "weight"] = layer.effective_weight().detach().to(layer._base_dtype)
        if layer.bias is not None:
            state[prefix + "bias"] = layer.effective_bias().detach().to(layer._base_dtype)
    return state


def adapter_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Kp, Kd and db of every adapted layer, in module order."""
    return [
        p
        for layer in adapted_layers(model).values()
        for p in (layer.pointwise, layer.depthwise, layer.bias_update)
        if p is not None
    ]


def count_parameters(model: nn.Module) -> dict[str, int]:
    """{"features", "head", "adapter", "trainable", "deployed"}: numbers of weights; deployed is what `strip` leaves."""
    adapters = {id(p) for p in adapter_parameters(model)}
    named = dict(model.named_parameters())
    deployed = {n: p.numel() for n, p in named.items() if id(p) not in adapters}
    head = sum(size for name, size in deployed.items() if name.startswith("head."))
    return {
        "features": sum(deployed.values()) - head,
        "head": head,
        "adapter": sum(p.numel() for p in named.values() if id(p) in adapters),
        "trainable": sum(p.numel() for p in named.values() if p.requires_grad),
        "deployed": sum(deployed.values()),
    }
