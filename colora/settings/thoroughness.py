"""How thoroughly to train on one's own images, for whoever names no setting: three levels, each with its own time.

A level has seeds, epochs and a limit of time; a rung has a network and an image size. Of the rungs whose weights are on
this computer a level takes the highest that its machine trains within the limit, as far as that was measured
(`training.rehearsal`). All else is as in the preset for own images, of the network that is shipped as in the quick
look. Pure: of plain values alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from colora.settings.catalog import BACKBONES, split_backbone
from colora.settings.presets import OWN_IMAGES, QUICK_LOOK
from colora.settings.seeds import parse_seeds

SHIPPED = "texturenet"


@dataclass(frozen=True)
class Level:
    """What a person chooses: seeds as `parse_seeds` reads them, and the seconds that all of them may take."""

    title: str
    about: str
    seeds: str
    epochs: int
    seconds: float

    @property
    def count(self) -> int:
        return len(parse_seeds(self.seeds))


@dataclass(frozen=True)
class Rung:
    """A network as RunConfig names it, and the side of its square images in pixels."""

    backbone: str
    image_size: int


LEVELS: dict[str, Level] = {
    "look": Level("A look", "Minutes", "0", 8, 15 * 60),
    "good": Level("A good model", "Up to an hour", "0-2", 10, 3600),
    "everything": Level("Everything", "Over night", "0-9", 20, 12 * 3600),
}
RUNGS: tuple[Rung, ...] = (  # from the fastest to the one that sees most: the last is the paper's
    Rung("resnet18:layer3", 64),
    Rung("resnet18:layer3", 128),
    Rung("resnet18:layer3", 224),
    Rung("vgg16", 224),
)
WITHOUT_WEIGHTS = (Rung(SHIPPED, 64), Rung(SHIPPED, 128))  # where no pretrained network is on this computer


def rungs(here: Callable[[str], bool]) -> tuple[Rung, ...]:
    """Those that can be trained now, the fastest first; `here` tells whether a network's ImageNet weights are."""
    return tuple(rung for rung in RUNGS if here(split_backbone(rung.backbone)[0])) or WITHOUT_WEIGHTS


def values_of(level: Level, rung: Rung) -> dict[str, Any]:
    """The settings beside the data; the seeds are `level.seeds`."""
    name = split_backbone(rung.backbone)[0]
    own = QUICK_LOOK if name == SHIPPED else OWN_IMAGES
    values = {field: value for field, value in own.values.items() if field not in ("dataset", "train_set")}
    merges = level.epochs if name != SHIPPED else values["merge_every"]  # once, at the end
    chosen = {"backbone": rung.backbone, "image_size": rung.image_size, "weights": BACKBONES[name].pretrained}
    return values | chosen | {"epochs": level.epochs, "merge_every": merges}


def highest(level: Level, measured: Sequence[tuple[Rung, float]]) -> tuple[Rung, float] | None:
    """The highest rung of those `measured`, the fastest first, each with the seconds of one seed at this level, whose
    seeds end within the limit; the fastest where none does. None where nothing is measured."""
    within = [one for one in measured if one[1] * level.count <= level.seconds]
    return (within or list(measured[:1]) or [None])[-1]


def worth_measuring(measured: Sequence[tuple[Rung, float]], all_of: Sequence[Rung]) -> Rung | None:
    """The next rung to measure, given the seconds of one seed of the longest level at those measured: none where all
    are, or where the last already took longer than the longest level allows."""
    longest = max(LEVELS.values(), key=lambda level: level.seconds)
    if measured and measured[-1][1] * longest.count > longest.seconds:
        return None
    return next(iter(all_of[len(measured) :]), None)
