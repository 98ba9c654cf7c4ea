"""Adapters that are switched off for a while, of one name or of several."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn

from colora import (
    CoLoRAConfig,
    CoLoRAConv,
    adapt,
    adapter_parameters,
    add_adapter,
    disable_adapters,
    merge_,
    set_adapter,
)

X = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def small_model(classes: int = 3) -> nn.Sequential:
    torch.manual_seed(1)
    features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))
    head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 64, classes))
    return nn.Sequential(OrderedDict(features=features, head=head))


def outputs(model):
    with torch.no_grad():
        return model.eval()(X)


def two_tasks():
    model = adapt(small_model())
    add_adapter(model, "b", CoLoRAConfig("separable", 2, targets="features.0"), seed=1)
    return model


def test_adapters_are_switched_off_for_a_while():
    base = small_model().eval()
    model = adapt(copy.deepcopy(base), train_also=())
    with torch.no_grad():
        for p in adapter_parameters(model):
            p.normal_()
    adapted, plain = outputs(model), outputs(base)
    assert (adapted - plain).abs().max() > 0.1
    with disable_adapters(model):
        assert torch.equal(outputs(model), plain)
        assert torch.equal(model.features[0].weight, base.features[0].weight)
        with disable_adapters(model):
            assert torch.equal(outputs(model), plain)
        assert torch.equal(outputs(model), plain)
    assert torch.equal(outputs(model), adapted)
    with pytest.raises(RuntimeError, match="inside"), disable_adapters(model):
        raise RuntimeError("inside")
    assert torch.equal(outputs(model), adapted)
    with disable_adapters(model):
        merge_(model)
        assert torch.allclose(outputs(model), adapted, rtol=0, atol=1e-5)
    assert torch.allclose(outputs(model), adapted, rtol=0, atol=1e-5)


def test_those_that_are_set_inside_are_off_too():
    model = two_tasks()
    plain = outputs(model)
    for name in ("b", "default"):
        set_adapter(model, name)
        with torch.no_grad():
            for p in adapter_parameters(model):
                p.normal_()
    adapted = outputs(model)
    with disable_adapters(model):
        for name in ("b", "default"):
            set_adapter(model, name)
            assert torch.equal(outputs(model), plain)
    assert torch.equal(outputs(model), adapted)
    assert isinstance(model.features[0], CoLoRAConv)
