"""The levels of the Simple form: which network and size each takes, by what was measured and what is here."""

import pytest

from colora.settings.config import make_config
from colora.settings.seeds import parse_seeds
from colora.settings.thoroughness import (
    LEVELS,
    RUNGS,
    WITHOUT_WEIGHTS,
    highest,
    rungs,
    values_of,
    worth_measuring,
)
from colora.settings.unusual import unusual

EVERY = [(level, rung) for level in LEVELS.values() for rung in (*RUNGS, *WITHOUT_WEIGHTS)]


@pytest.mark.parametrize(("level", "rung"), EVERY)
def test_every_level_of_every_rung_is_a_launch(level, rung):
    values = values_of(level, rung)
    config = make_config({"dataset": "phantom", **values})
    assert (config.backbone, config.image_size, config.epochs) == (rung.backbone, rung.image_size, level.epochs)
    assert unusual(config, level.count) == {}
    assert config.weights == ("shipped" if rung.backbone == "texturenet" else "imagenet")


def test_levels_grow():
    growing = [(len(parse_seeds(level.seeds)), level.epochs, level.seconds) for level in LEVELS.values()]
    assert growing == sorted(growing) and [level.count for level in LEVELS.values()] == [1, 3, 10]


def test_only_networks_whose_weights_are_here_are_taken_and_else_the_shipped_one():
    assert rungs(lambda name: name == "vgg16") == RUNGS[-1:]
    assert rungs(lambda name: True) == RUNGS
    assert rungs(lambda name: False) == WITHOUT_WEIGHTS


@pytest.mark.parametrize(
    ("seconds", "rung"),
    [
        ([100, 1000, 5000], 1),  # three seeds of 1,000 s are within the hour, of 5,000 s not
        ([100, 200, 1200], 2),
        ([4000, 9000], 0),  # none is: the fastest
        ([1100, 1300, 1100], 2),  # a larger one that is faster, as a GPU may have it
    ],
)
def test_a_level_takes_the_highest_rung_within_its_time(seconds, rung):
    measured = list(zip(RUNGS, seconds, strict=False))
    assert highest(LEVELS["good"], measured) == measured[rung]


def test_nothing_measured_is_nothing_known():
    assert highest(LEVELS["look"], []) is None


def test_what_cannot_end_over_night_ends_the_measuring():
    assert worth_measuring([], RUNGS) is RUNGS[0]
    assert worth_measuring([(RUNGS[0], 4000)], RUNGS) is RUNGS[1]  # ten seeds in eleven hours
    assert worth_measuring([(RUNGS[0], 4400)], RUNGS) is None
    assert worth_measuring([(rung, 1) for rung in RUNGS], RUNGS) is None
