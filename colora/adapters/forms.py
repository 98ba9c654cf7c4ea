"""How an adapted convolution, W = K0 + dK, is computed: three backward passes, and the rule that chooses per layer.

The forward pass is one convolution with W. With g the output's gradient
    gx  = conv_transpose(g, W)
and the forms differ in how they reach gKp and gKd, and in what they keep until then:

plain     autograd's own rules. They never leave C++, which is what counts in small layers, but keep W beside K0.
fused     the same figures by hand: the full kernel gradient gW, contracted to those of the factors. Only x, K0 and
          the factors are kept and W is made again, so that no layer holds a kernel more than a trainable one.
factored  keeps as little, and gW is never made:
              gKd = depthwise kernel gradient (z, g),                          z = pointwise(x), made again, not stored
              gKp = pointwise kernel gradient (x, depthwise_transpose(g, Kd))
          (inception; separable swaps the two). It saves up to a quarter of the work where Cin and Cout are large, and
          costs more than it saves where they are small, strided or 1x1: there the extra maps cost more than the kernel.
          It takes a part of the batch at a time. On a CPU as many images as keep z in the cache and below the size
          from which the C library maps and unmaps memory at every call: up to half of the time of a layer with large
          maps. Elsewhere as many as keep z and its gradient, together, below what VGG16 saves in gradients and Adam's
          moments (150 MiB).

With Kp = B A of low rank the factored form is another: all that is made lies in thin maps of r p channels (`low_rank`),
and W is made again only where it is smaller than the layer's own map. It takes 0.7 to 0.9 of the plain trainable
layer's time wherever the layer is several times as wide and its work some 100 million products; 1x1 and strided too.

Transposed kinds, subclasses with a forward pass of their own, images without a batch, torch.compile, torch.func and a
K0 that was unfrozen are computed plainly whatever the form.

The paper's own picture, two small convolutions beside the frozen one, is left out: it makes the same extra maps as the
factored form and has to keep them for the backward pass.
"""

from contextlib import nullcontext
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from colora.adapters.low_rank import (
    ONES,
    factor_gradients_of,
    inner_and_outer,
    mixed,
    product,
    updated_matrix,
    without_autocast,
)

Order = Literal["inception", "separable"]
Form = Literal["plain", "fused", "factored"]
MEASURED_ON = ("cpu",)  # kinds of devices whose forms a committed table tells; elsewhere `form_choice` times them
PLAIN_UP_TO_WEIGHTS = 100_000  # measured: benchmarks/results/layer_forms.json
FACTORED_FROM_CHANNELS = 128
FACTORED_FROM_CHANNELS_LARGE, LARGE_POSITIONS = 64, 40_000  # where a batch's map has so many pixels
THIN_TIMES, THIN_TIMES_1X1 = 4, 8  # a layer's narrow side over the thin form's channels, measured with p = 2 to 64
THIN_FROM_PRODUCTS = 100_000_000  # of weights and positions
CPU_MAP_BYTES = 16 * 2**20  # the largest z at a time; measured between 4 and 32 MiB
MAP_BYTES = 64 * 2**20  # the same on other devices; not measured


def _terms(pointwise: Tensor, depthwise: Tensor, order: Order, groups: int) -> list[tuple[Tensor, Tensor]]:
    """Each term's Kp (Cout, Cin/G, 1, ...) and Kd (Cout or 1, Cin/G or 1, *k), whose product is its part of dK."""
    rank, out_channels, width = pointwise.shape
    sides = depthwise.shape[2:]
    term = () if rank == 1 else (rank,)  # the paper's one term needs no unbinding
    kp = pointwise.reshape(*term, out_channels, width, *ONES[len(sides)])
    if order == "inception":
        kd = depthwise.reshape(*term, out_channels, 1, *sides)
    elif groups == 1:
        kd = depthwise.reshape(*term, 1, width, *sides)
    else:
        kd = depthwise.reshape(*term, groups, width, *sides).repeat_interleave(out_channels // groups, len(term))
    return list(zip(kp, kd, strict=True)) if term else [(kp, kd)]


def kernel_update(pointwise: Tensor, depthwise: Tensor, order: Order, groups: int) -> Tensor:
    """dK (Cout, Cin/G, *k) of the factors Kp (r, Cout, Cin/G) and Kd (r, Cout or Cin, *k)."""
    (kp, kd), *more = _terms(pointwise, depthwise, order, groups)
    delta = kp * kd
    for kp, kd in more:
        delta = torch.addcmul(delta, kp, kd)
    return delta


def updated_kernel(
    weight: Tensor, pointwise: Tensor, depthwise: Tensor, order: Order, groups: int, pointwise_a: Tensor | None = None
) -> Tensor:
    """K0 + dK (Cout, Cin/G, *k) in K0's memory format: one pass a term, where adding dK would take two.

    With A (r, p, Cin/G) given `pointwise` is B. All who need K0 + dK call this, so that theirs are the same bits.
    """
    if pointwise_a is not None:
        inception = order == "inception"
        if depthwise.shape[2:].numel() == 1 and (inception or groups == 1):
            scale = depthwise.flatten(1).unsqueeze(-1 if inception else 1)  # of B's rows, or of A's columns
            scaled = (pointwise * scale, pointwise_a) if inception else (pointwise, pointwise_a * scale)
            return updated_matrix(weight.flatten(1), *scaled).view(weight.shape)
        pointwise = product(pointwise, pointwise_a)
    for kp, kd in _terms(pointwise, depthwise, order, groups):
        weight = torch.addcmul(weight, kp, kd)
    return weight


def factor_gradients(
    kernel_grad: Tensor, pointwise: Tensor, depthwise: Tensor, order: Order, groups: int
) -> tuple[Tensor, Tensor]:
    """(gKp, gKd) of the gradient (Cout, Cin/G, *k) with respect to dK: the adjoint of `kernel_update`."""
    g = kernel_grad.to(pointwise.dtype)
    sides = tuple(range(2, g.dim()))
    single = g.shape[2:].numel() == 1  # a sum of one would cost a pass
    terms = _terms(pointwise, depthwise, order, groups)
    gp = [g * kd if single else (g * kd).sum(sides) for _, kd in terms]
    if order == "inception":
        gd = [(g * kp).sum(1) for kp, _ in terms]
    else:
        gd = [(g * kp).unflatten(0, (groups, -1)).sum(1) for kp, _ in terms]
    return _stacked(gp, pointwise), _stacked(gd, depthwise)


def _stacked(terms: list[Tensor], factor: Tensor) -> Tensor:
    """The terms' gradients in the factor's shape; torch.stack, which copies, only where there is more than one."""
    return (torch.stack(terms) if len(terms) > 1 else terms[0]).reshape(factor.shape)


def choose_form(
    base: nn.Module, positions: int | None = None, device: str = "cpu", thin_channels: int | None = None
) -> Form:
    """The fastest form for a layer's geometry, by the measurements in benchmarks/results/layer_forms.json and _p8.json.

    `positions` is the number of the output's pixels in a batch, where it is known (`form_choice.fit_forms_`), and
    `thin_channels` R = r p of a layer whose Kp is of rank p. On a kind of device that was not measured nothing is
    "factored", which costs six times as much where it is wrong.
    """
    measured, weights = device in MEASURED_ON, base.weight.numel()
    if thin_channels:
        return "factored" if measured and _thin_pays(base, positions, thin_channels) else _unfactored(weights)
    spatial = any(side > 1 for side in base.kernel_size)
    unstrided = not base.transposed and base.groups == 1 and all(stride == 1 for stride in base.stride)
    narrow = min(base.in_channels // base.groups, base.out_channels)
    large = positions is not None and positions >= LARGE_POSITIONS
    enough = FACTORED_FROM_CHANNELS_LARGE if large else FACTORED_FROM_CHANNELS
    return "factored" if measured and unstrided and spatial and narrow >= enough else _unfactored(weights)


def _unfactored(weights: int) -> Form:
    return "plain" if weights <= PLAIN_UP_TO_WEIGHTS else "fused"


def _thin_pays(base: nn.Module, positions: int | None, channels: int) -> bool:
    """Whether the layer's narrow side is so much wider than the thin form's maps, and its work so large, that the calls
    of the thin form cost less than the kernel's gradient."""
    narrow = min(base.in_channels, base.out_channels)
    times = THIN_TIMES if any(side > 1 for side in base.kernel_size) else THIN_TIMES_1X1
    weights = base.weight.numel()
    much = weights > PLAIN_UP_TO_WEIGHTS or (positions is not None and positions * weights >= THIN_FROM_PRODUCTS)
    return base.groups == 1 and narrow >= times * channels and much


class Geometry(NamedTuple):
    """What a plain convolution's kernel does not say."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


class AdaptedConv(torch.autograd.Function):
    """y = conv(x, K0 + dK) + b0 + db in x's dtype; gradients for x, the factors and db.

    `pointwise` is Kp (r, Cout, Cin/G) with `pointwise_a` None, or B (r, Cout, p) with A (r, p, Cin/G).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, pointwise: Tensor, pointwise_a: Tensor | None,
        depthwise: Tensor, bias_update: Tensor | None, order: Order, form: Form, geometry: Geometry,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(x, weight, pointwise, pointwise_a, depthwise)
        ctx.order, ctx.form, ctx.geometry = order, form, geometry
        kernel = updated_kernel(weight, pointwise, depthwise, order, geometry.groups, pointwise_a).to(x.dtype)
        if bias is not None:
            bias = (bias if bias_update is None else bias + bias_update).to(x.dtype)
        return _conv(x, kernel, bias, geometry)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple:
        x, weight, pointwise, pointwise_a, depthwise = ctx.saved_tensors
        with nullcontext() if pointwise_a is None else without_autocast(x):
            gx, gp, ga, gd, gb = _gradients(ctx, g, x, weight, pointwise, pointwise_a, depthwise)
        return gx, None, None, gp, ga, gd, gb, None, None, None


def _gradients(
    ctx: Any, g: Tensor, x: Tensor, weight: Tensor, pointwise: Tensor, pointwise_a: Tensor | None, depthwise: Tensor
) -> tuple[Tensor | None, ...]:
    """Those of x, Kp or B, A, Kd and db; None for those not wanted."""
    order, at, fused = ctx.order, ctx.geometry, ctx.form == "fused"
    wanted_x, *_, wanted_bias, _, _, _ = ctx.needs_input_grad
    gx = gk = gb = ga = None
    thin = pointwise_a is not None and not fused
    if (wanted_x or fused) and not thin:
        kernel = updated_kernel(weight, pointwise, depthwise, order, at.groups, pointwise_a) if wanted_x else weight
        gx, gk, gb = _conv_backward(g, x, kernel.to(x.dtype), at, [wanted_x, fused, fused and wanted_bias])
        del kernel
    if wanted_bias:
        gb = (g.sum([0, *range(2, g.dim())]) if gb is None else gb).to(pointwise.dtype)
    if thin:
        gx, gp, ga, gd = _thin(g, x, weight, pointwise, pointwise_a, depthwise, order, at, wanted_x)
    elif fused:
        kp = pointwise if pointwise_a is None else pointwise @ pointwise_a
        gp, gd = factor_gradients(gk, kp, depthwise, order, at.groups)
        if pointwise_a is not None:
            gp, ga = gp @ pointwise_a.mT, pointwise.mT @ gp
    else:
        gp, gd = _factored(g, x, pointwise, depthwise, order, at)
    return gx, gp, ga, gd, gb


def _conv(x: Tensor, kernel: Tensor, bias: Tensor | None, at: Geometry) -> Tensor:
    zeros = (0,) * len(at.stride)
    return torch.convolution(x, kernel, bias, at.stride, at.padding, at.dilation, False, zeros, at.groups)


def _conv_backward(g: Tensor, x: Tensor, kernel: Tensor, at: Geometry, wanted: list[bool]) -> list[Tensor | None]:
    """The gradients of `_conv` for x, kernel and bias, None for those not wanted."""
    zeros = (0,) * len(at.stride)
    return torch.ops.aten.convolution_backward(
        g, x, kernel, [g.shape[1]], at.stride, at.padding, at.dilation, False, zeros, at.groups, wanted
    )


def images_at_once(inputs: torch.Size, outputs: torch.Size, order: Order, itemsize: int, device: str) -> int:
    """How many images of x (B, Cin, *spatial), y (B, Cout, *spatial') the factored form takes at a time, at least 1."""
    limit = CPU_MAP_BYTES if device == "cpu" else MAP_BYTES
    return max(1, limit // max(1, map_bytes(inputs, outputs, order, itemsize)))


def map_bytes(
    inputs: torch.Size, outputs: torch.Size, order: Order, itemsize: int, thin_channels: int | None = None
) -> int:
    """Bytes of one image's z: pointwise(x) (Cout, *spatial), or depthwise(x) (Cin, *spatial') in the other order; with
    Kp of low rank (G R, *spatial) or (G R, *spatial'), G R given as `thin_channels`."""
    channels, spatial = (outputs[1], inputs[2:]) if order == "inception" else (inputs[1], outputs[2:])
    return itemsize * (thin_channels or channels) * spatial.numel()


def _factored(
    g: Tensor, x: Tensor, pointwise: Tensor, depthwise: Tensor, order: Order, at: Geometry
) -> tuple[Tensor, Tensor]:
    """(gKp, gKd) from the output's gradient g (B, Cout, *spatial') through the two small convolutions of each term."""
    images = images_at_once(x.shape, g.shape, order, x.itemsize, x.device.type)
    gp, gd = torch.zeros_like(pointwise), torch.zeros_like(depthwise)
    for some_g, some_x in zip(g.split(images), x.split(images), strict=True):
        for r in range(len(pointwise)):
            part = _factored_term(some_g, some_x, pointwise[r], depthwise[r], order, at)
            gp[r] += part[0]
            gd[r] += part[1]
    return gp, gd


def _factored_term(
    g: Tensor, x: Tensor, pointwise: Tensor, depthwise: Tensor, order: Order, at: Geometry
) -> tuple[Tensor, Tensor]:
    """`_factored` for one term, Kp (Cout, Cin/G) and Kd (Cout or Cin, *k), and the images at hand."""
    n = len(at.stride)
    mixing = Geometry((1,) * n, (0,) * n, (1,) * n, at.groups)
    filtering = at._replace(groups=len(depthwise))
    kp = pointwise.reshape(*pointwise.shape, *[1] * n).to(x.dtype)  # (Cout, Cin/G, 1, ...)
    kd = depthwise.unsqueeze(1).to(x.dtype)  # (Cout or Cin, 1, *k)
    inception = order == "inception"
    inner, outer = (kp, kd) if inception else (kd, kp)
    first, second = (mixing, filtering) if inception else (filtering, mixing)
    z = _conv(x, inner, None, first)  # (B, Cout or Cin, ...)
    gz, g_outer, _ = _conv_backward(g, z, outer, second, [True, True, False])
    del z
    _, g_inner, _ = _conv_backward(gz, x, inner, first, [False, True, False])
    gp, gd = (g_inner, g_outer) if inception else (g_outer, g_inner)
    return gp.view_as(pointwise), gd.view_as(depthwise)


def _thin(
    g: Tensor, x: Tensor, weight: Tensor, b: Tensor, a: Tensor, depthwise: Tensor, order: Order, at: Geometry,
    wanted_x: bool,
) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:  # fmt: skip
    """(gx, gB, gA, gKd) from the output's gradient g (B, Cout, *spatial') by way of R = r p channels (`low_rank`)."""
    n, groups = len(at.stride), at.groups
    mixing = Geometry((1,) * n, (0,) * n, (1,) * n, groups)
    inception, single = order == "inception", depthwise.shape[2:].numel() == 1
    seen = (slice(None),) * 2
    if single and not any(at.padding):  # what a stride skips is read by nobody
        seen += tuple(slice(None, None, stride) for stride in at.stride)
        first = second = mixing
    else:
        first, second = (mixing, at) if inception else (at, mixing)
    some_x = x[seen]
    if some_x.shape != x.shape:
        some_x = some_x.clone()  # read three times
    inner, outer = (k.to(x.dtype) for k in inner_and_outer(a, b, depthwise, inception, groups))
    z = _conv(some_x, inner, None, first)  # (B, G R, ...)
    if second is mixing and groups == 1:
        gz = _conv_backward(g, z, outer, second, [True, False, False])[0]
        g_outer = mixed(z.flatten(2), g.flatten(2)).T
    else:
        gz, g_outer, _ = _conv_backward(g, z, outer, second, [True, True, False])
    del z
    if first is mixing and groups == 1:
        g_inner = mixed(gz.flatten(2), some_x.flatten(2))
    else:
        g_inner = _conv_backward(gz, some_x, inner, first, [False, True, False])[1]
    g_inner, g_outer = g_inner.reshape(inner.shape), g_outer.reshape(outer.shape)
    gb, ga, gd = factor_gradients_of(g_inner, g_outer, a, b, depthwise, inception, groups)
    if not wanted_x:
        return None, gb, ga, gd
    apart = weight.numel() > some_x.numel()  # a pass over gx costs less than one over W
    kernel = weight if apart else updated_kernel(weight, b, depthwise, order, groups, a)
    gx = _conv_backward(g, x, kernel.to(x.dtype), at, [True, False, False])[0]
    if apart:
        gx[seen] += _conv_backward(gz, some_x, inner, first, [True, False, False])[0]
    return gx, gb, ga, gd
