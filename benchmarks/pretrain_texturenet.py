r"""Pretrains TextureNet, the small backbone that is shipped, on generated shapes and textures.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/pretrain_texturenet.py --weights colora/networks/texturenet.safetensors \
                                            --out benchmarks/results/pretrain_texturenet.json

A picture is a texture (gratings, plaids, rings, cells, clouds, bent stripes) with up to six shapes on it (discs, bars,
crosses, rings, triangles; brighter or darker), under speckle and uneven contrast. The network tells the texture's
kind, and on an 8 x 8 grid which shapes lie where, how the stripes run and how wide they are. Nothing in it is drawn
from an eye, or from the phantom's classes. Every picture is seen once; all draws come from one seed.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, interpolate

from colora.networks.backbones import IMAGENET_MEAN, IMAGENET_STD
from colora.networks.texturenet import features
from colora.system.environment import environment

SIZE = 64
TEXTURES = ("grating", "plaid", "rings", "cells", "clouds", "bent stripes")
SHAPES = ("disc", "bar", "cross", "ring", "triangle")
MOST_SHAPES = 6
CELLS = 8  # the network's map at 64 px is 8 x 8


def scenes(count: int, draws: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """`count` pictures (N, 64, 64) in 0..1 and what is to be told of them.

    texture (N,) int64; shapes (N, 10, 8, 8) in {0, 1}: each kind, brighter then darker, in each cell; stripes
    (N, 3, 8, 8): cosine and sine of twice the direction and the log of the waves per side, 0 where none run.
    """
    axis = (torch.arange(SIZE) + 0.5) / SIZE
    y, x = torch.meshgrid(axis, axis, indexing="ij")  # (64, 64) each
    image, kind, stripes = _textures(count, x, y, draws)
    shapes = torch.zeros(count, 2 * len(SHAPES), CELLS, CELLS)
    number = torch.randint(0, MOST_SHAPES + 1, (count,), generator=draws)
    for k in range(MOST_SHAPES):
        which = torch.randint(0, len(SHAPES), (count,), generator=draws)
        darker = torch.rand(count, generator=draws) < 0.5
        cover = _shape(which, x, y, draws)  # (N, 64, 64) in 0..1
        strength = _uniform(count, 0.15, 0.6, draws)
        level = torch.where(darker, image.mean((1, 2)) - strength, image.mean((1, 2)) + strength)
        cover = cover * (k < number)[:, None, None]
        image = image + cover * (level[:, None, None] - image)
        there = interpolate(cover[:, None], size=(CELLS, CELLS), mode="area")[:, 0] > 0.12  # (N, 8, 8)
        rows = torch.arange(count)
        channel = which + len(SHAPES) * darker
        shapes[rows, channel] = torch.maximum(shapes[rows, channel], there.float())
    return _acquired(image, draws), {"texture": kind, "shapes": shapes, "stripes": stripes}


def _uniform(count: int, low: float, high: float, draws: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=draws)


def _field(count: int, cells: int, draws: torch.Generator) -> Tensor:
    """(N, 64, 64) smooth noise of about unit variance."""
    coarse = torch.randn(count, 1, cells, cells, generator=draws)
    return interpolate(coarse, size=(SIZE, SIZE), mode="bicubic", align_corners=True)[:, 0]


def _textures(count: int, x: Tensor, y: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    kind = torch.randint(0, len(TEXTURES), (count,), generator=draws)

    def column(low: float, high: float) -> Tensor:
        return _uniform(count, low, high, draws)[:, None, None]

    turn, waves, phase = column(0, math.pi), torch.exp(column(math.log(2), math.log(14))), column(0, 2 * math.pi)
    along = x * turn.cos() + y * turn.sin()  # (N, 64, 64)
    across = y * turn.cos() - x * turn.sin()
    bend = column(0.01, 0.08) * _field(count, 4, draws)
    radius = torch.hypot(x - column(0.2, 0.8), y - column(0.2, 0.8))

    def wave(position: Tensor) -> Tensor:
        return torch.sin(2 * math.pi * waves * position + phase)

    fine, coarse = _field(count, 24, draws), _field(count, 8, draws)
    drawn = torch.stack(
        [
            wave(along),
            0.5 * (wave(along) + wave(across)),
            wave(radius),
            torch.tanh(3 * wave(along) * wave(across)),
            0.6 * torch.where(column(0, 1) < 0.5, fine, coarse),
            wave(along + bend),
        ]
    )
    rows = torch.arange(count)
    picked = drawn[kind, rows]
    sharp = torch.where(column(0, 1) < 0.4, torch.tanh(4 * picked), picked)
    image = column(0.25, 0.75) + column(0.02, 0.35) * sharp + column(0, 0.12) * _field(count, 3, draws)
    stripes = torch.cat([(2 * turn).cos(), (2 * turn).sin(), waves.log() - 1.7], 1).reshape(count, 3, 1, 1)
    run = ((kind == 0) | (kind == 5)).reshape(count, 1, 1, 1)
    return image, kind, (stripes * run).expand(count, 3, CELLS, CELLS)


def _shape(which: Tensor, x: Tensor, y: Tensor, draws: torch.Generator) -> Tensor:
    """(N, 64, 64) in 0..1: how much of each pixel one shape of each picture covers."""
    count = len(which)

    def column(low: float, high: float) -> Tensor:
        return _uniform(count, low, high, draws)[:, None, None]

    turn, size, flat = column(0, 2 * math.pi), torch.exp(column(math.log(0.03), math.log(0.2))), column(0.35, 1)
    dx, dy = x - column(0.05, 0.95), y - column(0.05, 0.95)
    u, v = dx * turn.cos() + dy * turn.sin(), dy * turn.cos() - dx * turn.sin()
    thin = torch.clamp(0.25 * size, min=0.012)
    disc = torch.hypot(u, v / flat) - size
    bar = torch.maximum(u.abs() - 2.5 * size, v.abs() - thin)
    cross = torch.minimum(torch.maximum(u.abs() - size, v.abs() - thin), torch.maximum(v.abs() - size, u.abs() - thin))
    ring = (torch.hypot(u, v) - size).abs() - thin
    triangle = torch.maximum(-v, 0.5 * v + 0.87 * u.abs()) - 0.5 * size
    outside = torch.stack([disc, bar, cross, ring, triangle])[which, torch.arange(count)]
    return torch.clamp(0.5 - outside * SIZE, 0, 1)


def _acquired(image: Tensor, draws: torch.Generator) -> Tensor:
    """Speckle, grain, contrast and brightness of a device."""
    count = len(image)

    def column(low: float, high: float) -> Tensor:
        return _uniform(count, low, high, draws)[:, None, None]

    noise = torch.randn(2, *image.shape, generator=draws)
    image = image * (1 + column(0, 0.25) * noise[0]) + column(0, 0.06) * noise[1]
    return torch.clamp(column(0.6, 1.3) * image.clamp(min=1e-4) ** column(0.7, 1.6), 0, 1)


def inputs(images: Tensor) -> Tensor:
    """(N, 3, 64, 64) in ImageNet's normalisation, rounded to the 256 greys of a file."""
    grey = (images * 255).round() / 255
    rgb = (grey[..., None] - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
    return rgb.permute(0, 3, 1, 2)


class Teacher(nn.Module):
    """The backbone with batch norm after each convolution, which `folded` takes away, and 1x1 outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.features = features()
        for name, module in list(self.features.named_modules()):
            if isinstance(module, nn.Conv2d):
                parent, _, child = name.rpartition(".")
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                normed = nn.Sequential(module, nn.BatchNorm2d(module.out_channels))
                setattr(self.features.get_submodule(parent) if parent else self.features, child, normed)
        self.texture = nn.Linear(128, len(TEXTURES))
        self.cells = nn.Conv2d(128, 2 * len(SHAPES) + 3, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.features(x)  # (B, 128, 8, 8)
        shapes, stripes = self.cells(maps).split([2 * len(SHAPES), 3], 1)
        return self.texture(maps.mean((2, 3))), shapes, stripes

    def folded(self) -> nn.Sequential:
        """The plain backbone that computes the same in evaluation mode."""
        plain = features()
        for name, module in plain.named_modules():
            if isinstance(module, nn.Conv2d):
                conv, norm = self.features.get_submodule(name)
                module.load_state_dict(torch.nn.utils.fuse_conv_bn_eval(conv.eval(), norm.eval()).state_dict())
        return plain


def losses(model: Teacher, images: Tensor, wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    texture, shapes, stripes = model(inputs(images))
    return {
        "texture": cross_entropy(texture, wanted["texture"]),
        "shapes": binary_cross_entropy_with_logits(shapes, wanted["shapes"], pos_weight=torch.tensor(4.0)),
        "stripes": (stripes - wanted["stripes"]).square().mean(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    draws = torch.Generator().manual_seed(args.seed + 1)
    model = Teacher().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.steps)
    start = time.perf_counter()
    for step in range(1, args.steps + 1):
        parts = losses(model, *scenes(args.batch_size, draws))
        optimizer.zero_grad(set_to_none=True)
        (parts["texture"] + 4 * parts["shapes"] + 2 * parts["stripes"]).backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            told = ", ".join(f"{name} {value.item():.3f}" for name, value in parts.items())
            print(f"step {step}: {told}, {time.perf_counter() - start:.0f} s", flush=True)
    seconds = time.perf_counter() - start

    model.eval()
    images, wanted = scenes(2000, torch.Generator().manual_seed(args.seed + 2))
    with torch.inference_mode():
        held_out = {name: round(value.item(), 4) for name, value in losses(model, images, wanted).items()}
        accuracy = (model(inputs(images))[0].argmax(1) == wanted["texture"]).float().mean().item()
        plain = model.folded()
        difference = (plain(inputs(images[:100])) - model.features(inputs(images[:100]))).abs().max().item()
    save_file({f"features.{k}": v.half().contiguous() for k, v in plain.state_dict().items()}, args.weights)
    result = {
        "about": " ".join(__doc__.split()),
        "steps": args.steps, "batch_size": args.batch_size, "lr": args.lr, "seed": args.seed, "seconds": round(seconds),
        "held_out_pictures": len(images), "held_out_loss": held_out, "texture_accuracy": round(accuracy, 4),
        "folding_changes_outputs_by_at_most": difference, "weights_bytes": args.weights.stat().st_size,
        "environment": environment(torch.device("cpu")) | {"command": "python benchmarks/pretrain_texturenet.py"},
    }  # fmt: skip
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: result[k] for k in ("held_out_loss", "texture_accuracy", "seconds")}))


if __name__ == "__main__":
    main()
