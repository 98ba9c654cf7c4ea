"""One adapted linear layer: its figures against LoRA's formula, its merges, and those who read its weight."""

import copy
import json

import pytest
import torch
from convolutions import BIAS_SETTINGS
from safetensors import safe_open
from torch import nn

from colora import CoLoRAConfig, CoLoRALinear, adapt, adapted_layers, adapter_parameters, merge_, plain_state, strip
from colora.adapters.history import rebuild, save_epoch
from colora.adapters.layer import keyed_generator
from colora.adapters.model import config_of


def trained_linear(rank=1, p=2, bias=True, adapt_bias="auto", dtype=torch.float64):
    torch.manual_seed(0)
    layer = CoLoRALinear(nn.Linear(6, 5, bias=bias, dtype=dtype), rank, adapt_bias, keyed_generator(0), p)
    with torch.no_grad():
        for factor in layer.adapter_parameters():
            factor.normal_()
    return layer


@pytest.mark.parametrize("shape", [(6,), (3, 6), (2, 3, 6), (2, 3, 4, 6)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("p", [1, 2, 5])
@pytest.mark.parametrize("rank", [1, 3])
def test_adapted_merged_and_stripped_compute_the_same(rank, p, bias, shape):
    layer = trained_linear(rank, p, bias)
    x = torch.randn(shape, dtype=torch.float64)
    before, delta, adapted = layer.base_weight.clone(), layer.delta_weight().detach(), layer(x)
    updated = layer.updated_weight().detach()
    a, b = layer.pointwise_a, layer.pointwise_b
    assert (a.shape, b.shape) == ((rank, p, 6), (rank, 5, p))
    assert torch.allclose(delta, sum(b[r] @ a[r] for r in range(rank)), rtol=0, atol=1e-14)
    branch = sum(nn.functional.linear(nn.functional.linear(x, a[r]), b[r]) for r in range(rank))
    expected = nn.functional.linear(x, before, layer.base_bias) + branch
    assert torch.allclose(adapted, expected if not bias else expected + layer.bias_update, rtol=0, atol=1e-12)

    factors = layer.merge_(keyed_generator(1))
    assert set(factors) == {"pointwise_a", "pointwise_b"} | ({"bias"} if bias else set())
    assert torch.equal(layer.base_weight, updated)  # what the forward pass computed with, to the bit
    assert torch.allclose(updated, before + delta, rtol=0, atol=1e-14)
    assert torch.equal(layer(x), adapted)
    once = layer.base_weight.clone()
    layer.merge_(keyed_generator(2))
    assert torch.equal(layer.base_weight, once)
    plain = copy.deepcopy(layer).stripped()
    assert type(plain) is nn.Linear
    assert list(plain.state_dict()) == ["weight", "bias"][: 1 + bias]
    assert torch.equal(plain(x), adapted)
    layer.undo_(factors)
    assert torch.allclose(layer.base_weight, before, rtol=0, atol=1e-14)
    layer.load_factors_(factors)
    assert torch.equal(layer.delta_weight(), delta)


def test_a_new_adapter_and_a_reset_one_change_nothing_and_the_draw_is_keyed():
    base, x = nn.Linear(300, 200), torch.randn(4, 300)
    expected = base(x)
    layer = CoLoRALinear(base, rank=2, generator=keyed_generator(7, 1, "a"))
    assert torch.equal(layer(x), expected)
    assert layer.pointwise_a.shape == (2, 8, 300)  # p = 8 where none is given
    assert 0.98 / 300**0.5 < layer.pointwise_a.abs().max() <= 1 / 300**0.5
    first = layer.pointwise_a.clone()
    layer.reset_(keyed_generator(7, 1, "a"))
    assert torch.equal(layer.pointwise_a, first)
    layer.reset_(keyed_generator(7, 2, "a"))
    assert not torch.equal(layer.pointwise_a, first)
    assert torch.equal(layer(x), expected)


@pytest.mark.parametrize(("asked", "p"), [(1, 1), (5, 5), (8, 5)])
def test_the_rank_is_at_most_the_smaller_side(asked, p):
    layer = CoLoRALinear(nn.Linear(6, 5), pointwise_rank=asked)
    assert (layer.pointwise_rank, layer.pointwise_rank_asked) == (p, asked)
    assert sum(t.numel() for t in layer.adapter_parameters()) == 11 * p + 5


@pytest.mark.parametrize(("adapt_bias", "base_bias", "has_update", "has_bias"), BIAS_SETTINGS)
def test_bias_settings(adapt_bias, base_bias, has_update, has_bias):
    layer = trained_linear(bias=base_bias, adapt_bias=adapt_bias)
    assert (layer.bias_update is not None) is has_update
    x = torch.randn(2, 6, dtype=torch.float64)
    expected = layer(x)
    plain = layer.stripped()
    assert (plain.bias is not None) is has_bias
    assert torch.equal(plain(x), expected)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2**-7), (torch.float16, 2**-9)]
)
def test_lower_precisions_stay_within_their_rounding(dtype, tolerance):
    layer = trained_linear(2, dtype=dtype)
    x = torch.randn(4, 6).to(dtype)
    adapted = layer(x)
    assert (adapted.dtype, layer.base_weight.dtype, layer.weight.dtype) == (dtype, torch.float32, dtype)
    weight, bias = layer.effective_weight().double(), layer.effective_bias().double()
    exact, largest = nn.functional.linear(x.double(), weight, bias), adapted.abs().max()
    assert (adapted - exact).abs().max() <= 2 * tolerance * largest
    layer.merge_()
    assert torch.equal(layer(x), adapted)
    plain = layer.stripped()
    assert plain.weight.dtype == dtype
    assert (plain(x) - adapted).abs().max() <= 2 * tolerance * largest


def test_autocast_is_torchs_own():
    layer, x = trained_linear(dtype=torch.float32), torch.randn(4, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = layer(x)
        assert torch.equal(got, copy.deepcopy(layer).stripped()(x))
    assert got.dtype == torch.bfloat16
    got.sum().backward()
    assert {p.grad.dtype for p in layer.adapter_parameters()} == {torch.float32}


def perceptron():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 4, bias=False), nn.Linear(4, 3)).double()


@pytest.mark.parametrize(("p", "bias"), [(None, "auto"), (2, "all"), (20, "none")])
def test_a_history_of_linear_layers_gives_every_epoch_its_own_bits(tmp_path, p, bias):
    base = perceptron()
    config = CoLoRAConfig(rank=2, bias=bias, pointwise_rank=p, layers="conv+linear")
    model, states = adapt(copy.deepcopy(base), config, train_also=("3",), seed=4), []
    assert list(adapted_layers(model)) == ["0", "2"]
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for epoch in (1, 2, 3):
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(8, 6, dtype=torch.float64)).square().sum().backward()
            optimizer.step()
        merges = {epoch: merge_(model, seed=4, step=epoch)} if epoch < 3 else {}
        save_epoch(tmp_path, model, epoch, merges)
        states.append({name: value.clone() for name, value in plain_state(model).items()})
    for epoch, state in enumerate(states, 1):
        rebuilt = rebuild(base, tmp_path, epoch).state_dict()
        assert list(rebuilt) == list(state)
        assert all(torch.equal(value, state[name]) for name, value in rebuilt.items())
    with safe_open(tmp_path / "epoch-01.safetensors", "pt") as file:
        about = json.loads(file.metadata()["about"])
    assert (about["layers"], about["rank"]) == (["0", "2"], 2)
    found = config_of(model)
    assert (found.rank, found.bias, found.layers) == (2, bias, "conv+linear")
    again = adapt(copy.deepcopy(base), found, train_also=("3",), seed=4)
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    assert {name: value.shape for name, value in again.state_dict().items()} == shapes


def randomised(model):
    with torch.no_grad():
        for factor in adapter_parameters(model):
            factor.normal_(std=0.3)
    return model


def test_attention_that_reads_its_projections_weight_sees_the_update():
    """nn.MultiheadAttention never calls `out_proj`: it reads its weight and bias."""
    torch.manual_seed(0)
    plain = nn.MultiheadAttention(8, 2, batch_first=True)
    model = randomised(adapt(copy.deepcopy(plain), CoLoRAConfig(layers="conv+linear", pointwise_rank=2)))
    assert list(adapted_layers(model)) == ["out_proj"]
    x = torch.randn(2, 5, 8)
    plain.load_state_dict(plain_state(model))
    adapted = model(x, x, x)[0]
    assert torch.allclose(adapted, plain(x, x, x)[0], rtol=0, atol=1e-6)
    adapted.square().sum().backward()
    assert all(p.grad.abs().max() > 0 for p in adapter_parameters(model))
    model.eval(), plain.eval()
    with torch.inference_mode():
        fast = model(x, x, x, need_weights=False)[0]
        assert torch.allclose(fast, plain(x, x, x, need_weights=False)[0], rtol=0, atol=1e-6)
    assert torch.allclose(fast, adapted, rtol=0, atol=1e-5)
    merge_(model)
    assert torch.allclose(model(x, x, x)[0], adapted, rtol=0, atol=1e-6)
    assert type(strip(model).out_proj) is nn.modules.linear.NonDynamicallyQuantizableLinear
    half = adapt(nn.MultiheadAttention(8, 2, batch_first=True).bfloat16(), CoLoRAConfig(layers="conv+linear"))
    assert half(*[x.bfloat16()] * 3)[0].dtype == torch.bfloat16


def test_a_transformer_layers_fast_path_sees_the_update():
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0, batch_first=True)
    model = nn.TransformerEncoder(block, 2, enable_nested_tensor=False).eval()
    plain = copy.deepcopy(model)
    randomised(adapt(model, CoLoRAConfig(layers="conv+linear", pointwise_rank=2)))
    names = [f"layers.{i}.{name}" for i in (0, 1) for name in ("self_attn.out_proj", "linear1", "linear2")]
    assert list(adapted_layers(model)) == names
    x = torch.randn(2, 5, 8)
    plain.load_state_dict(plain_state(model))
    adapted = model(x)
    adapted.square().sum().backward()
    assert all(p.grad.abs().max() > 0 for p in adapter_parameters(model))
    assert torch.allclose(adapted, plain(x), rtol=0, atol=1e-5)
    with torch.inference_mode():
        assert torch.allclose(model(x), plain(x), rtol=0, atol=1e-5)
        assert torch.allclose(model(x), adapted, rtol=0, atol=1e-5)


def test_wrong_arguments_say_what_was_expected():
    with pytest.raises(TypeError, match="this adapter is for Linear; got Conv2d"):
        CoLoRALinear(nn.Conv2d(2, 2, 1))
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        CoLoRALinear(nn.Linear(2, 2), rank=0)
    with pytest.raises(ValueError, match="pointwise_rank must be at least 1, got -1"):
        CoLoRALinear(nn.Linear(2, 2), pointwise_rank=-1)
    with pytest.raises(ValueError, match="bias must be"):
        CoLoRALinear(nn.Linear(2, 2), bias="some")
