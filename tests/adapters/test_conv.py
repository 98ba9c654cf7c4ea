"""One adapted layer over a grid of geometries: merge, reset, strip and precision against convolutions of K0 + dK."""

import copy
import itertools

import pytest
import torch
from convolutions import (
    BIAS_SETTINGS,
    CASES,
    GRID,
    KINDS,
    LAYOUTS,
    ORDERS,
    by_case,
    images,
    kernel_delta,
    plain_output,
    readable,
    trained_layer,
)
from torch import nn

from colora.adapters.conv import CoLoRAConv
from colora.adapters.layer import keyed_generator

ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 2**-6, torch.float16: 2**-6}  # of the largest output


@pytest.mark.parametrize(("case", "rows"), by_case(GRID))
def test_adapted_merged_and_stripped_compute_the_same(case, rows):
    for row in rows:
        check_computes_the_same(case, *row)


def check_computes_the_same(case, order, rank, bias, p):
    n, transposed, geometry = case
    layer = trained_layer(geometry, order, rank, bias, n=n, transposed=transposed, pointwise_rank=p)
    x = images(n)
    before, delta, adapted = layer.base_weight.clone(), layer.delta_weight().detach(), layer(x)
    effective = layer.effective_weight().detach()
    assert torch.equal(layer.weight, effective)
    kp = layer.kernel_pointwise()
    assert torch.allclose(delta, kernel_delta(case, order, kp, layer.depthwise), rtol=0, atol=1e-12)
    state = copy.deepcopy(layer.state_dict())

    factors = layer.merge_(keyed_generator(1))
    assert torch.equal(layer.base_weight, effective)
    assert torch.allclose(layer.base_weight, before + delta, rtol=0, atol=1e-14)
    assert layer.depthwise.abs().max() == 0
    merged = layer(x)
    assert torch.allclose(merged, adapted, rtol=0, atol=1e-10)
    width = 6 // geometry.get("groups", 1)
    low = p is not None and p * (12 + width) < 12 * width
    assert set(factors) == {"depthwise"} | ({"bias"} if bias else set()) | (
        {"pointwise_a", "pointwise_b"} if low else {"pointwise"}
    )

    once = layer.base_weight.clone()
    layer.merge_(keyed_generator(2))
    assert torch.equal(layer.base_weight, once)
    layer.reset_(keyed_generator(3))
    assert torch.equal(layer(x), merged)
    plain = copy.deepcopy(layer).stripped()
    assert type(plain) is KINDS[n, transposed]
    assert set(plain.state_dict()) == {"weight"} | ({"bias"} if bias else set())
    assert torch.allclose(plain(x), adapted, rtol=0, atol=1e-10)
    assert torch.allclose(copy.deepcopy(plain)(x), adapted, rtol=0, atol=1e-10)

    layer.undo_(factors)
    assert torch.allclose(layer.base_weight, before, rtol=0, atol=1e-10)
    layer.load_factors_(factors)
    assert torch.equal(layer.delta_weight(), delta)
    layer.load_state_dict(state)
    assert torch.equal(layer(x), adapted)


@pytest.mark.parametrize(("case", "layouts"), by_case(LAYOUTS))
def test_lower_precisions_stay_within_their_rounding(case, layouts):
    """Relative to the largest output: merged, stripped, and a float64 convolution of the same kernel."""
    for (layout,), (dtype, tolerance) in itertools.product(layouts, ROUNDING.items()):
        check_stays_within(case, layout, dtype, tolerance)


def check_stays_within(case, layout, dtype, tolerance):
    n, transposed, geometry = case
    for order in ORDERS:
        layer = trained_layer(geometry, order, 2, True, n=n, transposed=transposed, dtype=dtype)
        layer.to(memory_format=layout)
        x = images(n, dtype).to(memory_format=layout)
        adapted = layer(x)
        assert adapted.dtype == dtype
        largest = adapted.abs().max()
        exact = plain_output(case, x.double(), layer.effective_weight().double(), layer.effective_bias().double())
        assert (adapted - exact).abs().max() <= tolerance * largest
        layer.merge_()
        assert (layer(x) - adapted).abs().max() <= tolerance * largest
        assert (layer.stripped()(x) - adapted).abs().max() <= tolerance * largest


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("order", ORDERS)
def test_delta_follows_the_equations(order, groups):
    layer = trained_layer({"kernel_size": (2, 3), "groups": groups}, order, 2, True)
    kp, kd, dk = layer.pointwise, layer.depthwise, layer.delta_weight()
    out_channels, width = 12, 6 // groups
    for o, c, i, j in itertools.product(range(out_channels), range(width), range(2), range(3)):
        channel = o if order == "inception" else (o // (out_channels // groups)) * width + c
        expected = sum(kp[r, o, c] * kd[r, channel, i, j] for r in range(2))
        assert dk[o, c, i, j].item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_parallel_branch_gives_the_same_output(order):
    """The paper's picture (figures 3, 4): two small convolutions beside the frozen one."""
    layer = trained_layer({"kernel_size": 3, "padding": 1}, order, 1, False)
    x = torch.randn(2, 6, 9, 9, dtype=torch.float64)
    pointwise = layer.pointwise[0][:, :, None, None]
    depthwise = layer.depthwise[0].unsqueeze(1)
    conv = nn.functional.conv2d
    if order == "inception":
        branch = conv(conv(x, pointwise), depthwise, padding=1, groups=12)
    else:
        branch = conv(conv(x, depthwise, padding=1, groups=6), pointwise)
    assert torch.allclose(layer(x), conv(x, layer.base_weight, padding=1) + branch, rtol=0, atol=1e-10)


@pytest.mark.parametrize("case", CASES, ids=readable)
def test_a_new_adapter_and_a_reset_one_change_nothing(case):
    n, transposed, geometry = case
    base, x = KINDS[n, transposed](6, 12, **geometry), images(n, torch.float32)
    expected = base(x)
    layer = CoLoRAConv(base)
    assert torch.equal(layer(x), expected)
    first = layer.pointwise.clone()
    layer.reset_(keyed_generator(5))
    assert torch.equal(layer(x), expected)
    assert not torch.equal(layer.pointwise, first)


def test_a_transposed_layer_takes_the_output_size_wanted():
    layer = trained_layer({"kernel_size": 3, "stride": 2}, "inception", 1, True, transposed=True)
    adapted = layer(images(2), output_size=[20, 16])
    assert adapted.shape == (2, 12, 20, 16)
    assert torch.allclose(layer.stripped()(images(2), output_size=[20, 16]), adapted, rtol=0, atol=1e-10)


def test_glorot_limit_and_keyed_draw():
    layer = CoLoRAConv(nn.Conv2d(64, 128, 3, groups=2), rank=3, generator=keyed_generator(7, 1, "a"))
    limit = (6 / (32 + 64)) ** 0.5  # fan-in Cin/G, fan-out Cout/G, whatever the rank
    assert layer.pointwise.abs().max() <= limit
    assert layer.pointwise.abs().max() > 0.98 * limit
    again = layer.pointwise.clone()
    layer.reset_(keyed_generator(7, 1, "a"))
    assert torch.equal(layer.pointwise, again)
    layer.reset_(keyed_generator(7, 2, "a"))
    assert not torch.equal(layer.pointwise, again)


@pytest.mark.parametrize(("adapt_bias", "base_bias", "has_update", "has_bias"), BIAS_SETTINGS)
def test_bias_settings(adapt_bias, base_bias, has_update, has_bias):
    layer = trained_layer({"kernel_size": 3}, "inception", 1, base_bias, adapt_bias)
    assert (layer.bias_update is not None) is has_update
    x = torch.randn(1, 6, 5, 5, dtype=torch.float64)
    expected = layer(x)
    plain = layer.stripped()
    assert (plain.bias is not None) is has_bias
    assert torch.allclose(plain(x), expected, rtol=0, atol=1e-12)


def test_half_precision_base_keeps_an_fp32_master():
    base = nn.Conv2d(6, 12, 3).to(torch.bfloat16)
    layer = CoLoRAConv(base)
    assert layer.base_weight.dtype == torch.float32
    with torch.no_grad():
        layer.depthwise.fill_(1e-4)
    start = layer.base_weight.clone()
    for step in range(20):  # each update alone would vanish in bf16's rounding
        layer.merge_(keyed_generator(step))
        with torch.no_grad():
            layer.depthwise.fill_(1e-4)
    assert 0 < (layer.base_weight - start).abs().max() < 0.01
    x = torch.randn(1, 6, 5, 5, dtype=torch.bfloat16)
    assert layer(x).dtype == torch.bfloat16
    plain = layer.stripped()
    assert plain.weight.dtype == torch.bfloat16
    assert (plain(x) - layer(x)).abs().max() <= 2**-6 * layer(x).abs().max()


def test_deepcopy_is_independent_and_holds_its_kernel_once():
    layer = trained_layer({"kernel_size": 3}, "inception", 1, True)
    twin = copy.deepcopy(layer)
    twin.merge_()
    assert not torch.equal(twin.base_weight, layer.base_weight)
    assert twin.base.weight is twin.base_weight


def test_the_whole_pointwise_factor_is_drawn_as_it_always_was():
    """Histories hold no draws, so that a model of any epoch needs the same numbers again."""
    layer = CoLoRAConv(nn.Conv2d(4, 6, 3, groups=2), rank=2, generator=keyed_generator(7, 1, "layer1.0.conv1"))
    drawn = layer.pointwise.flatten().tolist()
    assert drawn[:4] == [-0.8850815296173096, 0.23765558004379272, -0.9743034243583679, 0.491377592086792]
    assert drawn[-1] == -0.3279082179069519


@pytest.mark.parametrize(("p", "rank", "groups"), [(1, 1, 1), (8, 1, 1), (8, 3, 2), (32, 2, 1)])
def test_the_product_of_low_rank_has_the_variance_of_the_whole_factor(p, rank, groups):
    variance, sizes = [], set()
    for step in range(32):
        base = nn.Conv2d(256, 512, 1, groups=groups)
        layer = CoLoRAConv(base, rank=rank, generator=keyed_generator(1, step, "a"), pointwise_rank=p)
        variance.append(layer.kernel_pointwise().var().item())
        sizes.add((tuple(layer.pointwise_a.shape), tuple(layer.pointwise_b.shape)))
    glorot = 2 / (256 // groups + 512 // groups)
    assert sum(variance) / 32 == pytest.approx(glorot, rel=0.05)
    assert sizes == {((rank, p, 256 // groups), (rank, 512, p))}
    again = layer.kernel_pointwise().clone()
    layer.reset_(keyed_generator(1, 31, "a"))
    assert torch.equal(layer.kernel_pointwise(), again)
    layer.reset_(keyed_generator(1, 32, "a"))
    assert not torch.equal(layer.kernel_pointwise(), again)
    assert layer.delta_weight().abs().max() == 0


@pytest.mark.parametrize(("p", "low"), [(1, 1), (4, 4), (5, 5), (6, None), (100, None)])
def test_a_product_no_smaller_than_the_whole_factor_is_the_whole_factor(p, low):
    """16 outputs and 8 inputs a group: 24 p against 128."""
    layer = CoLoRAConv(nn.Conv2d(16, 16, 3, groups=2), pointwise_rank=p)
    assert layer.pointwise_rank == low
    assert layer.pointwise_rank_asked == p
    assert sum(t.numel() for t in layer.adapter_parameters()) == 16 * 9 + 16 + (24 * p if low else 128)
    assert (layer.pointwise is None) is (low is not None)
    with pytest.raises(ValueError, match="pointwise_rank must be at least 1, got 0"):
        CoLoRAConv(nn.Conv2d(2, 2, 1), pointwise_rank=0)


@pytest.mark.parametrize("order", ORDERS)
def test_on_a_1x1_convolution_it_is_lora_with_a_scale_for_each_channel(order):
    layer = trained_layer({"kernel_size": 1}, order, 1, False, pointwise_rank=2)
    a, b, scale = layer.pointwise_a[0], layer.pointwise_b[0], layer.depthwise[0].flatten()
    expected = scale[:, None] * (b @ a) if order == "inception" else (b @ a) * scale
    assert torch.allclose(layer.delta_weight()[:, :, 0, 0], expected, rtol=0, atol=1e-14)
    assert torch.linalg.matrix_rank(layer.delta_weight()[:, :, 0, 0]) == 2


def test_wrong_arguments_say_what_was_expected():
    with pytest.raises(TypeError, match=r"CoLoRA adapts Conv1d, .*ConvTranspose3d; got Linear"):
        CoLoRAConv(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="order must be 'inception' or 'separable', got 'x'"):
        CoLoRAConv(nn.Conv2d(2, 2, 1), order="x")
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        CoLoRAConv(nn.Conv2d(2, 2, 1), rank=0)
    with pytest.raises(ValueError, match="bias must be"):
        CoLoRAConv(nn.Conv2d(2, 2, 1), bias="some")
    with pytest.raises(ValueError, match="form must be 'auto', 'plain', 'fused' or 'factored', got 'fast'"):
        CoLoRAConv(nn.Conv2d(2, 2, 1), form="fast")
    with pytest.raises(ValueError, match="form 'factored' is for plain convolutions, not for ConvTranspose1d"):
        CoLoRAConv(nn.ConvTranspose1d(2, 2, 1), form="factored")
    with pytest.raises(TypeError, match=r"real floating-point kernels; got torch\.complex64"):
        CoLoRAConv(nn.Conv2d(2, 2, 1, dtype=torch.complex64))
