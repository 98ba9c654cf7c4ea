"""From what a rehearsal has told about one network to what a run takes: plain arithmetic, for launch and page alike.

A rehearsal (`rehearsal`) costs seconds and needs torch. Most settings do not change what it finds (settings.work):
those enter here, so that changing one of them measures nothing again. Imports no torch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from colora.data.sizes import Sizes, held_bytes
from colora.networks.weights import weights_on_disk
from colora.runs.features import MOST_MAPS
from colora.settings.config import KNOWN_WEIGHTS, RunConfig
from colora.system.devices import memory
from colora.system.process import Identity, resident_bytes
from colora.system.storage import file_size
from colora.system.typed import typed_path

MARGIN = 1.15  # of memory: in hours a run meets what a rehearsal does not in seconds; measured 1.00 to 1.10
LOADED = {".safetensors": 2}  # times a weights file is in memory while it is read; this one mapped and as tensors
START_SECONDS = 6.0  # from the queue to the first step, and from the last to `done`, without reading images
RUN_BYTES = 8_000  # settings, status, environment and the small files of the queue
EPOCH_BYTES = 1_900  # a line of metrics, one of the log, TensorBoard's scalars, the header of the predictions
TABLE_BYTES = 6_000  # a parquet file without rows
ROW_BYTES = 30  # of such a table: its ids, label and entropy, compressed; the probabilities come on top
ROW_HELD = 500  # bytes of memory of such a row while the table is made
FLOAT = 4
KEPT = 4  # times an image's features, as a file has them, are held while it is written: as float32, and packed twice


@dataclass(frozen=True)
class Trial:
    """What a rehearsal found. Bytes and seconds; `idle` is as nothing else ran on the processor's cores."""

    device: str
    memory_bytes: int  # of the process; of a GPU the device's. Without images and the file of weights
    image_bytes: int  # of that, what one more image in a batch adds
    built_bytes: int  # of the process once the network is there, before its first step
    checkpoint_bytes: int  # without the adapters' moments
    moments_bytes: int  # the adapters' moments, which a merge resets
    model_bytes: int
    familiar_bytes: int  # what is familiar to the model: grows with the square of its last map's channels
    features_bytes: int  # of each image, what the last layer reads
    maps_bytes: int  # of each image from which what is familiar is told, while it is
    epoch_bytes: int  # of the history, beside the factors
    factor_bytes: int  # of one merge, or of the adapters at an epoch's end without one
    seconds_per_image: float  # one training step's share
    eval_seconds_per_image: float  # of a network that only looks
    idle_seconds_per_image: float
    idle_eval_seconds_per_image: float
    others: float  # share of the processor's cores that other programs took meanwhile, 0 to 1
    gpu_free_bytes: int | None = None  # before the rehearsal; None where it was on the CPU
    gpu_bytes: int | None = None


def memory_bytes(found: Trial, config: RunConfig, sizes: Sizes | None) -> int:
    """The most that a run has at a time; of images, those that are read into memory and not mapped from a file.

    Where the images are not counted they are left out. On a GPU: its own memory, with the images in it.
    """
    held = held_bytes(config, sizes) if sizes else 0
    reading = found.built_bytes + weights_bytes(config) if found.device == "cpu" else 0
    factors = 2 * found.factor_bytes * max(0, _merges(config, 1, sizes) - 1)  # kept until the epoch is written
    return int(MARGIN * max(found.memory_bytes + factors, reading)) + held + _end_bytes(found, sizes)


def _end_bytes(found: Trial, sizes: Sizes | None) -> int:
    """What a run's end holds of all images, in the process's memory, beside what it takes for one."""
    if not sizes or found.device != "cpu":
        return 0
    told = {**sizes.images, "train": sizes.used}
    maps = found.maps_bytes * sum(min(count, MOST_MAPS) for count in told.values())
    table = ROW_HELD * max(sizes.images.values())  # one after the other
    return KEPT * found.features_bytes * sizes.all_images + maps + table


def largest_batch_size(found: Trial, config: RunConfig, needed: int, free: int) -> int:
    """That would fit into `free` bytes where `config` takes `needed`; 0 if not even the network does."""
    return max(0, config.batch_size + math.floor((free - needed) / (MARGIN * found.image_bytes)))


def weights_bytes(config: RunConfig) -> int:
    """That the file takes from which the run starts, while it is read; as far as it is known here."""
    if config.weights == "imagenet":
        return round(weights_on_disk(config.backbone).whole_bytes)
    if config.weights in KNOWN_WEIGHTS:
        return 0  # none, or of a network so small that its file does not count
    path = typed_path(config.weights)
    return LOADED.get(path.suffix, 1) * file_size(path)


def disk_bytes(found: Trial, config: RunConfig, sizes: Sizes | None, classes: int) -> int:
    """Of a finished run's folder: `fixed + epochs * each`. Without the predictions where the images are not counted."""
    fixed = RUN_BYTES + found.familiar_bytes + found.checkpoint_bytes + found.model_bytes
    if not _ends_in_a_reset(config, sizes):
        fixed += found.moments_bytes
    each = EPOCH_BYTES + found.epoch_bytes
    if sizes:
        fixed += 3 * TABLE_BYTES + sizes.all_images * (ROW_BYTES + FLOAT * classes + found.features_bytes)
        each += FLOAT * classes * (sizes.used + sizes.images["val"] + sizes.images["test"])
    kept = _merges(config, config.epochs, sizes) + _end_unmerged(config, sizes)
    return fixed + config.epochs * each + kept * found.factor_bytes


def _merges(config: RunConfig, epochs: int, sizes: Sizes | None) -> int:
    """How many there are in so many epochs; where the images are not counted, as if it were at most one an epoch."""
    if config.merge_unit == "epochs":
        return epochs // config.merge_every
    return epochs * steps_per_epoch(config, sizes) // config.merge_every if sizes else epochs


def _end_unmerged(config: RunConfig, sizes: Sizes | None) -> int:
    """How many epochs end with adapters that are not merged, which the history keeps."""
    if config.merge_unit == "steps" and sizes:
        steps = steps_per_epoch(config, sizes)
        return sum(epoch * steps % config.merge_every != 0 for epoch in range(1, config.epochs + 1))
    return config.epochs - _merges(config, config.epochs, sizes)


def steps_per_epoch(config: RunConfig, sizes: Sizes) -> int:
    return -(-sizes.used // config.batch_size)


def _ends_in_a_reset(config: RunConfig, sizes: Sizes | None) -> bool:
    """Whether the last checkpoint is written right after a merge that has reset the adapters' moments."""
    if config.optimizer_at_merge == "keep":
        return False
    if config.merge_unit == "epochs":
        return config.epochs % config.merge_every == 0
    return sizes is not None and config.epochs * steps_per_epoch(config, sizes) % config.merge_every == 0


def epoch_seconds(found: Trial, config: RunConfig, sizes: Sizes, idle: bool = False) -> float:
    """Of training on the images used, and of looking at each split; as busy as it was, or as on an idle machine."""
    step, look = _seconds(found, idle)
    seen = sizes.images["val"] + sizes.images["test"] + (sizes.used if config.train_figures == "full" else 0)
    return sizes.used * step + seen * look


def seed_seconds(found: Trial, config: RunConfig, sizes: Sizes, idle: bool = False) -> float:
    """From the start of a seed's process to its end, which looks at every image once more."""
    looking = _seconds(found, idle)[1] * sizes.all_images
    return START_SECONDS + config.epochs * epoch_seconds(found, config, sizes, idle) + looking


def _seconds(found: Trial, idle: bool) -> tuple[float, float]:
    if idle:
        return found.idle_seconds_per_image, found.idle_eval_seconds_per_image
    return found.seconds_per_image, found.eval_seconds_per_image


def free_bytes(tried: Trial, ahead: Sequence[Identity]) -> int:
    """Of this machine and this process's share of it now, once those ahead have ended; of a GPU as the rehearsal found
    it."""
    if tried.gpu_free_bytes is None:
        return memory()[0] + sum(map(resident_bytes, ahead))
    return tried.gpu_bytes if ahead else tried.gpu_free_bytes  # how much is whose cannot be asked in a container


def lower_what(largest_batch_size: int) -> str:
    """What makes a run fit into memory."""
    if largest_batch_size:
        return f"lower the batch size to {largest_batch_size} or less"
    return "take a smaller image size or backbone"
