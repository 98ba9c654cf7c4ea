"""What can be chosen by name: backbones, methods, scores, verdicts, as tables that import no torch.

The browser app reads these tables to build its form; `networks.backbones` and `networks.methods` read them to build
models.
A new backbone or method is one line here (and, for a method, one function in `colora.networks.methods`).
"""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from colora.system.errors import UserError

NOTICE = "Research use only. Not a medical device."
MOST_CLASSES = 10_000  # of any data: a label, or a right class, goes from 0 to one less


@dataclass(frozen=True)
class BackboneInfo:
    """A classification network whose feature extractor can be adapted."""

    title: str
    weights_enum: str | None  # torchvision's enum member whose file is "imagenet"
    kind: str  # "features": net.features is the extractor; "resnet": conv1 ... layer4; "own": networks.texturenet
    batch_norm: bool = False  # has such layers, so that the setting of that name changes something
    linear: bool = False  # has such layers outside the head, so that the setting `layers` changes something

    @property
    def pretrained(self) -> str:
        """The setting `weights` that gives the backbone its own pretrained weights."""
        return "imagenet" if self.weights_enum else "shipped"


BACKBONES: dict[str, BackboneInfo] = {
    "vgg16": BackboneInfo("VGG16", "VGG16_Weights.IMAGENET1K_V1", "features"),
    "resnet50": BackboneInfo("ResNet-50", "ResNet50_Weights.IMAGENET1K_V1", "resnet", batch_norm=True),
    "resnet18": BackboneInfo("ResNet-18", "ResNet18_Weights.IMAGENET1K_V1", "resnet", batch_norm=True),
    "squeezenet1_1": BackboneInfo("SqueezeNet 1.1", "SqueezeNet1_1_Weights.IMAGENET1K_V1", "features"),
    "mobilenet_v2": BackboneInfo("MobileNetV2", "MobileNet_V2_Weights.IMAGENET1K_V1", "features", batch_norm=True),
    "texturenet": BackboneInfo("TextureNet (small, shipped)", None, "own"),
}

METHODS: dict[str, str] = {
    "colora": "CoLoRA: frozen convolutions with depthwise-separable updates, merged as training goes on",
    "head": "Head only: the backbone stays frozen (linear-probe style transfer learning)",
    "full": "Full fine-tuning: every weight is trained",
}


@dataclass(frozen=True)
class Score:
    """What a person reads of a score. `harder` is +1 where larger values mean a less certain image, else -1."""

    title: str
    about: str
    harder: int
    over_seeds: bool = False  # needs the predictions of at least two seeds; NaN of one


SCORES: dict[str, Score] = {
    "entropy": Score("Entropy", "Shannon entropy of the prediction, in nats: 0 to ln(classes).", +1),
    "entropy_share": Score("Entropy, share", "Entropy as a share of ln(classes): 0 to 1.", +1),
    "least_confidence": Score("Least confidence", "1 minus the largest probability.", +1),
    "margin": Score("Margin", "Largest minus second largest probability: 0 where two classes are level.", -1),
    "self_confidence": Score("Self-confidence", "Probability of the given label: low where the label is in doubt.", -1),
    "label_doubt": Score(
        "Label doubt", "1 minus the probability that models which have not learned from the image give to its label: "
        "high where the label may be wrong.", +1,
    ),
    "mean_softmax_entropy": Score("Entropy of the mean", "Entropy of the probabilities averaged over seeds, nats.", +1),
    "mean_entropy": Score("Mean entropy", "Entropy averaged over seeds, in nats.", +1),
    "mutual_information": Score(
        "Mutual information", "Entropy of the mean minus mean entropy (BALD), in nats: what the seeds disagree on.",
        +1, over_seeds=True,
    ),
    "vote_disagreement": Score(
        "Vote disagreement", "Share of seeds that do not vote for the class with most votes.", +1, over_seeds=True
    ),
    "rank_stability": Score(
        "Rank stability", "1 where every seed puts the image at the same entropy rank, 0 where they differ most.",
        -1, over_seeds=True,
    ),
}  # fmt: skip

VERDICTS: dict[str, str] = {
    "wrong_label": "Wrong label",
    "artefact": "Artefact",
    "hard": "Truly hard",
    "fine": "Fine",
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


THRESHOLD_RULES: dict[Literal["sensitivity", "youden", "cost"], float] = {
    "sensitivity": 0.95,
    "youden": 0.0,
    "cost": 5.0,
}
"""How an operating point is chosen (metrics.operating_point.Choice), with the usual value; Youden's rule takes none."""
