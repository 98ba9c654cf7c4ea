"""Data sources. Each becomes a `Dataset`; a new source is one file here and one line in `load_dataset`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from colora.data.dataset import SPLITS, Dataset, Split, balanced_index, checked
from colora.data.folder import check_folder, split_folder, whole_folder
from colora.data.listing import list_folder
from colora.data.medmnist import check_medmnist, known_checksum, read_medmnist
from colora.data.npz import VERIFIED_BYTES, check_npz, read_npz
from colora.data.phantom import CLASS_NAMES, generate
from colora.data.prepare import Progress, quiet
from colora.data.prepared import MAPPED_FROM
from colora.runs.access import named_place
from colora.settings.config import WITH_PATH, RunConfig, make_config
from colora.settings.medmnist_info import stored_size
from colora.system import download
from colora.system.errors import UserError

if TYPE_CHECKING:
    from colora.data.cuts import Cut

__all__ = [
    "SPLITS", "Dataset", "Split", "check_cut", "check_dataset", "checksums_of_unchanged", "load_dataset",
    "load_outside", "training_labels", "used_index",
]  # fmt: skip


def load_dataset(config: RunConfig, on_progress: Progress = quiet) -> Dataset:
    """The data set that `config` names, prepared at its image size. Raises UserError with what to do about bad input.

    `on_progress` is called now and then with (images done, images in all); what it raises ends the preparation.
    """
    kind, _, place = config.dataset.partition(":")
    path = named_place(place, "dataset")
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


def checksums_of_unchanged(
    config: RunConfig, data_checksum: str, split: str, on_progress: Progress = quiet
) -> np.ndarray:
    """(N,) uint64, `dataset.image_checksum` of each image of a split, for predictions that kept none: from the data as
    they stand now, where they are still those of `data_checksum`. Raises UserError where they are others."""
    dataset = load_dataset(config, on_progress)
    if replace(dataset, known_checksum=None).checksum() != data_checksum:
        raise UserError(
            "The data have changed since these models were trained. Which of the images are still the same is not "
            "known, since these runs kept no checksum of each image: put the old data back, or train anew."
        )
    return dataset.splits[split].checksums()


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
        check_npz(named_place(place, "dataset"))
    elif kind == "folder":
        check_folder(named_place(place, "dataset"), config.patient_pattern, config.split_seed)
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


def check_cut(config: RunConfig, cut: "Cut") -> None:
    """Before a launch: raises UserError where the cut is of other data than the config's, as far as seconds can tell.

    A run compares the checksum itself when it starts, whatever could not be told here.
    """
    if cut.image_size != config.image_size:
        raise UserError(
            f"The cut {cut.name} is of {cut.data_source} at {cut.image_size} px, and its checksum holds for that size "
            f"only: train at --image-size {cut.image_size}, or make a cut "
            f"{'from a group' if cut.source.group else 'of the data'} at {config.image_size} px.",
            field="cut",
        )
    kind, _, place = config.dataset.partition(":")
    if (kind == "phantom") != cut.synthetic:
        raise UserError(_other_data(cut, config), field="cut")
    if _quick(kind, named_place(place, "dataset")):
        used_index(with_checksum(load_dataset(config), cut, config), config, cut)
    elif kind not in (*WITH_PATH, "phantom"):
        checksum = known_checksum(kind, config.image_size, config.data_dir)
        if checksum not in (None, cut.data_checksum):
            raise UserError(_other_data(cut, config), field="cut")


def _quick(kind: str, path: Path) -> bool:
    """Whether a file or folder of images can be read in a few seconds."""
    if kind == "npz":
        return path.stat().st_size <= VERIFIED_BYTES
    return kind == "folder" and len(list_folder(path).paths) < MAPPED_FROM


def _other_data(cut: "Cut", config: RunConfig) -> str:
    return (
        f"The cut {cut.name} is of other images than {config.dataset} has at {config.image_size} px (it was made from "
        f"{cut.made_from} on {cut.data_source}, and the checksums differ): train on those, or make a cut "
        f"{'from a group trained on these' if cut.source.group else 'of these'}."
    )


def with_checksum(dataset: Dataset, cut: "Cut", config: RunConfig) -> Dataset:
    """The data set with its checksum known. Raises UserError where it is not the data that the cut was made from."""
    checksum = dataset.checksum()
    if checksum != cut.data_checksum:
        raise UserError(_other_data(cut, config), field="cut")
    return replace(dataset, known_checksum=checksum)


def training_labels(dataset: Dataset, used: np.ndarray, cut: "Cut | None" = None) -> np.ndarray:
    """(len(used),) int64: labels of the images trained on, as the cut corrected them; the data set keeps its own."""
    train = dataset.splits["train"]
    return (train.relabelled(cut.labels) if cut and cut.labels else train).labels[used]


def used_index(dataset: Dataset, config: RunConfig, cut: "Cut | None" = None) -> np.ndarray:
    """Positions in the train split of the images that are trained on, ascending.

    Raises UserError where the cut names an image that is not in the train split.
    """
    train = dataset.splits["train"]
    if cut is not None:
        try:
            return train.positions(cut.image_ids)
        except KeyError as error:
            raise UserError(
                f"The cut {cut.name} names the image {error.args[0]}, which is not in the train split of "
                f"{dataset.source}: make it anew from a group on this data.",
                field="cut",
            ) from error
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
    kind, _, place = config.dataset.partition(":")
    if kind != "folder":
        return load_dataset(config, on_progress), split
    dataset = whole_folder(named_place(place, "dataset"), image_size, on_progress)
    return (dataset.renamed(class_names) if class_names else dataset), "all"
