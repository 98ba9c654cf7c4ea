"""A grid of geometries of convolutions, and one adapted layer on any of them beside torch's own of K0 + dK."""

import itertools

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from colora.adapters.conv import CoLoRAConv
from colora.adapters.layer import keyed_generator

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
GRID = list(itertools.product(CASES, ORDERS, (1, 3), (True, False), (None,)))
GRID += list(itertools.product(CASES, ORDERS, (1, 3), (True,), (1, 2)))  # with a pointwise factor of that rank
LAYOUTS = [(case, torch.contiguous_format) for case in CASES]
LAYOUTS += [(c, torch.channels_last if c[0] == 2 else torch.channels_last_3d) for c in CASES if c[0] > 1]
BIAS_SETTINGS = [  # of the adapter, whether the base has one; an update, a bias in the end
    ("auto", True, True, True),
    ("auto", False, False, False),
    ("all", False, True, True),
    ("none", True, False, True),
]
FORMS = ("plain", "fused", "factored")
FORM_GRID = [(c, o, f) for c in CASES for o in ORDERS for f in FORMS if f == "plain" or not c[1]]


def by_case(grid):
    """Parameters: a case, and the rest of each of its rows. One test a case, since thousands of tests cost more than
    what they do."""
    found = {str(row[0]): (row[0], []) for row in grid}
    for case, *rest in grid:
        found[str(case)][1].append(tuple(rest))
    return [pytest.param(*of_case, id=readable(of_case[0])) for of_case in found.values()]


def readable(value):
    """The test id of a case, a dtype or a memory format."""
    if isinstance(value, tuple):
        n, transposed, geometry = value
        return KINDS[n, transposed].__name__ + "".join(f"-{k}={v}".replace(" ", "") for k, v in geometry.items())
    return str(value).removeprefix("torch.")


def trained_layer(
    geometry, order, rank, bias, adapt_bias="auto", n=2, transposed=False, dtype=torch.float64, form="fused",
    pointwise_rank=None,
):  # fmt: skip
    """An adapted layer whose factors are all random, as after some training."""
    torch.manual_seed(0)
    base = KINDS[n, transposed](6, 12, bias=bias, dtype=dtype, **geometry)
    layer = CoLoRAConv(base, order, rank, adapt_bias, keyed_generator(0), form, pointwise_rank)
    with torch.no_grad():
        for p in layer.adapter_parameters():
            p.normal_()
    return layer


def images(n, dtype=torch.float64):
    return torch.randn(2, 6, *(9, 7, 6)[:n], generator=keyed_generator("images"), dtype=torch.float64).to(dtype)


def check_transforms_see_it_plainly(layer, x, factor):
    """Gradients of `factor` for each of x (B, ...) under vmap, a tangent in forward mode, and gradients of the layer
    compiled, as one graph, are the layer's own."""
    parameters = {n: p.detach() for n, p in layer.named_parameters()}

    def loss(parameters, x):
        return torch.func.functional_call(layer, parameters, (x[None],)).square().sum()

    per_sample = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    (expected,) = torch.autograd.grad(layer(x).square().sum(), [getattr(layer, factor)])
    assert torch.allclose(per_sample[factor].sum(0), expected, rtol=0, atol=1e-10)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, x))).tangent
    assert torch.allclose(tangent, layer(x) - layer(0 * x), rtol=0, atol=1e-10)
    torch.compiler.reset()  # of what was compiled before there may be no more than a few kinds
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    (got,) = torch.autograd.grad(compiled(x).square().sum(), [getattr(layer, factor)])
    assert torch.allclose(got, expected, rtol=0, atol=1e-10)


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
