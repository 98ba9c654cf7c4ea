"""Images on the compute device: the whole uint8 set lives there when it fits; batches are gathered and
normalised there."""

import warnings
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from colora.networks.backbones import IMAGENET_MEAN, IMAGENET_STD
from colora.settings.config import RunConfig


class DeviceImages:
    """Grey images (N, H, W) uint8 and labels (N,) int64, ready to be drawn as network input.

    On a GPU with less free memory than twice the set, the images stay in host memory and each batch is copied.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, device: torch.device):
        self.device = device
        fits = device.type != "cuda" or 2 * images.nbytes < torch.cuda.mem_get_info(device)[0]
        self.images = _shared(images).to(device if fits else "cpu")
        self.labels = torch.from_numpy(labels).to(device)
        self.rows: Tensor | None = None  # where image i of a subset lies in `images`
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        grey = torch.arange(256).unsqueeze(1)  # looking 256 greys up takes 2/3 of the time of computing each pixel
        self.normalised = (grey * (1 / (255 * std)) + (-mean / std)).to(device)  # (256, 3)

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, rows: np.ndarray, labels: np.ndarray) -> "DeviceImages":
        """Those at `rows` (n,), with `labels` (n,) of their own, over the same images: no pixel is copied."""
        part = copy(self)
        part.rows = torch.from_numpy(rows).to(self.images.device)
        part.labels = torch.from_numpy(labels).to(self.device)
        return part

    def inputs(self, index: Tensor) -> Tensor:
        """(B, 3, H, W) float32 in ImageNet's normalisation, in channels_last memory format."""
        index = index.to(self.images.device)
        grey = self.images[index if self.rows is None else self.rows[index]].to(self.device)  # (B, H, W)
        rgb = embedding(grey.int(), self.normalised)  # (B, H, W, 3): channels last without a copy
        return rgb.permute(0, 3, 1, 2)

    def batches(self, order: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs (B, 3, H, W) and labels (B,) of the images at `order`, `size` at a time; the last batch may
        be smaller."""
        for index in order.split(size):
            yield self.inputs(index), self.labels[index.to(self.device)]


def _shared(images: np.ndarray) -> Tensor:
    """A tensor on the array's own memory, which may be a file's, mapped read-only: nothing here writes to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(images))


@torch.inference_mode()
def probabilities(
    model: nn.Module,
    images: DeviceImages,
    batch_size: int,
    precision: str,
    before_batch: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Softmax of the logits in evaluation mode: (N, C) float32, rows sum to 1, in the images' order.

    What `before_batch` raises ends it.
    """
    was_training = model.training
    model.eval()
    found = _Rows(len(images))
    for inputs, _ in images.batches(torch.arange(len(images)), batch_size):
        before_batch()
        with autocast(images.device, precision):
            logits = model(inputs)  # (B, C)
        found.add(logits.float().softmax(1))
    model.train(was_training)
    return found.array()


class _Rows:
    """(count, D) float32 on the host, filled batch by batch: in one piece, since small pieces that stay between the
    large ones of a network's maps keep these from being given back."""

    def __init__(self, count: int):
        self.count, self.done = count, 0
        self.rows: Tensor | None = None

    def add(self, part: Tensor) -> None:
        if self.rows is None:
            self.rows = torch.empty((self.count, part.shape[1]))
        self.rows[self.done : self.done + len(part)] = part
        self.done += len(part)

    def array(self) -> np.ndarray:
        """When all are there."""
        assert self.rows is not None and self.done == self.count
        return self.rows.numpy()


@dataclass(frozen=True)
class Outputs:
    """What a model makes of N images, float32: probabilities (N, C); features (N, D), which the last layer reads; and
    maps (M, K), what the head reads, averaged over its places, of every so many images."""

    probabilities: np.ndarray
    features: np.ndarray
    maps: np.ndarray


def outputs(
    model: nn.Module,
    images: DeviceImages,
    batch_size: int,
    precision: str,
    before_batch: Callable[[], None] = lambda: None,
    maps_at: np.ndarray | None = None,
) -> Outputs:
    """`probabilities`, and from the same pass the features, and the maps of the images at `maps_at` (M,), ascending; by
    default of all."""
    features = _Rows(len(images))
    maps = _Rows(len(images) if maps_at is None else len(maps_at))
    done = 0

    def read(_: nn.Module, inputs: tuple[Tensor]) -> None:
        nonlocal done
        (seen,) = inputs  # (B, K, h, w)
        if maps_at is not None:
            first, last = np.searchsorted(maps_at, (done, done + len(seen)))
            here = torch.from_numpy(maps_at[first:last] - done).to(seen.device)
            done += len(seen)
            seen = seen[here]
        maps.add(seen.float().mean((2, 3)))

    head = model.get_submodule("head")
    last = [module for module in head.modules() if isinstance(module, nn.Linear)][-1]
    hooks = [
        head.register_forward_pre_hook(read),
        last.register_forward_pre_hook(lambda _, inputs: features.add(inputs[0])),
    ]
    try:
        found = probabilities(model, images, batch_size, precision, before_batch)
    finally:
        for hook in hooks:
            hook.remove()
    return Outputs(found, features.array(), maps.array())


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """bf16 autocast, or none for "fp32"."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def choose_device(wanted: str) -> torch.device:
    """`auto` is cuda, then mps, then cpu. Raises ValueError for a device this machine lacks."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        wanted = next(name for name, found in there.items() if found)
    if not there[wanted]:
        raise ValueError(f"this machine has no {wanted} device")
    return torch.device(wanted)


def choose_precision(wanted: str, device: torch.device) -> str:
    """`auto` is bf16 on a GPU that has it, else fp32."""
    if wanted != "auto":
        return wanted
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def eval_batch_size(config: RunConfig, device: torch.device) -> int:
    """On a CPU small batches stay in its caches (2 to 3 times as fast at 32 as at 256); a GPU gains up to about 256."""
    return 32 if device.type == "cpu" else max(config.batch_size, min(4 * config.batch_size, 256))
