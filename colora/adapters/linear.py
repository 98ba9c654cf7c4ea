"""The update of a linear layer: the 1x1 case of a convolution's, without Kd.

    W = W0 + sum_r B[r] A[r]        B (out, p), zero at first; A (p, in)

which is LoRA (Hu et al., arXiv 2106.09685) with a merge every so often. ConvNeXt, Swin and the hybrids of convolution
and attention hold most of their weights in such layers.
"""

import math

import torch
from torch import Tensor, nn

from colora.adapters.layer import AdaptedLayer, Bias, check_ranks, no_transform, own_weight
from colora.adapters.low_rank import AdaptedLinear, side_by_side, updated_matrix, without_autocast

LINEAR_RANK = 8  # p where none is given: the paper's Kp would be the whole weight


def adaptable_linear(module: nn.Module) -> bool:
    """A linear layer of torch's, or of a subclass, whose weight is a parameter of its own."""
    return isinstance(module, nn.Linear) and own_weight(module)


class CoLoRALinear(AdaptedLayer):
    """A linear layer with an adapter. `forward` is the base layer's: (..., in) -> (..., out).

    Beside the frozen weight (out, in) and bias (out) (`AdaptedLayer`) stand
        pointwise_a  A   (r, p, in)    uniform within 1 / sqrt(in), as torch draws a linear layer
        pointwise_b  B   (r, out, p)   zero
        bias_update  db  (out)         zero; none with bias="none", or with "auto" where the base has no bias
    with p = `pointwise_rank`, at most the smaller side. Raises TypeError for other layers, ValueError for wrong
    settings.
    """

    def __init__(
        self,
        base: nn.Module,
        rank: int = 1,
        bias: Bias = "auto",
        generator: torch.Generator | None = None,
        pointwise_rank: int = LINEAR_RANK,
    ):
        if not adaptable_linear(base):
            raise TypeError(f"this adapter is for Linear; got {type(base).__name__}")
        check_ranks(rank, pointwise_rank)
        super().__init__(base, base.out_features, bias, nn.Linear)
        self.rank, self.pointwise_rank_asked = rank, pointwise_rank
        self.pointwise_rank = min(pointwise_rank, base.in_features, base.out_features)
        new = self.base_weight.new_zeros
        self.pointwise_a = nn.Parameter(new(rank, self.pointwise_rank, base.in_features))
        self.pointwise_b = nn.Parameter(new(rank, base.out_features, self.pointwise_rank))
        self.reset_(generator)

    @torch.no_grad()
    def reset_(self, generator: torch.Generator | None = None) -> None:
        """A new A drawn on the CPU (the same on every device), B = db = 0."""
        self._draw_(self.pointwise_a, 1 / math.sqrt(self.base.in_features), generator)
        self.pointwise_b.zero_()
        if self.bias_update is not None:
            self.bias_update.zero_()

    def delta_weight(self) -> Tensor:
        """dW (out, in), differentiable in the factors."""
        return _delta(self.pointwise_b, self.pointwise_a)

    def _delta_of(self, factors: dict[str, Tensor]) -> Tensor:
        return _delta(factors["pointwise_b"], factors["pointwise_a"])

    def updated_weight(self) -> Tensor:
        """W0 + dW, whether the adapter is enabled or not."""
        return updated_matrix(self.base_weight, self.pointwise_b, self.pointwise_a)

    def forward(self, x: Tensor, *args, **kwargs) -> Tensor:
        if self.own_forward:
            return self._base_forward(x, *args, **kwargs)
        if self._by_hand(x):
            return AdaptedLinear.apply(
                x, self.base_weight, self.base_bias, self.pointwise_b, self.pointwise_a, self.bias_update
            )
        return nn.functional.linear(x, *self._in_dtype_of(x))

    def _by_hand(self, x: Tensor) -> bool:
        """Whether the hand-written gradients are all that is wanted: they have none for a W0 or b0 that trains."""
        weight, bias = self.base_weight, self.base_bias
        trains = weight.requires_grad or (bias is not None and bias.requires_grad)
        if trains or not self.enabled or x.is_meta or x.dim() < 2 or torch.is_autocast_enabled(x.device.type):
            return False
        return no_transform()

    def extra_repr(self) -> str:
        return f"{self.base.extra_repr()}, rank={self.rank}, pointwise_rank={self.pointwise_rank}"


def _delta(b: Tensor, a: Tensor) -> Tensor:
    """sum_r B[r] A[r] (out, in) of B (r, out, p) and A (r, p, in)."""
    with without_autocast(b):
        return side_by_side(b) @ a.flatten(0, 1)
