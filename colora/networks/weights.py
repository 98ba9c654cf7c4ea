"""ImageNet weights: torchvision's own files, in torch hub's own folder, so that each is downloaded once.

Imports no torch.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from colora.settings.catalog import BACKBONES, split_backbone
from colora.system.download import Progress, RemoteFile, fetch, quiet, verify
from colora.system.errors import Cancelled, UserError
from colora.system.storage import Stop, file_size, never
from colora.system.typed import at_home

HOST = "https://download.pytorch.org/models"
# A name ends in the first digits of the file's SHA-256; megabytes, of 2^20 bytes, as torchvision states them.
IMAGENET: dict[str, tuple[str, float]] = {
    "vgg16": ("vgg16-397923af.pth", 527.796),
    "resnet50": ("resnet50-0676ba61.pth", 97.781),
    "resnet18": ("resnet18-f37072fd.pth", 44.661),
    "squeezenet1_1": ("squeezenet1_1-b8a52dc0.pth", 4.729),
    "mobilenet_v2": ("mobilenet_v2-b0353104.pth", 13.555),
}
ELSEWHERE = "set TORCH_HOME to another folder"


@dataclass(frozen=True)
class WeightsOnDisk:
    """One backbone's ImageNet file on this machine; bytes are 0 for what is not there."""

    backbone: str
    title: str
    path: Path
    megabytes: float  # of the complete file, 2^20 bytes each
    part_bytes: int
    bytes: int

    @property
    def whole_bytes(self) -> float:
        """Of the complete file, whether it is here or not."""
        return self.megabytes * 2**20

    @property
    def state(self) -> str:
        """One of "downloaded", "partial", "absent"."""
        return "downloaded" if self.bytes else "partial" if self.part_bytes else "absent"


def checkpoints_folder() -> Path:
    """torch.hub's folder of downloaded weights: $TORCH_HOME/hub/checkpoints, else under ~/.cache/torch. Raises
    UserError where this account has no home."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return at_home(os.environ.get("TORCH_HOME") or Path(cache, "torch"), ELSEWHERE) / "hub" / "checkpoints"


def remote_weights(spec: str) -> RemoteFile:
    """The file of a backbone, cut or not. Raises UserError for one that is unknown or has none."""
    backbone, _ = split_backbone(spec)
    if backbone not in IMAGENET:
        raise UserError(f"There are no ImageNet weights of {backbone} here: name a file.", field="weights")
    name, _ = IMAGENET[backbone]
    prefix = Path(name).stem.rpartition("-")[2]
    return RemoteFile(f"{HOST}/{name}", f"sha256:{prefix}", checkpoints_folder() / name, ELSEWHERE)


def weights_on_disk(spec: str) -> WeightsOnDisk:
    file, backbone = remote_weights(spec), split_backbone(spec)[0]
    return WeightsOnDisk(
        backbone,
        BACKBONES[backbone].title,
        file.path,
        IMAGENET[backbone][1],
        file_size(file.part),
        file_size(file.path),
    )


def get_weights(spec: str, on_progress: Progress = quiet, should_stop: Stop = never) -> WeightsOnDisk:
    """Download the file, or continue, unless it is there. Raises UserError with the ways around, or Cancelled."""
    try:
        fetch(remote_weights(spec), on_progress, should_stop)
    except Cancelled:
        raise
    except UserError as error:
        raise UserError(f"{error} A file elsewhere can be named with --weights FILE.", field="weights") from error
    return weights_on_disk(spec)


def damage(spec: str, on_progress: Progress = quiet) -> str | None:
    """What is wrong with the file that is there, and what to do; None if it is as published."""
    try:
        verify(remote_weights(spec), on_progress)
    except UserError as error:
        return str(error)
    return None
