"""CoLoRA: low-rank residual updates for convolutions, and the studio around them.

Names backed by torch are resolved on first use (PEP 562), so that the browser app can import `colora` without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from colora.system.installation import VERSION

__version__ = VERSION
_HOME = {
    "CoLoRAConfig": "model",
    "CoLoRAConv": "conv",
    "CoLoRALinear": "linear",
    "CoverageWarning": "model",
    "LeftOutWarning": "targets",
    "adapt": "model",
    "adapted_layers": "walk",
    "adapter_names": "named",
    "adapter_parameters": "walk",
    "add_adapter": "named",
    "classifier_names": "classifier",
    "config_of": "model",
    "count_parameters": "summary",
    "disable_adapters": "named",
    "load_adapter": "files",
    "merge_": "model",
    "plain_state": "model",
    "rank_table": "rank",
    "rebuild": "history",
    "remove_adapter": "named",
    "save_adapter": "files",
    "save_epoch": "history",
    "set_adapter": "named",
    "strip": "model",
    "trainable_summary": "summary",
    "undo_": "model",
    "update_spectra": "rank",
}
__all__ = [
    "CoLoRAConfig",
    "CoLoRAConv",
    "CoLoRALinear",
    "CoverageWarning",
    "LeftOutWarning",
    "adapt",
    "adapted_layers",
    "adapter_names",
    "adapter_parameters",
    "add_adapter",
    "classifier_names",
    "config_of",
    "count_parameters",
    "disable_adapters",
    "load_adapter",
    "merge_",
    "plain_state",
    "rank_table",
    "rebuild",
    "remove_adapter",
    "save_adapter",
    "save_epoch",
    "set_adapter",
    "strip",
    "trainable_summary",
    "undo_",
    "update_spectra",
]

if TYPE_CHECKING:
    from colora.adapters.classifier import classifier_names
    from colora.adapters.conv import CoLoRAConv
    from colora.adapters.files import load_adapter, save_adapter
    from colora.adapters.history import rebuild, save_epoch
    from colora.adapters.linear import CoLoRALinear
    from colora.adapters.model import CoLoRAConfig, CoverageWarning, adapt, config_of, merge_, plain_state, strip, undo_
    from colora.adapters.named import adapter_names, add_adapter, disable_adapters, remove_adapter, set_adapter
    from colora.adapters.rank import rank_table, update_spectra
    from colora.adapters.summary import count_parameters, trainable_summary
    from colora.adapters.targets import LeftOutWarning
    from colora.adapters.walk import adapted_layers, adapter_parameters


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"colora.adapters.{_HOME[name]}"), name)
    raise AttributeError(f"module 'colora' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
