"""Which settings a run uses: the table is complete, and what it calls unused changes no bit of a trained model."""

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from safetensors.numpy import load_file
from torch import nn
from training import figures

from colora.networks.backbones import build_meta
from colora.settings.catalog import BACKBONES
from colora.settings.config import RunConfig, make_config
from colora.settings.relevance import ALWAYS, DECIDING, RULES, config_checksum, in_effect, unused
from colora.system.errors import UserError
from colora.training.run import train_run

OTHERS = {  # of each setting values to draw from, allowed beside most others
    "dataset": ["phantom", "octmnist", "npz:/a.npz", "folder:/a", "table:/a.csv"],
    "data_dir": [None, "/sets"],
    "class_names": [None, ["A", "B"]],
    "layout": ["auto", "classes"],
    "columns": [None, "path=image"],
    "patient_pattern": [None, "(?P<patient>x)"],
    "ignore_splits": [False, True],
    "split_seed": [0, 3],
    "data_roots": [None, ["/cache"]],
    "train_set": ["complete", "balanced"],
    "per_class": [None, 5],
    "cut": [None, "mine"],
    "folds": [None, 3],
    "image_size": [32, 64],
    "augment": ["none", "flip"],
    "backbone": ["vgg16", "resnet18", "squeezenet1_1"],
    "weights": ["imagenet", "none", "/w.pth"],
    "partial_weights": [False, True],
    "method": ["colora", "head", "full"],
    "order": ["inception", "separable"],
    "rank": [1, 2],
    "pointwise_rank": [None, 4],
    "layers": ["auto", "conv"],
    "bias": ["auto", "none"],
    "targets": ["all", "spatial"],
    "merge_every": [1, 20, 30],
    "merge_unit": ["epochs", "steps"],
    "optimizer_at_merge": ["reset", "keep"],
    "epochs": [20, 2],
    "batch_size": [32, 8],
    "lr": [1e-3, 1e-2],
    "lr_head": [None, 1e-3],
    "schedule": ["constant", "cosine"],
    "eps": [1e-8, 1e-7],
    "batch_norm": ["eval", "train"],
    "train_figures": ["full", "pass"],
    "selection": ["validation", "paper"],
    "device": ["auto", "cpu"],
    "precision": ["auto", "fp32"],
    "threads": [None, 1],
}


def drawn(draws: random.Random) -> RunConfig:
    """A config of random settings; where two contradict each other another is drawn."""
    while True:
        try:
            return make_config({field: draws.choice(values) for field, values in OTHERS.items()})
        except UserError:
            continue


def test_every_setting_is_always_used_or_has_a_rule():
    assert ALWAYS | RULES.keys() == RunConfig.model_fields.keys() == OTHERS.keys()
    assert not ALWAYS & RULES.keys()


class Watched(Mapping):
    """A config's values, with which of them were looked at."""

    def __init__(self, values):
        self.values_, self.looked = values, set()

    def __getitem__(self, field):
        self.looked.add(field)
        return self.values_[field]

    def __iter__(self):
        return iter(self.values_)

    def __len__(self):
        return len(self.values_)


def test_the_rules_look_at_the_settings_that_are_said_to_decide():
    draws, looked = random.Random(0), set()
    for _ in range(300):
        values = Watched(drawn(draws).model_dump())
        for rules in RULES.values():
            for rule in rules:
                rule.unused(values)
        looked |= values.looked
    assert looked == set(DECIDING)


def test_an_unused_setting_changes_neither_the_checksum_nor_what_is_used():
    draws, changed = random.Random(1), set()
    for _ in range(300):
        config = drawn(draws)
        for field in unused(config.model_dump()):
            for value in OTHERS[field]:
                if value == getattr(config, field):
                    continue
                try:
                    other = make_config(config.model_dump() | {field: value})
                except UserError:  # such as n of a balanced set that is not one
                    continue
                assert config_checksum(other) == config_checksum(config) and in_effect(other) == in_effect(config)
                changed.add(field)
    assert changed == RULES.keys() - {"per_class"}


def test_a_used_setting_changes_the_checksum():
    config = make_config({"weights": "none", "backbone": "resnet18", "merge_every": 2})
    for field in in_effect(config):
        for value in OTHERS[field]:
            if value != getattr(config, field):
                try:
                    other = make_config(config.model_dump() | {field: value})
                except UserError:
                    continue
                same = field == "lr_head" and value == config.lr
                assert (config_checksum(other) == config_checksum(config)) == same, (field, value)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"lr": 3e-3}, {"lr": 3e-3, "lr_head": 3e-3}),
        ({"method": "head", "lr": 3e-3}, {"method": "head", "lr": 1, "lr_head": 3e-3}),
        ({"epochs": 5, "merge_every": 6}, {"epochs": 5, "merge_every": 9, "optimizer_at_merge": "keep"}),
    ],
)
def test_what_comes_to_the_same_has_one_checksum(one, two):
    assert config_checksum(make_config(one)) == config_checksum(make_config(two))


def test_a_merge_in_the_last_epoch_is_not_the_same_as_none():
    assert config_checksum(RunConfig(epochs=5, merge_every=5)) != config_checksum(RunConfig(epochs=5, merge_every=6))


def test_reasons_are_sentences():
    values = make_config({"method": "head", "lr_head": 1e-3, "dataset": "npz:/a"}).model_dump()
    why = unused(values)
    assert why["lr"] == "method head with lr_head trains the head alone, at that rate"
    assert why["rank"] == "method head has no adapters"
    assert why["split_seed"] == "only a folder or a table is split here, and npz brings its own splits"
    assert why["batch_norm"] == "vgg16 has no batch norm"


@pytest.mark.parametrize("name", BACKBONES)
def test_the_catalog_knows_which_networks_have_batch_norm(name):
    layers = build_meta(name, 2, 64).modules()
    assert any("BatchNorm" in type(layer).__name__ for layer in layers) == BACKBONES[name].batch_norm


@pytest.mark.parametrize("name", BACKBONES)
def test_the_catalog_knows_which_networks_have_linear_layers(name):
    named = build_meta(name, 2, 64).named_modules()
    linear = [n for n, layer in named if isinstance(layer, nn.Linear) and not n.startswith("head.")]
    assert bool(linear) == BACKBONES[name].linear


def test_kinds_of_layers_count_where_there_are_several(monkeypatch):
    values = make_config({"layers": "conv"}).model_dump()
    assert unused(values)["layers"] == "vgg16 has convolutions alone outside the head"
    monkeypatch.setitem(BACKBONES, "vgg16", replace(BACKBONES["vgg16"], linear=True))
    assert "layers" not in unused(values)
    assert config_checksum(make_config({"layers": "conv"})) != config_checksum(make_config({}))


@pytest.mark.parametrize(
    ("settings", "checksum"),
    [
        ({}, "fe60b55bf37d1f9e"),
        ({"backbone": "resnet50", "rank": 2, "targets": "spatial", "bias": "all"}, "e083280450a04df8"),
        ({"method": "head", "lr_head": 1e-4}, "7f3ec06b609a9b80"),
    ],
)
def test_checksums_are_those_from_before_there_was_a_pointwise_rank(settings, checksum):
    config = make_config({"dataset": "octmnist"} | settings)
    assert config_checksum(config)[:16] == checksum
    if config.method == "colora":
        assert config_checksum(config.model_copy(update={"pointwise_rank": 8}))[:16] != checksum


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        (
            {"method": "head", "lr_head": 1e-3, "epochs": 1},
            {"lr": 5e-3, "rank": 2, "order": "separable", "bias": "none", "targets": "spatial", "merge_every": 3,
             "merge_unit": "steps", "optimizer_at_merge": "keep", "split_seed": 7, "data_dir": "/no",
             "partial_weights": True, "patient_pattern": "x", "pointwise_rank": 4, "layers": "conv"},
        ),
        ({"epochs": 1}, {"layers": "conv+linear"}),
        ({"merge_every": 2}, {"optimizer_at_merge": "keep"}),
        ({"backbone": "texturenet", "epochs": 1}, {"batch_norm": "train"}),
    ],
    ids=["head", "convolutions-alone", "merge-at-the-end", "no-batch-norm"],
)  # fmt: skip
def test_models_have_the_same_bits_whatever_the_unused_settings_are(new_run, settings, changes):
    one, two = new_run("one", **settings), new_run("two", **settings | changes)
    assert config_checksum(one.config) == config_checksum(two.config)
    assert train_run(one.path) == train_run(two.path) == 0
    assert figures(one) == figures(two)
    models = [load_file(run.path / "model.safetensors") for run in (one, two)]
    assert models[0].keys() == models[1].keys()
    assert all(models[0][name].tobytes() == models[1][name].tobytes() for name in models[0])


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        ({"method": "head", "epochs": 1}, {"batch_norm": "train"}),
        ({"method": "head", "epochs": 1}, {"lr": 5e-3}),
        ({}, {"optimizer_at_merge": "keep"}),
    ],
    ids=["batch-norm", "lr-without-lr_head", "a-merge-between"],
)
def test_what_is_used_changes_the_model(new_run, settings, change):
    """The other way round: the rules are no wider than they have to be."""
    one, two = new_run("one", **settings), new_run("two", **settings | change)
    assert train_run(one.path) == train_run(two.path) == 0
    assert (one.path / "model.safetensors").read_bytes() != (two.path / "model.safetensors").read_bytes()
