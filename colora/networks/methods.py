"""What is trained: one function a method, each taking a built model and freezing or adapting it in place."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from colora.adapters.form_choice import calibrate_forms_, fit_forms_
from colora.adapters.forms import MEASURED_ON
from colora.adapters.model import CoLoRAConfig, adapt
from colora.adapters.walk import adapted_convolutions
from colora.settings.config import RunConfig
from colora.system.errors import UserError


def _colora(model: nn.Module, config: RunConfig, seed: int) -> None:
    try:
        how = CoLoRAConfig(
            config.order, config.rank, config.targets, config.bias, config.pointwise_rank, config.layers
        )
        adapt(model, how, ("head",), seed)
    except ValueError as error:
        raise UserError(f"{str(error)[0].upper()}{str(error)[1:]}.", field="targets") from error
    if next(model.parameters()).device.type != "meta":  # there only sizes are asked for
        fit_forms_(model, _image(config), config.batch_size)


def _head(model: nn.Module, config: RunConfig, seed: int) -> None:
    model.requires_grad_(False)
    model.get_submodule("head").requires_grad_(True)


def _full(model: nn.Module, config: RunConfig, seed: int) -> None:
    model.requires_grad_(True)


def _image(config: RunConfig) -> Tensor:
    return torch.empty(1, 3, config.image_size, config.image_size, device="meta")


def settle_forms_(model: nn.Module, config: RunConfig, device: torch.device, precision: str) -> None:
    """Where no table tells which forms are fast, time them: a few seconds, with the model on `device` already."""
    if device.type not in MEASURED_ON and adapted_convolutions(model):
        calibrate_forms_(model, _image(config), config.batch_size, precision, torch.channels_last)


METHODS: dict[str, Callable[[nn.Module, RunConfig, int], None]] = {"colora": _colora, "head": _head, "full": _full}


def apply_method(model: nn.Module, config: RunConfig, seed: int) -> None:
    """Make `model` trainable as `config.method` says. Raises UserError where its settings do not fit the model."""
    METHODS[config.method](model, config, seed)
