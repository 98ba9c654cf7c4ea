"""One adapted layer: the merge identity in fp64, and the factors against their equations written out in loops."""

import copy
import itertools

import pytest
import torch
from torch import nn

from colora.conv import CoLoRAConv, keyed_generator

PLAIN = {
    1: [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 4, "stride": 3, "groups": 2},
        {"kernel_size": 3, "padding": "same", "dilation": 2, "padding_mode": "circular"},
    ],
    2: [
        {"kernel_size": 3},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": (3, 5), "padding": (1, 2), "dilation": (2, 1)},
        {"kernel_size": (4, 3), "padding": "same", "dilation": 2},
        {"kernel_size": 3, "padding": "valid"},
        {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
        {"kernel_size": 3, "padding": 1, "padding_mode": "circular"},
        {"kernel_size": 3, "padding": "same", "padding_mode": "replicate"},
        {"kernel_size": 1},
        {"kernel_size": 3, "padding": 1, "groups": 2},
        {"kernel_size": 3, "padding": 1, "groups": 6},
    ],
    3: [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": (1, 3, 2), "stride": (1, 2, 1), "groups": 3},
        {"kernel_size": 1},
        {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    ],
}
TRANSPOSED = [
    {"kernel_size": 3},
    {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1, "groups": 3},
    {"kernel_size": 2, "stride": 2, "dilation": 2, "groups": 6},
]
KINDS = {(n, False): getattr(nn, f"Conv{n}d") for n in (1, 2, 3)}
KINDS |= {(n, True): getattr(nn, f"ConvTranspose{n}d") for n in (1, 2, 3)}
PLAIN_CASES = [(n, False, geometry) for n in PLAIN for geometry in PLAIN[n]]
CASES = [*PLAIN_CASES, *((n, True, geometry) for n in PLAIN for geometry in TRANSPOSED)]
GRID = list(itertools.product(CASES, ("inception", "separable"), (1, 3), (True, False)))


def trained_layer(
    geometry, order, rank, bias, adapt_bias="auto", n=2, transposed=False, dtype=torch.float64, form="auto"
):
    """An adapted layer whose factors are all random, as after some training."""
    torch.manual_seed(0)
    base = KINDS[n, transposed](6, 12, bias=bias, dtype=dtype, **geometry)
    layer = CoLoRAConv(base, order, rank, adapt_bias, keyed_generator(0), form)
    with torch.no_grad():
        for p in (layer.pointwise, layer.depthwise, layer.bias_update):
            if p is not None:
                p.normal_()
    return layer


@pytest.mark.parametrize(("case", "order", "rank", "bias"), GRID)
def test_adapted_merged_and_stripped_compute_the_same(case, order, rank, bias):
    n, transposed, geometry = case
    layer = trained_layer(geometry, order, rank, bias, n=n, transposed=transposed)
    x = torch.randn(2, 6, *(9, 7, 6)[:n], dtype=torch.float64)
    before, delta, adapted = layer.weight.clone(), layer.delta_weight().detach(), layer(x)

    factors = layer.merge_(keyed_generator(1))
    assert torch.equal(layer.weight, before + delta)
    assert layer.depthwise.abs().max() == 0
    assert torch.allclose(layer(x), adapted, rtol=0, atol=1e-10)
    assert set(factors) == {"pointwise", "depthwise"} | ({"bias"} if bias else set())

    once = layer.weight.clone()
    layer.merge_(keyed_generator(2))
    assert torch.equal(layer.weight, once)
    plain = layer.stripped()
    assert type(plain) is KINDS[n, transposed]
    assert torch.allclose(plain(x), adapted, rtol=0, atol=1e-10)

    layer.undo_(factors)
    assert torch.allclose(layer.weight, before, rtol=0, atol=1e-10)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2**-6), (torch.float16, 2**-6)], ids=str
)
@pytest.mark.parametrize("order", ["inception", "separable"])
def test_lower_precisions_stay_within_their_rounding(order, dtype, tolerance, memory_format):
    """Relative to the largest output."""
    layer = trained_layer({"kernel_size": 3, "padding": 1}, order, 1, True, dtype=dtype).to(memory_format=memory_format)
    x = torch.randn(2, 6, 9, 9).to(dtype, memory_format=memory_format)
    adapted = layer(x)
    assert adapted.dtype == dtype
    layer.merge_()
    largest = adapted.abs().max()
    assert (layer(x) - adapted).abs().max() <= tolerance * largest
    assert (layer.stripped()(x) - adapted).abs().max() <= tolerance * largest


@pytest.mark.parametrize("case", PLAIN_CASES)
@pytest.mark.parametrize(("order", "rank"), [("inception", 1), ("inception", 2), ("separable", 1), ("separable", 2)])
def test_the_factored_form_has_the_gradients_of_the_fused_one(case, order, rank):
    n, _, geometry = case
    x = torch.randn(2, 6, *(9, 7, 6)[:n], dtype=torch.float64, requires_grad=True)
    found = {}
    for form in ("fused", "factored"):
        layer = trained_layer(geometry, order, rank, True, n=n, form=form)
        y = layer(x)
        direction = torch.sin(torch.arange(y.numel(), dtype=torch.float64)).view_as(y)
        inputs = [x, layer.pointwise, layer.depthwise, layer.bias_update]
        found[form] = [y, *torch.autograd.grad((y * direction).sum(), inputs)]
    for fused, factored in zip(found["fused"], found["factored"], strict=True):
        assert (fused - factored).abs().max() <= 1e-10


def test_the_factored_form_steps_aside_for_transforms_and_compilers():
    layer = trained_layer({"kernel_size": 3, "padding": 1}, "inception", 1, True, form="factored")
    x = torch.randn(3, 6, 5, 5, dtype=torch.float64)
    parameters = {n: p.detach() for n, p in layer.named_parameters()}

    def loss(parameters, x):
        return torch.func.functional_call(layer, parameters, (x[None],)).square().sum()

    per_sample = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    (expected,) = torch.autograd.grad(layer(x).square().sum(), [layer.depthwise])
    assert torch.allclose(per_sample["depthwise"].sum(0), expected, rtol=0, atol=1e-10)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    (got,) = torch.autograd.grad(compiled(x).square().sum(), [layer.depthwise])
    assert torch.allclose(got, expected, rtol=0, atol=1e-10)


def test_the_factored_form_under_autocast():
    layer = trained_layer({"kernel_size": 3, "padding": 1}, "inception", 1, True, dtype=torch.float32)
    x = torch.randn(2, 6, 9, 9, requires_grad=True)
    found = {}
    for form in ("fused", "factored"):
        layer.form = form
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
        found[form] = [y, *torch.autograd.grad(y.float().square().sum(), [x, layer.pointwise, layer.depthwise])]
    assert found["factored"][0].dtype == torch.bfloat16
    assert found["factored"][2].dtype == torch.float32
    for fused, factored in zip(found["fused"], found["factored"], strict=True):
        assert (fused - factored).abs().max() <= 0.03 * fused.abs().max()


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("order", ["inception", "separable"])
def test_delta_follows_the_equations(order, groups):
    layer = trained_layer({"kernel_size": (2, 3), "groups": groups}, order, 2, True)
    kp, kd, dk = layer.pointwise, layer.depthwise, layer.delta_weight()
    out_channels, width = 12, 6 // groups
    for o, c, i, j in itertools.product(range(out_channels), range(width), range(2), range(3)):
        channel = o if order == "inception" else (o // (out_channels // groups)) * width + c
        expected = sum(kp[r, o, c] * kd[r, channel, i, j] for r in range(2))
        assert dk[o, c, i, j].item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("order", ["inception", "separable"])
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
    assert torch.allclose(layer(x), conv(x, layer.weight, padding=1) + branch, rtol=0, atol=1e-10)


def test_a_new_adapter_and_a_reset_one_change_nothing():
    torch.manual_seed(0)
    base = nn.Conv2d(6, 12, 3)
    x = torch.randn(2, 6, 9, 9)
    expected = base(x)
    layer = CoLoRAConv(base)
    assert torch.equal(layer(x), expected)
    first = layer.pointwise.clone()
    layer.reset_(keyed_generator(5))
    assert torch.equal(layer(x), expected)
    assert not torch.equal(layer.pointwise, first)


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


@pytest.mark.parametrize("order", ["inception", "separable"])
def test_gradients_are_those_of_plain_autograd(order):
    layer = trained_layer({"kernel_size": 3, "padding": 1, "groups": 2}, order, 2, True)
    x = torch.randn(1, 6, 4, 4, dtype=torch.float64, requires_grad=True)
    names = ("pointwise", "depthwise", "bias_update")

    def run(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    values = [getattr(layer, name).detach().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(run, (x, *values))
    assert not layer.weight.requires_grad
    assert not layer.bias.requires_grad


@pytest.mark.parametrize(
    ("adapt_bias", "base_bias", "has_update", "has_bias"),
    [
        ("auto", True, True, True),
        ("auto", False, False, False),
        ("all", False, True, True),
        ("none", True, False, True),
    ],
)
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
    assert layer.weight.dtype == torch.float32
    with torch.no_grad():
        layer.depthwise.fill_(1e-4)
    start = layer.weight.clone()
    for step in range(20):  # each update alone would vanish in bf16's rounding
        layer.merge_(keyed_generator(step))
        with torch.no_grad():
            layer.depthwise.fill_(1e-4)
    assert 0 < (layer.weight - start).abs().max() < 0.01
    x = torch.randn(1, 6, 5, 5, dtype=torch.bfloat16)
    assert layer(x).dtype == torch.bfloat16
    plain = layer.stripped()
    assert plain.weight.dtype == torch.bfloat16
    assert (plain(x) - layer(x)).abs().max() <= 2**-6 * layer(x).abs().max()


def test_deepcopy_is_independent_and_holds_its_kernel_once():
    layer = trained_layer({"kernel_size": 3}, "inception", 1, True)
    twin = copy.deepcopy(layer)
    twin.merge_()
    assert not torch.equal(twin.weight, layer.weight)
    assert twin.base.weight is twin.weight


def test_wrong_arguments_say_what_was_expected():
    with pytest.raises(TypeError, match=r"CoLoRA adapts Conv1d, .*ConvTranspose3d; got Linear"):
        CoLoRAConv(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="order must be 'inception' or 'separable', got 'x'"):
        CoLoRAConv(nn.Conv2d(2, 2, 1), order="x")
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        CoLoRAConv(nn.Conv2d(2, 2, 1), rank=0)
    with pytest.raises(ValueError, match="bias must be"):
        CoLoRAConv(nn.Conv2d(2, 2, 1), bias="some")
