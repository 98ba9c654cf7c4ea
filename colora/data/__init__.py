"""Data sources. Each becomes a `Dataset`; a new source is one file here and one line in `load_dataset`."""

from pathlib import Path

import numpy as np

from colora import download
from colora.config import RunConfig, make_config
from colora.data.dataset import SPLITS, Dataset, Split, balanced_index, checked
from colora.data.folder import split_folder, whole_folder
from colora.data.listing import list_folder
from colora.data.medmnist import check_medmnist, read_medmnist
from colora.data.npz import check_npz, read_npz
from colora.data.phantom import CLASS_NAMES, generate
from colora.data.prepare import Progress, quiet
from colora.medmnist_info import stored_size

__all__ = ["SPLITS", "Dataset", "Split", "check_dataset", "load_dataset", "load_outside", "used_index"]


def load_dataset(config: RunConfig, on_progress: Progress = quiet) -> Dataset:
    """The data set that `config` names, prepared at its image size. Raises UserError with what to do about bad input.

    `on_progress` is called now and then with (images done, images in all); what it raises ends the preparation.
    """
    kind, _, place = config.dataset.partition(":")
    path = Path(place).expanduser()
    if kind == "npz":
        dataset = read_npz(path, config.image_size, on_progress)
    elif kind == "folder":
        dataset = split_folder(path, config.image_size, config.patient_pattern, config.split_seed, on_progress)
    elif kind == "phantom":
        dataset = _phantom(config.image_size)
    else:
        dataset = read_medmnist(kind, config.image_size, config.data_dir, _in_images(config.image_size, on_progress))
    if config.class_names:
        dataset = dataset.renamed(config.class_names)
    return checked(dataset)


def _in_images(image_size: int, on_progress: Progress) -> download.Progress:
    """A first start may have to unpack the set: its bytes, told as images of the stored size."""
    each = stored_size(image_size) ** 2

    def tell(state: str, done: int, total: int | None) -> None:
        on_progress(done // each, (total or done) // each)

    return tell


def check_dataset(config: RunConfig) -> None:
    """Quickly, without reading the pixels: raises UserError for what `load_dataset` would certainly refuse."""
    kind, _, place = config.dataset.partition(":")
    if kind == "npz":
        check_npz(Path(place).expanduser())
    elif kind == "folder":
        list_folder(Path(place).expanduser())
    elif kind != "phantom":
        check_medmnist(kind, config.image_size, config.data_dir)


def _phantom(image_size: int) -> Dataset:
    drawn = {name: generate(name, image_size) for name in SPLITS}
    return Dataset(
        {name: Split(d.images, d.labels, d.image_ids, d.patient_ids) for name, d in drawn.items()},
        CLASS_NAMES,
        class_names_given=True,
        source="phantom (synthetic)",
        split_rule="generated apart, no patient in two splits",
        synthetic=True,
        warnings=("These images are synthetic: generated, of no patient. The figures say nothing about real eyes.",),
    )


def used_index(dataset: Dataset, config: RunConfig) -> np.ndarray:
    """Positions in the train split of the images that are trained on, ascending."""
    train = dataset.splits["train"]
    if config.train_set == "balanced":
        return balanced_index(train.labels, dataset.classes, config.per_class)
    return np.arange(len(train))


def load_outside(
    spec: str,
    image_size: int,
    split: str,
    class_names: list[str] | None = None,
    data_dir: str | None = None,
    on_progress: Progress = quiet,
) -> tuple[Dataset, str]:
    """Data to meet a finished model with, and the split to take: of a folder every image ("all"), else `split`.

    Raises UserError as `load_dataset` does; a folder needs no split here, so it may be small.
    """
    config = make_config({"dataset": spec, "image_size": image_size, "class_names": class_names, "data_dir": data_dir})
    kind, _, place = spec.partition(":")
    if kind != "folder":
        return load_dataset(config, on_progress), split
    dataset = whole_folder(Path(place).expanduser(), image_size, on_progress)
    return (dataset.renamed(class_names) if class_names else dataset), "all"
