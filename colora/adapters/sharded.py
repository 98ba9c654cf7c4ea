"""Models that FSDP2 (`torch.distributed.fsdp.fully_shard`) has cut up: a process holds a part of each parameter.

A merge multiplies factors, whose parts do not lie where those of the kernel do. So each layer is put together for the
moment that it takes, merged in every process as on one alone, to the same bits, and cut again. Putting together is a
collective call: every process has to make it.
"""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

Method = TypeVar("Method", bound=Callable)


def is_sharded(value: Tensor | None) -> bool:
    """Whether it is a part of a tensor; without loading torch's own code for those, which takes half a second."""
    tensors = sys.modules.get("torch.distributed.tensor")
    return tensors is not None and isinstance(value, tensors.DTensor)


def whole(value: Tensor) -> Tensor:
    """The tensor itself, put together where it is sharded."""
    return value.full_tensor() if is_sharded(value) else value


def any_sharded(model: nn.Module) -> bool:
    to_shards(model)
    return any(is_sharded(p) for p in model.parameters())


def to_shards(model: nn.Module) -> None:
    """Gives up the whole parameters that a forward pass left in place, in which what is written is lost, and those that
    the plain layers inside adapters have from before they were sharded."""
    if "torch.distributed.fsdp" not in sys.modules:
        return
    kind = sys.modules["torch.distributed.fsdp"].FSDPModule
    for module in model.modules():
        if isinstance(module, kind):
            module.reshard()
    for module in model.modules():
        for base in module.__dict__.get("_base", ()):
            parts = {name: p for name, p in module._parameters.items() if is_sharded(p)}
            base._parameters.update({name: parts.get(name, p) for name, p in base._parameters.items() if p is not None})


@contextmanager
def whole_parameters(layer: nn.Module, write: bool) -> Iterator[None]:
    """A context in which the layer's own parameters are whole; with `write` its parts are those of the whole ones at
    the end, unless there is an error."""
    parts = {name: p for name, p in layer._parameters.items() if is_sharded(p)}
    there = {name: nn.Parameter(p.detach().full_tensor(), requires_grad=p.requires_grad) for name, p in parts.items()}
    layer._parameters.update(there)
    try:
        yield
    finally:
        layer._parameters.update(parts)
    if write:
        for name, part in parts.items():
            _cut_into_(part, there[name].detach())


@torch.no_grad()
def _cut_into_(part: Tensor, value: Tensor) -> None:
    from torch.distributed.tensor import distribute_tensor  # loaded already, by whoever made the part

    part.to_local().copy_(distribute_tensor(value, part.device_mesh, part.placements).to_local())


def on_whole(write: bool) -> Callable[[Method], Method]:
    """A layer's method that runs within `whole_parameters`."""

    def decorate(method: Method) -> Method:
        @functools.wraps(method)
        def run(layer: nn.Module, *args, **kwargs):
            with whole_parameters(layer, write):
                return method(layer, *args, **kwargs)

        return run

    return decorate
