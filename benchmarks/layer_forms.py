"""One adapted layer, forward and backward, against the plain trainable convolution: which form pays where.

    GOMP_SPINCOUNT=1000 python benchmarks/layer_forms.py --out benchmarks/results/layer_forms.json
    python benchmarks/layer_forms.py --device cuda --precision bf16 --out MY.json

`colora.adapters.forms.choose_form` follows this table. A ratio is the median over rounds of paired ratios, the forms
interleaved. `parallel` is the paper's own picture (figures 3 and 4), which only this benchmark has: two small
convolutions beside the frozen one.
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
from colora.adapters.forms import Form, choose_form
from colora.system.environment import environment
from colora.training.images import autocast, choose_device

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "mps", "cpu"))
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"), help="bf16: under autocast")
    parser.add_argument("--layout", default="channels_last", choices=LAYOUTS)
    args = parser.parse_args()
    device = choose_device(args.device)
    rows = []
    for shape in LAYERS:
        rows.append(measure(shape, args.rounds, device, args.precision, LAYOUTS[args.layout]))
        print(rows[-1], flush=True)
    result = {
        "command": " ".join(["python", *sys.argv]),
        "threads": torch.get_num_threads(),
        "memory_format": args.layout,
        "precision": args.precision,
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


def measure(
    shape: tuple[int, ...], rounds: int, device: torch.device, precision: str, layout: torch.memory_format
) -> dict:
    cin, cout, kernel, stride, pixels, batch = shape
    torch.manual_seed(0)

    def conv() -> nn.Conv2d:
        return nn.Conv2d(cin, cout, kernel, stride, kernel // 2)

    layers = {
        "full": conv(),
        "parallel": Parallel(conv()),
        **{form: CoLoRAConv(conv(), form=form) for form in get_args(Form)},
    }
    for layer in layers.values():
        layer.to(device, memory_format=layout)
    x = torch.randn(batch, cin, pixels, pixels, device=device).to(memory_format=layout)
    x.requires_grad_(cin > 3)  # the image itself wants no gradient

    def forward(layer: nn.Module) -> Tensor:
        with autocast(device, precision):
            return layer(x)

    g = torch.randn_like(forward(layers["full"]).detach())

    def timed(layer: nn.Module) -> float:
        wait_for(device)
        start = time.perf_counter()
        forward(layer).backward(g)
        wait_for(device)
        return time.perf_counter() - start

    for layer in layers.values():
        timed(layer)
    times = {name: [] for name in layers}
    for _ in range(rounds):
        for name, layer in layers.items():
            times[name].append(timed(layer))
    full = np.array(times["full"])
    ratios = {n: round(float(np.median(np.array(values) / full)), 3) for n, values in times.items() if n != "full"}
    names = ("in_channels", "out_channels", "kernel", "stride", "pixels", "batch")
    milliseconds = round(1000 * float(np.median(full)), 2)
    shape_named = dict(zip(names, shape, strict=True))
    chosen = choose_form(layers["fused"].base, batch * g.shape[2] * g.shape[3], device.type)
    return shape_named | {"full_ms": milliseconds, **ratios, "chosen": chosen}


def wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


if __name__ == "__main__":
    main()
