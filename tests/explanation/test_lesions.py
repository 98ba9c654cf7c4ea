"""Maps of a network that was trained for a moment meet the phantom's lesions, whose places are known."""

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from colora.data import phantom
from colora.explanation.maps import attribution_map, places, random_like
from colora.explanation.methods import METHODS
from colora.metrics.localisation import intersection_over_union, pointing_hit
from colora.prediction.explained import ModelExplainer
from colora.prediction.models import GroupModels
from colora.runs.folder import Group, create_group
from colora.settings.config import make_config
from colora.settings.presets import PRESETS

SIDE, EACH = 64, 6  # images of each class that has lesions


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> GroupModels:
    from colora.training.run import train_run

    config = make_config(PRESETS[0].values | {"per_class": 100, "epochs": 4, "device": "cpu"})
    group = create_group(tmp_path_factory.mktemp("lesions"), "g", config, [0])
    assert train_run(group.runs[0].path) == 0
    return GroupModels.of(Group(group.path), "cpu", keep=True)


def rightly_called(models: GroupModels) -> Iterator[tuple[int, int, np.ndarray]]:
    """(index, class, image (SIDE, SIDE) uint8) of validation."""
    labels = phantom.class_labels("val")
    for target in range(3):
        index = np.flatnonzero(labels == target)[:40]
        images = np.stack([phantom.draw("val", int(i), SIDE) for i in index])
        right = np.mean([p for _, p in models.each(images)], axis=0).argmax(1) == target
        yield from [(int(i), target, image) for i, image in zip(index[right], images[right], strict=True)][:EACH]


@pytest.mark.timeout(300)  # on a busy machine
def test_each_method_meets_lesions_that_random_maps_miss(models):
    found = {name: [] for name in METHODS}
    for index, target, image in rightly_called(models):
        there, explainer = phantom.lesion("val", index, SIDE), ModelExplainer(models, image)
        for name in METHODS:
            values = attribution_map(explainer, [0], name, target).mean
            rng = np.random.default_rng([index, target])
            others = [large(other) for other in random_like(places(values), 5, rng)]
            by_chance = np.mean([judged(other, there) for other in others], axis=0)
            found[name].append((judged(values, there), by_chance))
    for name, rows in found.items():
        assert len(rows) == 3 * EACH
        (pointing, overlap), (chance, overlap_by_chance) = np.mean(rows, axis=0)
        assert pointing > chance + 0.1 and overlap > 2 * overlap_by_chance, (name, pointing, chance, overlap)


def judged(values: np.ndarray, there: np.ndarray) -> tuple[float, float]:
    return float(pointing_hit(values, there)), intersection_over_union(values, there)


def large(values: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(values.astype(np.float32))
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
