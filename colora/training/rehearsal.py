"""A run in small, on noise: what its process has at most, how large its files are, how long a step takes.

What a run does with its network is done here: build it, look at a batch, train some steps, merge, write history,
checkpoint and model (into memory), read the model back, keep what is familiar to it. So the system's own figure of the
memory is taken, with all that no count of tensors knows: libraries, the convolutions' workspaces, gaps between blocks.
A batch too large to be tried within seconds is reckoned from a smaller one.
"""

import ctypes
import gc
import json
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow.parquet  # noqa: F401  these three only because a run has loaded them
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.tensorboard import SummaryWriter  # noqa: F401

import colora.training.run  # noqa: F401
from colora.adapters.history import packed_epoch
from colora.adapters.model import merge_, plain_state
from colora.adapters.walk import adapter_parameters
from colora.data.sources import SPLITS
from colora.networks.backbones import build
from colora.networks.methods import apply_method, settle_forms_
from colora.runs.features import FEATURE, packed_features
from colora.settings.config import RunConfig, make_config
from colora.settings.work import work_of
from colora.system.busy import Timed, timed
from colora.system.devices import memory
from colora.system.environment import forget_peak_memory, peak_memory_mib
from colora.system.errors import UserError
from colora.system.process import cpu_count
from colora.training.augment import augmented
from colora.training.checkpoint import checkpoint_tensors, load_plain, packed
from colora.training.estimate import Trial
from colora.training.familiar import kept_of
from colora.training.images import DeviceImages, autocast, choose_device, choose_precision, eval_batch_size, outputs
from colora.training.loop import make_optimizer, training_mode

FEW = 3  # images: what is held of these tells of more
TRIED_SECONDS = 1.0  # a batch that takes longer, on an idle machine, is not tried whole
MAPS = 1.1  # each more image of a large batch takes the maps held at once so many times; measured 1.03 to 1.18
ROOM = 0.6  # of the free memory is what a rehearsal may take


def rehearse(config: RunConfig, classes: int, at_once: int = 1) -> Trial:
    """Raises UserError where the network cannot be built on this machine. Kept, so that the same work is tried once.

    With `at_once` runs side by side each has its share of the processor's threads.
    """
    return _rehearsed(work_of(config).model_dump_json(), classes, at_once)


@cache
def _rehearsed(work: str, classes: int, at_once: int) -> Trial:
    config = make_config(json.loads(work))
    try:
        device = choose_device(config.device)
    except ValueError as error:
        raise UserError(f"{str(error).capitalize()}: choose device 'auto' or 'cpu'.", field="device") from error
    before = torch.get_num_threads()
    if config.threads or at_once > 1:
        torch.set_num_threads(config.threads or max(1, cpu_count() // at_once))
    try:
        return _Rehearsal(config, classes, device).trial()
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class _Tried:
    """Some work with `count` images: the process's peak after it and what each more image adds, in bytes; its time."""

    count: int
    peak: int
    image_bytes: int
    time: Timed

    def peak_with(self, count: int) -> int:
        return self.peak + (count - self.count) * self.image_bytes


class _Rehearsal:
    """A network of one config with its optimizer, and what a run does with them."""

    def __init__(self, config: RunConfig, classes: int, device: torch.device):
        _begin_anew(device)
        self.gpu = torch.cuda.mem_get_info(device) if device.type == "cuda" else (None, None)  # free, in all
        self.config, self.classes, self.device = config, classes, device
        self.precision = choose_precision(config.precision, device)
        self.model = build(config.backbone, classes, config.image_size)
        apply_method(self.model, config, seed=0)
        self.model.to(device, memory_format=torch.channels_last)
        settle_forms_(self.model, config, device, self.precision)
        self.optimizer = make_optimizer(self.model, config)
        noise = np.random.default_rng(0).integers(0, 256, (1, config.image_size, config.image_size), dtype=np.uint8)
        self.images = DeviceImages(noise, np.zeros(1, dtype=np.int64), device)
        self.draws = torch.Generator().manual_seed(0)

    def trial(self) -> Trial:
        config, built, looks = self.config, self._peak(), eval_batch_size(self.config, self.device)
        training_mode(self.model, config)
        stepped = self._tried(self._step, config.batch_size)
        files = self._files()
        self._read_back()
        before_end = self._peak()
        files |= self._end()
        at_end = self._peak() - before_end  # on top of what training took, most of which the process has kept
        most = max(built, self._peak(), stepped.peak_with(config.batch_size) + at_end)
        _begin_anew(self.device)
        looked = self._tried(self._look, looks)
        step, look = stepped.time, looked.time
        on_cpu, threads = self.device.type == "cpu", torch.get_num_threads()
        return Trial(
            device=str(self.device),
            memory_bytes=max(most, looked.peak_with(looks)),
            image_bytes=max(1, looked.image_bytes, stepped.image_bytes),
            built_bytes=built,
            **files,
            seconds_per_image=step.seconds / stepped.count,
            eval_seconds_per_image=look.seconds / looked.count,
            # what else a GPU does is not known
            idle_seconds_per_image=(step.idle_seconds(threads) if on_cpu else step.seconds) / stepped.count,
            idle_eval_seconds_per_image=(look.idle_seconds(threads) if on_cpu else look.seconds) / looked.count,
            others=max(step.others, look.others) if on_cpu else 0.0,
            gpu_free_bytes=self.gpu[0],
            gpu_bytes=self.gpu[1],
        )

    def _tried(self, work: Callable[[int], None], batch_size: int) -> _Tried:
        """`work` with one image, with a few, then with the batch or with as many of it as can be tried."""
        work(1)
        one, count = self._peak(), min(FEW, batch_size)
        with self._maps_held() as maps:
            work(count)
        held = int(MAPS * max(maps)) // count
        time = self._timed(work, count)
        for _ in range(2):  # each of many images takes less than each of a few
            affordable = int(count * TRIED_SECONDS / time.idle_seconds(torch.get_num_threads()))
            more = min(batch_size, affordable, self._room(held))
            if more <= count or (more < batch_size and more < 2 * count):
                break
            work(more)  # its first time is slower
            count, time = more, self._timed(work, more)
        whole = 1 < count == batch_size  # what a few images add is too steep for many
        return _Tried(count, self._peak(), max(held, (self._peak() - one) // (count - 1) if whole else 0), time)

    def _timed(self, work: Callable[[int], None], count: int) -> Timed:
        def once() -> None:
            work(count)
            if self.device.type == "cuda":
                torch.cuda.synchronize()

        return timed(once)

    def _look(self, count: int) -> None:
        with torch.inference_mode():
            self._logits(count).softmax(1).cpu()

    def _step(self, count: int) -> None:
        loss = cross_entropy(self._logits(count), torch.zeros(count, dtype=torch.int64, device=self.device))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def _logits(self, count: int) -> Tensor:
        """(count, classes) float32."""
        inputs = self.images.inputs(torch.zeros(count, dtype=torch.int64))
        if self.model.training:
            inputs = augmented(inputs, self.config.augment, self.draws)
        with autocast(self.device, self.precision):
            return self.model(inputs).float()

    def _files(self) -> dict[str, int]:
        """Bytes of what a run writes of its network, by their names in `Trial`."""
        adapters = adapter_parameters(self.model)
        moments = sum(v.nbytes for p in adapters for v in self.optimizer.state.get(p, {}).values())
        checkpoint = len(packed(checkpoint_tensors(self.model, self.optimizer), {}))
        merged = {1: merge_(self.model, 0, 1)} if adapters else {}
        factors = sum(t.nbytes for named in merged.get(1, {}).values() for t in named.values())
        return {
            "checkpoint_bytes": checkpoint - moments,
            "moments_bytes": moments,
            "model_bytes": len(packed(plain_state(self.model), {})),
            "epoch_bytes": len(packed_epoch(self.model, 2, merged)) - factors,
            "factor_bytes": factors,
        }

    def _read_back(self) -> None:
        """The selected model beside the trained one, at the end of a run."""
        state = {name: t.clone() for name, t in plain_state(self.model).items()}
        self.model = build(self.config.backbone, self.classes, self.config.image_size).eval()
        load_plain(self.model, state)
        self.model.to(self.device, memory_format=torch.channels_last)

    def _end(self) -> dict[str, int]:
        """What a run does once, when its selected model has looked at all images: a temperature, and what is familiar.
        Bytes that are written of it, by their names in `Trial`."""
        from colora.metrics import calibration  # scipy, which a run loads here too and not before

        found, label = outputs(self.model, self.images, 1, self.precision), np.zeros(1, dtype=np.int64)
        calibration.temperature(label, found.probabilities)
        written = len(packed_features(kept_of(dict.fromkeys(SPLITS, found), label)))
        one = found.features.shape[1] * FEATURE.itemsize
        return {
            "familiar_bytes": written - len(SPLITS) * one,
            "features_bytes": one,
            "maps_bytes": found.maps[0].nbytes,
        }

    def _peak(self) -> int:
        return int(peak_memory_mib(self.device) * 2**20)

    def _room(self, image_bytes: int) -> int:
        """How many images' maps the free memory takes."""
        free = torch.cuda.mem_get_info(self.device)[0] if self.device.type == "cuda" else memory()[0]
        return int(ROOM * free / max(1, image_bytes))

    @contextmanager
    def _maps_held(self) -> Iterator[list[int]]:
        """[bytes of the largest layer's input and output, bytes that autograd keeps between forward and backward]."""
        own, kept, held = {p.untyped_storage().data_ptr() for p in self.model.parameters()}, {}, [0, 0]

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        def note(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            held[0] = max(held[0], inputs[0].nbytes + output.nbytes)

        hooks = [layer.register_forward_hook(note) for layer in self.model.modules() if not list(layer.children())]
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            yield held
        held[1] = sum(kept.values())
        for hook in hooks:
            hook.remove()


def _begin_anew(device: torch.device) -> None:
    """What earlier work has freed goes back to the system, where glibc keeps it (colora.system.processor); the peak is
    what is in use now."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
    forget_peak_memory(device)
