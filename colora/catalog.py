"""What can be chosen by name: backbones and methods, as tables that import no torch.

The browser app reads these tables to build its form; `colora.backbones` and `colora.methods` read them to build models.
A new backbone or method is one line here (and, for a method, one function in `colora.methods`).
"""

from dataclasses import dataclass
from difflib import get_close_matches

from colora.errors import UserError

NOTICE = "Research use only. Not a medical device."


@dataclass(frozen=True)
class BackboneInfo:
    """A classification network whose feature extractor can be adapted."""

    title: str
    weights_enum: str | None  # torchvision's enum member whose file is "imagenet"
    kind: str  # "features": net.features is the extractor; "resnet": conv1 ... layer4; "own": colora.texturenet

    @property
    def pretrained(self) -> str:
        """The setting `weights` that gives the backbone its own pretrained weights."""
        return "imagenet" if self.weights_enum else "shipped"


BACKBONES: dict[str, BackboneInfo] = {
    "vgg16": BackboneInfo("VGG16", "VGG16_Weights.IMAGENET1K_V1", "features"),
    "resnet50": BackboneInfo("ResNet-50", "ResNet50_Weights.IMAGENET1K_V1", "resnet"),
    "resnet18": BackboneInfo("ResNet-18", "ResNet18_Weights.IMAGENET1K_V1", "resnet"),
    "squeezenet1_1": BackboneInfo("SqueezeNet 1.1", "SqueezeNet1_1_Weights.IMAGENET1K_V1", "features"),
    "mobilenet_v2": BackboneInfo("MobileNetV2", "MobileNet_V2_Weights.IMAGENET1K_V1", "features"),
    "texturenet": BackboneInfo("TextureNet (small, shipped)", None, "own"),
}

METHODS: dict[str, str] = {
    "colora": "CoLoRA: frozen convolutions with depthwise-separable updates, merged as training goes on",
    "head": "Head only: the backbone stays frozen (linear-probe style transfer learning)",
    "full": "Full fine-tuning: every weight is trained",
}


def nearest(name: str, known) -> str:
    """The sentence end that offers the nearest known name, or lists all of them."""
    known = list(known)
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}."


def split_backbone(spec: str) -> tuple[str, str | None]:
    """`"resnet18:layer3"` -> `("resnet18", "layer3")`; without a cut the second is None.

    Raises UserError for a name that is not in the table; whether the cut exists is known when the network is built.
    """
    name, _, cut = spec.partition(":")
    if name not in BACKBONES:
        raise UserError(f"There is no backbone '{name}': {nearest(name, BACKBONES)}", field="backbone")
    if ":" in spec and not cut:
        raise UserError(
            f"'{spec}' ends in a colon: name the block to cut after, as in 'resnet18:layer3'.", field="backbone"
        )
    return name, cut or None
