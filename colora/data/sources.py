"""Data sources. Each becomes a `Dataset`; a new source is one file here and one line in `load_dataset`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from colora.data.dataset import SPLITS, Dataset, Split, balanced_index, checked, outline_split
from colora.data.files import catalogue_of, outline_files, outline_whole, split_files, whole_files
from colora.data.medmnist import known_checksum, outline_medmnist, read_medmnist
from colora.data.npz import VERIFIED_BYTES, outline_npz, read_npz
from colora.data.npz_file import need_memory
from colora.data.phantom import CLASS_NAMES, class_labels, generate, patients
from colora.data.prepare import Progress, quiet
from colora.data.prepared import MAPPED_FROM
from colora.runs.access import named_place
from colora.settings.config import FILES, WITH_PATH, RunConfig, make_config
from colora.settings.medmnist_info import stored_size
from colora.system import download
from colora.system.errors import UserError

if TYPE_CHECKING:
    from colora.data.cuts import Cut

__all__ = [
    "SPLITS", "Dataset", "Outside", "Split", "check_cut", "checksums_of_unchanged", "load_dataset", "load_outside",
    "outline", "outside_split", "training_labels", "used_index",
]  # fmt: skip


def load_dataset(config: RunConfig, on_progress: Progress = quiet) -> Dataset:
    """The data set that `config` names, prepared at its image size. Raises UserError with what to do about bad input.

    `on_progress` is called now and then with (images done, images in all); what it raises ends the preparation.
    """
    return checked(_named(_read(config, on_progress), config))


def _read(config: RunConfig, on_progress: Progress) -> Dataset:
    """The data set under its own names, whatever it may be good for."""
    kind, _, place = config.dataset.partition(":")
    path = named_place(place, "dataset")
    if kind == "npz":
        return read_npz(path, config.image_size, on_progress)
    if kind in FILES:
        return split_files(config, on_progress)
    if kind == "phantom":
        drawn = {name: generate(name, config.image_size) for name in SPLITS}
        return _phantom({n: Split(d.images, d.labels, d.image_ids, d.patient_ids) for n, d in drawn.items()})
    return read_medmnist(kind, config.image_size, config.data_dir, _in_images(config.image_size, on_progress))


def outline(config: RunConfig, on_progress: Progress = quiet) -> Dataset:
    """The same without its pixels (`dataset.outline_split`), in seconds: from names, tables and labels alone.

    Raises UserError for what `load_dataset` would certainly refuse.
    """
    files = config.dataset.partition(":")[0] in FILES
    return checked(_named(outline_files(config, on_progress) if files else _outline(config), config))


def _outline(config: RunConfig) -> Dataset:
    """Of data that are no files of images, under their own names, whatever they may be good for."""
    kind, _, place = config.dataset.partition(":")
    if kind == "npz":
        return outline_npz(named_place(place, "dataset"))
    if kind == "phantom":
        return _phantom({name: outline_split(class_labels(name), patients(name)) for name in SPLITS})
    return outline_medmnist(kind, config.image_size, config.data_dir)


def _named(dataset: Dataset, config: RunConfig) -> Dataset:
    return dataset.renamed(config.class_names) if config.class_names else dataset


def checksums_of_unchanged(
    config: RunConfig, data_checksum: str, split: str, on_progress: Progress = quiet
) -> np.ndarray:
    """(N,) uint64, `prepare.image_checksum` of each image of a split, for predictions that kept none: from the data as
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


def _phantom(splits: dict[str, Split]) -> Dataset:
    return Dataset(
        splits,
        CLASS_NAMES,
        class_names_given=True,
        source="phantom (synthetic)",
        split_rule="generated apart, no patient in two splits",
        synthetic=True,
        warnings=("These images are synthetic: generated, of no patient. The figures say nothing about real eyes.",),
        patients_from="the generator's own numbers",
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
    if _quick(config, kind, named_place(place, "dataset")):
        used_index(with_checksum(load_dataset(config), cut, config), config, cut)
    elif kind not in (*WITH_PATH, "phantom"):
        checksum = known_checksum(kind, config.image_size, config.data_dir)
        if checksum not in (None, cut.data_checksum):
            raise UserError(_other_data(cut, config), field="cut")


def _quick(config: RunConfig, kind: str, path: Path) -> bool:
    """Whether a file or folder of images can be read in a few seconds."""
    if kind == "npz":
        return path.stat().st_size <= VERIFIED_BYTES
    return kind in FILES and len(catalogue_of(config).paths) < MAPPED_FROM


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


@dataclass(frozen=True)
class Outside:
    """Data to meet finished models with.

    dataset: its classes named as a person asked, if one did; images: those to take, which are its `split`, one of
    SPLITS or "all"; own_names (C,): of its classes, as the source itself has them.
    """

    dataset: Dataset
    split: str
    images: Split
    own_names: tuple[str, ...]

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """(splits (N,) str, positions (N,) int64) where each of the images stands in the data."""
        splits = self.dataset.splits
        taken = [self.split] if self.split in splits else list(splits)
        counts = [len(splits[name]) for name in taken]
        return np.repeat(taken, counts), np.concatenate([np.arange(count) for count in counts])


def load_outside(settings: Mapping[str, Any], split: str | None = None, on_progress: Progress = quiet) -> Outside:
    """The data that `settings` name, which are those of RunConfig about data, and `image_size`; None is the default.

    Raises UserError for what cannot be read, and where `split` is not there or empty. Nothing is trained on these data,
    so they may be small, without a training split, or of one class.
    """
    config = make_config({name: value for name, value in settings.items() if value is not None})
    files = config.dataset.partition(":")[0] in FILES
    return _outside(config, whole_files(config, on_progress) if files else _read(config, on_progress), split)


def outline_outside(config: RunConfig, split: str | None = None, on_progress: Progress = quiet) -> Outside:
    """What `load_outside` would return of these settings, without pixels and ids: from names, tables and labels alone.
    Raises UserError for what that would certainly refuse."""
    files = config.dataset.partition(":")[0] in FILES
    return _outside(config, outline_whole(config, on_progress) if files else _outline(config), split)


def _outside(config: RunConfig, dataset: Dataset, split: str | None) -> Outside:
    taken = outside_split(dataset, split)
    images = dataset.splits[taken] if taken in dataset.splits else _pooled(dataset)
    if not len(images):
        raise UserError(f"{dataset.source} has no image in its {taken} split: take another one.", field="split")
    return Outside(_named(dataset, config), taken, images, dataset.class_names)


def outside_split(dataset: Dataset, asked: str | None) -> str:
    """The split to meet models with: "all" of data without splits of their own, else "test", unless another is asked
    for; "all" pools every split. Raises UserError for one that is not there."""
    own = "all" not in dataset.splits
    wanted = asked or ("test" if own else "all")
    if wanted in dataset.splits or wanted == "all":
        return wanted
    there = f"it has {', '.join(dataset.splits)}" if own else "it has no splits of its own"
    raise UserError(f"{dataset.source} has no {wanted} split ({there}): take all of it, --split all.", field="split")


def _pooled(dataset: Dataset) -> Split:
    """Every split's images as one, in the splits' order; patients only where each split knows them."""
    parts = list(dataset.splits.values())
    size = sum(part.images.nbytes for part in parts)
    need_memory(size, f"{dataset.source}, all splits as one,", "take one split, or more memory")
    patients = [part.patient_ids for part in parts if part.patient_ids is not None]
    return Split(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.image_ids for part in parts]),
        np.concatenate(patients) if len(patients) == len(parts) else None,
    )
