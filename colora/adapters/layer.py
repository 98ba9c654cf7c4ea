"""What every adapted layer does, be it a convolution or a linear one: hold K0, merge, undo, give the layer back.

The wrapped layer's place in the model is taken by one of these. Whoever reads its `weight`, its `bias` or its geometry
there gets what the layer computes with, K0 + dK and b0 + db, and the base's own attributes; hooks and a forward pass
of its own go on working. Files, optimizers and `.to()` see K0 and b0 under their old names, and the factors beside
them.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.parameter import is_lazy

from colora.adapters.sharded import is_sharded, on_whole

Bias = Literal["auto", "all", "none"]
FACTORS = ("pointwise", "pointwise_a", "pointwise_b", "depthwise", "bias_update")
HOOKS = (  # a layer's own: whoever put them there holds handles to these dictionaries, so they move as they are
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs",
    "_backward_hooks", "_backward_pre_hooks",
    "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip


def keyed_generator(*key: int | str) -> torch.Generator:
    """A CPU generator whose stream depends on `key` alone, so that a draw needs no saved random state to be
    repeated."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


def kernel_checksum(weight: Tensor, bias: Tensor | None) -> str:
    """SHA-256 over shapes and values, as float32, of a layer's kernel and bias: the same on every device."""
    digest = hashlib.sha256()
    for value in (weight, bias):
        if value is not None:
            digest.update(str(tuple(value.shape)).encode())
            digest.update(value.detach().cpu().float().contiguous().numpy())
    return digest.hexdigest()


def own_weight(module: nn.Module) -> bool:
    """Whether `weight` is a parameter of the module itself: not one that is computed from others before each call, as
    a parametrized, normed or pruned layer's, and not one that has no shape yet."""
    weight = module._parameters.get("weight")
    return weight is not None and not is_lazy(weight)


def own_forward(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a subclass, or this one module, computes in another way than torch's `kind`."""
    passes = ("forward", "_conv_forward")
    same = all(getattr(type(module), name, None) is getattr(kind, name, None) for name in passes)
    return not same or any(name in module.__dict__ for name in passes)


def name_taken(module: nn.Module) -> str | None:
    """A name that an adapter needs for a factor and the layer, such as a separable one, has for something else."""
    return next((name for name in FACTORS if hasattr(module, name)), None)


def no_transform() -> bool:
    """Gradients are wanted, in reverse mode, and neither torch.compile nor a torch.func transform is at work."""
    return (
        torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and torch._C._functorch.peek_interpreter_stack() is None
        and forward_ad._current_level < 0
    )


def frozen(value: Tensor, dtype: torch.dtype) -> nn.Parameter:
    """`value` itself where it is a parameter of that dtype, so that no second copy is held; else a new parameter."""
    if isinstance(value, nn.Parameter) and value.dtype == dtype:
        return value.requires_grad_(False)
    return nn.Parameter(value.detach().to(dtype), requires_grad=False)


def check_bias(bias: str) -> None:
    """Raises ValueError for what is no `Bias`."""
    if bias not in ("auto", "all", "none"):
        raise ValueError(f"bias must be 'auto', 'all' or 'none', got {bias!r}")


def check_ranks(rank: int, pointwise_rank: int | None) -> None:
    """Raises ValueError for a number of terms, or a rank of their pointwise factor, that is no whole one from 1 on."""
    for name, value in (("rank", rank), ("pointwise_rank", 1 if pointwise_rank is None else pointwise_rank)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{name} must be a whole number, got {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


class AdaptedLayer(nn.Module):
    """A frozen layer, at least in fp32, and its update. Subclasses make the factors and say what dK they give.

    `base_weight` is K0 and `base_bias` b0 (of zeros with bias="all" where the base has none); `weight` and `bias` are
    K0 + dK and b0 + db, differentiable in the factors. `merged_from` is the `kernel_checksum` of the base from the
    first merge on, None before it. While `enabled` is False the layer computes with K0 and b0.
    Raises TypeError for a weight that is no real floating-point number, ValueError for wrong settings.
    """

    pointwise: nn.Parameter | None
    pointwise_a: nn.Parameter | None
    pointwise_b: nn.Parameter | None
    depthwise: nn.Parameter | None
    bias_update: nn.Parameter | None

    def __init__(self, base: nn.Module, outputs: int, bias: Bias, kind: type[nn.Module]):
        super().__init__()
        weight = base._parameters["weight"]
        if not weight.is_floating_point():
            raise TypeError(f"CoLoRA adapts real floating-point kernels; got {weight.dtype}")
        check_bias(bias)
        if name := name_taken(base):
            raise ValueError(f"the layer has a {name!r} of its own, where the adapter's would stand")
        # The base is kept for its geometry and for strip; in a tuple it is no submodule, so its keys appear once.
        self._base = (base,)
        self._base_dtype = weight.dtype
        self.own_forward = own_forward(base, kind)
        self.merged_from: str | None = None
        self.enabled = True
        self._parameters.update(base._parameters)  # such as timm's `gain`, beside weight and bias
        # The same dictionaries, so that both see what a forward pass, a cast or a further adapter puts there.
        self._buffers, self._modules = base._buffers, base._modules
        self._non_persistent_buffers_set = base._non_persistent_buffers_set
        self._version = base._version
        master = torch.promote_types(weight.dtype, torch.float32)
        self._parameters["weight"] = frozen(weight, master)
        given = base._parameters.get("bias")
        if given is not None:
            given = frozen(given, master)
        elif bias == "all":
            given = frozen(self.base_weight.new_zeros(outputs), master)
        self._parameters["bias"] = given
        for name in FACTORS:
            self.register_parameter(name, None)
        if given is not None and bias != "none":
            self.bias_update = nn.Parameter(torch.zeros_like(given))
        self._take_hooks(base)
        self.training = base.training

    @property
    def base(self) -> nn.Module:
        """The wrapped layer. It shares K0 and b0 unless it is in half precision; updates reach it by `merge_`
        and `stripped`."""
        return self._base[0]

    @property
    def base_weight(self) -> Tensor:
        """K0 with the shape of the base's weight."""
        held = self._parameters
        return held["weight"] if "weight" in held else self.__dict__["weight"]  # a replica of DataParallel's

    @property
    def base_bias(self) -> Tensor | None:
        """b0, or None for a layer without bias."""
        held = self._parameters
        return held["bias"] if "bias" in held else self.__dict__.get("bias")

    @property
    def weight(self) -> Tensor:
        """K0 + dK, in the dtype of the layer that `stripped` gives: what the layer computes with now."""
        if is_sharded(self.base_weight):  # FSDP2 looks for its own part of K0 by this name
            return self.base_weight
        return self._as_read(self.effective_weight())

    @weight.setter
    def weight(self, value: Tensor) -> None:  # a replica of DataParallel is given its K0 so
        self.__dict__["weight"] = value

    @property
    def bias(self) -> Tensor | None:
        """b0 + db, likewise, or None for a layer without bias."""
        if is_sharded(self.base_bias):
            return self.base_bias
        bias = self.effective_bias()
        return None if bias is None else self._as_read(bias)

    def _as_read(self, value: Tensor) -> Tensor:
        """In half precision where the base is: its fp32 master is nobody else's business."""
        return value.to(self._base_dtype) if self._base_dtype.itemsize < 4 else value

    @bias.setter
    def bias(self, value: Tensor | None) -> None:
        self.__dict__["bias"] = value

    def __getattr__(self, name: str) -> Any:
        """What the layer does not have itself is the base's: its geometry, and whatever a subclass of it added."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if "_base" not in self.__dict__:
                raise
            return getattr(self.base, name)

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Refuses the bias that folding a batch norm into a convolution gives it: the weight assigned beside it would
        be taken for K0, and dK added again. Who restores or shards parameters gives a bias only where there is one."""
        if name == "bias" and param is not None and self._parameters.get("bias", param) is None:
            raise ValueError("an adapted layer without a bias is given one, as by a folded batch norm: strip it first")
        super().register_parameter(name, param)

    def _take_hooks(self, other: nn.Module) -> None:
        """Hooks that stood on `other` stand here, so that each is called once, also where the base is called inside."""
        for name in HOOKS:
            self.__dict__[name] = other.__dict__[name]
            other.__dict__[name] = OrderedDict()
        self._is_full_backward_hook, other._is_full_backward_hook = other._is_full_backward_hook, None

    def train(self, mode: bool = True) -> "AdaptedLayer":
        self.base.training = mode
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "AdaptedLayer":
        """`.to()` and its kin. A cast is that of the layer that `stripped` gives; K0, b0 and the factors, to which many
        small updates are added, stay in at least fp32."""
        self._base_dtype = fn(self.base_weight.new_empty(1, dtype=self._base_dtype)).dtype
        if recurse:
            for child in self.children():
                child._apply(fn)
        added_to = [p for n, p in self._parameters.items() if p is not None and n in ("weight", "bias", *FACTORS)]
        masters = {id(value) for p in added_to for value in (p, p.grad) if value is not None}

        def kept(value: Tensor) -> Tensor:
            new = fn(value)
            if id(value) not in masters or not new.is_floating_point():
                return new
            master = torch.promote_types(new.dtype, torch.float32)
            return new if new.dtype == master else torch.empty_like(new, dtype=master).copy_(value)

        return super()._apply(kept, recurse=False)

    def _replicate_for_data_parallel(self) -> "AdaptedLayer":
        """A replica computes with a base of its own, whose children are the replica's."""
        replica = super()._replicate_for_data_parallel()
        base = self.base._replicate_for_data_parallel()
        base._parameters = self.base._parameters.copy()  # `_base_forward` puts the replica's in their place
        base._buffers, base._modules = replica._buffers, replica._modules
        replica.__dict__["_base"] = (base,)
        return replica

    def _draw_(self, factor: nn.Parameter, limit: float, generator: torch.Generator | None) -> None:
        """Uniform in [-limit, limit], drawn on the CPU: the same on every device."""
        if not factor.is_meta:
            factor.copy_(torch.empty(factor.shape, dtype=torch.float32).uniform_(-limit, limit, generator=generator))

    def reset_(self, generator: torch.Generator | None = None) -> None:
        """New random factors, such that dK = 0 and db = 0."""
        raise NotImplementedError

    def delta_weight(self) -> Tensor:
        """dK with the shape of `weight`, differentiable in the factors."""
        raise NotImplementedError

    def _delta_of(self, factors: dict[str, Tensor]) -> Tensor:
        """dK of factors as `factors` returns them."""
        raise NotImplementedError

    def updated_weight(self) -> Tensor:
        """K0 + dK, whether the adapter is enabled or not."""
        return self.base_weight + self.delta_weight()

    def effective_weight(self) -> Tensor:
        """K0 + dK: what the layer computes with now."""
        return self.updated_weight() if self.enabled else self.base_weight

    def updated_bias(self) -> Tensor | None:
        return self.base_bias if self.bias_update is None else self.base_bias + self.bias_update

    def effective_bias(self) -> Tensor | None:
        """b0 + db, or None for a layer without bias."""
        return self.updated_bias() if self.enabled else self.base_bias

    def _in_dtype_of(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Weight and bias as the base's own forward pass wants them for `x`; autocast, where it is on, casts itself."""
        weight, bias = self.effective_weight(), self.effective_bias()
        if x.is_meta or x.dtype == torch.float64 or not torch.is_autocast_enabled(x.device.type):
            weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        return weight, bias

    def _base_forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The base's own forward pass with K0 + dK and b0 + db in the place of its weight and bias."""
        weight, bias = self._in_dtype_of(x)
        given = {"weight": weight, "bias": bias}
        for name, own in self.base._parameters.items():
            if own is not None and name not in given:
                held = self._parameters  # plain attributes in a replica of DataParallel
                given[name] = held[name] if name in held else self.__dict__[name]
        return torch.func.functional_call(self.base, given, (x, *args), kwargs)

    def adapter_parameters(self) -> list[nn.Parameter]:
        """The factors there are, in the order of `FACTORS`."""
        return [self._parameters[name] for name in FACTORS if self._parameters.get(name) is not None]

    @on_whole(write=False)
    def checksum(self) -> str:
        """The base's `kernel_checksum`, before any merge; without the zeros that bias="all" gave it."""
        own_bias = self.base_bias if self.base.bias is not None else None
        return self.merged_from or kernel_checksum(self.base_weight, own_bias)

    @on_whole(write=False)
    def factors(self) -> dict[str, Tensor]:
        """Copies of the factors there are, by name; that of the bias is "bias"."""
        there = {name.removesuffix("_update"): self._parameters.get(name) for name in FACTORS}
        return {name: value.detach().clone() for name, value in there.items() if value is not None}

    @torch.no_grad()
    @on_whole(write=False)
    def finite(self) -> bool:
        """Whether K0 + dK and b0 + db are, in the dtype of the layer that `stripped` gives."""
        values = (self.updated_weight(), self.updated_bias())
        there = [v for v in values if v is not None and not v.is_meta]
        return all(bool(v.to(self._base_dtype).isfinite().all()) for v in there)

    @torch.no_grad()
    @on_whole(write=True)
    def merge_(self, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """K0 += dK and b0 += db in place, then `reset_`; returns the merged factors (eq. 7, section 3.1).

        Merging again at once adds zero.
        """
        merged = self.factors()
        weight = self.base_weight
        if not weight.is_meta:
            self.merged_from = self.checksum()
        weight.copy_(self.updated_weight())  # what the forward pass computed with, to the bit
        if self.bias_update is not None:
            self.base_bias.copy_(self.updated_bias())
        self.reset_(generator)
        return merged

    @torch.no_grad()
    @on_whole(write=True)
    def load_factors_(self, factors: dict[str, Tensor]) -> None:
        """Puts the factors that `factors` or `merge_` returned in place of the present ones."""
        for name in FACTORS:
            if self._parameters.get(name) is not None:
                self._parameters[name].copy_(factors[name.removesuffix("_update")])

    @torch.no_grad()
    @on_whole(write=True)
    def undo_(self, factors: dict[str, Tensor]) -> None:
        """Takes a merge back: K0 -= dK, b0 -= db of the factors it returned, to rounding (section 3.1)."""
        there = {name: value.to(self.base_weight.device) for name, value in factors.items()}
        self.base_weight.sub_(self._delta_of(there))
        if "bias" in there:
            self.base_bias.sub_(there["bias"])

    @torch.no_grad()
    def stripped(self) -> nn.Module:
        """The base layer with the effective weight and bias in its own dtype; gradients off, as they were here."""
        base, bias = self.base, self.updated_bias()
        base._parameters.update({n: p for n, p in self._parameters.items() if n not in FACTORS})
        base.weight = frozen(self.updated_weight(), self._base_dtype)
        base.bias = None if bias is None else frozen(bias, self._base_dtype)
        for name in HOOKS:
            base.__dict__[name] = self.__dict__[name]
        base._is_full_backward_hook = self._is_full_backward_hook
        base.training = self.training
        return base
