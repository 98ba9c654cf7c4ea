"""Which MedMNIST sets there are: the facts of the medmnist package's own table, read without importing torch.

`import medmnist` imports torch, which the app's pages do without; its `info.py` alone does not. The 2-D sets with one
label an image can be trained on; every other name gets a sentence why not.
"""

import importlib.util
import os
import re
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from colora.settings.catalog import nearest
from colora.system.errors import UserError

SIZES = (28, 64, 128, 224)  # sides in pixels at which every 2-D set is published
SHORT_NAMES = {"octmnist": ("CNV", "DME", "DRUSEN", "NORMAL")}  # the source's own; MedMNIST spells them out


@dataclass(frozen=True)
class MedMNISTInfo:
    """One set, as MedMNIST publishes it."""

    name: str  # "octmnist"
    title: str  # "OCTMNIST"
    about: str  # the first sentence of MedMNIST's description
    class_names: tuple[str, ...]
    long_names: tuple[str, ...]  # of the classes, as MedMNIST spells them
    colour: bool
    images: dict[str, int]  # by split
    licence: str
    urls: dict[int, str]  # by size
    md5: dict[int, str]  # by size


def names() -> tuple[str, ...]:
    """The sets that can be trained on, in MedMNIST's order."""
    return tuple(name for name in _package().INFO if _why_not(name) is None)


def info(name: str) -> MedMNISTInfo:
    """Raises UserError for a set that is unknown, or not 2-D with one label an image."""
    table = _package().INFO
    if name not in table:
        raise UserError(f"There is no MedMNIST set '{name}': {nearest(name, names())}", field="dataset")
    if reason := _why_not(name):
        raise UserError(reason, field="dataset")
    facts = table[name]
    labels = tuple(text for _, text in sorted(facts["label"].items(), key=lambda item: int(item[0])))
    return MedMNISTInfo(
        name,
        facts["python_class"],
        re.split(r"(?<=[^.])\. ", facts["description"])[0].rstrip(".") + ".",
        SHORT_NAMES.get(name, labels),
        labels,
        facts["n_channels"] == 3,
        dict(facts["n_samples"]),
        facts["license"],
        {size: facts[f"url{_suffix(size)}"] for size in SIZES},
        {size: facts[f"MD5{_suffix(size)}"] for size in SIZES},
    )


def known(name: str) -> bool:
    """Whether MedMNIST has a set of this name, trainable or not."""
    return name in _package().INFO


def in_order(name: str) -> bool:
    """Whether the classes of a data source of this name are grades, one above the other, as RetinaMNIST's."""
    return known(name) and _package().INFO[name]["task"].startswith("ordinal")


def _why_not(name: str) -> str | None:
    """Why a set cannot be trained on; None if it can."""
    if name.endswith("3d"):
        return f"'{name}' holds volumes: only MedMNIST's 2-D sets can be trained on."
    if _package().INFO[name]["task"].startswith("multi-label"):
        return f"'{name}' has several labels an image: only sets with one label an image can be trained on."
    return None


def default_folder() -> Path:
    """Where the medmnist package keeps its files (~/.medmnist). Raises UserError where it could make no such folder."""
    root = _package().DEFAULT_ROOT
    if root is None:
        raise UserError("The folder ~/.medmnist cannot be made: name another with --data-dir.", field="data_dir")
    return Path(root)


def file_name(name: str, size: int) -> str:
    """MedMNIST's name of the file: "octmnist_224.npz", and "octmnist.npz" for 28 px."""
    return f"{name}{_suffix(size)}.npz"


def stored_size(image_size: int) -> int:
    """The published size to make images of `image_size` from: the next larger one, else the largest."""
    return next((size for size in SIZES if size >= image_size), SIZES[-1])


def _suffix(size: int) -> str:
    return "" if size == 28 else f"_{size}"


@cache
def _package() -> ModuleType:
    """medmnist/info.py by its path; importing it makes ~/.medmnist, so it is read when first needed.

    Without a home it would make a folder `~` where this process works: then it is shown one in which none can be made.
    """
    found = importlib.util.find_spec("medmnist")
    if found is None or not found.submodule_search_locations:
        raise UserError("The package medmnist is not installed: run `pip install medmnist`.", field="dataset")
    path = Path(found.submodule_search_locations[0]) / "info.py"
    spec = importlib.util.spec_from_file_location("medmnist_info_table", path)
    module = importlib.util.module_from_spec(spec)
    homeless = os.path.expanduser("~") == "~"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `default_folder` says it, to whoever needs the folder
        if homeless:
            os.environ["HOME"] = os.devnull
        try:
            spec.loader.exec_module(module)
        finally:
            if homeless:
                del os.environ["HOME"]
    return module
