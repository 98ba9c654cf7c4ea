"""TextureNet: a small backbone of our own, shipped with its weights, so that a first start needs no download.

It is pretrained on generated shapes and textures (benchmarks/pretrain_texturenet.py), never on eyes and never on the
phantom's classes. Five convolutions and 0.28 million weights: good enough to see CoLoRA at work on two CPU cores, no
substitute for an ImageNet backbone.
"""

from pathlib import Path

from torch import Tensor, nn

WEIGHTS = Path(__file__).with_name("texturenet.safetensors")


class Residual(nn.Module):
    """y = relu(x + conv(x)), a 3x3 convolution that keeps shape: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.conv(x)).relu()


def features() -> nn.Sequential:
    """(B, 3, H, W) -> (B, 128, H/8, W/8). Without batch norm, so a batch of one is computed as any other."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        Residual(64),
        nn.Conv2d(64, 128, 3, stride=2, padding=1),
        nn.ReLU(),
        Residual(128),
    )
