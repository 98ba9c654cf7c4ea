"""Two ways to compute an adapted convolution, W = K0 + dK, and the rule that chooses between them per layer.

fused     one convolution with W; autograd makes the full kernel gradient and contracts it to those of Kp and Kd.
factored  the same forward pass; the backward pass never makes the full kernel gradient. With g the output's gradient
              gx  = conv_transpose(g, W)
              gKd = depthwise kernel gradient (z, g),                          z = pointwise(x), made again, not stored
              gKp = pointwise kernel gradient (x, depthwise_transpose(g, Kd))
          (inception; separable swaps the two). It saves up to a quarter of the work where Cin and Cout are large, and
          costs more than it saves where they are small, strided or 1x1: there the extra maps cost more than the kernel.

The paper's own picture, two small convolutions beside the frozen one, is left out: it makes the same extra maps as the
factored form and has to keep them for the backward pass.
"""

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from colora.conv import CoLoRAConv

Order = Literal["inception", "separable"]
Form = Literal["fused", "factored"]
FACTORED_FROM_CHANNELS = 64  # measured: benchmarks/results/layer_forms.json


def kernel_update(pointwise: Tensor, depthwise: Tensor, order: Order, groups: int) -> Tensor:
    """dK (Cout, Cin/G, *k) of the factors Kp (r, Cout, Cin/G) and Kd (r, Cout or Cin, *k)."""
    _, out_channels, group_width = pointwise.shape
    if order == "inception":
        spatial = depthwise.unsqueeze(2)  # (r, Cout, 1, *k)
    else:
        by_group = depthwise.unflatten(1, (groups, group_width))  # (r, G, Cin/G, *k)
        spatial = by_group.repeat_interleave(out_channels // groups, dim=1)  # (r, Cout, Cin/G, *k)
    terms = pointwise.reshape(*pointwise.shape, *[1] * (depthwise.dim() - 2)) * spatial
    return terms[0] if len(terms) == 1 else terms.sum(0)


def choose_form(base: nn.Module) -> Form:
    """The faster form for a layer's geometry, by the measurements in benchmarks/results/layer_forms.json."""
    spatial = any(side > 1 for side in base.kernel_size)
    narrow = min(base.in_channels // base.groups, base.out_channels)
    factored = (
        not base.transposed
        and spatial
        and base.groups == 1
        and all(stride == 1 for stride in base.stride)
        and narrow >= FACTORED_FROM_CHANNELS
    )
    return "factored" if factored else "fused"


def factored_conv(layer: "CoLoRAConv", x: Tensor) -> Tensor:
    """The layer's output (B, Cout, *spatial') for x (B, Cin, *spatial), with the factored backward pass."""
    base = layer.base
    padding = base.padding
    if base.padding_mode != "zeros":
        x = nn.functional.pad(x, base._reversed_padding_repeated_twice, mode=base.padding_mode)
        padding = (0,) * len(base.kernel_size)
    elif padding == "valid":
        padding = (0,) * len(base.kernel_size)
    elif padding == "same":
        x = nn.functional.pad(x, base._reversed_padding_repeated_twice)
        padding = (0,) * len(base.kernel_size)
    kind = x.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
    geometry = (list(base.stride), list(padding), list(base.dilation), base.groups)
    bias = layer.effective_bias()
    return FactoredConv.apply(
        x.to(dtype), layer.weight, None if bias is None else bias.to(dtype), layer.pointwise, layer.depthwise,
        layer.order, geometry,
    )  # fmt: skip


class FactoredConv(torch.autograd.Function):
    """y = conv(x, K0 + dK(Kp, Kd)) + b for plain (not transposed) convolutions; gradients for x, b, Kp and Kd."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, pointwise: Tensor, depthwise: Tensor, order: str,
        geometry: tuple,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(x, weight, pointwise, depthwise)
        ctx.order, ctx.geometry, ctx.has_bias = order, geometry, bias is not None
        stride, padding, dilation, groups = geometry
        kernel = (weight + kernel_update(pointwise, depthwise, order, groups)).to(x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            return torch.ops.aten.convolution(
                x, kernel, bias, stride, padding, dilation, False, [0] * len(stride), groups
            )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple:
        x, weight, pointwise, depthwise = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.geometry
        n = len(stride)
        ones, zeros = [1] * n, [0] * n
        back = torch.ops.aten.convolution_backward
        gx = gb = None
        if ctx.needs_input_grad[0]:
            kernel = (weight + kernel_update(pointwise, depthwise, ctx.order, groups)).to(x.dtype)
            gx, _, _ = back(g, x, kernel, None, stride, padding, dilation, False, zeros, groups, [True, False, False])
            del kernel
        if ctx.has_bias and ctx.needs_input_grad[2]:
            gb = g.sum([0, *range(2, g.dim())])
        gp, gd = torch.empty_like(pointwise), torch.empty_like(depthwise)
        for r in range(len(pointwise)):
            kp = pointwise[r].reshape(*pointwise[r].shape, *ones).to(x.dtype)  # (Cout, Cin/G, 1, ...)
            kd = depthwise[r].unsqueeze(1).to(x.dtype)  # (Cout or Cin, 1, *k)
            each = len(kd)  # the depthwise convolution's groups
            if ctx.order == "inception":
                z = torch.ops.aten.convolution(x, kp, None, ones, zeros, ones, False, zeros, groups)  # (B, Cout, ...)
                t, kd_grad, _ = back(g, z, kd, None, stride, padding, dilation, False, zeros, each, [True, True, False])
                del z
                _, kp_grad, _ = back(t, x, kp, None, ones, zeros, ones, False, zeros, groups, [False, True, False])
            else:
                z = torch.ops.aten.convolution(
                    x, kd, None, stride, padding, dilation, False, zeros, each
                )  # (B, Cin, ..)
                t, kp_grad, _ = back(g, z, kp, None, ones, zeros, ones, False, zeros, groups, [True, True, False])
                del z
                _, kd_grad, _ = back(
                    t, x, kd, None, stride, padding, dilation, False, zeros, each, [False, True, False]
                )
            gp[r], gd[r] = kp_grad.view_as(gp[r]), kd_grad.view_as(gd[r])
        return gx, None, gb, gp, gd, None, None
