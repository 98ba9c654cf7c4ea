"""The update of low rank: one product for all terms, and a linear layer's gradients by hand."""

import pytest
import torch
from convolutions import check_transforms_see_it_plainly
from torch import nn

from colora.adapters import low_rank
from colora.adapters.layer import keyed_generator
from colora.adapters.linear import CoLoRALinear

SHAPES = [(7, 6), (1, 6), (3, 4, 6), (2, 20, 6), (2, 3, 5, 6), (2, 5, 4, 6)]


def linear(rank=2, p=2, bias=True, dtype=torch.float64):
    """6 to 9 features, with random factors."""
    torch.manual_seed(0)
    base = nn.Linear(6, 9, bias=bias, dtype=dtype)
    layer = CoLoRALinear(base, rank, generator=keyed_generator(0), pointwise_rank=p)
    with torch.no_grad():
        for factor in layer.adapter_parameters():
            factor.normal_()
    return layer


def gradients(layer, x):
    y = layer(x)
    direction = torch.sin(torch.arange(y.numel(), dtype=torch.float64)).view(y.shape).to(y.dtype)
    inputs = [t for t in (x, *layer.adapter_parameters()) if t.requires_grad]
    return torch.autograd.grad((y * direction).sum(), inputs)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("rank", "p"), [(1, 1), (1, 6), (2, 2)])
def test_a_linear_layers_gradients_are_those_of_plain_autograd(rank, p, bias, shape, monkeypatch):
    layer = linear(rank, p, bias)
    x = torch.randn(shape, dtype=torch.float64).requires_grad_()
    assert type(layer(x).grad_fn).__name__ == "AdaptedLinearBackward"
    got, first = gradients(layer, x), gradients(layer, x.detach())
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), (x, *layer.adapter_parameters()), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x, *_: layer(x), (x, *layer.adapter_parameters()), fast_mode=True)
    y = layer(x)
    monkeypatch.setattr(CoLoRALinear, "_by_hand", lambda *_: False)
    assert torch.equal(layer(x), y)
    expected = gradients(layer, x)
    assert len(expected) == (4 if bias else 3)
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(got, expected, strict=True))
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(first, expected[1:], strict=True))


def test_no_weight_of_a_linear_layer_is_kept_or_made_again(monkeypatch):
    layer, x = linear(), torch.randn(2, 5, 6, dtype=torch.float64).requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = layer(x)
    there = (x, layer.base_weight, layer.pointwise_a, layer.pointwise_b)
    assert {t.data_ptr() for t in kept} == {t.data_ptr() for t in there}
    monkeypatch.setattr(low_rank, "updated_matrix", None)
    y.sum().backward()
    assert layer.pointwise_a.grad.abs().min() > 0


@pytest.mark.parametrize("shape", [(0, 6), (0, 3, 6), (2, 0, 6)], ids=str)
def test_no_rows_have_gradients_of_zero(shape):
    x = torch.zeros(shape, dtype=torch.float64).requires_grad_()
    of_x, *rest = gradients(linear(), x)
    assert of_x.shape == x.shape
    assert [g.abs().max().item() for g in rest] == [0, 0, 0]


def test_a_row_alone_and_a_view_of_rows():
    layer, x = linear(), torch.randn(4, 6, 5, dtype=torch.float64).mT  # (4, 5, 6), not contiguous
    assert torch.allclose(layer(x[0, 0]), layer(x)[0, 0], rtol=0, atol=1e-12)
    got = gradients(layer, x.detach().requires_grad_())
    expected = gradients(layer, x.contiguous().requires_grad_())
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_what_is_unfrozen_in_a_linear_layer_gets_its_gradient(name):
    layer, x = linear(), torch.randn(5, 6, dtype=torch.float64)
    layer._parameters[name].requires_grad_(True)
    (got,) = torch.autograd.grad(layer(x).square().sum(), [layer._parameters[name]])
    y = layer(x).detach()
    assert torch.allclose(got, 2 * (y.T @ x if name == "weight" else y.sum(0)), rtol=0, atol=1e-10)


def test_transforms_and_compilers_see_a_plain_linear_layer():
    check_transforms_see_it_plainly(linear(1), torch.randn(3, 6, dtype=torch.float64), "pointwise_a")


def test_a_linear_layer_under_autocast_computes_what_a_merge_adds():
    layer, x = linear(dtype=torch.float32), torch.randn(2, 20, 6)
    with torch.autocast("cpu", torch.bfloat16):
        before = layer(x)
        assert before.dtype == torch.bfloat16
        seen, delta = layer.weight, layer.delta_weight()
    assert torch.equal(seen, layer.weight)
    assert torch.equal(delta, layer.delta_weight())
    with torch.autocast("cpu", torch.bfloat16):
        got = gradients(layer, x.clone().requires_grad_())
    exact = gradients(layer.double(), x.double().requires_grad_())
    assert all((a - b).abs().max() <= 0.03 * b.abs().max() for a, b in zip(got, exact, strict=True))
    layer = linear(dtype=torch.float32)
    layer.merge_(keyed_generator(1))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), before)


def test_a_backward_pass_inside_autocast_of_a_forward_pass_outside():
    layer, x = linear(dtype=torch.float32), torch.randn(2, 20, 6).requires_grad_()
    expected = gradients(layer, x)
    y = layer(x)
    direction = torch.sin(torch.arange(y.numel(), dtype=torch.float64)).view(y.shape).float()
    loss = (y * direction).sum()
    with torch.autocast("cpu", torch.bfloat16):
        got = torch.autograd.grad(loss, [x, *layer.adapter_parameters()])
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("pixels", [low_rank.ROWS_AT_LEAST - 1, low_rank.ROWS_AT_LEAST])
def test_a_1x1_kernels_gradient_is_summed_over_images_and_pixels(pixels):
    g, x = torch.randn(4, 3, pixels, dtype=torch.float64), torch.randn(4, 5, pixels, dtype=torch.float64)
    expected = torch.einsum("bos,bcs->oc", g, x)
    assert torch.allclose(low_rank.mixed(g, x), expected, rtol=0, atol=1e-12)
    last = [t.mT.contiguous().mT for t in (g, x)]  # as in channels_last
    assert torch.allclose(low_rank.mixed(*last), expected, rtol=0, atol=1e-12)
