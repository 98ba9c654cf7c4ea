"""One adapted layer over a grid of geometries: merge, precision and gradients against plain convolutions of K0 + dK."""

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from colora import forms
from colora.conv import CoLoRAConv, keyed_generator

MODES = ("reflect", "replicate", "circular")
EVERYWHERE = [
    {"kernel_size": 1},
    {"kernel_size": 3, "padding": "valid"},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 4, "stride": 3, "groups": 2},
    {"kernel_size": 3, "padding": "same", "dilation": 2},
    {"kernel_size": 3, "padding": 1, "groups": 6},
    *({"kernel_size": 3, "padding": 1, "padding_mode": mode} for mode in MODES),
]
PLAIN = {
    1: [
        {"kernel_size": 2, "padding": "same"},  # one pixel more on the right
        {"kernel_size": 3, "padding": "same", "dilation": 2, "padding_mode": "circular"},
    ],
    2: [
        {"kernel_size": (3, 5), "padding": (1, 2), "dilation": (2, 1)},
        {"kernel_size": (4, 3), "padding": "same", "dilation": (1, 2), "groups": 2},
        {"kernel_size": (3, 2), "stride": (2, 1), "padding": (2, 1), "groups": 3, "padding_mode": "reflect"},
        {"kernel_size": 3, "padding": "same", "padding_mode": "replicate"},
    ],
    3: [
        {"kernel_size": (1, 3, 2), "stride": (1, 2, 1), "groups": 3},
        {"kernel_size": (3, 2, 1), "padding": "same", "padding_mode": "circular"},
    ],
}
TRANSPOSED = [
    {"kernel_size": 3},
    {"kernel_size": 1, "stride": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1, "groups": 3},
    {"kernel_size": 2, "stride": 2, "dilation": 2, "groups": 6},
]
KINDS = {(n, False): getattr(nn, f"Conv{n}d") for n in (1, 2, 3)}
KINDS |= {(n, True): getattr(nn, f"ConvTranspose{n}d") for n in (1, 2, 3)}
PLAIN_CASES = [(n, False, geometry) for n in PLAIN for geometry in EVERYWHERE + PLAIN[n]]
TRANSPOSED_CASES = [(n, True, geometry) for n in PLAIN for geometry in TRANSPOSED]
TRANSPOSED_CASES.append((2, True, {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}))
CASES = PLAIN_CASES + TRANSPOSED_CASES
ORDERS = ("inception", "separable")
GRID = list(itertools.product(CASES, ORDERS, (1, 3), (True, False)))
LAYOUTS = [(case, torch.contiguous_format) for case in CASES]
LAYOUTS += [(c, torch.channels_last if c[0] == 2 else torch.channels_last_3d) for c in CASES if c[0] > 1]
FORMS = ("plain", "fused", "factored")
FORM_GRID = [(c, o, f) for c in CASES for o in ORDERS for f in FORMS if f == "plain" or not c[1]]


def readable(value):
    """The test id of a case, a dtype or a memory format."""
    if isinstance(value, tuple):
        n, transposed, geometry = value
        return KINDS[n, transposed].__name__ + "".join(f"-{k}={v}".replace(" ", "") for k, v in geometry.items())
    return str(value).removeprefix("torch.")


def trained_layer(
    geometry, order, rank, bias, adapt_bias="auto", n=2, transposed=False, dtype=torch.float64, form="fused"
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


def images(n, dtype=torch.float64):
    return torch.randn(2, 6, *(9, 7, 6)[:n], generator=keyed_generator("images"), dtype=torch.float64).to(dtype)


def plain_output(case, x, weight, bias):
    """torch's own convolution of the case's kind and geometry."""
    n, transposed, geometry = case
    conv = KINDS[n, transposed](6, 12, bias=bias is not None, dtype=weight.dtype, **geometry)
    return torch.func.functional_call(conv, {"weight": weight, "bias": bias}, (x,))


def kernel_delta(case, order, pointwise, depthwise):
    """dK by the equations, for 6 channels in and 12 out, where the kind's weight has it."""
    _, transposed, geometry = case
    groups = geometry.get("groups", 1)
    width_in, width_out = 6 // groups, 12 // groups
    if order == "inception":
        delta = torch.einsum("roc,ro...->oc...", pointwise, depthwise)
    else:
        channel = torch.arange(12)[:, None] // width_out * width_in + torch.arange(width_in)  # (Cout, Cin/G)
        delta = torch.einsum("roc,roc...->oc...", pointwise, depthwise[:, channel])
    if not transposed:
        return delta
    cin = torch.arange(6)[:, None]
    return delta[cin // width_in * width_out + torch.arange(width_out), cin % width_in]  # (Cin, Cout/G, *k)


@pytest.mark.parametrize(("case", "order", "rank", "bias"), GRID, ids=readable)
def test_adapted_merged_and_stripped_compute_the_same(case, order, rank, bias):
    n, transposed, geometry = case
    layer = trained_layer(geometry, order, rank, bias, n=n, transposed=transposed)
    x = images(n)
    before, delta, adapted = layer.weight.clone(), layer.delta_weight().detach(), layer(x)
    effective = layer.effective_weight().detach()
    assert torch.allclose(delta, kernel_delta(case, order, layer.pointwise, layer.depthwise), rtol=0, atol=1e-12)
    state = copy.deepcopy(layer.state_dict())

    factors = layer.merge_(keyed_generator(1))
    assert torch.equal(layer.weight, effective)
    assert torch.allclose(layer.weight, before + delta, rtol=0, atol=1e-14)
    assert layer.depthwise.abs().max() == 0
    merged = layer(x)
    assert torch.allclose(merged, adapted, rtol=0, atol=1e-10)
    assert set(factors) == {"pointwise", "depthwise"} | ({"bias"} if bias else set())

    once = layer.weight.clone()
    layer.merge_(keyed_generator(2))
    assert torch.equal(layer.weight, once)
    layer.reset_(keyed_generator(3))
    assert torch.equal(layer(x), merged)
    plain = copy.deepcopy(layer).stripped()
    assert type(plain) is KINDS[n, transposed]
    assert set(plain.state_dict()) == {"weight"} | ({"bias"} if bias else set())
    assert torch.allclose(plain(x), adapted, rtol=0, atol=1e-10)
    assert torch.allclose(copy.deepcopy(plain)(x), adapted, rtol=0, atol=1e-10)

    layer.undo_(factors)
    assert torch.allclose(layer.weight, before, rtol=0, atol=1e-10)
    layer.load_state_dict(state)
    assert torch.equal(layer(x), adapted)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2**-6), (torch.float16, 2**-6)], ids=readable
)
@pytest.mark.parametrize(("case", "layout"), LAYOUTS, ids=readable)
def test_lower_precisions_stay_within_their_rounding(case, layout, dtype, tolerance):
    """Relative to the largest output: merged, stripped, and a float64 convolution of the same kernel."""
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


@pytest.mark.parametrize(("case", "order", "form"), FORM_GRID, ids=readable)
def test_gradients_are_those_of_plain_autograd(case, order, form):
    """For x, Kp, Kd and db, against torch's convolution of K0 + dK and against finite differences."""
    n, transposed, geometry = case
    layer = trained_layer(geometry, order, 2, True, n=n, transposed=transposed, form=form)
    names = ("pointwise", "depthwise", "bias_update")
    inputs = [images(n).requires_grad_(), *(getattr(layer, name).detach().clone().requires_grad_() for name in names)]
    weight, bias = layer.weight.clone(), layer.bias.clone()

    def adapted(x, *factors):
        return torch.func.functional_call(layer, dict(zip(names, factors, strict=True)), (x,))

    def plain(x, pointwise, depthwise, bias_update):
        return plain_output(case, x, weight + kernel_delta(case, order, pointwise, depthwise), bias + bias_update)

    def found(compute, inputs):
        y = compute(*inputs)
        direction = torch.sin(torch.arange(y.numel(), dtype=torch.float64)).view_as(y)
        return [y, *torch.autograd.grad((y * direction).sum(), [t for t in inputs if t.requires_grad])]

    expected = found(plain, inputs)
    assert all(torch.allclose(a, b, rtol=0, atol=1e-10) for a, b in zip(found(adapted, inputs), expected, strict=True))
    first = found(adapted, [inputs[0].detach(), *inputs[1:]])  # a first layer: the image wants no gradient
    del expected[1]
    assert all(torch.allclose(a, b, rtol=0, atol=1e-10) for a, b in zip(first, expected, strict=True))
    assert torch.autograd.gradcheck(adapted, inputs, fast_mode=True)
    assert not layer.weight.requires_grad
    assert not layer.bias.requires_grad


def loss_gradients(layer, x):
    """The gradients for x, Kp, Kd and db of a loss whose own differ everywhere."""
    y = layer(x)
    direction = torch.sin(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)
    return torch.autograd.grad((y * direction).sum(), [x, layer.pointwise, layer.depthwise, layer.bias_update])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("case", [case for case in PLAIN_CASES if case[0] > 1], ids=readable)
def test_gradients_are_the_same_in_channels_last(case, order, form):
    n, _, geometry = case
    layer = trained_layer(geometry, order, 2, True, n=n, form=form)
    expected = loss_gradients(layer, images(n).requires_grad_())
    layout = torch.channels_last if n == 2 else torch.channels_last_3d
    layer.to(memory_format=layout)
    got = loss_gradients(layer, images(n).to(memory_format=layout).requires_grad_())
    assert all(torch.allclose(a, b, rtol=0, atol=1e-10) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("order", ORDERS)
def test_the_factored_form_takes_as_many_images_as_the_limit_allows(order, monkeypatch):
    """z of one image has 12 x 9 x 7 float64 entries (inception; the input's size) or 6 x 5 x 4 (the output's)."""
    layer = trained_layer({"kernel_size": 3, "stride": 2, "padding": 1}, order, 2, True, form="factored")
    x = images(2).repeat(4, 1, 1, 1)[:7].mul(torch.arange(1, 8).view(-1, 1, 1, 1)).requires_grad_()  # 7 that differ
    expected = loss_gradients(layer, x)
    taken, term = [], forms._factored_term
    monkeypatch.setattr(forms, "_factored_term", lambda g, *rest: taken.append(len(g)) or term(g, *rest))
    image = 8 * (12 * 9 * 7 if order == "inception" else 6 * 5 * 4)
    for limit, parts in ((8 * image - 1, [7]), (3 * image, [3, 3, 1]), (1, [1] * 7)):
        monkeypatch.setattr(forms, "CPU_MAP_BYTES", limit)
        taken.clear()
        got = loss_gradients(layer, x)
        assert taken == [part for part in parts for _ in range(2)]  # each for both terms
        assert all(torch.allclose(a, b, rtol=0, atol=1e-10) for a, b in zip(got, expected, strict=True))
    assert forms.images_at_once(x.shape, layer(x).shape, order, 8, "cuda") == 64 * 2**20 // image


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", ORDERS)
def test_a_batch_without_images_has_gradients_of_zero(order, form):
    layer = trained_layer({"kernel_size": 3, "padding": 1}, order, 2, True, form=form)
    x = images(2)[:0].requires_grad_()
    got = loss_gradients(layer, x)
    assert got[0].shape == x.shape
    assert [g.abs().max().item() for g in got[1:]] == [0, 0, 0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_what_is_unfrozen_gets_its_gradient_in_every_form(name, form):
    layer = trained_layer({"kernel_size": 3, "padding": 1}, "inception", 1, True, form=form)
    layer.get_parameter(name).requires_grad_(True)
    y = layer(images(2))
    (got,) = torch.autograd.grad(y.square().sum(), [layer.get_parameter(name)])
    weight, bias = (t.detach().requires_grad_() for t in (layer.effective_weight(), layer.effective_bias()))
    y = nn.functional.conv2d(images(2), weight, bias, padding=1)
    expected = torch.autograd.grad(y.square().sum(), [weight, bias])[("weight", "bias").index(name)]
    assert torch.allclose(got, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", ORDERS)
def test_second_derivatives_too(order, form):
    layer = trained_layer({"kernel_size": 2, "padding": 1, "groups": 2}, order, 2, True, form=form)
    x = images(2)[:1, :, :3, :3].requires_grad_()
    factors = layer.pointwise, layer.depthwise, layer.bias_update
    assert torch.autograd.gradgradcheck(lambda x, *_: layer(x), (x, *factors), fast_mode=True)


@pytest.mark.parametrize("form", FORMS)
def test_transforms_and_compilers_see_plain_operations(form):
    layer = trained_layer({"kernel_size": 3, "padding": 1}, "inception", 1, True, form=form)
    x = images(2)
    parameters = {n: p.detach() for n, p in layer.named_parameters()}

    def loss(parameters, x):
        return torch.func.functional_call(layer, parameters, (x[None],)).square().sum()

    per_sample = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    (expected,) = torch.autograd.grad(layer(x).square().sum(), [layer.depthwise])
    assert torch.allclose(per_sample["depthwise"].sum(0), expected, rtol=0, atol=1e-10)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, x))).tangent
    assert torch.allclose(tangent, layer(x) - layer(0 * x), rtol=0, atol=1e-10)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    (got,) = torch.autograd.grad(compiled(x).square().sum(), [layer.depthwise])
    assert torch.allclose(got, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", ORDERS)
def test_gradients_under_autocast_stay_near_the_exact_ones(order, form):
    geometry = {"kernel_size": 3, "padding": 1}
    layer = trained_layer(geometry, order, 2, True, dtype=torch.float32, form=form)
    x = images(2, torch.float32).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    inputs = [x, layer.pointwise, layer.depthwise, layer.bias_update]
    found = [y, *torch.autograd.grad(y.float().square().sum(), inputs)]
    assert [t.dtype for t in found] == [torch.bfloat16, *[torch.float32] * 4]

    x, pointwise, depthwise, bias_update = doubles = [t.detach().double().requires_grad_() for t in inputs]
    delta = kernel_delta((2, False, geometry), order, pointwise, depthwise)
    y = plain_output((2, False, geometry), x, layer.weight.double() + delta, layer.bias.double() + bias_update)
    for got, exact in zip(found, [y, *torch.autograd.grad(y.square().sum(), doubles)], strict=True):
        assert (got - exact).abs().max() <= 0.03 * exact.abs().max()


@pytest.mark.parametrize("form", FORMS)
def test_autocast_leaves_double_precision_alone(form):
    """As torch's own does for a plain convolution."""
    layer = trained_layer({"kernel_size": 3, "padding": 1}, "inception", 1, True, form=form)
    x, plain = images(2).requires_grad_(), nn.Conv2d(6, 12, 3).double()
    expected = loss_gradients(layer, x)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == plain(x).dtype == torch.float64
        got = loss_gradients(layer, x)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_a_compiled_layer_survives_a_merge(form):
    """The kernel changes in place, so that the graph stays and computes with the new one."""
    layer = trained_layer({"kernel_size": 3, "padding": 1}, "inception", 1, True, form=form)
    graphs = []
    compiled = torch.compile(layer, backend=lambda graph, _: graphs.append(graph) or graph.forward, fullgraph=True)
    before = compiled(images(2))
    layer.merge_(keyed_generator(1))
    assert torch.allclose(compiled(images(2)), before, rtol=0, atol=1e-10)
    with torch.no_grad():
        layer.depthwise.normal_()
    after = compiled(images(2))
    assert torch.allclose(
        after, plain_output((2, False, {"kernel_size": 3, "padding": 1}), images(2), *effective(layer))
    )
    assert (after - before).abs().max() > 0.1
    assert len(graphs) == 1


def effective(layer):
    return layer.effective_weight().detach(), layer.effective_bias().detach()


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
    assert torch.allclose(layer(x), conv(x, layer.weight, padding=1) + branch, rtol=0, atol=1e-10)


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


@pytest.mark.parametrize("form", ["fused", "factored"])
@pytest.mark.parametrize("order", ORDERS)
def test_no_kernel_is_kept_for_the_backward_pass(order, form):
    layer, x = trained_layer({"kernel_size": 3, "padding": 1}, order, 3, True, form=form), images(2).requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        layer(x)
    there = {t.data_ptr() for t in (x, layer.weight, layer.pointwise, layer.depthwise)}
    assert {t.data_ptr() for t in kept} == there


@pytest.mark.parametrize("form", FORMS)
def test_an_image_without_a_batch(form):
    layer = trained_layer({"kernel_size": 3, "padding": 1}, "inception", 1, True, form=form)
    assert torch.allclose(layer(images(2)[0]), layer(images(2))[0], rtol=0, atol=1e-12)


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
    with pytest.raises(ValueError, match="form must be 'auto', 'plain', 'fused' or 'factored', got 'fast'"):
        CoLoRAConv(nn.Conv2d(2, 2, 1), form="fast")
    with pytest.raises(ValueError, match="form 'factored' is for plain convolutions, not for ConvTranspose1d"):
        CoLoRAConv(nn.ConvTranspose1d(2, 2, 1), form="factored")
    with pytest.raises(TypeError, match=r"real floating-point kernels; got torch\.complex64"):
        CoLoRAConv(nn.Conv2d(2, 2, 1, dtype=torch.complex64))
