"""torchvision, imported without torch's compiler, which takes longer to import than all the rest of torchvision.

`torchvision.ops.roi_align`, which no network here uses, takes one function from `torch._dynamo.utils`: whether a device
can compile. While torchvision is imported, a stand-in has that function, which asks torch's own once it is called.
Whoever asks for anything else of `torch._dynamo` meanwhile, another release of torchvision for one, gets the real one.
Models that only look at images go without it; a training does not, since torch's optimizers import it themselves.
"""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

COMPILER = "torch._dynamo"
UTILS = f"{COMPILER}.utils"


def is_compile_supported(device_type: str | torch.device) -> bool:
    """`torch._dynamo.utils.is_compile_supported`, imported when it is called."""
    return importlib.import_module(UTILS).is_compile_supported(device_type)


# As torch marks its own: where roi_align is compiled, the answer is a constant.
is_compile_supported._dynamo_marked_constant = True


class _StandIn(ModuleType):
    """`torch._dynamo.utils` with one function. Among `sys.meta_path` it sees to it that it is gone before a line of the
    real `torch._dynamo` runs."""

    is_compile_supported = staticmethod(is_compile_supported)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Finds nothing, so that Python asks the next finder."""
        if f"{name}.".startswith(f"{COMPILER}."):
            self.leave()

    def __getattr__(self, name: str) -> Any:
        """Only what the stand-in lacks comes here."""
        if name.startswith("__"):  # import itself looks for __path__
            raise AttributeError(name)
        self.leave()
        return getattr(importlib.import_module(UTILS), name)

    def leave(self) -> None:
        if sys.modules.get(UTILS) is self:
            del sys.modules[UTILS]


@contextmanager
def without_compiler() -> Iterator[None]:
    """What is imported meanwhile does not load torch's compiler only to know what it supports. Where the compiler is
    loaded already nothing changes."""
    if COMPILER in sys.modules:
        yield
        return
    stand_in = _StandIn(UTILS)
    sys.modules[UTILS] = stand_in
    sys.meta_path.insert(0, stand_in)
    try:
        yield
    finally:
        sys.meta_path.remove(stand_in)
        stand_in.leave()


with without_compiler():
    import torchvision  # noqa: F401  whoever needs it takes it from here
