"""Random changes of training images that leave their class as it is; drawn on the CPU, the same on every device."""

import torch
from torch import Tensor
from torch.nn.functional import pad

SHIFT = 1 / 16  # the most an image is moved, as a share of its side


def augmented(inputs: Tensor, kind: str, draws: torch.Generator) -> Tensor:
    """`inputs` (B, C, H, W) with each image changed on its own: "none", "flip", or "flip+shift".

    flip: half of the images, left to right. shift: up to 1/16 of the side along both axes, the border repeated.
    """
    if kind == "none":
        return inputs
    mirrored = (torch.rand(len(inputs), generator=draws) < 0.5).to(inputs.device)
    inputs = torch.where(mirrored[:, None, None, None], inputs.flip(3), inputs)
    return inputs if kind == "flip" else _shifted(inputs, draws)


def _shifted(inputs: Tensor, draws: torch.Generator) -> Tensor:
    count, _, height, width = inputs.shape
    most = round(SHIFT * height)
    start = torch.randint(0, 2 * most + 1, (2, count, 1), generator=draws).to(inputs.device)
    rows = start[0] + torch.arange(height, device=inputs.device)  # (B, H)
    columns = start[1] + torch.arange(width, device=inputs.device)  # (B, W)
    wide = pad(inputs, (most, most, most, most), mode="replicate").permute(0, 2, 3, 1)  # (B, H', W', C)
    each = torch.arange(count, device=inputs.device)[:, None, None]
    return wide[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)  # channels last, as it came
