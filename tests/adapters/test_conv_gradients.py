"""Gradients of one adapted layer in every form: against plain autograd, under autocast, transforms and compilers."""

import itertools

import pytest
import torch
from convolutions import (
    FORM_GRID,
    FORMS,
    ORDERS,
    PLAIN_CASES,
    by_case,
    check_transforms_see_it_plainly,
    images,
    kernel_delta,
    plain_output,
    trained_layer,
)
from torch import nn

from colora.adapters import forms
from colora.adapters.layer import keyed_generator


def loss_gradients(layer, x):
    """The gradients for x and the factors of a loss whose own differ everywhere."""
    y = layer(x)
    direction = torch.sin(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)
    return torch.autograd.grad((y * direction).sum(), [x, *layer.adapter_parameters()])


def spares(geometry, p):
    """Whether a product of rank p has fewer entries than Kp (12, 6 / groups)."""
    width = 6 // geometry.get("groups", 1)
    return p * (12 + width) < 12 * width


LOW_RANK = [None, 1, 2]
RANKED_GRID = [(*row, p) for row in FORM_GRID for p in LOW_RANK if p is None or spares(row[0][2], p)]
RANKED_CASES = [(c, p) for c in PLAIN_CASES if c[0] > 1 for p in LOW_RANK if p is None or spares(c[2], p)]


@pytest.mark.parametrize(("case", "rows"), by_case(RANKED_GRID))
def test_gradients_are_those_of_plain_autograd(case, rows):
    """For x and every factor, against torch's convolution of K0 + dK and against finite differences."""
    for row in rows:
        check_gradients(case, *row)


def check_gradients(case, order, form, p):
    n, transposed, geometry = case
    layer = trained_layer(geometry, order, 2, True, n=n, transposed=transposed, form=form, pointwise_rank=p)
    assert layer.pointwise_rank == p
    names = [name for name, value in layer.named_parameters() if value.requires_grad]
    assert names == (["pointwise"] if p is None else ["pointwise_a", "pointwise_b"]) + ["depthwise", "bias_update"]
    inputs = [images(n).requires_grad_(), *(getattr(layer, name).detach().clone().requires_grad_() for name in names)]
    weight, bias = layer.base_weight.clone(), layer.base_bias.clone()

    def adapted(x, *factors):
        return torch.func.functional_call(layer, dict(zip(names, factors, strict=True)), (x,))

    def plain(x, *factors):
        *pointwise, depthwise, bias_update = factors
        pointwise = pointwise[0] if p is None else pointwise[1] @ pointwise[0]
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
    assert not layer.base_weight.requires_grad
    assert not layer.base_bias.requires_grad


@pytest.mark.parametrize(("case", "ranks"), by_case(RANKED_CASES))
def test_gradients_are_the_same_in_channels_last(case, ranks):
    for (p,), order, form in itertools.product(ranks, ORDERS, FORMS):
        check_channels_last(case, p, order, form)


def check_channels_last(case, p, order, form):
    n, _, geometry = case
    layer = trained_layer(geometry, order, 2, True, n=n, form=form, pointwise_rank=p)
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
@pytest.mark.parametrize("p", [None, 2])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_batch_without_images_has_gradients_of_zero(kernel, p, order, form):
    layer = trained_layer({"kernel_size": kernel, "padding": kernel // 2}, order, 2, True, form=form, pointwise_rank=p)
    x = images(2)[:0].requires_grad_()
    got = loss_gradients(layer, x)
    assert got[0].shape == x.shape
    assert [g.abs().max().item() for g in got[1:]] == [0] * (4 if p else 3)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "geometry",
    [{"kernel_size": 1}, {"kernel_size": 1, "stride": 2}, {"kernel_size": 1, "stride": 2, "padding": 1},
     {"kernel_size": 3, "padding": 1}, {"kernel_size": 3, "stride": 2, "padding": 1}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("sides", [(2, 2), (3, 5), (9, 7)])
def test_the_thin_form_on_maps_smaller_and_larger_than_the_kernel(sides, geometry, order):
    """Where K0 has more entries than the map, gx is made of two parts and W only once; else of W."""
    layer = trained_layer(geometry, order, 2, True, form="factored", pointwise_rank=2)
    made, kernel = [], forms.updated_kernel
    x = torch.randn(2, 6, *sides, dtype=torch.float64).requires_grad_()
    layer.form = "plain"
    expected = loss_gradients(layer, x)
    layer.form = "factored"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(forms, "updated_kernel", lambda *of: made.append(1) or kernel(*of))
        got = loss_gradients(layer, x)
    assert all(torch.allclose(a, b, rtol=0, atol=1e-10) for a, b in zip(got, expected, strict=True))
    skips = geometry["kernel_size"] == 1 and geometry.get("padding", 0) == 0
    stride = geometry.get("stride", 1) if skips else 1
    read = 2 * 6 * -(-sides[0] // stride) * -(-sides[1] // stride)
    assert len(made) == (1 if layer.base_weight.numel() > read else 2)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_what_is_unfrozen_gets_its_gradient_in_every_form(name, form):
    layer = trained_layer({"kernel_size": 3, "padding": 1}, "inception", 1, True, form=form)
    layer._parameters[name].requires_grad_(True)
    y = layer(images(2))
    (got,) = torch.autograd.grad(y.square().sum(), [layer._parameters[name]])
    weight, bias = (t.detach().requires_grad_() for t in (layer.effective_weight(), layer.effective_bias()))
    y = nn.functional.conv2d(images(2), weight, bias, padding=1)
    expected = torch.autograd.grad(y.square().sum(), [weight, bias])[("weight", "bias").index(name)]
    assert torch.allclose(got, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("geometry", "p"),
    [({"kernel_size": 2, "padding": 1, "groups": 2}, None), ({"kernel_size": 2, "padding": 1, "groups": 2}, 1),
     ({"kernel_size": 1}, 1), ({"kernel_size": 2}, 1)],
    ids=str,
)  # fmt: skip
def test_second_derivatives_too(geometry, p, order, form):
    layer = trained_layer(geometry, order, 2, True, form=form, pointwise_rank=p)
    x = images(2)[:1, :, :3, :3].requires_grad_()
    factors = layer.adapter_parameters()
    assert torch.autograd.gradgradcheck(lambda x, *_: layer(x), (x, *factors), fast_mode=True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kernel", "p"), [(3, None), (3, 2), (1, 2)])
def test_transforms_and_compilers_see_plain_operations(kernel, p, form):
    geometry = {"kernel_size": kernel, "padding": kernel // 2}
    layer = trained_layer(geometry, "inception", 1, True, form=form, pointwise_rank=p)
    check_transforms_see_it_plainly(layer, images(2), "depthwise")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("kernel", "p"), [(3, None), (3, 2), (1, 2)])
def test_gradients_under_autocast_stay_near_the_exact_ones(kernel, p, order, form):
    geometry = {"kernel_size": kernel, "padding": kernel // 2}
    layer = trained_layer(geometry, order, 2, True, dtype=torch.float32, form=form, pointwise_rank=p)
    x = images(2, torch.float32).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    inputs = [x, *layer.adapter_parameters()]
    found = [y, *torch.autograd.grad(y.float().square().sum(), inputs)]
    assert [t.dtype for t in found] == [torch.bfloat16, *[torch.float32] * len(inputs)]

    x, *pointwise, depthwise, bias_update = doubles = [t.detach().double().requires_grad_() for t in inputs]
    pointwise = pointwise[0] if p is None else pointwise[1] @ pointwise[0]
    delta = kernel_delta((2, False, geometry), order, pointwise, depthwise)
    weight, bias = layer.base_weight.double() + delta, layer.base_bias.double() + bias_update
    y = plain_output((2, False, geometry), x, weight, bias)
    for got, exact in zip(found, [y, *torch.autograd.grad(y.square().sum(), doubles)], strict=True):
        assert (got - exact).abs().max() <= 0.03 * exact.abs().max()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_product_under_autocast_is_the_one_that_a_merge_adds(kernel, order, form):
    """To the bit: autocast would make B A one of bfloat16, and the merge changed what the model computes."""
    geometry = {"kernel_size": kernel, "padding": kernel // 2}
    layer = trained_layer(geometry, order, 2, True, dtype=torch.float32, form=form, pointwise_rank=2)
    x = images(2, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        before, seen = layer(x), layer.weight
        delta = layer.delta_weight()
    assert torch.equal(seen, layer.weight)
    assert torch.equal(delta, layer.delta_weight())
    layer.merge_(keyed_generator(1))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), before)
        y = layer(x.requires_grad_())
        y.float().sum().backward()  # as some trainers do: also the backward pass inside
    assert layer.depthwise.grad.isfinite().all()


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
    torch.compiler.reset()
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


@pytest.mark.parametrize("form", ["fused", "factored"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("kernel", "p"), [(3, None), (3, 2), (1, 2)])
def test_no_kernel_is_kept_for_the_backward_pass(kernel, p, order, form):
    geometry = {"kernel_size": kernel, "padding": kernel // 2}
    layer, x = trained_layer(geometry, order, 3, True, form=form, pointwise_rank=p), images(2).requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        layer(x)
    factors = [f for f in layer.adapter_parameters() if f is not layer.bias_update]
    assert {t.data_ptr() for t in kept} == {t.data_ptr() for t in (x, layer.base_weight, *factors)}


@pytest.mark.parametrize("form", FORMS)
def test_an_image_without_a_batch(form):
    layer = trained_layer({"kernel_size": 3, "padding": 1}, "inception", 1, True, form=form)
    assert torch.allclose(layer(images(2)[0]), layer(images(2))[0], rtol=0, atol=1e-12)
