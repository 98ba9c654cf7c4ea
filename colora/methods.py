"""What is trained: one function a method, each taking a built model and freezing or adapting it in place."""

from collections.abc import Callable

from torch import nn

from colora.adapt import CoLoRAConfig, adapt
from colora.config import RunConfig
from colora.errors import UserError


def _colora(model: nn.Module, config: RunConfig, seed: int) -> None:
    try:
        adapt(model, CoLoRAConfig(config.order, config.rank, config.targets, config.bias), seed=seed)
    except ValueError as error:
        raise UserError(f"{str(error)[0].upper()}{str(error)[1:]}.", field="targets") from error


def _head(model: nn.Module, config: RunConfig, seed: int) -> None:
    model.requires_grad_(False)
    model.get_submodule("head").requires_grad_(True)


def _full(model: nn.Module, config: RunConfig, seed: int) -> None:
    model.requires_grad_(True)


METHODS: dict[str, Callable[[nn.Module, RunConfig, int], None]] = {"colora": _colora, "head": _head, "full": _full}


def apply_method(model: nn.Module, config: RunConfig, seed: int) -> None:
    """Make `model` trainable as `config.method` says. Raises UserError where its settings do not fit the model."""
    METHODS[config.method](model, config, seed)
