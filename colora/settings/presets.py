"""Named starting points of the form and of `colora launch --preset`: quick look, the paper's runs, one's own images."""

from typing import Any

from pydantic import BaseModel

PAPER_SEEDS = "0-9"


class Preset(BaseModel):
    """A starting point: every setting that differs from its default."""

    title: str
    about: str
    name: str
    seeds: str
    values: dict[str, Any]
    distilled: bool = False  # a distilled cut has to be chosen with it


def _paper(title: str, name: str, about: str, distilled: bool = False, **values: Any) -> Preset:
    """OCTMNIST at 224 px, 10 seeds of 20 epochs: the defaults of RunConfig are the paper's."""
    return Preset(
        title=f"Paper: {title}",
        about=f"{about} OCTMNIST at 224 px, 10 seeds of 20 epochs; it wants a GPU. The epoch is chosen on validation; "
        "the paper chose it on test.",
        name=name,
        seeds=PAPER_SEEDS,
        values={"dataset": "octmnist"} | values,
        distilled=distilled,
    )


BALANCED = "The first 7,754 images of each class."
COMPLETE = "All 97,477 training images, 34/10/8/47 % of the four classes."
DISTILLED = (
    "The balanced images without the 10 of highest entropy in each class, then 7,040 of each: choose such a cut, or "
    "make one from a finished group first."
)
VERSION = "(v1; the paper used v2)"
V1 = "torchvision's ResNet-50 is version 1; the paper took Keras' ResNet50V2."

QUICK_LOOK = Preset(
    title="Quick look (synthetic, offline)",
    about="Generated OCT-like images and the small network that comes with the app: shows the whole job in a "
    "minute or two, without a download.",
    name="quick-look",
    seeds="0-2",
    values={
        "dataset": "phantom",
        "image_size": 64,
        "train_set": "balanced",
        "augment": "flip+shift",
        "backbone": "texturenet",
        "weights": "shipped",
        "epochs": 12,
        "batch_size": 16,
        "lr": 1e-2,
        "lr_head": 1e-3,
        "merge_every": 4,
        "schedule": "cosine",
    },
)
OWN_IMAGES = Preset(
    title="Your own images",
    about="One sub-folder of images a class. Starts from ImageNet weights; a validation and a test part are split "
    "off by patient where the file names tell the patient. CoLoRA's updates are merged once, at the end: with more "
    "epochs, set merge_every to as many.",
    name="my-images",
    seeds="0-2",
    # Rates, schedule and merges: best on validation over three backbones (benchmarks/first_study, test_presets).
    values={
        "dataset": "folder:~/oct-images",
        "image_size": 128,
        "backbone": "resnet18:layer3",
        "epochs": 10,
        "lr": 3e-3,
        "lr_head": 1e-4,
        "schedule": "cosine",
        "merge_every": 10,
    },
)

PRESETS: tuple[Preset, ...] = (
    OWN_IMAGES,
    QUICK_LOOK,
    _paper("VGG16-CoLoRA, balanced set", "vgg16-colora-balanced", BALANCED, train_set="balanced"),
    _paper("VGG16-CoLoRA, distilled set", "vgg16-colora-distilled", DISTILLED, distilled=True),
    _paper("VGG16-CoLoRA, complete set", "vgg16-colora-complete", COMPLETE),
    _paper("VGG16 head only, distilled set", "vgg16-head-distilled", DISTILLED, distilled=True, method="head"),
    _paper(
        f"ResNet50-CoLoRA, balanced set {VERSION}",
        "resnet50-colora-balanced",
        f"{BALANCED} {V1}",
        train_set="balanced",
        backbone="resnet50",
    ),
    _paper(
        f"ResNet50 full fine-tuning, balanced set {VERSION}",
        "resnet50-full-balanced",
        f"{BALANCED} {V1} The paper's rate, 0.001, is high for full fine-tuning.",
        train_set="balanced",
        backbone="resnet50",
        method="full",
    ),
)
