"""What is trained: one function a method, each taking a built model and freezing or adapting it in place."""

from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn

from colora.adapters.form_choice import calibrate_forms_, fit_forms_
from colora.adapters.forms import MEASURED_ON
from colora.adapters.model import CoLoRAConfig, exactly, put_adapters
from colora.adapters.walk import adapted_convolutions
from colora.settings.config import RunConfig
from colora.system.errors import UserError


def _colora(model: nn.Module, config: RunConfig, seed: int, begun: Collection[str]) -> None:
    if missing := sorted(set(begun) - {name for name, _ in model.named_modules()}):
        raise UserError(f"The run began with an adapter on {missing[0]}, a layer that {config.backbone} lacks.")
    targets = exactly(begun) if begun else config.targets
    how = CoLoRAConfig(config.order, config.rank, targets, config.bias, config.pointwise_rank, config.layers)
    try:
        put_adapters(model, how, ("head",), seed)  # how much it reaches is told by `runs.trained_said`
    except ValueError as error:
        raise UserError(f"{str(error)[0].upper()}{str(error)[1:]}.", field="targets") from error
    if next(model.parameters()).device.type != "meta":  # there only sizes are asked for
        fit_forms_(model, _image(config), config.batch_size)


def _head(model: nn.Module, config: RunConfig, seed: int, begun: Collection[str]) -> None:
    model.requires_grad_(False)
    model.get_submodule("head").requires_grad_(True)


def _full(model: nn.Module, config: RunConfig, seed: int, begun: Collection[str]) -> None:
    model.requires_grad_(True)


def _image(config: RunConfig) -> Tensor:
    return torch.empty(1, 3, config.image_size, config.image_size, device="meta")


def settle_forms_(model: nn.Module, config: RunConfig, device: torch.device, precision: str) -> None:
    """Where no table tells which forms are fast, time them: a few seconds, with the model on `device` already."""
    if device.type not in MEASURED_ON and adapted_convolutions(model):
        calibrate_forms_(model, _image(config), config.batch_size, precision, torch.channels_last)


Method = Callable[[nn.Module, RunConfig, int, Collection[str]], None]
METHODS: dict[str, Method] = {"colora": _colora, "head": _head, "full": _full}


def apply_method(model: nn.Module, config: RunConfig, seed: int, begun: Collection[str] = ()) -> None:
    """Make `model` trainable as `config.method` says; `begun` names the layers that a run began with, which are adapted
    whatever `targets` matches in this version. Raises UserError where its settings do not fit the model."""
    METHODS[config.method](model, config, seed, begun)
