"""Reading a file of weights that nobody vouches for: nothing is unpickled but tensors, no claim is believed before it
is checked, and whatever is wrong with it is one sentence that names the file.
"""

import pickle
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from colora.system.errors import UserError
from colora.system.files import why
from colora.system.storage import size_text
from colora.system.typed import is_file, one_line, shortened


def read_weights(path: Path, mapped: bool = False) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .pth file, on the CPU; `mapped` ones are read from the disk where they are
    looked at, so that shapes alone cost nothing. Raises UserError for anything else."""
    if not is_file(path):
        raise UserError(f"There is no weights file {path}.", field="weights")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _unpickled(path, mapped)
    except UserError:
        raise
    except pickle.UnpicklingError as error:  # whose own words advise to unpickle it all the same
        raise _unreadable(path, "it holds something else than tensors, and nothing else is unpickled") from error
    except Exception as error:  # torch, its unpickler and zipfile raise nearly everything on damaged bytes
        raise _unreadable(path, why(error)) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path} holds no state_dict of tensors.", field="weights")
    for name, value in state.items():
        if not isinstance(name, str):
            raise UserError(f"{path} holds a tensor whose name is no text but {name!r}.", field="weights")
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_complex() or value.is_quantized:
            what = f"{one_line(shortened(name))} as {value.dtype}, {value.layout}, on {value.device}"
            raise UserError(f"{path} holds {what}: weights are plain real numbers.", field="weights")
    return state


def _unpickled(path: Path, mapped: bool) -> Any:
    _check_size(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the file's age; a line on stderr would be another sentence
        mapped = mapped and zipfile.is_zipfile(path)  # torch maps no file of its older format
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def _check_size(path: Path) -> None:
    """Raises UserError for an archive that unpacks to more than it is, which torch never writes, or another kind."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
        if claimed > (held := path.stat().st_size):
            raise _unreadable(path, f"it claims {size_text(claimed)} and has {size_text(held)}")
    elif tarfile.is_tarfile(path):
        raise _unreadable(path, "it is a tar archive")


def _unreadable(path: Path, reason: str) -> UserError:
    return UserError(f"{path} cannot be read as weights: {reason}", field="weights")
