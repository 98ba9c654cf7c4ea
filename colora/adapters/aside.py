"""Adapters put aside: what stands where in a model, taken as it is and put back, so that another can stand there.

An adapter that is aside holds the modules, parameters and buffers of the model as they stood with it. What two of them
have in common, the base above all, is the same object in both.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from colora.adapters.layer import FACTORS, HOOKS, AdaptedLayer, frozen
from colora.adapters.walk import unwrapped

ATTRIBUTE = "_named_adapters"  # of the bare model: no module of its own, so that no state_dict has what is in it
FIRST = "default"


@dataclass
class Place:
    """One module, and what stood in it."""

    module: nn.Module
    modules: dict[str, nn.Module | None]
    parameters: dict[str, nn.Parameter | None]
    buffers: dict[str, Tensor | None]


@dataclass
class Named:
    """The name of the adapter that is in the model, the others, and all names in the order in which they were added."""

    active: str
    order: list[str]
    others: dict[str, list[Place]] = field(default_factory=dict)


def named(model: nn.Module) -> Named:
    return unwrapped(model).__dict__.get(ATTRIBUTE) or Named(FIRST, [FIRST])


def forget_others(model: nn.Module) -> None:
    unwrapped(model).__dict__.pop(ATTRIBUTE, None)


def refuse_several(model: nn.Module) -> None:
    """Raises ValueError where a change of the base would change it under other adapters."""
    if others := [name for name in named(model).order if name in named(model).others]:
        raise ValueError(
            f"{', '.join(others)} stand on the same base, which a merge would change under them: remove_adapter them "
            "first, or strip a copy.deepcopy of the model, which merges into the copy alone"
        )


def adapted_aside(model: nn.Module) -> Iterator[AdaptedLayer]:
    """The adapted layers of the adapters that are not active."""
    places = (place for other in named(model).others.values() for place in other)
    return (place.module for place in places if isinstance(place.module, AdaptedLayer))


def take(model: nn.Module) -> list[Place]:
    """The bare `model` as it stands."""
    return [Place(m, dict(m._modules), dict(m._parameters), dict(m._buffers)) for m in model.modules()]


def put(model: nn.Module, places: list[Place]) -> None:
    """Makes the bare `model` stand as it did in `take`; what comes back goes to the device and the dtype of what it
    takes the place of, and an adapted layer gets the hooks, and the mode, of the layer there."""
    names = dict(model.named_modules(remove_duplicate=False))
    before = {id(place.module): place for place in take(model)}
    for place in places:
        for now, then in (
            (place.module._modules, place.modules),
            (place.module._parameters, place.parameters),
            (place.module._buffers, place.buffers),
        ):
            now.clear()
            now.update(then)
    usual = _usual(before)
    for name, module in list(model.named_modules()):
        old = names.get(name)
        if id(module) in before:
            place = before[id(module)]
            _move(module, place.parameters | place.buffers, usual)
            continue
        if old is None:
            _move(module, {}, usual)
            module.training = model.training
            continue
        if _base(module) is _base(old):
            move_hooks(module, old)
        for part in {id(module): module, id(_base(module)): _base(module)}.values():
            part.training = old.training
        if isinstance(module, AdaptedLayer):
            _move_adapted(module, old)
        elif isinstance(old, AdaptedLayer) and old.base is module:
            _move_plain(module, old)
        else:
            _move(module, old._parameters | old._buffers, usual)


def plain_of(layer: AdaptedLayer) -> nn.Module:
    """The layer's base with K0 and b0 as they are now, merges and casts included; the layer stays as it is."""
    base = layer.base
    base._parameters["weight"] = frozen(layer.base_weight, layer._base_dtype)
    own_bias = layer.base_bias is not None and (base.bias is not None or layer.merged_from is not None)
    base._parameters["bias"] = frozen(layer.base_bias, layer._base_dtype) if own_bias else None
    base._buffers.update(layer._buffers)
    return base


def move_hooks(module: nn.Module, old: nn.Module) -> None:
    """Whoever put the hooks there holds handles to these dictionaries, so they move as they are."""
    for name in HOOKS:
        if old.__dict__[name]:
            module.__dict__[name], old.__dict__[name] = old.__dict__[name], type(old.__dict__[name])()
    if old._is_full_backward_hook is not None:
        module._is_full_backward_hook, old._is_full_backward_hook = old._is_full_backward_hook, None


def _base(module: nn.Module) -> nn.Module:
    return module.base if isinstance(module, AdaptedLayer) else module


def _usual(before: dict[int, Place]) -> Tensor:
    """An empty tensor of the device and dtype that what is in no adapted layer has."""
    plain = [p for place in before.values() for p in place.parameters.values() if p is not None]
    adapted = [place.module for place in before.values() if isinstance(place.module, AdaptedLayer)]
    inside = {id(p) for layer in adapted for p in layer._parameters.values()}
    for value in plain:
        if id(value) not in inside and value.is_floating_point():
            return value.new_empty(0)
    return adapted[0].base_weight.new_empty(0, dtype=adapted[0]._base_dtype) if adapted else torch.empty(0)


def _move(module: nn.Module, likes: dict[str, Tensor | None], usual: Tensor) -> None:
    """To the device, and where both are floating-point numbers the dtype, of those of the same name in `likes`."""
    for values in (module._parameters, module._buffers):
        for name, value in values.items():
            like = likes.get(name)
            like = usual if like is None else like
            if value is not None and value is not like:
                both = value.is_floating_point() and like.is_floating_point()
                values[name] = _moved(value, like.device, like.dtype if both else value.dtype)


def _move_adapted(layer: AdaptedLayer, old: nn.Module) -> None:
    """The factors, and what of the base was not shared, to where the base is that `old`, adapted or plain, has."""
    like = old.base_weight if isinstance(old, AdaptedLayer) else old._parameters.get("weight", layer.base_weight)
    layer._base_dtype = old._base_dtype if isinstance(old, AdaptedLayer) else like.dtype
    master = torch.promote_types(layer._base_dtype, torch.float32)
    another_kind = any(p.device.type != like.device.type for p in layer.adapter_parameters())
    for name, value in layer._parameters.items():
        if value is None:
            continue
        if name in FACTORS:
            _moved(value, like.device, master)
        elif value.device != like.device or value.dtype != master:
            layer._parameters[name] = nn.Parameter(value.detach().to(like.device, master), value.requires_grad)
    for name, value in layer._buffers.items():
        if value is not None:
            layer._buffers[name] = value.to(like.device)
    if another_kind and getattr(layer, "_form_by_rule", False):
        layer.form = layer.form_by_rule()


def _move_plain(base: nn.Module, old: AdaptedLayer) -> None:
    """The weights of a layer that this adapter leaves plain; those that `old` shares are not cast under it."""
    for name, value in base._parameters.items():
        if value is not None and value is not old._parameters.get(name):
            _moved(value, old.base_weight.device, old._base_dtype)
        elif value is not None and value.dtype != old._base_dtype:
            base._parameters[name] = frozen(value, old._base_dtype)
    for name, value in base._buffers.items():
        if value is not None:
            base._buffers[name] = value.to(old.base_weight.device)


def _moved(value: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A parameter stays the object that it is, which its optimizer knows."""
    if not isinstance(value, nn.Parameter):
        return value.to(device, dtype)
    if value.device != device or value.dtype != dtype:
        gradient, value.grad = value.grad, None
        value.data = value.data.to(device, dtype)
        value.grad = None if gradient is None else gradient.to(device, dtype)
    return value
