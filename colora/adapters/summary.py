"""How many weights an adapted model has, trains, and reaches."""

from dataclasses import dataclass

from torch import nn
from torch.nn.parameter import is_lazy

from colora.adapters.walk import adapted_layers, adapter_parameters, unwrapped


@dataclass(frozen=True)
class TrainableSummary:
    """Numbers of weights. `adapted` and `missed` are frozen ones: of layers with an adapter, and of all else."""

    layers: int  # that have an adapter
    adapter: int  # of the factors
    beside: int  # what else trains
    adapted: int
    missed: int

    @property
    def trainable(self) -> int:
        return self.adapter + self.beside

    @property
    def deployed(self) -> int:
        """What `strip` leaves (bias="all" adds biases, which count as adapted)."""
        return self.beside + self.adapted + self.missed

    @property
    def share_trained(self) -> float:
        """Of the factors in the weights that do not train themselves, 0 to above 1."""
        return self.adapter / max(1, self.adapted + self.missed)

    @property
    def share_adapted(self) -> float:
        """Of the weights that do not train themselves: how many lie in adapted layers, 0 to 1."""
        return self.adapted / max(1, self.adapted + self.missed)

    def __str__(self) -> str:
        return (
            f"{self.trainable:,} of {self.deployed:,} weights train: {self.adapter:,} in adapters on {self.layers} "
            f"layers, which hold {percent(self.share_adapted)} of the frozen weights, and {self.beside:,} beside them"
        )


def percent(share: float) -> str:
    """Such as "1.9 %", of a share from 0 on; never rounded to 0 or 100 where it is not that."""
    text = f"{100 * share:.1f}"
    if text == "100.0" and share < 1:
        text = "99.9"
    return f"{text} %" if share == 0 or text != "0.0" else "under 0.1 %"


def trainable_summary(model: nn.Module) -> TrainableSummary:
    """Of a model with adapters or without, on any device, also wrapped; parameters without a shape count as none."""
    model = unwrapped(model)
    layers = adapted_layers(model).values()
    factors = {id(p) for p in adapter_parameters(model)}
    sizes = {id(p): _size(p) for p in model.parameters()}
    beside = {id(p) for p in model.parameters() if p.requires_grad} - factors
    inside = {id(p) for layer in layers for p in layer.parameters(recurse=False)} - factors - beside
    return TrainableSummary(
        layers=len(layers),
        adapter=sum(sizes[key] for key in factors),
        beside=sum(sizes[key] for key in beside),
        adapted=sum(sizes[key] for key in inside),
        missed=sum(size for key, size in sizes.items() if key not in factors | inside | beside),
    )


def _size(parameter: nn.Parameter) -> int:
    return 0 if is_lazy(parameter) else parameter.numel()


def count_parameters(model: nn.Module) -> dict[str, int]:
    """{"features", "head", "adapter", "adapted", "trainable", "deployed"}: numbers of weights; head is what lies under
    a module of that name, adapted what lies in layers with an adapter, deployed what `strip` leaves. And "layers", how
    many have one."""
    model = unwrapped(model)
    found = trainable_summary(model)
    factors = {id(p) for p in adapter_parameters(model)}
    under_head = [p for name, p in model.named_parameters() if name.startswith("head.")]
    head = sum(_size(p) for p in under_head if id(p) not in factors)
    trained = sum(_size(p) for p in model.parameters() if p.requires_grad)
    return {
        "features": found.deployed - head,
        "head": head,
        "adapter": found.adapter,
        "adapted": found.adapted,
        "trainable": trained,
        "deployed": found.deployed,
        "layers": found.layers,
    }
