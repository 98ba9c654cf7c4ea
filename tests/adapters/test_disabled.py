"""Adapters that are switched off for a while, of one name or of several."""

import copy

import pytest
import torch
from small_networks import outputs, two_tasks, with_batch_norm

from colora import (
    CoLoRAConv,
    adapt,
    adapter_parameters,
    disable_adapters,
    merge_,
    set_adapter,
)


def test_adapters_are_switched_off_for_a_while():
    base = with_batch_norm().eval()
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
