"""The training loop: one epoch of steps, its merges, and the figures of every split after it.

Knows nothing of files but the run it reports to; `run` writes what comes out of it.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from colora.adapters.history import Factors
from colora.adapters.layer import keyed_generator
from colora.adapters.model import merge_
from colora.adapters.walk import adapter_parameters
from colora.data.sources import SPLITS
from colora.metrics import classification
from colora.runs.folder import Run
from colora.settings.config import RunConfig
from colora.system.environment import peak_memory_mib
from colora.system.errors import UserError
from colora.training.augment import augmented
from colora.training.images import DeviceImages, autocast, eval_batch_size, probabilities
from colora.training.reporter import Reporter, heed

CHECK_SECONDS = 0.5  # how often a step looks at the loss and tells how far it is


def make_optimizer(model: nn.Module, config: RunConfig) -> torch.optim.Optimizer:
    """Adam over what trains; the head, in a group of its own, has its own rate. `schedule` scales both from "peak"."""
    head, rest = [], []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (head if name.startswith("head.") else rest).append(parameter)
    rates = (config.lr_head or config.lr, config.lr)
    groups = [{"params": p, "lr": rate, "peak": rate} for p, rate in zip((head, rest), rates, strict=True) if p]
    return torch.optim.Adam(groups, eps=config.eps)


@dataclass
class Fit:
    """The training loop over what it needs; `step` and `merges` count from the start of the run."""

    run: Run
    config: RunConfig
    seed: int
    model: nn.Module
    optimizer: torch.optim.Optimizer
    images: dict[str, DeviceImages]
    precision: str
    reporter: Reporter
    should_stop: Callable[[], bool]
    step: int = 0
    merges: int = 0

    def epoch(self, epoch: int) -> tuple[dict[str, Any], dict[int, Factors], dict[str, np.ndarray]]:
        """Train one epoch, merge, evaluate: (metrics row, factors by merge number, probabilities by split)."""
        merged: dict[int, Factors] = {}
        start = time.perf_counter()
        seen = self._train_epoch(epoch, merged)
        if (
            self.config.method == "colora"
            and self.config.merge_unit == "epochs"
            and epoch % self.config.merge_every == 0
        ):
            self._merge(merged)
        if self.images["used"].device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start

        row: dict[str, Any] = {"epoch": epoch}
        outputs = {}
        for split in SPLITS:
            images = self.images["used" if split == "train" else split]
            if split == "train" and seen is not None:
                outputs[split] = seen
            else:
                size = eval_batch_size(self.config, images.device)
                outputs[split] = probabilities(self.model, images, size, self.precision, lambda: self._heed(epoch))
            labels = images.labels.cpu().numpy()
            row[f"{split}_loss"] = classification.cross_entropy(labels, outputs[split])
            row[f"{split}_accuracy"] = classification.accuracy(labels, outputs[split])
            row[f"{split}_auc"] = classification.macro_auc(labels, outputs[split])
        row["seconds"] = seconds
        row["eval_seconds"] = time.perf_counter() - start - seconds
        row["images_per_s"] = len(self.images["used"]) / seconds
        row["peak_memory_mib"] = peak_memory_mib(self.images["used"].device)
        row["merges"] = self.merges
        return row, merged, outputs

    def _train_epoch(self, epoch: int, merged: dict[int, Factors]) -> np.ndarray | None:
        """The steps of one epoch; with train_figures="pass" the probabilities (N, C) each image got in its step."""
        config, images = self.config, self.images["used"]
        draws = keyed_generator(self.seed, "order", epoch)
        torch.manual_seed(keyed_generator(self.seed, "dropout", epoch).initial_seed())
        order = torch.randperm(len(images), generator=draws)
        steps = -(-len(images) // config.batch_size)
        training_mode(self.model, config)
        seen: list[torch.Tensor] = []
        total, looked = torch.zeros((), device=images.device), time.monotonic()
        for number, (inputs, labels) in enumerate(images.batches(order, config.batch_size), start=1):
            inputs = augmented(inputs, config.augment, draws)
            with autocast(images.device, self.precision):
                logits = self.model(inputs)  # (B, C)
            loss = cross_entropy(logits.float(), labels)
            if config.train_figures == "pass":
                seen.append(logits.detach().float().softmax(1))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self._set_rates(steps)
            self.optimizer.step()
            self.step += 1
            total += loss.detach()
            if config.method == "colora" and config.merge_unit == "steps" and self.step % config.merge_every == 0:
                self._merge(merged)
            if time.monotonic() - looked > CHECK_SECONDS or number == steps:
                looked = time.monotonic()
                self._check_loss(total, epoch)
                self.reporter.write(step=number, steps=steps)
            self._heed(epoch)
        return torch.cat(seen)[order.argsort().to(images.device)].cpu().numpy() if seen else None

    def _heed(self, epoch: int) -> None:
        """After a step, and before a batch of an evaluation."""
        where = f"in epoch {epoch}; resume continues after epoch {epoch - 1}."
        heed(self.run, self.reporter, self.should_stop, where)

    def _set_rates(self, steps_per_epoch: int) -> None:
        """Half a cosine from each group's peak to 0 over the whole run (Loshchilov & Hutter, SGDR, no restarts)."""
        if self.config.schedule == "cosine":
            done = self.step / (self.config.epochs * steps_per_epoch)
            for group in self.optimizer.param_groups:
                group["lr"] = group["peak"] * 0.5 * (1 + math.cos(math.pi * done))

    def _check_loss(self, total: torch.Tensor, epoch: int) -> None:
        if not torch.isfinite(total):
            rates = " and ".join(f"{rate:g}" for rate in dict.fromkeys(g["peak"] for g in self.optimizer.param_groups))
            raise UserError(
                f"The loss became infinite or not a number in epoch {epoch} at learning rate {rates}: "
                "lower the learning rate."
            )

    def _merge(self, merged: dict[int, Factors]) -> None:
        self.merges += 1
        factors = merge_(self.model, self.seed, self.merges)
        merged[self.merges] = {layer: {k: t.cpu() for k, t in named.items()} for layer, named in factors.items()}
        if self.config.optimizer_at_merge == "reset":
            for parameter in adapter_parameters(self.model):
                self.optimizer.state.pop(parameter, None)


def training_mode(model: nn.Module, config: RunConfig) -> None:
    """As in a step: batch norm takes its own statistics or the pretrained ones, as the config says."""
    model.train()
    if config.batch_norm == "eval":
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
