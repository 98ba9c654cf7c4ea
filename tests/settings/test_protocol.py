"""The paper's protocol beside a config: what departs from it, what it leaves open."""

from dataclasses import replace

import pytest

from colora.settings.catalog import BACKBONES
from colora.settings.config import make_config
from colora.settings.presets import PRESETS, QUICK_LOOK
from colora.settings.protocol import differences, open_points

PAPER = {preset.name: preset for preset in PRESETS if preset.title.startswith("Paper")}


def departs(values: dict, seeds: int = 10) -> dict[str, str]:
    return {point.field: point.paper for point in differences(make_config(values), seeds)}


def test_there_are_the_papers_six_presets_of_ten_seeds_and_twenty_epochs():
    assert len(PAPER) == 6
    for preset in PAPER.values():
        config = make_config(preset.values)
        assert (preset.seeds, config.epochs, config.dataset, config.image_size) == ("0-9", 20, "octmnist", 224)
        assert ("(v1; the paper used v2)" in preset.title) is (config.backbone == "resnet50")
    methods = {name: make_config(p.values).method for name, p in PAPER.items()}
    assert methods["vgg16-head-distilled"] == "head" and methods["resnet50-full-balanced"] == "full"
    assert [name for name, p in PAPER.items() if p.distilled] == ["vgg16-colora-distilled", "vgg16-head-distilled"]


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_presets_depart_only_where_they_say_so(name):
    found = departs(PAPER[name].values)
    assert found.pop("selection").startswith("the one model of best TEST accuracy")  # ours is chosen on validation
    assert found == ({"backbone": "ResNet50V2 (Keras)"} if "resnet50" in name else {})


def test_departures_are_named():
    quick = departs(QUICK_LOOK.values, seeds=3)
    assert set(quick) == {
        "dataset",
        "weights",
        "merge_every",
        "epochs",
        "lr",
        "schedule",
        "selection",
        "backbone",
        "seeds",
    }
    cut = {"dataset": "octmnist", "selection": "paper", "backbone": "resnet50:layer3", "lr_head": 1e-4}
    assert set(departs(cut)) == {"backbone", "lr_head"}
    assert departs({"dataset": "octmnist", "selection": "paper", "method": "full"}) == {
        "method": "on this network colora or head"
    }
    few = {"dataset": "octmnist", "selection": "paper", "train_set": "balanced", "per_class": 100}
    assert departs(few) == {"per_class": "7,754 of each class"}


def test_linear_layers_are_a_departure_where_a_network_has_them(monkeypatch):
    assert "layers" not in departs({"layers": "conv+linear"})
    monkeypatch.setitem(BACKBONES, "vgg16", replace(BACKBONES["vgg16"], linear=True))
    assert departs({"layers": "conv+linear"})["layers"] == "convolutions alone"
    assert "layers" not in departs({"layers": "conv"})


def test_the_papers_presets_have_whole_pointwise_factors():
    assert {make_config(preset.values).pointwise_rank for preset in PAPER.values()} == {None}


def test_settings_of_the_method_count_only_with_it():
    assert "rank" not in departs({"dataset": "octmnist", "method": "head", "rank": 4})
    assert "rank" in departs({"dataset": "octmnist", "rank": 4})
    assert departs({"dataset": "octmnist", "selection": "paper", "pointwise_rank": 8}) == {
        "pointwise_rank": "a whole pointwise factor"
    }
    assert "pointwise_rank" not in departs({"dataset": "octmnist", "method": "full", "pointwise_rank": 8})
    assert "order" not in {point.field for point in open_points(make_config({"method": "head"}))}
    assert "order" in {point.field for point in open_points(make_config({}))}
