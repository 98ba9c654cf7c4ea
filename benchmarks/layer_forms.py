"""One adapted layer, forward and backward, against the plain trainable one: which form pays where.

    GOMP_SPINCOUNT=1000 python benchmarks/layer_forms.py --out benchmarks/results/layer_forms.json
    python benchmarks/layer_forms.py --pointwise-rank 8 --threads 1 --clock processor --out MY.json
    python benchmarks/layer_forms.py --linear --threads 1 --clock processor --out MY.json
    python benchmarks/layer_forms.py --device cuda --precision bf16 --out MY.json

`colora.adapters.forms.choose_form` follows these tables. A ratio is the median over rounds of paired ratios, the forms
interleaved. `parallel` is the paper's own picture (figures 3 and 4), which only this benchmark has: two small
convolutions beside the frozen one. The processor's time of one thread is what a machine with other load still tells.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from colora.adapters.conv import CoLoRAConv
from colora.adapters.forms import Form
from colora.adapters.linear import CoLoRALinear
from colora.system.environment import environment
from colora.training.images import autocast, choose_device

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
LEAST_SECONDS = 0.01  # of one reading of the clock: small layers are called several times

# Cin, Cout, kernel, stride, pixels, batch
LAYERS = [
    (3, 64, 7, 2, 128, 32),
    (64, 64, 3, 1, 32, 32),
    (64, 64, 3, 1, 64, 32),
    (64, 128, 3, 1, 32, 32),
    (64, 128, 3, 2, 32, 32),
    (64, 128, 1, 2, 32, 32),
    (128, 128, 3, 1, 16, 32),
    (128, 256, 3, 2, 16, 32),
    (256, 256, 3, 1, 8, 32),
    (3, 64, 3, 1, 224, 4),
    (64, 64, 3, 1, 224, 4),
    (64, 128, 3, 1, 112, 4),
    (128, 128, 3, 1, 112, 4),
    (128, 256, 3, 1, 56, 4),
    (256, 256, 3, 1, 56, 4),
    (256, 512, 3, 1, 28, 4),
    (512, 512, 3, 1, 28, 4),
    (512, 512, 3, 1, 14, 4),
    (64, 256, 1, 1, 32, 32),
    (256, 64, 1, 1, 32, 32),
    (16, 64, 3, 1, 31, 32),
    (64, 256, 3, 1, 7, 32),
]

# ResNet-50 at 128 px, batch 16; ResNet-18's, SqueezeNet 1.1's and MobileNetV2's of another kind, batch 32
LOW_RANK = [
    (64, 64, 1, 1, 32, 16),
    (64, 64, 3, 1, 32, 16),
    (64, 256, 1, 1, 32, 16),
    (256, 64, 1, 1, 32, 16),
    (256, 128, 1, 1, 32, 16),
    (128, 128, 3, 2, 32, 16),
    (128, 512, 1, 1, 16, 16),
    (256, 512, 1, 2, 32, 16),
    (512, 128, 1, 1, 16, 16),
    (128, 128, 3, 1, 16, 16),
    (512, 256, 1, 1, 16, 16),
    (256, 256, 3, 2, 16, 16),
    (256, 1024, 1, 1, 8, 16),
    (512, 1024, 1, 2, 16, 16),
    (1024, 256, 1, 1, 8, 16),
    (256, 256, 3, 1, 8, 16),
    (1024, 512, 1, 1, 8, 16),
    (512, 512, 3, 2, 8, 16),
    (512, 2048, 1, 1, 4, 16),
    (1024, 2048, 1, 2, 8, 16),
    (2048, 512, 1, 1, 4, 16),
    (512, 512, 3, 1, 4, 16),
    (64, 128, 3, 2, 32, 32),
    (64, 128, 1, 2, 32, 32),
    (128, 256, 3, 2, 16, 32),
    (128, 256, 1, 2, 16, 32),
    (64, 16, 1, 1, 31, 32),
    (16, 64, 1, 1, 31, 32),
    (16, 64, 3, 1, 31, 32),
    (128, 32, 1, 1, 15, 32),
    (32, 128, 3, 1, 15, 32),
    (48, 192, 3, 1, 7, 32),
    (384, 48, 1, 1, 7, 32),
    (64, 256, 1, 1, 7, 32),
    (64, 256, 3, 1, 7, 32),
    (512, 64, 1, 1, 7, 32),
    (16, 96, 1, 1, 64, 32),
    (24, 144, 1, 1, 32, 32),
    (144, 24, 1, 1, 32, 32),
    (32, 192, 1, 1, 16, 32),
    (64, 384, 1, 1, 8, 32),
    (384, 64, 1, 1, 8, 32),
    (96, 576, 1, 1, 8, 32),
    (160, 960, 1, 1, 4, 32),
    (960, 160, 1, 1, 4, 32),
    (960, 320, 1, 1, 4, 32),
    (320, 1280, 1, 1, 4, 32),
]

# in, out, rows an image, batch: Swin-T's and ConvNeXt-T's at 128 px (ConvNeXt: 96 to 384 and back)
LINEAR = [
    (96, 288, 1024, 16),
    (96, 96, 1024, 16),
    (96, 384, 1024, 16),
    (384, 96, 1024, 16),
    (192, 768, 256, 16),
    (768, 192, 256, 16),
    (384, 1152, 64, 16),
    (384, 384, 64, 16),
    (384, 1536, 64, 16),
    (1536, 384, 64, 16),
    (768, 3072, 16, 16),
    (3072, 768, 16, 16),
    (768, 768, 1, 16),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pointwise-rank", type=int, help="of Kp; for linear layers 8 where none is given")
    parser.add_argument("--linear", action="store_true", help="linear layers: plain autograd against by hand")
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "mps", "cpu"))
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"), help="bf16: under autocast")
    parser.add_argument("--layout", default="channels_last", choices=LAYOUTS)
    parser.add_argument("--clock", default="wall", choices=CLOCKS, help="processor: of all threads, on a CPU")
    parser.add_argument("--threads", type=int, help="default: torch's own")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = choose_device(args.device)
    rows = []
    for shape in LINEAR if args.linear else LOW_RANK if args.pointwise_rank else LAYERS:
        rows.append((measure_linear if args.linear else measure)(shape, args, device))
        print(rows[-1], flush=True)
    result = {
        "command": " ".join(["python", *sys.argv]),
        "threads": torch.get_num_threads(),
        "clock": args.clock,
        "memory_format": args.layout,
        "precision": args.precision,
        "pointwise_rank": args.pointwise_rank or (8 if args.linear else None),
        "environment": environment(device) | {"command": None},
        "rows": rows,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")


class Parallel(nn.Module):
    """The inception order as drawn: y = conv(x, K0) + b0 + db + depthwise(pointwise(x)), autograd's own gradients."""

    def __init__(self, base: nn.Conv2d):
        super().__init__()
        adapter = CoLoRAConv(base, form="plain")
        self.base = base.requires_grad_(False)
        self.pointwise = nn.Parameter(adapter.pointwise[0, :, :, None, None].detach().clone())  # (Cout, Cin, 1, 1)
        self.depthwise = nn.Parameter(adapter.depthwise[0].unsqueeze(1).detach().clone())  # (Cout, 1, kh, kw)
        self.bias_update = nn.Parameter(torch.zeros_like(base.bias))

    def forward(self, x: Tensor) -> Tensor:
        z = conv2d(x, self.pointwise)  # (B, Cout, H, W)
        frozen, groups = self.base, len(self.depthwise)
        return frozen(x) + conv2d(z, self.depthwise, self.bias_update, frozen.stride, frozen.padding, groups=groups)


def measure(shape: tuple[int, ...], args: argparse.Namespace, device: torch.device) -> dict:
    """One row: the plain layer's milliseconds, each form's ratio to it, and the form that the rule chooses."""
    cin, cout, kernel, stride, pixels, batch = shape
    torch.manual_seed(0)
    low = args.pointwise_rank

    def conv() -> nn.Conv2d:
        return nn.Conv2d(cin, cout, kernel, stride, kernel // 2)

    layers = {
        "full": conv(),
        **({} if low else {"parallel": Parallel(conv())}),
        **{form: CoLoRAConv(conv(), form=form, pointwise_rank=low) for form in get_args(Form)},
    }
    for layer in layers.values():
        layer.to(device, memory_format=LAYOUTS[args.layout])
    x = torch.randn(batch, cin, pixels, pixels, device=device).to(memory_format=LAYOUTS[args.layout])
    x.requires_grad_(cin > 3)  # the image itself wants no gradient
    milliseconds, ratios, y = timed(layers, x, args, device)
    names = ("in_channels", "out_channels", "kernel", "stride", "pixels", "batch")
    chosen = layers["fused"].form_by_rule(batch * y.shape[2] * y.shape[3])
    return dict(zip(names, shape, strict=True)) | {"full_ms": milliseconds, **ratios, "chosen": chosen}


def measure_linear(shape: tuple[int, ...], args: argparse.Namespace, device: torch.device) -> dict:
    """One row: the plain layer's milliseconds, and the ratios to it of plain autograd and of the gradients by hand."""
    inputs, outputs, rows, batch = shape
    torch.manual_seed(0)
    layers = {"full": nn.Linear(inputs, outputs)}
    for name in ("plain", "by_hand"):
        layers[name] = CoLoRALinear(nn.Linear(inputs, outputs), pointwise_rank=args.pointwise_rank or 8)
    layers["plain"]._by_hand = lambda x: False
    for layer in layers.values():
        layer.to(device)
    milliseconds, ratios, _ = timed(
        layers, torch.randn(batch, rows, inputs, device=device).requires_grad_(), args, device
    )
    names = ("in_features", "out_features", "rows", "batch")
    return dict(zip(names, shape, strict=True)) | {"full_ms": milliseconds, **ratios}


def timed(
    layers: dict[str, nn.Module], x: Tensor, args: argparse.Namespace, device: torch.device
) -> tuple[float, dict[str, float], Tensor]:
    """The milliseconds of layers["full"], the others' ratios to them, and its output for x."""
    clock = CLOCKS[args.clock]

    def forward(layer: nn.Module) -> Tensor:
        with autocast(device, args.precision):
            return layer(x)

    y = forward(layers["full"]).detach()
    g = torch.randn_like(y)

    def seconds(layer: nn.Module, calls: int) -> float:
        wait_for(device)
        start = clock()
        for _ in range(calls):
            forward(layer).backward(g)
        wait_for(device)
        return (clock() - start) / calls

    for layer in layers.values():
        seconds(layer, 1)
    calls = max(1, int(LEAST_SECONDS / max(1e-6, min(seconds(layers["full"], 1) for _ in range(3)))))
    times = {name: [] for name in layers}
    for _ in range(args.rounds):
        for name, layer in layers.items():
            times[name].append(seconds(layer, calls))
    full = np.array(times["full"])
    ratios = {n: round(float(np.median(np.array(v) / full)), 3) for n, v in times.items() if n != "full"}
    return round(1000 * float(np.median(full)), 2), ratios, y


def wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


if __name__ == "__main__":
    main()
