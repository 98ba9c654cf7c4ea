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
"""

import hashlib
import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.parameter import is_lazy

from colora.adapters.forms import AdaptedConv, Form, Geometry, Order, choose_form, kernel_update, updated_kernel

Bias = Literal["auto", "all", "none"]
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def keyed_generator(*key: int | str) -> torch.Generator:
    """A CPU generator whose stream depends on `key` alone, so that a draw needs no saved random state to be
    repeated."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


def adaptable(module: nn.Module) -> bool:
    """A convolution whose forward pass is torch's own and whose weight is a parameter of its own: subclasses that only
    build another geometry too, but none with a forward pass of its own, a parametrized or an uninitialised weight."""
    kind = next((kind for kind in CONVOLUTIONS if isinstance(module, kind)), None)
    if kind is None or is_lazy(weight := module._parameters.get("weight")):
        return False
    own = type(module)
    same = own.forward is kind.forward and getattr(own, "_conv_forward", None) is getattr(kind, "_conv_forward", None)
    return same and weight is not None


def kernel_checksum(weight: Tensor, bias: Tensor | None) -> str:
    """SHA-256 over shapes and values, as float32, of a convolution's kernel and bias: the same on every device."""
    digest = hashlib.sha256()
    for value in (weight, bias):
        if value is not None:
            digest.update(str(tuple(value.shape)).encode())
            digest.update(value.detach().cpu().float().contiguous().numpy())
    return digest.hexdigest()


def _no_transform() -> bool:
    """Gradients are wanted, in reverse mode, and neither torch.compile nor a torch.func transform is at work."""
    return (
        torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and torch._C._functorch.peek_interpreter_stack() is None
        and forward_ad._current_level < 0
    )


def _frozen(value: Tensor, dtype: torch.dtype) -> nn.Parameter:
    """`value` itself where it is a parameter of that dtype, so that no second copy is held; else a new parameter."""
    if isinstance(value, nn.Parameter) and value.dtype == dtype:
        return value.requires_grad_(False)
    return nn.Parameter(value.detach().to(dtype), requires_grad=False)


class CoLoRAConv(nn.Module):
    """A convolution with a CoLoRA adapter. `forward` is the base layer's: (B, Cin, *spatial) -> (B, Cout, *spatial').

    The base's `weight` (Cout, Cin/G, *k; transposed kinds: Cin, Cout/G, *k) and `bias` (Cout) keep their names, frozen,
    in at least fp32. Beside them stand
        pointwise    Kp  (r, Cout, Cin/G)        Glorot uniform, fan-in Cin/G, fan-out Cout/G
        depthwise    Kd  (r, Cout or Cin, *k)    zero; per output channel (inception) or input channel (separable)
        bias_update  db  (Cout)                  zero; none with bias="none", or with "auto" where the base has no bias
    bias="all" gives a base without bias one of zeros. `form` is "plain", "fused", "factored"
    or "auto" (`colora.adapters.forms`): by rule, and anew when the layer moves to another kind of device.
    `merged_from` is the `kernel_checksum` of the base from the first merge on, None before it.
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
    ):
        super().__init__()
        if not adaptable(base):
            known = ", ".join(kind.__name__ for kind in CONVOLUTIONS)
            raise TypeError(f"CoLoRA adapts {known}; got {type(base).__name__}")
        if not base.weight.is_floating_point():
            raise TypeError(f"CoLoRA adapts real floating-point kernels; got {base.weight.dtype}")
        if order not in ("inception", "separable"):
            raise ValueError(f"order must be 'inception' or 'separable', got {order!r}")
        if bias not in ("auto", "all", "none"):
            raise ValueError(f"bias must be 'auto', 'all' or 'none', got {bias!r}")
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}")
        if form not in ("auto", "plain", "fused", "factored"):
            raise ValueError(f"form must be 'auto', 'plain', 'fused' or 'factored', got {form!r}")
        if form == "factored" and base.transposed:
            raise ValueError(f"form 'factored' is for plain convolutions, not for {type(base).__name__}")
        self.order, self.rank, self.groups = order, rank, base.groups
        self._form_by_rule = form == "auto"
        self.form: Form = choose_form(base, device=base.weight.device.type) if form == "auto" else form
        self.merged_from: str | None = None
        # The base is kept for its geometry and for strip; in a tuple it is no submodule, so its keys appear once.
        self._base = (base,)
        self._base_dtype = base.weight.dtype
        master = torch.promote_types(base.weight.dtype, torch.float32)
        self.weight = _frozen(base.weight, master)
        if base.bias is not None:
            self.bias = _frozen(base.bias, master)
        else:
            self.bias = _frozen(self.weight.new_zeros(base.out_channels), master) if bias == "all" else None
        channels = base.out_channels if order == "inception" else base.in_channels
        group_width = base.in_channels // base.groups
        self.pointwise = nn.Parameter(self.weight.new_zeros(rank, base.out_channels, group_width))
        self.depthwise = nn.Parameter(self.weight.new_zeros(rank, channels, *base.kernel_size))
        has_update = self.bias is not None and bias != "none"
        self.bias_update = nn.Parameter(torch.zeros_like(self.bias)) if has_update else None
        self.train(base.training)
        self.reset_(generator)

    @property
    def base(self) -> nn.Module:
        """The wrapped layer. It shares K0 and b0 unless it is in half precision; updates reach it by `merge_`
        and `stripped`."""
        return self._base[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "CoLoRAConv":
        """`.to()` and its kin. A cast is that of the layer that `stripped` gives; K0 and the factors, to which many
        small updates are added, stay in at least fp32."""
        device = self.weight.device.type
        self._base_dtype = fn(self.weight.new_empty(1, dtype=self._base_dtype)).dtype

        def kept(value: Tensor) -> Tensor:
            new = fn(value)
            master = torch.promote_types(new.dtype, torch.float32)
            return new if new.dtype == master else torch.empty_like(new, dtype=master).copy_(value)

        super()._apply(kept, recurse)
        if self._form_by_rule and self.weight.device.type != device:
            self.form = choose_form(self.base, device=self.weight.device.type)
        return self

    @torch.no_grad()
    def reset_(self, generator: torch.Generator | None = None) -> None:
        """A new Glorot-uniform Kp drawn on the CPU (the same on every device), Kd = db = 0."""
        _, out_channels, group_width = self.pointwise.shape
        limit = math.sqrt(6 / (group_width + out_channels // self.groups))
        if not self.pointwise.is_meta:
            draw = torch.empty(self.pointwise.shape, dtype=torch.float32).uniform_(-limit, limit, generator=generator)
            self.pointwise.copy_(draw)
        self.depthwise.zero_()
        if self.bias_update is not None:
            self.bias_update.zero_()

    def delta_weight(self) -> Tensor:
        """dK with the shape of `weight`, differentiable in Kp and Kd."""
        return self._placed(kernel_update(self.pointwise, self.depthwise, self.order, self.groups))

    def _placed(self, delta: Tensor) -> Tensor:
        """dK (Cout, Cin/G, *k) where the layer's weight has it: transposed kinds hold dK[o, c] at W[ci, o'],

        with o = g Cout/G + o' and ci = g Cin/G + c.
        """
        if not self.base.transposed:
            return delta
        return delta.unflatten(0, (self.groups, -1)).transpose(1, 2).flatten(0, 1)  # (Cin, Cout/G, *k)

    def effective_weight(self) -> Tensor:
        """K0 + dK: what the layer computes with now."""
        if self.base.transposed:
            return self.weight + self.delta_weight()
        return updated_kernel(self.weight, self.pointwise, self.depthwise, self.order, self.groups)

    def effective_bias(self) -> Tensor | None:
        """b0 + db, or None for a layer without bias."""
        return self.bias if self.bias_update is None else self.bias + self.bias_update

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if self.form != "plain" and self._by_hand(x):
            return self._with_own_backward(x)
        weight, bias = self.effective_weight(), self.effective_bias()
        if x.is_meta or x.dtype == torch.float64 or not torch.is_autocast_enabled(x.device.type):
            weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        if not self.base.transposed:
            return self.base._conv_forward(x, weight, bias)
        arguments = (x,) if output_size is None else (x, output_size)
        return torch.func.functional_call(self.base, {"weight": weight, "bias": bias}, arguments)

    def _by_hand(self, x: Tensor) -> bool:
        """Whether the hand-written gradients are all that is wanted: they have none for a K0 or b0 that trains."""
        trains = self.weight.requires_grad or (self.bias is not None and self.bias.requires_grad)
        plain = trains or self.base.transposed or x.is_meta or x.dim() != self.weight.dim()
        return not plain and _no_transform()

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
        return AdaptedConv.apply(
            x, self.weight, self.bias, self.pointwise, self.depthwise, self.bias_update,
            self.order, self.form, Geometry(base.stride, padding, base.dilation, base.groups),
        )  # fmt: skip

    def checksum(self) -> str:
        """The base's `kernel_checksum`, before any merge; without the zeros that bias="all" gave it."""
        own_bias = self.bias if self.base.bias is not None else None
        return self.merged_from or kernel_checksum(self.weight, own_bias)

    def factors(self) -> dict[str, Tensor]:
        """Copies of Kp, Kd and (where there is one) db."""
        named = {"pointwise": self.pointwise, "depthwise": self.depthwise, "bias": self.bias_update}
        return {name: value.detach().clone() for name, value in named.items() if value is not None}

    @torch.no_grad()
    def merge_(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """K0 += dK and b0 += db in place, then `reset_`; returns the merged factors (eq. 7, section 3.1).

        Merging again at once adds zero.
        """
        merged = self.factors()
        if not self.weight.is_meta:
            self.merged_from = self.checksum()
        self.weight.copy_(self.effective_weight())  # what the forward pass computed with, to the bit
        if self.bias_update is not None:
            self.bias += self.bias_update
        self.reset_(generator)
        return merged

    @torch.no_grad()
    def load_factors_(self, factors: dict[str, Tensor]) -> None:
        """Puts the factors that `factors` or `merge_` returned in place of the present ones."""
        self.pointwise.copy_(factors["pointwise"])
        self.depthwise.copy_(factors["depthwise"])
        if self.bias_update is not None:
            self.bias_update.copy_(factors["bias"])

    @torch.no_grad()
    def undo_(self, factors: dict[str, Tensor]) -> None:
        """Takes a merge back: K0 -= dK, b0 -= db of the factors it returned, to rounding (section 3.1)."""
        there = {name: value.to(self.weight.device) for name, value in factors.items()}
        self.weight -= self._placed(kernel_update(there["pointwise"], there["depthwise"], self.order, self.groups))
        if "bias" in there:
            self.bias -= there["bias"]

    @torch.no_grad()
    def stripped(self) -> nn.Module:
        """The base layer with the effective weight and bias in its own dtype; gradients off, as they were here."""
        base = self.base
        bias = self.effective_bias()
        base.weight = _frozen(self.effective_weight(), self._base_dtype)
        base.bias = None if bias is None else _frozen(bias, self._base_dtype)
        return base.train(self.training)

    def extra_repr(self) -> str:
        return f"{self.base.extra_repr()}, order={self.order}, rank={self.rank}"
