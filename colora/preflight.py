"""Before a run is queued: what it will take of memory, disk and time, from its model and a few short training steps.

A step with one image and one with three tell what each image adds. Estimates err by some tens of percent; they are
there to refuse what cannot fit, with what to lower, not to plan a cluster by.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from colora.adapt import adapted_layers
from colora.backbones import build
from colora.config import RunConfig
from colora.data.sizes import Sizes
from colora.devices import memory
from colora.duration import duration
from colora.errors import UserError
from colora.fit import eval_batch_size, make_optimizer
from colora.images import autocast, choose_device, choose_precision
from colora.methods import apply_method
from colora.process import Identity, cpu_count, lives_here, resident_bytes
from colora.queue.order import run_folders, written_state
from colora.queue.verdict import process_file
from colora.runs import ACTIVE
from colora.storage import check_room, size_text

PROBE = (1, 3)  # images
PROBE_SECONDS = 2.0  # steps of a whole batch are timed where they do not take longer
FLOAT = 4  # bytes; weights, moments and files are fp32
PROCESS_BYTES = 700_000_000  # Python with torch and torchvision, before a model is built
START_SECONDS = 6.0  # from the queue to the first step, and from the last to `done`, without reading images


@dataclass(frozen=True)
class Estimate:
    """What one seed takes. Bytes and seconds; those per image hold for this machine as busy as it is now."""

    device: str
    memory_bytes: int
    memory_free_bytes: int  # each seed's share, where several train at once
    largest_batch_size: int  # that would fit, 0 if not even the network does
    disk_bytes: int
    seconds_per_image: float  # one training step's share
    eval_seconds_per_image: float  # of a network that only looks


@dataclass(frozen=True)
class Preflight:
    """An estimate against what there is, for a whole group. Times are None where the images cannot be counted."""

    estimate: Estimate
    seeds: int
    slots: int  # seeds that train at the same time
    disk_free_bytes: int
    images: dict[str, int] | None  # used, train, val, test
    seconds_per_epoch: float | None
    seconds_per_seed: float | None
    seconds: float | None  # until all seeds are done, once the first has started
    refused: str | None  # what cannot fit, and what to lower
    field: str | None  # the setting that this is about

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the estimate's figures beside the others."""
        values = asdict(self)
        return values.pop("estimate") | values

    def says(self) -> str:
        """One line for people."""
        found, each = self.estimate, self.seeds > 1
        parts = [
            f"{size_text(found.memory_bytes)} of memory ({size_text(found.memory_free_bytes)} free on {found.device})",
            f"{size_text(found.disk_bytes)} of disk ({size_text(self.disk_free_bytes)} free)",
            "time is known after an epoch" if self.seconds_per_seed is None else duration(self.seconds_per_seed),
        ]
        line = f"Estimated{' for each seed' if each else ''}: {', '.join(parts)}"
        return line + (f"; {duration(self.seconds)} for all {self.seeds}." if each and self.seconds else ".")


def preflight(
    config: RunConfig,
    seeds: int,
    runs_dir: Path,
    sizes: Sizes | None,
    slots: int = 1,
    classes: int | None = None,  # default: those of the data, or 4
    at_once: int = 1,  # seeds that share the device's memory
) -> Preflight:
    """Raises UserError where the network cannot be built on this machine; what cannot fit is said in `refused`."""
    there = next(folder for folder in (runs_dir.absolute(), *runs_dir.absolute().parents) if folder.exists())
    found = estimate(config, classes or (sizes.classes if sizes else 4), trains_ahead(there, slots), at_once)
    refused = field = epoch = seed = whole = None
    try:
        check_fit(config, found, seeds, there, at_once)
    except UserError as error:
        refused, field = str(error), error.field
    if sizes:
        epoch = _epoch_seconds(config, found, sizes)
        seed = START_SECONDS + config.epochs * epoch + found.eval_seconds_per_image * sizes.all_images
        whole = seed * -(-seeds // slots)
    images = {"used": sizes.used, **sizes.images} if sizes else None
    free = shutil.disk_usage(there).free
    return Preflight(found, seeds, slots, free, images, epoch, seed, whole, refused, field)


def _epoch_seconds(config: RunConfig, found: Estimate, sizes: Sizes) -> float:
    seen = sizes.images["val"] + sizes.images["test"] + (sizes.used if config.train_figures == "full" else 0)
    return sizes.used * found.seconds_per_image + seen * found.eval_seconds_per_image


def estimate(config: RunConfig, classes: int = 4, ahead: Sequence[Identity] = (), at_once: int = 1) -> Estimate:
    """Builds the network with random weights and trains it for a few steps on noise. Raises UserError as `build`.

    The memory of the processes `ahead`, which will have ended by then, counts as free; of what is free, and of the
    CPU's threads, each of the `at_once` seeds that train side by side has its share.
    """
    try:
        device = choose_device(config.device)
    except ValueError as error:
        raise UserError(f"{str(error).capitalize()}: choose device 'auto' or 'cpu'.", field="device") from error
    if config.threads or at_once > 1:
        torch.set_num_threads(config.threads or max(1, cpu_count() // at_once))
    model = build(config.backbone, classes, config.image_size)
    apply_method(model, config, seed=0)
    model.to(device, memory_format=torch.channels_last)
    optimizer = make_optimizer(model, config)
    precision = choose_precision(config.precision, device)
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def forward(count: int) -> Tensor:
        inputs = torch.randn(count, config.image_size, config.image_size, 3, device=device).permute(0, 3, 1, 2)
        with autocast(device, precision):
            return model(inputs).float()  # (count, classes)

    def step(count: int) -> None:
        cross_entropy(forward(count), torch.zeros(count, dtype=torch.int64, device=device)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def look(count: int) -> None:
        with torch.inference_mode():
            forward(count)

    kept = []
    for count in PROBE:
        with _kept_for_backward(own) as bytes_kept:
            step(count)
        kept.append(sum(bytes_kept.values()))

    weights = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    each = (kept[1] - kept[0]) // (PROBE[1] - PROBE[0])
    per_image = 2 * each  # what backward keeps, and as much again for its own maps
    fixed = kept[0] - PROBE[0] * each + FLOAT * (weights + 3 * trained)  # gradients and Adam's two moments
    if device.type != "cuda":
        fixed += PROCESS_BYTES
    free = _free_bytes(device, ahead) // at_once
    largest = max(0, int((free - fixed) // per_image))
    seconds = _seconds_per_image(step, min(config.batch_size, largest), device)
    model.eval()
    looking = _seconds_per_image(look, min(eval_batch_size(config, device), largest), device)
    return Estimate(
        device=str(device),
        memory_bytes=fixed + config.batch_size * per_image,
        memory_free_bytes=free,
        largest_batch_size=largest,
        disk_bytes=_disk_bytes(model, config, weights, trained),
        seconds_per_image=seconds,
        eval_seconds_per_image=looking,
    )


def _seconds_per_image(work: Callable[[int], None], batch_size: int, device: torch.device) -> float:
    """Of a whole batch, the second time, where that is quick enough to try; else of a few images."""

    def timed(count: int) -> float:
        start = time.perf_counter()
        work(count)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / count

    found = timed(PROBE[-1])
    if batch_size > PROBE[-1] and 2 * batch_size * found < PROBE_SECONDS:
        timed(batch_size)
        found = timed(batch_size)
    return found


def _free_bytes(device: torch.device, ahead: Sequence[Identity]) -> int:
    """Of the GPU's memory, or of this machine's and this process's share of it, once those ahead have ended."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total if ahead else free  # how much is whose cannot be asked in a container
    return memory()[0] + sum(map(resident_bytes, ahead))


def trains_ahead(runs_dir: Path, slots: int) -> list[Identity]:
    """The training processes of this folder that have to end before another run has a slot."""
    folders = [folder for folder in run_folders(runs_dir) if written_state(folder) in ACTIVE]
    trainers = [process_file(folder).get("child") for folder in folders]
    return [known for known in trainers if lives_here(known)][slots - 1 :]


def check_fit(config: RunConfig, found: Estimate, seeds: int, runs_dir: Path, at_once: int = 1) -> None:
    """Raises UserError, with what to lower, where a run cannot fit into memory or the runs onto the disk."""
    if found.memory_bytes > found.memory_free_bytes:
        lower = (
            f"lower the batch size to {found.largest_batch_size} or less"
            if found.largest_batch_size
            else "take a smaller image size or backbone"
        )
        each = f" for each of the {at_once} seeds that train at once" if at_once > 1 else ""
        fewer = ", or train fewer at a time (colora supervise)" if at_once > 1 else ""
        raise UserError(
            f"Batch size {config.batch_size} at {config.image_size} px needs about {size_text(found.memory_bytes)} of "
            f"memory, but {size_text(found.memory_free_bytes)} are free on {found.device}{each}: {lower}{fewer}.",
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
