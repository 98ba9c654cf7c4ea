"""Maps of a network that was trained for a moment meet the phantom's lesions, as the benchmark measures it."""

import importlib.util
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from colora.data import phantom
from colora.explanation.maps import attribution_map, places, random_like
from colora.explanation.methods import METHODS
from colora.prediction.explained import ModelExplainer
from colora.prediction.models import GroupModels
from colora.runs.folder import Group, create_group
from colora.settings.config import make_config
from colora.settings.presets import QUICK_LOOK
from colora.system.installation import ROOT

SIDE, EACH = 64, 6  # images of each class that has lesions
FEW = replace(phantom.SETTINGS, counts=(1300, 160, 24))  # the same first images, with as many of each class as are used


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("measure", ROOT / "benchmarks" / "explanations" / "measure.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> GroupModels:
    from colora.training.run import train_run

    config = make_config(QUICK_LOOK.values | {"per_class": 100, "epochs": 4, "device": "cpu"})
    group = create_group(tmp_path_factory.mktemp("lesions"), "g", config, [0])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("colora.data.sources.generate", partial(phantom.generate, settings=FEW))
        assert train_run(group.runs[0].path) == 0
    return GroupModels.of(Group(group.path), "cpu", keep=True)


@pytest.mark.timeout(300)  # on a busy machine
def test_each_method_meets_lesions_that_random_maps_miss(models, benchmark):
    own, by_chance = ({name: [] for name in METHODS} for _ in range(2))
    for target in range(3):
        for index, image in benchmark.rightly_called(models, "val", target, SIDE)[:EACH]:
            there, explainer = phantom.lesion("val", index, SIDE), ModelExplainer(models, image)
            for name in METHODS:
                values = attribution_map(explainer, [0], name, target).mean
                own[name].append(benchmark.judged(values, there))
                for other in random_like(places(values), 5, np.random.default_rng([index, target])):
                    by_chance[name].append(benchmark.judged(benchmark.enlarged(other, SIDE), there))
    for name in METHODS:
        found, chance = benchmark.summed_up(own[name]), benchmark.summed_up(by_chance[name])
        assert found["images"] == 3 * EACH
        assert found["pointing"] > chance["pointing"] + 0.1 and found["iou"] > 2 * chance["iou"], (name, found, chance)
