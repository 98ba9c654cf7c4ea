"""Timed training steps of the methods, interleaved round by round in one process: `colora bench`.

A ratio is the median over rounds of a method's step time over full fine-tuning's in the same round, so that a machine
that slows down slows both. Weights are random and inputs are noise: neither changes the time of a step.

With more load than cores that is not enough: threads that wait for each other then wait for the scheduler, in some
operations longer than these take. The processor's time of one thread (`threads` 1) tells the methods apart there too.
"""

import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from colora.adapters.summary import count_parameters
from colora.adapters.walk import adapted_convolutions
from colora.networks.backbones import build
from colora.networks.methods import METHODS, apply_method, settle_forms_
from colora.settings.config import RunConfig, make_config
from colora.system.environment import environment, forget_peak_memory, peak_memory_mib
from colora.system.errors import UserError
from colora.training.images import autocast, choose_device, choose_precision

LORA_RANK = 8
CLASSES = 4
ADAPTERS = ("order", "rank", "pointwise_rank", "layers", "bias", "targets")  # settings that make a step another


def bench(config: RunConfig, methods: list[str], repeats: int, compiled: bool = False) -> dict[str, Any]:
    """{"results": [one row a method], "device", "threads", "memory_format", "precision", "compiled", "versions", ...},
    ready for JSON. `compiled` times the models under torch.compile, where every layer takes its plain form.

    A row: seconds (median step), ratio_to_full with ratio_low and ratio_high (the rounds' 25th and 75th percentiles),
    and ratio_to_head, where those were timed; processor_seconds of all threads and, on a CPU, processor_ratio_to_full;
    trainable parameters; peak_mib of a process that runs this method alone. "settings" are those of the adapters.
    Raises UserError for an unknown method or fewer than one round.
    """
    unknown = [m for m in methods if m not in (*METHODS, "lora")]
    if unknown:
        raise UserError(f"There is no method '{unknown[0]}' to time: {', '.join(METHODS)} and lora (PEFT's).")
    if repeats < 1:
        raise UserError(f"At least one round is needed, got {repeats}.")
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    if config.threads:
        torch.set_num_threads(config.threads)
    steps = {m: Step(config, m, device, precision, compiled) for m in methods}
    for step in steps.values():
        step()
        step()
    rounds = {m: [] for m in methods}
    for number in range(repeats):
        shift = number % len(methods)  # no method always runs first
        for m in methods[shift:] + methods[:shift]:
            rounds[m].append(_timed(steps[m], device))
    seconds, processor = ({m: np.array(v)[:, clock] for m, v in rounds.items()} for clock in (0, 1))
    about = environment(device)
    return {
        "backbone": config.backbone,
        "image_size": config.image_size,
        "batch_size": config.batch_size,
        "rounds": repeats,
        "settings": {name: getattr(config, name) for name in ADAPTERS},
        "results": [
            {
                "method": m,
                "seconds": float(np.median(seconds[m])),
                "images_per_s": float(config.batch_size / np.median(seconds[m])),
                **_ratios(seconds, m, "full"),
                **_ratios(seconds, m, "head"),
                "processor_seconds": float(np.median(processor[m])),
                **_processor_ratio(processor, m, device),
                "trainable": steps[m].trainable,
                "peak_mib": _peak_alone(config, m, compiled),
                **({"forms": steps[m].forms} if steps[m].forms else {}),
            }
            for m in methods
        ],
        "device": about["device"],
        "threads": torch.get_num_threads(),
        "memory_format": "channels_last",
        "precision": precision,
        "compiled": compiled,
        "versions": about["versions"] | ({"peft": version("peft")} if find_spec("peft") else {}),
        "environment": about,
    }


class Step:
    """One training step of one method on a model of its own: forward, backward, Adam."""

    def __init__(self, config: RunConfig, method: str, device: torch.device, precision: str, compiled: bool = False):
        self.device, self.precision = device, precision
        model = build(config.backbone, CLASSES, config.image_size)
        if method == "lora":
            model = with_lora(model)
            self.trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        else:
            apply_method(model, config.model_copy(update={"method": method}), seed=0)
            self.trainable = count_parameters(model)["trainable"]
        self.model = model.to(device, memory_format=torch.channels_last).train()
        settle_forms_(model, config, device, precision)
        self.forms = {name: "plain" if compiled else layer.form for name, layer in adapted_convolutions(model).items()}
        if compiled:
            self.model.compile()
        for module in self.model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        self.optimizer = torch.optim.Adam([p for p in self.model.parameters() if p.requires_grad])
        shape = (config.batch_size, 3, config.image_size, config.image_size)
        self.inputs = torch.randn(shape, device=device).to(memory_format=torch.channels_last)
        self.labels = torch.arange(config.batch_size, device=device) % CLASSES

    def __call__(self) -> None:
        with autocast(self.device, self.precision):
            loss = cross_entropy(self.model(self.inputs).float(), self.labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


def with_lora(model: nn.Module) -> nn.Module:
    """PEFT's LoRA (r=8) on the same convolutions, with the same head trainable.

    Raises UserError for a network whose convolutions it cannot adapt, such as MobileNetV2's depthwise ones.
    """
    from peft import LoraConfig, get_peft_model

    names = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and not n.startswith("head.")]
    try:
        adapted = get_peft_model(model, LoraConfig(r=LORA_RANK, target_modules=names))
    except ValueError as error:
        raise UserError(f"PEFT's LoRA cannot adapt this network, leave lora out of the methods: {error}") from error
    for name, parameter in adapted.named_parameters():
        if ".head." in name:
            parameter.requires_grad_(True)
    return adapted


def _timed(step: Step, device: torch.device) -> tuple[float, float]:
    """Seconds by the clock, and of the processor over all threads."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter(), time.process_time()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start[0], time.process_time() - start[1]


def _processor_ratio(seconds: dict[str, np.ndarray], method: str, device: torch.device) -> dict[str, float]:
    """Elsewhere than on a CPU the processor only hands the work on."""
    if device.type != "cpu" or "full" not in seconds:
        return {}
    return {"processor_ratio_to_full": float(np.median(seconds[method] / seconds["full"]))}


def _ratios(seconds: dict[str, np.ndarray], method: str, base: str) -> dict[str, float]:
    if base not in seconds:
        return {}
    paired = seconds[method] / seconds[base]
    low, middle, high = np.percentile(paired, [25, 50, 75])
    plain = base == "full"
    names = ("ratio_low", f"ratio_to_{base}", "ratio_high") if plain else ("", f"ratio_to_{base}", "")
    return {name: float(v) for name, v in zip(names, (low, middle, high), strict=True) if name}


def _peak_alone(config: RunConfig, method: str, compiled: bool) -> float:
    """Peak memory in MiB of a fresh process during three steps of `method`; building the model is left out.

    With glibc's moving threshold for mapped blocks the same process reads up to 6 % more or less; a fixed one repeats.
    """
    code = "import sys, json; from colora.training.bench import print_peak; print_peak(*json.loads(sys.argv[1]))"
    arguments = json.dumps([config.changes(), method, compiled])
    fixed = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", code, arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=fixed)
    return float(done.stdout)


def print_peak(settings: dict[str, Any], method: str, compiled: bool) -> None:
    """What the fresh process of `_peak_alone` runs."""
    config = make_config(settings)
    device = choose_device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    step = Step(config, method, device, choose_precision(config.precision, device), compiled)
    forget_peak_memory(device)
    for _ in range(3):
        step()
    print(peak_memory_mib(device))
