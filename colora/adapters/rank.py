"""How much of its space an update fills: singular values of dK = K - K0 per filter, per input channel and per layer.

The paper reads each merge as adding directions to the span of a filter's update (eq. 12-14). Of k merges of rank r,
    inception   leaves the (Cin/G, kh kw) slice of one filter at rank min(k r, Cin/G, kh kw),
    separable   leaves the (Cout/G, kh kw) slice of one input channel there, and a filter's slice full after one merge.
The layer's (Cout, Cin/G kh kw) matrix, the one LoRA keeps at low rank, is held down by neither order.

    rank_table(base, trained)                           # two models, the second with adapters or without
    rank_table(base, rebuild(base, run / "history", 5)) # after epoch 5 of a run (colora.adapters.history)
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from colora.adapters.conv import adaptable_conv
from colora.adapters.model import plain_state
from colora.adapters.walk import adapted_convolutions


@dataclass(frozen=True)
class Spectrum:
    """Singular values (..., min(m, n)) float64, descending, of (m, n) matrices, and what rounding alone may make."""

    values: Tensor
    noise: float

    def rank(self) -> Tensor:
        """Numerical rank (...) int64: how many singular values are above `noise`."""
        return (self.values > self.noise).sum(-1)

    def effective_rank(self) -> Tensor:
        """exp(entropy of the singular values' shares) (...), 1 to min(m, n) (Roy & Vetterli 2007); 0 where dK = 0."""
        total = self.values.sum(-1, keepdim=True)
        shares = self.values / total.clamp_min(torch.finfo(self.values.dtype).tiny)
        return torch.special.entr(shares).sum(-1).exp() * (total.squeeze(-1) > 0)


@dataclass(frozen=True)
class UpdateSpectra:
    """One convolution's update, cut three ways."""

    per_filter: Spectrum  # values (Cout, min(Cin/G, kh kw))
    per_input: Spectrum  # values (Cin, min(Cout/G, kh kw))
    layer: Spectrum  # values (min(Cout, Cin/G kh kw),)


def update_spectra(before: Tensor, after: Tensor, groups: int = 1, transposed: bool = False) -> UpdateSpectra:
    """The spectra of after - before, two kernels (Cout, Cin/G, *k), or (Cin, Cout/G, *k) of a transposed kind.

    The difference of two rounded kernels is off by their last bit, which has full rank. A singular value counts where
    it is above sqrt(m n) eps max|K|, eps that of the kernels' dtype: no (m, n) matrix with one such error an entry has
    a larger one. Raises ValueError where the shapes differ.
    """
    if before.shape != after.shape:
        raise ValueError(f"the kernels have shapes {tuple(before.shape)} and {tuple(after.shape)}")
    delta = (after.detach().double() - before.detach().double()).cpu().flatten(2).unflatten(0, (groups, -1))
    if transposed:
        delta = delta.transpose(1, 2)  # now (G, Cout/G, Cin/G, kh kw), as the plain kinds' is
    rounding = torch.finfo(after.dtype).eps * max(before.abs().max().item(), after.abs().max().item())

    def spectrum(matrices: Tensor) -> Spectrum:
        m, n = matrices.shape[-2:]
        return Spectrum(torch.linalg.svdvals(matrices), math.sqrt(m * n) * rounding)

    filters = delta.flatten(0, 1)  # (Cout, Cin/G, kh kw)
    return UpdateSpectra(
        per_filter=spectrum(filters),
        per_input=spectrum(delta.transpose(1, 2).flatten(0, 1)),  # (Cin, Cout/G, kh kw)
        layer=spectrum(filters.flatten(1)),
    )


def model_spectra(before: nn.Module, after: nn.Module) -> dict[str, UpdateSpectra]:
    """The spectra of every convolution by its name; each model may be plain or adapted, merged or not.

    Raises ValueError where `after` lacks one of them, or has it in another shape.
    """
    old, new = plain_state(before), plain_state(after)
    layers = {name: m for name, m in before.named_modules() if adaptable_conv(m)}
    layers |= {name: layer.base for name, layer in adapted_convolutions(before).items()}
    spectra = {}
    for name, conv in layers.items():
        key = f"{name}.weight" if name else "weight"
        if key not in new:
            raise ValueError(f"the second model has no layer {name!r}")
        try:
            spectra[name] = update_spectra(old[key], new[key], conv.groups, conv.transposed)
        except ValueError as error:
            raise ValueError(f"{name or 'the layer'}: {error}") from None
    return spectra


def rank_table(before: nn.Module, after: nn.Module) -> list[dict[str, str | int | float]]:
    """One row a convolution, ready for JSON or a data frame: its name as "layer" and, for each of the three cuts,

    "filter_rank", "input_rank", "layer_rank"   numerical rank, of slices the median
    "..._effective"                             effective rank, of slices the median
    "..._limit"                                 the largest rank that matrix can have
    """
    rows = []
    for name, spectra in model_spectra(before, after).items():
        row: dict[str, str | int | float] = {"layer": name}
        cuts = {"filter": spectra.per_filter, "input": spectra.per_input, "layer": spectra.layer}
        for cut, spectrum in cuts.items():
            row[f"{cut}_rank"] = spectrum.rank().median().item()
            row[f"{cut}_effective"] = spectrum.effective_rank().median().item()
            row[f"{cut}_limit"] = spectrum.values.shape[-1]
        rows.append(row)
    return rows
