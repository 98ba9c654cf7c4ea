"""What a method trains of a built network, and the layers that a run began with."""

import pytest

from colora.adapters.walk import adapted_layers
from colora.networks.backbones import build_meta
from colora.networks.methods import apply_method
from colora.settings.config import make_config
from colora.system.errors import UserError


def adapted(begun=(), **settings):
    config = make_config({"backbone": "resnet18:layer1", "weights": "none", **settings})
    model = build_meta(config.backbone, 4, 32)
    apply_method(model, config, 0, begun)
    return model, adapted_layers(model)


def test_settings_reach_the_adapters():
    model, layers = adapted(pointwise_rank=4, rank=2, order="separable", bias="all")
    assert list(layers) == ["conv1", *(f"layer1.{block}.conv{n}" for block in (0, 1) for n in (1, 2))]
    layer = layers["layer1.0.conv1"]
    assert (tuple(layer.pointwise_a.shape), tuple(layer.pointwise_b.shape)) == ((2, 4, 64), (2, 64, 4))
    assert tuple(layers["conv1"].pointwise.shape) == (2, 64, 3)  # of which a product would have more
    assert layer.order == "separable" and layer.bias_update is not None
    trained = {name.partition(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"conv1", "layer1", "head"} and not layers.keys() & {"head.0", "head.1"}


def test_the_layers_that_a_run_began_with_count_and_not_what_the_targets_match():
    names = ["conv1", "layer1.1.conv2"]
    assert list(adapted(names, targets="nothing")[1]) == names
    assert list(adapted(targets="conv1")[1]) == ["conv1", "layer1.0.conv1", "layer1.1.conv1"]
    with pytest.raises(UserError, match="began with an adapter on layer9, a layer that resnet18:layer1 lacks"):
        adapted(["conv1", "layer9"])


def test_few_adapted_weights_are_no_line_of_the_library(recwarn):
    adapted(targets="conv1", backbone="resnet18")
    assert not recwarn.list


def test_targets_that_match_nothing_are_a_sentence_of_that_field():
    with pytest.raises(UserError, match=r"^Targets 'layer9' matches no layer to adapt; the model has conv1, ") as said:
        adapted(targets="conv1,layer9")
    assert said.value.field == "targets"
