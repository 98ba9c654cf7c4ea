"""CoLoRA on a whole model: put adapters on its layers, merge them, undo, take them off.

Every function takes a model bare, compiled, or wrapped by DataParallel or DistributedDataParallel, and speaks of its
layers by the names that they have in the bare one.
"""

import logging
import warnings
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from colora.adapters.aside import forget_others, refuse_several
from colora.adapters.classifier import trained_beside
from colora.adapters.conv import CONVOLUTIONS, CoLoRAConv, check_order
from colora.adapters.forms import Order
from colora.adapters.layer import FACTORS, AdaptedLayer, Bias, check_bias, check_ranks, keyed_generator
from colora.adapters.linear import LINEAR_RANK, CoLoRALinear
from colora.adapters.sharded import any_sharded, to_shards, whole, whole_parameters
from colora.adapters.summary import percent, trainable_summary
from colora.adapters.targets import Layers, Targets, adaptable, check_layers, check_targets, choose_layers
from colora.adapters.walk import (
    adapted_layers,
    bare_name,
    modules_by_name,
    refuse_compiled,
    replace_inside,
    unwrapped,
)

log = logging.getLogger(__name__)


class CoverageWarning(UserWarning):
    """Less than half of the weights that do not train themselves lie in adapted layers."""


@dataclass(frozen=True)
class CoLoRAConfig:
    """How the layers of a model are adapted."""

    order: Order = "inception"
    rank: int = 1
    targets: Targets = "all"  # "all", "spatial" (kernels larger than 1x1), module names or globs, or a callable
    bias: Bias = "auto"
    pointwise_rank: int | None = None  # p of Kp = B A; None: a whole Kp (the paper), and 8 in linear layers
    layers: Layers = "auto"  # "conv", "conv+linear"; "auto": linear ones too where they hold most of the weights

    def __post_init__(self) -> None:
        """Raises ValueError for wrong settings, before a model is touched."""
        check_bias(self.bias)
        check_order(self.order)
        check_ranks(self.rank, self.pointwise_rank)
        check_layers(self.layers)
        check_targets(self.targets)


def adapt(
    model: nn.Module,
    config: CoLoRAConfig = CoLoRAConfig(),
    train_also: str | Sequence[str] | None = None,
    seed: int = 0,
) -> nn.Module:
    """Put an adapter on every targeted layer, in place, and return the model.

    A model that is itself one layer is replaced. Only the adapters, and what lies under the modules that `train_also`
    names, train from here on; no layer under those is adapted. None trains the classifier, where the model has one
    that is found; "classifier" asks for it. A layer shared by two parents gets one adapter; layers that have one
    already keep it as it is, beside the new ones. The first factors are drawn by the key (seed, 0, layer name).

    How much of the frozen weights lies in adapted layers is logged, and warned of where it is under half. Raises
    ValueError as `targets.choose_layers` and `classifier.trained_beside` do, and for a model that
    DistributedDataParallel holds already, which would not know of the new parameters.
    """
    model = put_adapters(model, config, train_also, seed)
    _tell_coverage(model, config)
    return model


def put_adapters(
    model: nn.Module, config: CoLoRAConfig, train_also: str | Sequence[str] | None = (), seed: int = 0
) -> nn.Module:
    """`adapt` without a word: for adapters that are put back."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        raise ValueError("adapt the model before DistributedDataParallel takes it: it would not know of the adapters")
    bare = unwrapped(model)
    if any_sharded(bare):
        raise ValueError("adapt the model before fully_shard takes it: it would not know of the adapters")
    beside = trained_beside(bare, train_also)
    modules = modules_by_name(bare)
    trained = {id(m) for name in beside for m in modules[name].modules()}
    adapters: dict[int, AdaptedLayer] = {id(layer.base): layer for layer in adapted_layers(bare).values()}
    taken = trained | set(adapters)
    if adapters and not any(isinstance(m, (nn.Linear, *CONVOLUTIONS)) and id(m) not in taken for m in modules.values()):
        raise ValueError("the model has adapters already: strip it first")
    chosen = choose_layers(bare, config.layers, config.targets, lambda m: id(m) in taken)
    refuse_compiled(model, chosen.values())

    kept = {id(p) for layer in adapters.values() for p in layer.parameters()}
    adapters |= {id(m): _adapted(m, config, keyed_generator(seed, 0, name)) for name, m in chosen.items()}
    training = {id(p) for name in beside for p in modules[name].parameters()}
    for parameter in bare.parameters():
        if id(parameter) not in kept:
            parameter.requires_grad = id(parameter) in training  # by this way also one that has no shape yet
    return replace_inside(model, lambda m: adapters.get(id(m)))


def config_of(model: nn.Module) -> CoLoRAConfig:
    """The config with which `adapt` gives the layers named in it these adapters, with `targets` for exactly them.

    Raises ValueError where the adapters differ in order or rank, as some of different calls may, or there are none.
    """
    layers = adapted_layers(model)
    if not layers:
        raise ValueError("the model has no adapters")
    convolutions = [m for m in layers.values() if isinstance(m, CoLoRAConv)]
    ranks = {m.pointwise_rank_asked for m in convolutions}
    linear = {m.pointwise_rank_asked for m in layers.values() if not isinstance(m, CoLoRAConv)}
    p = next(iter(ranks or linear))
    orders, terms = {m.order for m in convolutions} or {"inception"}, {m.rank for m in layers.values()}
    if max(map(len, (orders, terms, ranks, linear))) > 1 or not linear <= {p or LINEAR_RANK}:
        raise ValueError("the adapters differ in order or rank")
    grown = any(m.base_bias is not None and m.base.bias is None for m in layers.values())
    updated = any(m.bias_update is not None for m in layers.values())
    return CoLoRAConfig(
        orders.pop(), terms.pop(), exactly(layers), "all" if grown else "auto" if updated else "none", p, "conv+linear"
    )


def exactly(names: Collection[str]) -> Callable[[str, nn.Module], bool]:
    """`targets` for the layers of these names and no others."""
    wanted = frozenset(names)
    return lambda name, _: bare_name(name) in wanted


def _adapted(layer: nn.Module, config: CoLoRAConfig, generator: torch.Generator) -> AdaptedLayer:
    if isinstance(layer, nn.Linear):
        return CoLoRALinear(layer, config.rank, config.bias, generator, config.pointwise_rank or LINEAR_RANK)
    low = config.pointwise_rank
    return CoLoRAConv(layer, config.order, config.rank, config.bias, generator, pointwise_rank=low)


def _tell_coverage(model: nn.Module, config: CoLoRAConfig) -> None:
    found = trainable_summary(model)
    log.info("%s", found)
    if found.share_adapted >= 0.5:
        return
    left = [m for m in unwrapped(model).modules() if adaptable(m) and not m.weight.requires_grad]
    helps = []
    if config.layers != "conv+linear" and any(isinstance(m, nn.Linear) for m in left):
        helps.append("layers='conv+linear' adapts linear layers too")
    if config.targets != "all" and any(isinstance(m, CONVOLUTIONS) for m in left):
        helps.append("targets='all' adapts every convolution")
    warnings.warn(
        f"adapted layers hold {percent(found.share_adapted)} of the weights that do not train themselves: "
        "the rest stays as it is" + (f" ({', '.join(helps)})" if helps else ""),
        CoverageWarning,
        stacklevel=3,
    )


def merge_(model: nn.Module, seed: int = 0, step: int = 0, safe: bool = False) -> dict[str, dict[str, Tensor]]:
    """K0 += dK and b0 += db on every adapted layer, in place; returns the merged factors by layer name.

    The adapters start anew from the draw keyed by (seed, step, layer name); `step` counts merges from 1. With `safe`
    a merge that would leave a value that is not finite raises ValueError, and no layer is changed. Raises ValueError
    where other named adapters stand on the same base. Of a model that FSDP2 has sharded the factors are whole ones, and
    every process has to call.
    """
    refuse_several(model)
    to_shards(model)
    layers = adapted_layers(model)
    if safe:
        for name, layer in layers.items():
            if not layer.finite():
                raise ValueError(f"{name or 'the layer'} would have values that are not finite: nothing was merged")
    return {n: layer.merge_(keyed_generator(seed, step, n)) for n, layer in layers.items()}


def undo_(model: nn.Module, factors: dict[str, dict[str, Tensor]]) -> None:
    """Takes back a merge, in place, by the factors that `merge_` returned (paper, section 3.1).

    Raises ValueError, before anything changes, for a layer that is not adapted here, and as `merge_` does.
    """
    refuse_several(model)
    to_shards(model)
    layers = adapted_layers(model)
    unknown = [name for name in factors if name not in layers]
    if unknown:
        raise ValueError(f"the factors are of {unknown[0]!r}, which is no adapted layer of this model")
    for name, named in factors.items():
        layers[name].undo_(named)


def strip(model: nn.Module) -> nn.Module:
    """The model with its plain layers again: same classes, same state_dict keys, updates merged (bias="all"
    adds biases).

    Of several named adapters the active one is merged, and the others are gone. Raises ValueError for a model that
    FSDP2 has sharded.
    """
    refuse_compiled(model, adapted_layers(model).values())
    if any_sharded(unwrapped(model)):
        raise ValueError("the model is sharded by FSDP2: load plain_state, which has whole tensors, into a plain model")
    forget_others(model)
    plain = {id(layer): layer.stripped() for layer in adapted_layers(model).values()}
    return replace_inside(model, lambda m: plain.get(id(m)))


def plain_state(model: nn.Module) -> OrderedDict[str, Tensor]:
    """The state_dict that `strip(model)` would have, with its `_metadata`, without touching the model.

    Of a model that FSDP2 has sharded it has whole tensors, and every process has to call.
    """
    bare = unwrapped(model)
    to_shards(bare)
    state = bare.state_dict()
    layers = {n: m for n, m in bare.named_modules(remove_duplicate=False) if isinstance(m, AdaptedLayer)}
    for name, layer in layers.items():  # a shared layer under each of its names
        prefix = f"{name}." if name else ""
        for key in FACTORS:
            state.pop(prefix + key, None)
        with whole_parameters(layer, write=False):
            state[prefix + "weight"] = layer.updated_weight().detach().to(layer._base_dtype)
            if layer.base_bias is not None:
                state[prefix + "bias"] = layer.updated_bias().detach().to(layer._base_dtype)
    named = OrderedDict((bare_name(key), whole(value)) for key, value in state.items())
    named._metadata = OrderedDict((bare_name(key), value) for key, value in state._metadata.items())
    return named
