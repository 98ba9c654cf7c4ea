"""What a run writes of its model: the checkpoint to resume from, the history of merges, the selected model.

Safetensors with JSON in the header; nothing is pickled. No random state is kept, because every draw of a run
is keyed by (seed, what, epoch or merge).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from colora.adapters.model import plain_state
from colora.networks.backbones import build
from colora.networks.undrawn import Undrawn
from colora.runs.folder import Run, write_bytes
from colora.settings.config import RunConfig
from colora.settings.resolved import Resolved
from colora.system.errors import UserError
from colora.system.files import why
from colora.system.typed import is_file


def packed(tensors: dict[str, Tensor], about: dict[str, Any]) -> bytes:
    """The content of a safetensors file with `about` as JSON in its header."""
    ready = {name: t.detach().contiguous().cpu() for name, t in tensors.items()}
    return save(ready, metadata={"about": json.dumps(about)})


def _read(run: Run, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Raises UserError where the file is missing or damaged."""
    if not is_file(path):
        raise UserError(f"{path} is missing, or no file: {_instead(run)}")
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["about"])
            if not isinstance(about, dict):
                raise ValueError("it does not say what it is")
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except Exception as error:  # of damaged bytes it raises errors of several kinds, also of Rust's own
        raise _damaged(run, path, error) from error


def _damaged(run: Run, path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is damaged ({why(error)}): {_instead(run)}")


def _instead(run: Run) -> str:
    """What to do. A seed that is done is not trained anew in its own group, where its figures stand."""
    if run.state == "done":
        return "restore the file from a copy, or train this seed again in a new group."
    return "begin this seed anew, with colora retry or on Monitor."


def _checkpoint_path(run: Run) -> Path:
    return run.path / "checkpoint" / "last.safetensors"


def has_checkpoint(run: Run) -> bool:
    return _checkpoint_path(run).exists()


def save_checkpoint(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
    """One atomic file: adapted weights, optimizer state, and `progress` (epoch, merges, step, that epoch's metrics)."""
    path = _checkpoint_path(run)
    path.parent.mkdir(exist_ok=True)
    write_bytes(path, packed(checkpoint_tensors(model, optimizer), progress))


def checkpoint_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What a run has to know to go on: adapted weights and the optimizer's state."""
    tensors = {f"model/{k}": v for k, v in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{name}/{key}"] = value
    return tensors


def load_checkpoint(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Puts the last checkpoint into `model` and `optimizer`, in place; returns its progress, or None. Raises UserError
    where it is damaged, or of another network."""
    path = _checkpoint_path(run)
    if not path.exists():
        return None
    tensors, progress = _read(run, path)
    try:
        _put(tensors, model, optimizer)
        return {name: progress[name] for name in ("epoch", "merges", "step", "metrics")}
    except (RuntimeError, KeyError) as error:  # tensors of other names or shapes
        raise _damaged(run, path, error) from error


def _put(tensors: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model.load_state_dict({k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")})
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            name, _, slot = key.removeprefix("optimizer/").rpartition("/")
            parameter = parameters[name]
            # Adam keeps its step count on the CPU
            place = value if slot == "step" else value.to(parameter.device)
            if value.dim() == 4:
                place = place.contiguous(memory_format=torch.channels_last)
            optimizer.state[parameter][slot] = place


def save_model(run: Run, model: nn.Module, epoch: int, resolved: Resolved) -> None:
    """model.safetensors: the plain network of this epoch under the backbone's own keys, updates merged."""
    about = {"epoch": epoch, "backbone": run.config.backbone, "class_names": resolved.class_names}
    write_bytes(run.path / "model.safetensors", packed(plain_state(model), about))


def saved_model_epoch(run: Run) -> int | None:
    path = run.path / "model.safetensors"
    if not is_file(path):
        return None
    try:
        with safe_open(path, "pt") as file:
            return json.loads(file.metadata()["about"])["epoch"]
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, RecursionError):
        # Damaged: as if it were not there, so that it is written anew where it can be.
        return None


def load_plain(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Puts `plain_state` into the plain network, in place; a layer gets the bias that bias="all" has added."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is None and f"{name}.bias" in state:
            outputs = module.out_channels if isinstance(module, nn.Conv2d) else module.out_features
            module.bias = nn.Parameter(torch.zeros(outputs))
    model.load_state_dict(state)


def load_model(run: Run, config: RunConfig, resolved: Resolved) -> nn.Module:
    """The run's selected model in evaluation mode, on the CPU. Raises UserError where it is missing or damaged."""
    path = run.path / "model.safetensors"
    tensors, _ = _read(run, path)
    with Undrawn():
        model = build(config.backbone, len(resolved.class_names), config.image_size)
    try:
        load_plain(model, tensors)
    except RuntimeError as error:  # tensors of other names or shapes
        raise _damaged(run, path, error) from error
    return model.eval().to(memory_format=torch.channels_last)
