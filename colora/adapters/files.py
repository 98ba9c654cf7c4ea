"""Adapters as files, in the form of the Hugging Face ecosystem: adapter_config.json + adapter_model.safetensors.

For a model whose adapters are not merged yet. After merges the frozen weights are no longer the base's: then keep the
merged weights (`colora.adapters.model.plain_state`) or the history (`colora.adapters.history`).
"""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from colora.adapters.layer import AdaptedLayer
from colora.adapters.model import CoLoRAConfig, config_of, exactly, put_adapters
from colora.adapters.walk import adapted_layers

CHECKED = ("weight", "bias")
NEEDED = ("target_modules", "order", "rank", "bias", "base_checksum")


def base_checksum(model: nn.Module, layers: list[str], kinds: tuple[str, ...] = CHECKED) -> str:
    """SHA-256 over kernels and biases of the named convolutions, adapted or plain: which base an adapter belongs to."""
    digest = hashlib.sha256()
    modules = dict(model.named_modules())
    for name in sorted(layers):
        layer = modules[name]
        if isinstance(layer, AdaptedLayer):
            own = {"weight": layer.base_weight, "bias": layer.base_bias if layer.base.bias is not None else None}
        else:
            own = {"weight": layer.weight, "bias": layer.bias}
        for kind in kinds:
            if own[kind] is not None:
                digest.update(f"{name} {tuple(own[kind].shape)}".encode())
                digest.update(own[kind].detach().cpu().float().contiguous().numpy())
    return digest.hexdigest()


def save_adapter(model: nn.Module, folder: Path) -> None:
    """Writes the adapters, and whatever else trains, into `folder`.

    Raises ValueError for a model without adapters, with some of different order or rank, since the file states one, or
    with some that were merged, since the base they fit is gone.
    """
    layers = adapted_layers(model)
    if not layers:
        raise ValueError("the model has no adapters to save")
    about = config_of(model)
    merged = [name for name, m in layers.items() if m.merged_from]
    if merged:
        raise ValueError(
            f"{merged[0] or 'the layer'} was merged, and its adapter no longer fits the base: save the merged weights "
            "(colora.adapters.model.plain_state) or, epoch by epoch, the history (colora.adapters.history.save_epoch)"
        )
    config = {
        "peft_type": "COLORA",
        "order": about.order,
        "rank": about.rank,
        "pointwise_rank": about.pointwise_rank,
        "target_modules": list(layers),
        "bias": about.bias,
        "base_checksum": base_checksum(model, list(layers)),
        "checksum_of": CHECKED,
    }
    frozen = {f"{name}.{kind}" if name else kind for name in layers for kind in ("weight", "bias")}
    trained = {
        name: p.detach().cpu().contiguous()
        for name, p in model.named_parameters()
        if p.requires_grad and name not in frozen
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(trained, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")


def load_adapter(model: nn.Module, folder: Path) -> nn.Module:
    """Adapts the plain base `model` as the adapter in `folder` says, in place, and returns it.

    Raises ValueError where the base is not the one the adapter was trained on, or lacks its layers, or where the files
    are no adapter's.
    """
    try:
        config = json.loads((folder / "adapter_config.json").read_text())
        tensors = load_file(folder / "adapter_model.safetensors")
        names, order, rank, bias, base = (config[key] for key in NEEDED)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{folder} holds no adapter that can be read ({type(error).__name__}: {error})") from error
    modules = dict(model.named_modules())
    missing = [name for name in names if name not in modules]
    if missing:
        raise ValueError(f"the adapter in {folder} is for a model with a layer {missing[0]!r}; this one has none")
    low = config.get("pointwise_rank")  # older files have none
    settings = CoLoRAConfig(order, rank, exactly(names), bias, low, "conv+linear")
    kinds = tuple(config.get("checksum_of", ("weight",)))  # in older files of the kernels alone
    if base_checksum(model, names, kinds) != base:
        raise ValueError(
            f"the adapter in {folder} was trained on another base: kernels or biases differ (after a merge they do "
            "too; then use colora.adapters.history or the merged weights)"
        )
    model = put_adapters(model, settings)
    parameters = dict(model.named_parameters())
    foreign = [n for n, value in tensors.items() if n not in parameters or parameters[n].shape != value.shape]
    if foreign:
        raise ValueError(f"the adapter in {folder} has {foreign[0]!r}, for which this model has no place")
    with torch.no_grad():
        for name, value in tensors.items():  # what trained beside the adapters is what the file has of it
            parameters[name].requires_grad_(True).copy_(value)
    return model
