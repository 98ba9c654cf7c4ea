"""Who assigns parameters to an adapted layer: what folds a batch norm into it is refused, what restores it is not."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from colora import CoLoRAConv


def trained_layer(bias: bool) -> CoLoRAConv:
    torch.manual_seed(0)
    layer = CoLoRAConv(nn.Conv2d(3, 4, 3, bias=bias).eval())
    nn.init.normal_(layer.depthwise)
    return layer


def test_a_batch_norm_is_not_folded_into_an_adapted_convolution():
    """It assigns a weight made of K0 + dK, to which dK would be added again."""
    layer, norm = trained_layer(bias=False), nn.BatchNorm2d(4).eval()
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    x = torch.randn(1, 3, 8, 8)
    expected = norm(layer(x))
    with pytest.raises(ValueError, match="strip it first"):
        fuse_conv_bn_eval(layer, norm)
    assert torch.equal(norm(layer(x)), expected)
    torch.testing.assert_close(fuse_conv_bn_eval(layer.stripped(), norm)(x), expected)


@pytest.mark.parametrize("bias", [True, False])
def test_assigned_states_copies_and_functional_calls_go_on_working(bias):
    layer, other = trained_layer(bias), CoLoRAConv(nn.Conv2d(3, 4, 3, bias=bias))
    other.load_state_dict({name: value.clone() for name, value in layer.state_dict().items()}, assign=True)
    x = torch.randn(1, 3, 8, 8)
    expected = layer(x)
    assert torch.equal(other(x), expected)
    assert torch.equal(copy.deepcopy(layer)(x), expected)
    assert torch.equal(torch.func.functional_call(other, dict(layer.named_parameters()), (x,)), expected)
    assert other.stripped().bias is None or bias
