"""CoLoRA: low-rank residual updates for convolutions, and the studio around them.

Names backed by torch are resolved on first use (PEP 562), so that the browser app can import `colora` without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from colora.system.installation import VERSION

__version__ = VERSION
__all__ = ["CoLoRAConfig", "CoLoRAConv", "adapt", "merge_", "rank_table", "strip", "update_spectra"]

_HOME = {
    "CoLoRAConfig": "colora.adapters.model",
    "CoLoRAConv": "colora.adapters.conv",
    "adapt": "colora.adapters.model",
    "merge_": "colora.adapters.model",
    "rank_table": "colora.adapters.rank",
    "strip": "colora.adapters.model",
    "update_spectra": "colora.adapters.rank",
}

if TYPE_CHECKING:
    from colora.adapters.conv import CoLoRAConv
    from colora.adapters.model import CoLoRAConfig, adapt, merge_, strip
    from colora.adapters.rank import rank_table, update_spectra


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'colora' has no attribute '{name}'")
