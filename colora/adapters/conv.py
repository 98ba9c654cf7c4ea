"""CoLoRA on one convolution: a frozen kernel and a depthwise-separable residual update that is merged into it.

Rivera & Hoyos, "CoLoRA: Efficient Fine-Tuning for Convolutional Models with a Study Case on OCT Image Classification",
arXiv 2505.18315. With o an output channel and c a channel inside its group g(o):

                 x ──┬──────────────► K0 (frozen) ────────────────┐
                     │                                            + ──► y        W = K0 + dK,  b = b0 + db
                     └─► Kp (pointwise, 1x1) ─► Kd (depthwise) ───┘
                                                                                 every few epochs: K0 += dK, b0 += db,
    inception  (eq. 14-19)  dK[o,c,i,j] = sum_r Kp[r,o,c] Kd[r,o,i,j]            Kp a new Glorot draw, Kd = db = 0
    separable  (eq. 9)      dK[o,c,i,j] = sum_r Kp[r,o,c] Kd[r, g(o) Cin/G + c, i,j]

Kd starts at zero, so adding an adapter changes nothing, and neither does resetting it after a merge. Convolution is
linear in its kernel, so the merge is exact for every stride, padding, padding mode, dilation and number of groups.

In a modern network most weights lie in 1x1 convolutions, where Kp is a whole kernel. With `pointwise_rank` p it is a
product, Kp = B A with B (Cout, p) and A (p, Cin/G), of p (Cout + Cin/G) weights: for a 1x1 convolution that is LoRA (Hu
et al., arXiv 2106.09685) with a learned scale for each output channel (separable: input channel), Kd.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from colora.adapters.forms import AdaptedConv, Form, Geometry, Order, choose_form, kernel_update, updated_kernel
from colora.adapters.layer import AdaptedLayer, Bias, check_ranks, no_transform, own_weight
from colora.adapters.low_rank import product

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def kind_of_convolution(module: nn.Module) -> type[nn.Module] | None:
    """Which of `CONVOLUTIONS` the module is, or None."""
    return next((kind for kind in CONVOLUTIONS if isinstance(module, kind)), None)


def adaptable_conv(module: nn.Module) -> bool:
    """A convolution of torch's, or of a subclass, whose weight is a parameter of its own."""
    return kind_of_convolution(module) is not None and own_weight(module)


def check_order(order: str) -> None:
    """Raises ValueError for what is no `Order`."""
    if order not in ("inception", "separable"):
        raise ValueError(f"order must be 'inception' or 'separable', got {order!r}")


def _geometry(name: str) -> property:
    """An attribute of the base's that may be given anew, such as a stride of 1 for larger maps."""
    return property(lambda layer: getattr(layer.base, name), lambda layer, value: setattr(layer.base, name, value))


class CoLoRAConv(AdaptedLayer):
    """A convolution with a CoLoRA adapter. `forward` is the base layer's: (B, Cin, *spatial) -> (B, Cout, *spatial').

    The base's weight (Cout, Cin/G, *k; transposed kinds: Cin, Cout/G, *k) and bias (Cout) are frozen, in at least fp32
    (`AdaptedLayer`). Beside them stand
        pointwise    Kp  (r, Cout, Cin/G)        Glorot uniform, fan-in Cin/G, fan-out Cout/G
        depthwise    Kd  (r, Cout or Cin, *k)    zero; per output channel (inception) or input channel (separable)
        bias_update  db  (Cout)                  zero; none with bias="none", or with "auto" where the base has no bias
    or, with `pointwise_rank` p and where that is less than Kp, in its place
        pointwise_a  A   (r, p, Cin/G)           uniform, both of one scale, such that the entries of B A have the
        pointwise_b  B   (r, Cout, p)            variance that Glorot's rule gives Kp's
    bias="all" gives a base without bias one of zeros. `form` is "plain", "fused", "factored"
    or "auto" (`colora.adapters.forms`): by rule, and anew when the layer moves to another kind of device. A subclass
    with a forward pass of its own, such as timm's StdConv2d, computes in that, with K0 + dK as its weight.
    Raises TypeError for other layers, ValueError for wrong settings.
    """

    def __init__(
        self,
        base: nn.Module,
        order: Order = "inception",
        rank: int = 1,
        bias: Bias = "auto",
        generator: torch.Generator | None = None,
        form: Form | Literal["auto"] = "auto",
        pointwise_rank: int | None = None,
    ):
        if not adaptable_conv(base):
            known = ", ".join(kind.__name__ for kind in CONVOLUTIONS)
            raise TypeError(f"CoLoRA adapts {known}; got {type(base).__name__}")
        check_order(order)
        check_ranks(rank, pointwise_rank)
        if form not in ("auto", "plain", "fused", "factored"):
            raise ValueError(f"form must be 'auto', 'plain', 'fused' or 'factored', got {form!r}")
        super().__init__(base, base.out_channels, bias, kind_of_convolution(base))
        if form == "factored" and not self.has_forms:
            raise ValueError(f"form 'factored' is for plain convolutions, not for {type(base).__name__}")
        self.order, self.rank, self.pointwise_rank_asked = order, rank, pointwise_rank
        width = base.in_channels // base.groups
        # a product that is no smaller than Kp is less for as much
        spares = pointwise_rank is not None and pointwise_rank * (base.out_channels + width) < base.out_channels * width
        self.pointwise_rank = pointwise_rank if spares else None
        self._form_by_rule = form == "auto"
        self.form: Form = self.form_by_rule() if form == "auto" else form
        new = self.base_weight.new_zeros
        if self.pointwise_rank:
            self.pointwise_a = nn.Parameter(new(rank, self.pointwise_rank, width))
            self.pointwise_b = nn.Parameter(new(rank, base.out_channels, self.pointwise_rank))
        else:
            self.pointwise = nn.Parameter(new(rank, base.out_channels, width))
        channels = base.out_channels if order == "inception" else base.in_channels
        self.depthwise = nn.Parameter(new(rank, channels, *base.kernel_size))
        self.reset_(generator)

    stride, padding, dilation, output_padding = map(_geometry, ("stride", "padding", "dilation", "output_padding"))

    @property
    def has_forms(self) -> bool:
        """Whether the hand-written gradients of `forms` can compute it."""
        return not (self.base.transposed or self.own_forward)

    @property
    def thin_channels(self) -> int | None:
        """G R, the channels that the factored form has between its two convolutions, where Kp is of low rank."""
        return self.base.groups * self.rank * self.pointwise_rank if self.pointwise_rank else None

    def form_by_rule(self, positions: int | None = None) -> Form:
        """`choose_form` for this layer, where it is; `positions` as there."""
        if not self.has_forms:
            return "plain"
        return choose_form(self.base, positions, self.base_weight.device.type, self.thin_channels)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "CoLoRAConv":
        """As `AdaptedLayer`'s; on another kind of device the form is chosen anew."""
        device = self.base_weight.device.type
        super()._apply(fn, recurse)
        if self._form_by_rule and self.base_weight.device.type != device:
            self.form = self.form_by_rule()
        return self

    @torch.no_grad()
    def reset_(self, generator: torch.Generator | None = None) -> None:
        """A new Glorot-uniform Kp, or its two factors, drawn on the CPU (the same on every device), Kd = db = 0."""
        groups, outputs, width = self.base.groups, self.base.out_channels, self.base.in_channels // self.base.groups
        variance = 2 / (width + outputs // groups)
        if self.pointwise_rank:
            each = math.sqrt(variance / self.pointwise_rank)  # of A's entries and of B's: B A sums p of their products
            for factor in (self.pointwise_a, self.pointwise_b):
                self._draw_(factor, math.sqrt(3 * each), generator)
        else:
            self._draw_(self.pointwise, math.sqrt(6 / (width + outputs // groups)), generator)
        self.depthwise.zero_()
        if self.bias_update is not None:
            self.bias_update.zero_()

    def kernel_pointwise(self) -> Tensor:
        """Kp (r, Cout, Cin/G), differentiable in A and B where it is their product."""
        return product(self.pointwise_b, self.pointwise_a) if self.pointwise_rank else self.pointwise

    def delta_weight(self) -> Tensor:
        """dK with the shape of `weight`, differentiable in the factors."""
        return self._placed(kernel_update(self.kernel_pointwise(), self.depthwise, self.order, self.base.groups))

    def _delta_of(self, factors: dict[str, Tensor]) -> Tensor:
        low = "pointwise" not in factors
        kp = product(factors["pointwise_b"], factors["pointwise_a"]) if low else factors["pointwise"]
        return self._placed(kernel_update(kp, factors["depthwise"], self.order, self.base.groups))

    def _placed(self, delta: Tensor) -> Tensor:
        """dK (Cout, Cin/G, *k) where the layer's weight has it: transposed kinds hold dK[o, c] at W[ci, o'],

        with o = g Cout/G + o' and ci = g Cin/G + c.
        """
        if not self.base.transposed:
            return delta
        return delta.unflatten(0, (self.base.groups, -1)).transpose(1, 2).flatten(0, 1)  # (Cin, Cout/G, *k)

    def updated_weight(self) -> Tensor:
        """K0 + dK, whether the adapter is enabled or not."""
        if self.base.transposed:
            return self.base_weight + self.delta_weight()
        pointwise = self.pointwise_b if self.pointwise_rank else self.pointwise
        groups, a = self.base.groups, self.pointwise_a
        return updated_kernel(self.base_weight, pointwise, self.depthwise, self.order, groups, a)

    def forward(self, x: Tensor, *args, **kwargs) -> Tensor:
        """As the base: transposed kinds take an `output_size` beside x."""
        if self.form != "plain" and self._by_hand(x):
            return self._with_own_backward(x)
        if self.base.transposed or self.own_forward:
            return self._base_forward(x, *args, **kwargs)
        return self.base._conv_forward(x, *self._in_dtype_of(x))

    def _by_hand(self, x: Tensor) -> bool:
        """Whether the hand-written gradients are all that is wanted: they have none for a K0 or b0 that trains."""
        weight, bias = self.base_weight, self.base_bias
        trains = weight.requires_grad or (bias is not None and bias.requires_grad)
        plain = trains or not self.has_forms or not self.enabled or x.is_meta or x.dim() != weight.dim()
        return not plain and no_transform()

    def _with_own_backward(self, x: Tensor) -> Tensor:
        """The output (B, Cout, *spatial') for x (B, Cin, *spatial), of a layer that is not transposed.

        Small layers take as long as Python takes to get here and back, so that each call counts.
        """
        base = self.base
        padding = base.padding
        if base.padding_mode != "zeros" or padding == "same":
            mode = "constant" if base.padding_mode == "zeros" else base.padding_mode
            x = nn.functional.pad(x, base._reversed_padding_repeated_twice, mode=mode)
            padding = "valid"
        if padding == "valid":
            padding = (0,) * len(base.kernel_size)
        if torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64:  # which autocast leaves alone too
            x = x.to(torch.get_autocast_dtype(x.device.type))
        low = self.pointwise_rank is not None
        return AdaptedConv.apply(
            x, self.base_weight, self.base_bias, self.pointwise_b if low else self.pointwise, self.pointwise_a,
            self.depthwise, self.bias_update,
            self.order, self.form, Geometry(base.stride, padding, base.dilation, base.groups),
        )  # fmt: skip

    def extra_repr(self) -> str:
        low = f", pointwise_rank={self.pointwise_rank}" if self.pointwise_rank else ""
        return f"{self.base.extra_repr()}, order={self.order}, rank={self.rank}{low}"
