"""Finding one's way in a model: its adapted layers by name, what is inside a wrapper, a module in another's place."""

from collections.abc import Callable, Iterable

from torch import nn

from colora.adapters.conv import CoLoRAConv
from colora.adapters.layer import AdaptedLayer


def unwrapped(model: nn.Module) -> nn.Module:
    """The bare model inside torch.compile's, DataParallel's and DistributedDataParallel's wrappers."""
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif "_orig_mod" in model._modules:
            model = model._modules["_orig_mod"]
        else:
            return model


def replace_modules(model: nn.Module, substitute: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
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


def replace_inside(model: nn.Module, substitute: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """`replace_modules` of what is inside `model`'s wrappers; a bare model that is replaced itself is the result."""
    new = replace_modules(model, substitute)
    return new if unwrapped(model) is model else model


def refuse_compiled(model: nn.Module, layers: Iterable[nn.Module]) -> None:
    """Raises ValueError where torch.compile holds one of the layers by itself: it would go on calling the one that it
    took, whatever stands in its place."""
    held = {id(layer) for layer in layers}
    for name, module in model.named_modules():
        if id(module._modules.get("_orig_mod")) in held:
            layer = bare_name(name)
            instead = "compile what it is a part of" if layer else "give the layer itself"
            raise ValueError(f"{layer or 'the model'} is one layer, to which torch.compile holds: {instead}")


def adapted_layers(model: nn.Module) -> dict[str, AdaptedLayer]:
    """The adapted layers by module name ("" for a model that is itself one)."""
    named = unwrapped(model).named_modules()
    return {bare_name(name): m for name, m in named if isinstance(m, AdaptedLayer)}


def adapted_convolutions(model: nn.Module) -> dict[str, CoLoRAConv]:
    """Those of `adapted_layers` that are convolutions."""
    return {name: layer for name, layer in adapted_layers(model).items() if isinstance(layer, CoLoRAConv)}


def bare_name(name: str) -> str:
    """A module's or parameter's name without the parts that torch.compile puts into it."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def modules_by_name(model: nn.Module) -> dict[str, nn.Module]:
    """The modules by their names in the bare model; of a compiled one and its wrapper the module itself."""
    return {bare_name(name): module for name, module in unwrapped(model).named_modules()}


def adapter_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The factors and db of every adapted layer, in module order."""
    return [p for layer in adapted_layers(model).values() for p in layer.adapter_parameters()]
