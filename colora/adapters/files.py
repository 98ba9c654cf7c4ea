"""Adapters as files, in the form of the Hugging Face ecosystem: adapter_config.json + adapter_model.safetensors.

The weights are those of the factors, of whatever else trains (the head), and the buffers (batch norm's running
statistics), by their names in the bare model, whatever wraps it. For a model whose adapters are not merged yet. After
merges the frozen weights are no longer the base's: then keep the merged weights (`colora.adapters.model.plain_state`)
or the history (`colora.adapters.history`).
"""

import hashlib
import itertools
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from colora.adapters.aside import FIRST
from colora.adapters.layer import FACTORS, AdaptedLayer
from colora.adapters.model import CoLoRAConfig, config_of, exactly, put_adapters
from colora.adapters.named import (
    activated,
    adapter_names,
    add_built,
    call_first,
    put_modules,
    refuse_lone,
    standing_again,
)
from colora.adapters.sharded import to_shards, whole
from colora.adapters.walk import adapted_layers, bare_name, modules_by_name, unwrapped

CHECKED = ("weight", "bias")
NEEDED = ("target_modules", "order", "rank", "bias", "base_checksum")
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def base_checksum(model: nn.Module, layers: list[str], kinds: tuple[str, ...] = CHECKED) -> str:
    """SHA-256 over weights and biases of the named layers, adapted or plain: which base an adapter belongs to."""
    digest = hashlib.sha256()
    modules = modules_by_name(model)
    for name in sorted(layers):
        layer = modules[name]
        if isinstance(layer, AdaptedLayer):
            own = {"weight": layer.base_weight, "bias": layer.base_bias if layer.base.bias is not None else None}
        else:
            own = {"weight": layer.weight, "bias": getattr(layer, "bias", None)}
        for kind in kinds:
            if own[kind] is not None:
                digest.update(f"{name} {tuple(own[kind].shape)}".encode())
                digest.update(whole(own[kind].detach()).cpu().float().contiguous().numpy())
    return digest.hexdigest()


def parameters_by_name(model: nn.Module) -> dict[str, nn.Parameter]:
    return {bare_name(name): p for name, p in unwrapped(model).named_parameters()}


def names_in(layers: Iterable[str], kinds: Iterable[str]) -> set[str]:
    """The names of these parameters of the layers of these names."""
    return {f"{layer}.{kind}" if layer else kind for layer, kind in itertools.product(layers, kinds)}


def factors_and_trained(model: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """By name: the factors, which count whether they train or not, and whatever else trains, but no K0 and no b0."""
    layers, parameters = adapted_layers(model), parameters_by_name(model)
    ours, apart = names_in(layers, FACTORS), names_in(layers, (*FACTORS, *CHECKED))
    factors = {n: p for n, p in parameters.items() if n in ours}  # in the model's order, the same in every process
    return factors, {n: p for n, p in parameters.items() if p.requires_grad and n not in apart}


def buffers_by_name(model: nn.Module) -> dict[str, Tensor]:
    """Those that the state_dict has."""
    bare = unwrapped(model)
    kept = bare.state_dict()
    return {bare_name(name): b for name, b in bare.named_buffers() if name in kept}


def for_file(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole ones on the CPU, no two of which share their memory, as safetensors wants them."""
    ready: dict[str, Tensor] = {}
    memories: set[int] = set()
    for name, value in tensors.items():
        value = whole(value.detach()).cpu().contiguous()
        memory = value.untyped_storage().data_ptr()
        ready[name] = value.clone() if memory in memories else value
        memories.add(memory)
    return ready


def save_adapter(model: nn.Module, folder: Path | str, name: str | None = None) -> None:
    """Writes the active adapter, or the one of that name, whatever else trains, and the buffers into `folder`.

    The files are complete, or the folder holds no adapter: the configuration comes last. A model that FSDP2 has sharded
    is saved by a call in every process. Raises ValueError for a model without adapters, with some of different order or
    rank, since the file states one, with some that were merged, since the base they fit is gone, or in which nothing
    trains any more, since what trained beside the adapters cannot be told.
    """
    folder = Path(folder)
    with activated(model, name):
        config, tensors = _packed(model)
        weights = save(tensors)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    write_whole(folder / WEIGHTS, weights)
    write_whole(folder / CONFIG, (json.dumps(config, indent=1) + "\n").encode())


def _packed(model: nn.Module) -> tuple[dict, dict[str, Tensor]]:
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
    to_shards(unwrapped(model))
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
    factors, trained = factors_and_trained(model)
    if not any(p.requires_grad for p in (factors | trained).values()):
        raise ValueError(
            "nothing in the model trains, so that what trained beside the adapters cannot be told: save it before it "
            "is frozen, or set requires_grad of the adapters, and of what trained beside them, again"
        )
    return config, for_file(factors | trained | buffers_by_name(model))


def load_adapter(
    model: nn.Module,
    folder: Path | str,
    name: str | None = None,
    modules: Mapping[str, nn.Module] | None = None,
) -> nn.Module:
    """Adapts the base `model` as the adapter in `folder` says, in place, and returns it.

    A model that has adapters gets another one of that `name`, which `set_adapter` makes active; `modules` are put in
    the place of those of these names before, as `add_adapter` does it: a classifier of other classes.
    Raises ValueError, and leaves the model as it was, where the base is not the one the adapter was trained on, or
    lacks its layers, where the files are no adapter's, where the model has adapters and no new name is given, and as
    `adapt` does; FileNotFoundError where there are no files.
    """
    folder = Path(folder)
    try:
        config = json.loads((folder / CONFIG).read_text())
        tensors = load_file(folder / WEIGHTS)
        names, order, rank, bias, base = (config[key] for key in NEEDED)
        low = config.get("pointwise_rank")  # older files have none
        kinds = tuple(config.get("checksum_of", ("weight",)))  # in older files of the kernels alone
        if not all(isinstance(text, str) for text in (base, *names)) or not set(kinds) <= set(CHECKED):
            raise TypeError("values of another kind")
        settings = CoLoRAConfig(order, rank, exactly(names), bias, low, "conv+linear")
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{folder} holds no adapter that can be read ({type(error).__name__}: {error})") from error

    def build(plain: nn.Module) -> nn.Module:
        put_modules(unwrapped(plain), modules)
        layers = modules_by_name(plain)
        missing = [layer for layer in names if getattr(layers.get(layer), "weight", None) is None]
        if missing:
            raise ValueError(f"the adapter in {folder} is for a model with a layer {missing[0]!r}; this one has none")
        if base_checksum(plain, names, kinds) != base:
            raise ValueError(
                f"the adapter in {folder} was trained on another base: kernels or biases differ (after a merge they do "
                "too; then use colora.adapters.history or the merged weights)"
            )
        adapted = put_adapters(plain, settings)
        parameters = parameters_by_name(adapted)
        places = parameters | buffers_by_name(adapted)
        foreign = [n for n, value in tensors.items() if n not in places or places[n].shape != value.shape]
        if foreign:
            place, there = foreign[0], places.get(foreign[0])
            shapes = "" if there is None else f": of shape {tuple(tensors[place].shape)}, here {tuple(there.shape)}"
            raise ValueError(f"the adapter in {folder} has {place!r}, for which this model has no place{shapes}")
        factors, _ = factors_and_trained(adapted)
        lost = sorted(n for n in factors.keys() - tensors.keys() if not n.endswith("bias_update"))  # some may have none
        if lost:
            raise ValueError(f"the adapter in {folder} lacks {lost[0]!r}: the file is not whole")
        for trained in tensors.keys() & parameters.keys():
            parameters[trained].requires_grad = True
        return adapted

    @torch.no_grad()
    def fill(adapted: nn.Module) -> None:
        places = parameters_by_name(adapted) | buffers_by_name(adapted)
        for place, value in tensors.items():  # what trained beside the adapters is what the file has of it
            places[place].copy_(value)

    if adapter_names(model):
        if name is None:
            raise ValueError(f"the model has the adapter {adapter_names(model)[0]!r} already: give this one a name")
        add_built(unwrapped(model), name, build, fill)
        return model
    if name not in (None, FIRST):
        refuse_lone(unwrapped(model))
    with standing_again(unwrapped(model), only_after_errors=True):
        adapted = build(model)
        fill(adapted)
    call_first(adapted, name or FIRST)
    return adapted


def write_whole(path: Path, content: bytes) -> None:
    """A file that is complete or absent, whatever happens while it is written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
