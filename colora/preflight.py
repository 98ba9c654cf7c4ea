"""Before a run is queued: what it will take of memory, disk and time, from its model and one short training step.

A step with one image and one with three tell what each image adds. Estimates err by some tens of percent; they are
there to refuse what cannot fit, with what to lower, not to plan a cluster by.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from colora.adapt import adapted_layers
from colora.backbones import build
from colora.config import RunConfig
from colora.errors import UserError
from colora.fit import make_optimizer
from colora.images import autocast, choose_device, choose_precision
from colora.methods import apply_method
from colora.storage import check_room, size_text

PROBE = (1, 3)  # images
FLOAT = 4  # bytes; weights, moments and files are fp32
PROCESS_BYTES = 700_000_000  # Python with torch and torchvision, before a model is built


@dataclass(frozen=True)
class Estimate:
    """What one seed takes. Bytes and seconds; `seconds_per_image` is one training step's share, on this machine now."""

    device: str
    memory_bytes: int
    memory_free_bytes: int
    largest_batch_size: int  # that would fit, 0 if not even the network does
    disk_bytes: int
    seconds_per_image: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def estimate(config: RunConfig, classes: int = 4) -> Estimate:
    """Builds the network with random weights and trains it for one step on noise. Raises UserError as `build` does."""
    try:
        device = choose_device(config.device)
    except ValueError as error:
        raise UserError(f"{str(error).capitalize()}: choose device 'auto' or 'cpu'.", field="device") from error
    model = build(config.backbone, classes, config.image_size)
    apply_method(model, config, seed=0)
    model.to(device, memory_format=torch.channels_last)
    optimizer = make_optimizer(model, config)
    precision = choose_precision(config.precision, device)
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def step(count: int) -> None:
        inputs = torch.randn(count, config.image_size, config.image_size, 3, device=device).permute(0, 3, 1, 2)
        with autocast(device, precision):
            logits = model(inputs)  # (count, classes)
        cross_entropy(logits.float(), torch.zeros(count, dtype=torch.int64, device=device)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()

    kept = []
    for count in PROBE:
        with _kept_for_backward(own) as bytes_kept:
            step(count)
        kept.append(sum(bytes_kept.values()))
    start = time.perf_counter()
    step(PROBE[-1])
    seconds = (time.perf_counter() - start) / PROBE[-1]

    weights = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    each = (kept[1] - kept[0]) // (PROBE[1] - PROBE[0])
    per_image = 2 * each  # what backward keeps, and as much again for its own maps
    fixed = kept[0] - PROBE[0] * each + FLOAT * (weights + 3 * trained)  # gradients and Adam's two moments
    if device.type != "cuda":
        fixed += PROCESS_BYTES
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return Estimate(
        device=str(device),
        memory_bytes=fixed + config.batch_size * per_image,
        memory_free_bytes=free,
        largest_batch_size=max(0, int((free - fixed) // per_image)),
        disk_bytes=_disk_bytes(model, config, weights, trained),
        seconds_per_image=seconds,
    )


def check_fit(config: RunConfig, found: Estimate, seeds: int, runs_dir: Path) -> None:
    """Raises UserError, with what to lower, where a run cannot fit into memory or the runs onto the disk."""
    if found.memory_bytes > found.memory_free_bytes:
        lower = (
            f"lower the batch size to {found.largest_batch_size} or less"
            if found.largest_batch_size
            else "take a smaller image size or backbone"
        )
        raise UserError(
            f"Batch size {config.batch_size} at {config.image_size} px needs about {size_text(found.memory_bytes)} of "
            f"memory, but {size_text(found.memory_free_bytes)} are free on {found.device}: {lower}.",
            field="batch_size",
        )
    check_room(runs_dir, seeds * found.disk_bytes, f"The {seeds} run{'s' * (seeds > 1)}", "choose another --runs-dir")


def _disk_bytes(model: nn.Module, config: RunConfig, weights: int, trained: int) -> int:
    """Checkpoint with Adam's moments, the selected model, and the history: trained weights, each epoch."""
    head = sum(p.numel() for name, p in model.named_parameters() if name.startswith("head."))
    each_epoch = trained if adapted_layers(model) or config.method == "head" else head
    return FLOAT * (2 * weights + 2 * trained + config.epochs * each_epoch)


@contextmanager
def _kept_for_backward(own: set[int]) -> Iterator[dict[int, int]]:
    """{address: bytes} of what autograd keeps between forward and backward, storages at `own` addresses left out."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept
