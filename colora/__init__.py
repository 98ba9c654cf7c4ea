"""CoLoRA: low-rank residual updates for convolutions, and the studio around them.

Names backed by torch are resolved on first use (PEP 562), so that the browser app can import `colora` without it.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["CoLoRAConfig", "CoLoRAConv", "adapt", "merge_", "rank_table", "strip", "update_spectra"]

_HOME = {
    "CoLoRAConfig": "colora.adapt",
    "CoLoRAConv": "colora.conv",
    "adapt": "colora.adapt",
    "merge_": "colora.adapt",
    "rank_table": "colora.rank",
    "strip": "colora.adapt",
    "update_spectra": "colora.rank",
}

if TYPE_CHECKING:
    from colora.adapt import CoLoRAConfig, adapt, merge_, strip
    from colora.conv import CoLoRAConv
    from colora.rank import rank_table, update_spectra


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'colora' has no attribute '{name}'")


class _Package(ModuleType):
    """Importing the submodule `colora.adapt` would bind its name here; `colora.adapt` is the function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
