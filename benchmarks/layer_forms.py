"""One adapted layer, forward and backward, against the plain trainable convolution: which form pays where.

    GOMP_SPINCOUNT=1000 python benchmarks/layer_forms.py --out benchmarks/results/layer_forms.json

`colora.forms.choose_form` follows this table. A ratio is the median over rounds of paired ratios, the forms
interleaved.
"""

import argparse
import json
import time
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import nn

from colora.conv import CoLoRAConv
from colora.environment import environment
from colora.forms import Form, choose_form
from colora.images import choose_device

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
    args = parser.parse_args()
    device = choose_device("auto")
    rows = []
    for shape in LAYERS:
        rows.append(measure(shape, args.rounds, device))
        print(rows[-1], flush=True)
    result = {
        "command": "python benchmarks/layer_forms.py",
        "threads": torch.get_num_threads(),
        "environment": environment(device) | {"command": None},
        "rows": rows,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")


def measure(shape: tuple[int, ...], rounds: int, device: torch.device) -> dict:
    cin, cout, kernel, stride, pixels, batch = shape
    torch.manual_seed(0)

    def conv() -> nn.Conv2d:
        return nn.Conv2d(cin, cout, kernel, stride, kernel // 2)

    layers = {
        "full": conv(),
        **{form: CoLoRAConv(conv(), form=form) for form in get_args(Form)},
    }
    for layer in layers.values():
        layer.to(device, memory_format=torch.channels_last)
    x = torch.randn(batch, cin, pixels, pixels, device=device).to(memory_format=torch.channels_last)
    x.requires_grad_(cin > 3)  # the image itself wants no gradient
    g = torch.randn_like(layers["full"](x).detach())

    def timed(layer: nn.Module) -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        layer(x).backward(g)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    for layer in layers.values():
        timed(layer)
    times = {name: [] for name in layers}
    for _ in range(rounds):
        for name, layer in layers.items():
            times[name].append(timed(layer))
    full = np.array(times["full"])
    ratios = {name: round(float(np.median(np.array(times[name]) / full)), 3) for name in get_args(Form)}
    names = ("in_channels", "out_channels", "kernel", "stride", "pixels", "batch")
    milliseconds = round(1000 * float(np.median(full)), 2)
    shape_named = dict(zip(names, shape, strict=True))
    chosen = choose_form(layers["fused"].base, batch * g.shape[2] * g.shape[3])
    return shape_named | {"full_ms": milliseconds, **ratios, "chosen": chosen}


if __name__ == "__main__":
    main()
