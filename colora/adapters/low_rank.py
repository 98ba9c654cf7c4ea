"""The arithmetic of an update of low rank, Kp = B A: its kernel, its thin gradients, and a linear layer's own.

    dK[o,c,i,j] = sum_r sum_q B[r,o,q] A[r,q,c] Kd[r,o or c,i,j]                        B (r, Cout, p), A (r, p, Cin/G)

With R = r p, dK is a convolution of the kernel `inner` to R channels, then one of `outer` from these to Cout; one of
both is 1x1. Between them lie maps of R channels, so that their gradients read the layer's own maps and little else,
    z = inner x,   gz = outer^T g,   g_outer = g^T z,   g_inner = gz^T x,   gx = W^T g = K0^T g + inner^T gz
and a W with more entries than the layer's map is never made a second time: gx takes its two parts.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

ONES = {n: (1,) * n for n in (1, 2, 3)}
ROWS_AT_LEAST = 16  # of a map, from which its images are multiplied one by one; on a CPU, measured down to it


def without_autocast(value: Tensor) -> AbstractContextManager:
    """Under autocast a product of fp32 factors would be one of bfloat16, and not what a merge adds."""
    kind = value.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)


def product(b: Tensor, a: Tensor) -> Tensor:
    """Kp (r, Cout, Cin/G) of B and A, in their own precision."""
    with without_autocast(b):
        return b @ a


def updated_matrix(weight: Tensor, b: Tensor, a: Tensor) -> Tensor:
    """W0 + sum_r B[r] A[r] (out, in), of B (r, out, p) and A (r, p, in): one product for all terms."""
    with without_autocast(b):
        return torch.addmm(weight, side_by_side(b), a.flatten(0, 1))


def side_by_side(b: Tensor) -> Tensor:
    """(out, r p) of B (r, out, p): the terms' columns beside each other."""
    return b.transpose(0, 1).flatten(1)


def inner_and_outer(a: Tensor, b: Tensor, depthwise: Tensor, inception: bool, groups: int) -> tuple[Tensor, Tensor]:
    """The two kernels whose product is dK: (G R, Cin/G, 1, ...) and (Cout, R, *k), or, separable, (G R, Cin/G, *k) and
    (Cout, R, 1, ...)."""
    rank, p, width = a.shape
    sides = depthwise.shape[2:]
    ones = ONES[len(sides)]
    if inception:
        inner = a.reshape(-1, width, *ones)
        by_term = b.reshape(*b.shape, *ones) * depthwise.unsqueeze(2)  # (r, Cout, p, *k)
        inner = inner if groups == 1 else inner.repeat(groups, *(1,) * (inner.dim() - 1))
        return inner, by_term.transpose(0, 1).flatten(1, 2)
    each = depthwise.reshape(rank, groups, 1, width, *sides) * a.reshape(rank, 1, p, width, *ones)
    inner = each.transpose(0, 1).reshape(groups * rank * p, width, *sides)
    return inner, side_by_side(b).reshape(-1, rank * p, *ones)


def factor_gradients_of(
    g_inner: Tensor, g_outer: Tensor, a: Tensor, b: Tensor, depthwise: Tensor, inception: bool, groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(gB, gA, gKd): the adjoint of `inner_and_outer`."""
    rank, p, width = a.shape
    sides = depthwise.shape[2:]
    ones, over = ONES[len(sides)], tuple(range(-len(sides), 0))
    g_inner, g_outer = g_inner.to(a.dtype), g_outer.to(a.dtype)
    if inception:
        ga = g_inner.reshape(groups, rank, p, width)
        ga = ga[0] if groups == 1 else ga.sum(0)
        by_term = g_outer.unflatten(1, (rank, p)).transpose(0, 1)  # (r, Cout, p, *k)
        gb = (by_term * depthwise.unsqueeze(2)).sum(over)
        return gb, ga, (by_term * b.reshape(*b.shape, *ones)).sum(2)
    by_term = g_inner.reshape(groups, rank, p, width, *sides).transpose(0, 1)  # (r, G, p, Cin/G, *k)
    kd = depthwise.reshape(rank, groups, 1, width, *sides)
    gb = g_outer.reshape(-1, rank, p).transpose(0, 1)
    ga = (by_term * kd).sum((1, *over))
    return gb, ga, (by_term * a.reshape(rank, 1, p, width, *ones)).sum(2).flatten(1, 2)


def mixed(g: Tensor, x: Tensor) -> Tensor:
    """sum over images and pixels of g x^T (Cout, Cin), a 1x1 kernel's gradient, for maps g (B, Cout, S), x (B, Cin, S).

    Where one side is thin BLAS takes several times as long for the whole as for image by image.
    """
    if g.shape[2] >= ROWS_AT_LEAST:
        return torch.bmm(g, x.mT).sum(0)
    return g.transpose(1, 2).reshape(-1, g.shape[1]).T @ x.transpose(1, 2).reshape(-1, x.shape[1])


class AdaptedLinear(torch.autograd.Function):
    """y = x (W0 + dW)^T + b0 + db; gradients for x (..., in), B, A and db, for which no W is kept or made again."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, b: Tensor, a: Tensor, bias_update: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(x, weight, b, a)
        if bias is not None:
            bias = (bias if bias_update is None else bias + bias_update).to(x.dtype)
        return linear(x, updated_matrix(weight, b, a).to(x.dtype), bias)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple:
        x, weight, b, a = ctx.saved_tensors
        with without_autocast(x):
            return _linear_gradients(ctx.needs_input_grad, g, x, weight, b, a)


def _linear_gradients(wanted: tuple[bool, ...], g: Tensor, x: Tensor, weight: Tensor, b: Tensor, a: Tensor) -> tuple:
    wanted_x, _, _, _, _, wanted_bias = wanted
    rank, p, _ = a.shape
    images = max(1, x.shape[0]) if x.dim() > 2 else 1
    rows_x, rows_g = (v.reshape(-1, v.shape[-1]) for v in (x, g))
    flat_a, flat_b = a.flatten(0, 1).to(x.dtype), side_by_side(b).to(x.dtype)
    z = linear(rows_x, flat_a)  # (N, R)
    gz = linear(rows_g, flat_b.T.contiguous())  # (N, R): BLAS is faster with the transposed than with B itself
    gx = None
    if wanted_x:
        gx = (rows_g @ weight.to(x.dtype)).addmm_(gz, flat_a).view(x.shape)

    def over_rows(thin: Tensor, wide: Tensor) -> Tensor:  # (R, out) or (R, in)
        return mixed(*(v.reshape(images, -1, v.shape[-1]).mT for v in (thin, wide)))

    gb = over_rows(z, rows_g).to(b.dtype).unflatten(0, (rank, p)).mT  # (r, out, p)
    ga = over_rows(gz, rows_x).to(a.dtype).unflatten(0, (rank, p))
    return gx, None, None, gb, ga, rows_g.sum(0).to(b.dtype) if wanted_bias else None
