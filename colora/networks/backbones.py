"""Networks to fine-tune: torchvision backbones and a small one of our own, with the paper's head, and their weights.

A model is an `nn.Sequential` whose children keep torchvision's names, so that state_dict keys are the backbone's own
("features.0.weight", "layer1.0.conv1.weight") and the head's are "head.*". Input (B, 3, H, W) in ImageNet's
normalisation, output logits (B, classes).
"""

import hashlib
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn

from colora.adapters.layer import keyed_generator
from colora.networks import texturenet
from colora.networks.tensor_file import read_weights
from colora.networks.vision import torchvision
from colora.networks.weights import get_weights, remote_weights
from colora.settings.catalog import BACKBONES, BackboneInfo, split_backbone
from colora.system.download import Progress, matches, quiet
from colora.system.errors import UserError
from colora.system.typed import typed_path

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HEAD_WIDTH = 128
HEAD_SIDE = 7  # the head's feature map is pooled down to this where it is larger


def build(spec: str, classes: int, image_size: int, seed: int = 0) -> nn.Sequential:
    """Backbone and head with random weights, drawn by `seed` (features by torch's own rules).

    `spec` is a name of `catalog.BACKBONES`, with a cut as in "resnet18:layer3" or "vgg16:features.16".
    Raises UserError for an unknown name or block, or an image too small for the network.
    """
    name, cut = split_backbone(spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(keyed_generator(seed, "build").initial_seed()))
        blocks = _blocks(name, BACKBONES[name])
        if cut:
            blocks = _cut(blocks, cut.split("."), spec)
        channels, side = _feature_shape(blocks, image_size, spec)
        return nn.Sequential(OrderedDict([*blocks.items(), ("head", _head(channels, side, classes))]))


def build_meta(spec: str, classes: int, image_size: int) -> nn.Sequential:
    """The same network without storage, for counting."""
    with torch.device("meta"):
        return build(spec, classes, image_size)


def _blocks(name: str, info: BackboneInfo) -> OrderedDict[str, nn.Module]:
    if info.kind == "own":
        return OrderedDict(features=texturenet.features())
    if name == "vgg16":
        return OrderedDict(features=_vgg16_features())
    network = getattr(torchvision.models, name)(weights=None)
    if info.kind == "features":
        return OrderedDict(features=network.features)
    return OrderedDict((n, m) for n, m in network.named_children() if n not in ("avgpool", "fc"))


def _vgg16_features() -> nn.Sequential:
    """torchvision's, drawn by its rule. Its own constructor also draws a classifier: eight times as many weights, which
    would be the process's peak memory."""
    features = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    for module in features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)
    return features


def _cut(blocks: OrderedDict[str, nn.Module], path: list[str], spec: str) -> OrderedDict[str, nn.Module]:
    """`blocks` up to and including the one at `path`, descending through nn.Sequential."""
    names = list(blocks)
    if path[0] not in blocks:
        raise UserError(
            f"'{spec}': there is no block '{path[0]}' to cut after; there are {', '.join(names)}.", field="backbone"
        )
    kept = OrderedDict((n, blocks[n]) for n in names[: names.index(path[0]) + 1])
    if len(path) > 1:
        inner = kept[path[0]]
        if not isinstance(inner, nn.Sequential):
            raise UserError(f"'{spec}': '{path[0]}' cannot be cut inside.", field="backbone")
        kept[path[0]] = nn.Sequential(_cut(OrderedDict(inner.named_children()), path[1:], spec))
    return kept


def _feature_shape(blocks: OrderedDict[str, nn.Module], image_size: int, spec: str) -> tuple[int, int]:
    """Channels and side of the feature map, by a pass of no image at all.

    Not by torch's meta device, which gives shapes as well: it imports torch's compiler, and that takes over a second.
    """
    features = nn.Sequential(blocks)
    no_image = torch.empty(0, 3, image_size, image_size, device=next(features.parameters()).device)
    try:
        with torch.no_grad():
            out = features.eval()(no_image)
    except RuntimeError as error:
        raise UserError(
            f"{spec} cannot take images of {image_size} px: they vanish on the way.", field="image_size"
        ) from error
    features.train()
    return out.shape[1], out.shape[2]


def _head(channels: int, side: int, classes: int) -> nn.Sequential:
    """The paper's head (section 4.2): 1x1 convolution to 128, flatten, 128 ReLU, classes."""
    pool = [nn.AdaptiveAvgPool2d(HEAD_SIDE)] if side > HEAD_SIDE else []
    side = min(side, HEAD_SIDE)
    return nn.Sequential(
        *pool,
        nn.Conv2d(channels, HEAD_WIDTH, 1),  # (B, 128, side, side)
        nn.Flatten(),
        nn.Linear(HEAD_WIDTH * side * side, 128),
        nn.ReLU(),
        nn.Linear(128, classes),
    )


def load_weights(model: nn.Sequential, spec: str, weights: str, partial: bool = False) -> tuple[str | None, list[str]]:
    """Put pretrained weights into the features of `build(spec)`, in place; the head stays as drawn.

    Returns the file's SHA-256 (None for weights="none") and the names of features that stayed random, which is empty
    unless `partial`. Raises UserError as `matching_weights` does.
    """
    if weights == "none":
        return None, []
    path = weights_file(spec, weights)
    tensors, missing = matching_weights(model, spec, path, partial)
    checksum = _sha256(path)
    if weights == "imagenet" and not matches(remote_weights(spec), checksum):
        raise UserError(
            f"{path} is not the file that torchvision publishes: delete it, and it is fetched anew.", "weights"
        )
    model.load_state_dict(tensors, strict=False)
    return checksum, missing


def matching_weights(model: nn.Sequential, spec: str, path: Path, partial: bool) -> tuple[dict[str, Tensor], list[str]]:
    """What of the file belongs to the model's features, and the names of features it lacks.

    What the cut removed, the classifier and `num_batches_tracked` are not missed; the model may be on meta.
    Raises UserError where the file is missing, is no weights file, or does not fit.
    """
    return matching(model, spec, path, read_weights(path), partial)


def features_of(model: nn.Sequential, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The model's features by name, and what a file holds, by the names that these have."""
    wanted = {k: v for k, v in model.state_dict().items() if not k.startswith("head.")}
    held = {k.removeprefix("module."): v for k, v in state.items()}
    if not any(k in held for k in wanted) and any(f"features.{k}" in wanted for k in held):
        held = {f"features.{k}": v for k, v in held.items()}
    return wanted, held


def matching(
    model: nn.Sequential, spec: str, path: Path, state: dict[str, Tensor], partial: bool
) -> tuple[dict[str, Tensor], list[str]]:
    """`matching_weights` of a file that was read."""
    wanted, held = features_of(model, state)
    for key in wanted.keys() & held.keys():
        if wanted[key].shape != held[key].shape:
            found, expected = tuple(held[key].shape), tuple(wanted[key].shape)
            raise UserError(f"{path} is not for {spec}: {key} is {found} there and {expected} here.", field="weights")
    needed = [k for k in wanted if not k.endswith("num_batches_tracked")]
    missing = [k for k in needed if k not in held]
    if len(missing) == len(needed):
        raise UserError(f"{path} has no weight of {spec}: is it for another network?", field="weights")
    if missing and not partial:
        raise UserError(
            f"{path} lacks {len(missing)} weights of {spec} ({', '.join(missing[:3])}{', ...' if missing[3:] else ''}):"
            " cut the backbone before them, or accept random ones there with --partial-weights.",
            field="weights",
        )
    return {k: held[k] for k in wanted.keys() & held.keys()}, missing


def weights_file(spec: str, weights: str, on_progress: Progress = quiet) -> Path:
    """The file that `weights` ("imagenet", "shipped" or a path) means. Raises UserError as `imagenet_file` does."""
    if weights == "imagenet":
        return imagenet_file(spec, on_progress)
    return texturenet.WEIGHTS if weights == "shipped" else typed_path(weights, "weights")


def imagenet_file(spec: str, on_progress: Progress = quiet) -> Path:
    """torchvision's own ImageNet file, from its cache, else downloaded there. Raises UserError when that fails."""
    file = remote_weights(spec)
    return file.path if file.path.exists() else get_weights(spec, on_progress).path


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
