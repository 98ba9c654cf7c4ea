"""The one value every data source becomes: grey square images with labels, in train, validation and test."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from colora.data.catalogue import Doubt, NotRead
from colora.data.prepare import image_checksum
from colora.system.errors import UserError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Images of one split, in the source's order.

    images (N, H, W) uint8; labels (N,) int64 in [0, classes); image_ids (N,) str, unique in the data set;
    patient_ids (N,) str, or None where the source does not know the patients.
    """

    images: np.ndarray
    labels: np.ndarray
    image_ids: np.ndarray
    patient_ids: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: np.ndarray) -> "Split":
        patients = None if self.patient_ids is None else self.patient_ids[index]
        return Split(self.images[index], self.labels[index], self.image_ids[index], patients)

    def relabelled(self, labels: dict[str, int]) -> "Split":
        """With other labels for some image ids; ids that are not here change nothing."""
        new = [labels.get(image, label) for image, label in zip(self.image_ids.tolist(), self.labels, strict=True)]
        return replace(self, labels=np.array(new, dtype=np.int64))

    def checksums(self) -> np.ndarray:
        """(N,) uint64, `image_checksum` of each image."""
        return np.fromiter(map(image_checksum, self.images), dtype=np.uint64, count=len(self.images))

    def positions(self, image_ids: list[str]) -> np.ndarray:
        """Where these images are, ascending. Raises KeyError that names the first one that is not here."""
        places = {image: i for i, image in enumerate(self.image_ids.tolist())}
        return np.sort(np.array([places[image] for image in image_ids], dtype=np.int64))


@dataclass(frozen=True)
class Dataset:
    """Splits with what a reader of the results has to know about them.

    left_out: `image: reason`, one a file that did not open; patients_from: where the patient ids stand, such as "file
    name CLASS-PATIENT-N"; names_there: the classes as the source calls them, where a person gave them other names;
    metadata: what else a table tells, as text, one row an image id.
    """

    splits: dict[str, Split]
    class_names: tuple[str, ...]
    class_names_given: bool  # False: the source has no names and the classes are numbered
    source: str
    split_rule: str
    synthetic: bool = False
    warnings: tuple[str, ...] = ()
    known_checksum: str | None = None  # what checksum() would say, where hashing gigabytes at every start is spared
    left_out: tuple[str, ...] = ()
    patients_from: str = ""
    not_read: NotRead = field(default_factory=NotRead)
    names_there: tuple[str, ...] = ()
    metadata: pd.DataFrame | None = None
    doubts: tuple[Doubt, ...] = ()

    @property
    def classes(self) -> int:
        return len(self.class_names)

    def counts(self, split: str) -> list[int]:
        """Images of each class in a split."""
        return np.bincount(self.splits[split].labels, minlength=self.classes).tolist()

    def checksum(self) -> str:
        """SHA-256 over every split's prepared pixels and labels: the same data give the same figure on any machine."""
        if self.known_checksum is not None:
            return self.known_checksum
        digest = hashlib.sha256()
        for name in (*SPLITS, *(other for other in self.splits if other not in SPLITS)):
            if (split := self.splits.get(name)) is None:  # of data that meet finished models, and are not trained on
                continue
            digest.update(f"{name} {split.images.shape}".encode())
            digest.update(np.ascontiguousarray(split.images))
            digest.update(np.ascontiguousarray(split.labels.astype("<i8")))
        return digest.hexdigest()

    def renamed(self, class_names: list[str]) -> "Dataset":
        """With the names a person gave. Raises UserError where their number is not the number of classes."""
        if len(class_names) != self.classes:
            raise UserError(
                f"{len(class_names)} class names were given ({', '.join(class_names)}), but {self.source} has "
                f"{self.classes} classes ({', '.join(self.class_names)}).",
                field="class_names",
            )
        return replace(self, class_names=tuple(class_names), class_names_given=True, names_there=self.class_names)


def outline_split(labels: np.ndarray, patient_ids: np.ndarray | None = None) -> Split:
    """A split (N,) of which labels and patients are known, and neither pixels nor ids: images (N, 0, 0)."""
    return Split(np.empty((len(labels), 0, 0), np.uint8), labels, np.empty(len(labels), dtype="U1"), patient_ids)


def checked(dataset: Dataset) -> Dataset:
    """The data set, with a warning for patients in two splits and for each class that a split lacks.

    Raises UserError where nothing can be learnt or chosen from it.
    """
    for name in SPLITS:
        if not len(dataset.splits[name]):
            raise UserError(
                f"{dataset.source} has no image in its {name} split; every split needs some.", field="dataset"
            )
    present = np.flatnonzero(dataset.counts("train"))
    if len(present) < 2:
        only = dataset.class_names[present[0]]
        raise UserError(
            f"{dataset.source} has only one class to train on ({only}); at least two are needed.", field="dataset"
        )
    return replace(dataset, warnings=(*dataset.warnings, *_shared_patients(dataset), *_absent(dataset)))


def _shared_patients(dataset: Dataset) -> Iterator[str]:
    """A sentence where patients that train or choose the model are in a later split too."""
    train, val, test = (dataset.splits[name].patient_ids for name in SPLITS)
    for ids, earlier, name, harm in (
        (val, train, "validation", "so the choice of the epoch favours models that know these eyes"),
        (test, train, "test", "so the test figures look better than they would on new patients"),
    ):
        if ids is not None and earlier is not None and (shared := np.isin(ids, earlier)).any():
            patients = len(np.unique(ids[shared]))
            yield (
                f"{shared.sum()} of {len(ids)} {name} images are of patients who are in training too (patients: "
                f"{patients}), {harm}."
            )


def _absent(dataset: Dataset) -> Iterator[str]:
    for name, meaning in (
        ("train", "so the models cannot learn to know it"),
        ("val", "so its sensitivity and AUC are not defined there, and the mean AUC is over the others"),
        ("test", "so its sensitivity and AUC are not defined there, and the mean AUC is over the others"),
    ):
        if lacking := [dataset.class_names[c] for c, n in enumerate(dataset.counts(name)) if n == 0]:
            some = ", ".join(lacking[:10]) + (", ..." if len(lacking) > 10 else "")
            yield f"The {name} split has no image of class {some}, {meaning}."


def balanced_index(labels: np.ndarray, classes: int, per_class: int | None) -> np.ndarray:
    """Positions of the first n images of each class, ascending (paper, section 4.1); n = the smallest class by default.

    A class without any image is left out. Raises UserError where another has fewer than n.
    """
    counts = np.bincount(labels, minlength=classes)
    most = int(counts[counts > 0].min())
    n = most if per_class is None else per_class
    if short := [(c, k) for c, k in enumerate(counts) if 0 < k < n]:
        c, k = short[0]
        raise UserError(
            f"Class {c} has {k} training images, fewer than per_class {n}: at most {most} work.", "per_class"
        )
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[:n] for c in range(classes)]))
