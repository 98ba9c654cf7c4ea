"""`folder:DIR`: one sub-folder of images a class; split into train, validation and test by patient where
patients are known."""

import os
import re
import unicodedata
from pathlib import Path

import numpy as np

from colora.data.dataset import SPLITS, Dataset, Split
from colora.data.listing import Listing, list_folder, plain, shown
from colora.data.prepare import Progress, quiet
from colora.data.prepared import Notes, prepare_files
from colora.system.errors import UserError
from colora.system.typed import shortened

KERMANY = r"^(?P<class>[A-Za-z]+)-(?P<patient>\d+)-\d+$"  # CLASS-PATIENT-N, doi:10.17632/rscbjbr9sj
SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def whole_folder(root: Path, image_size: int, on_progress: Progress = quiet, pattern: str | None = None) -> Dataset:
    """Every image of the folder, in path order, as the one split "all"; `pattern` as in `split_folder`.

    Raises UserError for what `list_folder` refuses, or more than 5 % of images that do not open.
    """
    listing = list_folder(root, on_progress)
    which = np.zeros(len(listing.paths), dtype=np.int64)
    splits, notes = _read(listing, which, ("all",), patients_of(listing.paths, pattern), image_size, on_progress)
    return _dataset(listing, splits, notes, f"folder:{root}", "every image of the folder", [])


def split_folder(root: Path, image_size: int, pattern: str | None, seed: int, on_progress: Progress = quiet) -> Dataset:
    """The folder as a data set: 70 / 15 / 15 %, by patient where known, else by image within each class (with
    a warning).

    `pattern` is a regular expression with a group "patient", searched in each file name without its ending. The names
    alone decide the split, so an image that does not open moves no other one. Raises UserError as `whole_folder` does,
    and where there are too few images to split.
    """
    listing = list_folder(root, on_progress)
    patients, which = _split(root, listing, pattern, seed)
    warnings = []
    if patients is not None:
        rule = f"by patient, 70 / 15 / 15 % of the images, split seed {seed}"
    else:
        rule = f"by image within each class, 70 / 15 / 15 %, split seed {seed}; patients unknown"
        warnings.append(
            "The file names do not tell the patient, so the split is by image: scans of one patient can be in training "
            "and test, which makes the results look better than they are. Give --patient-pattern if the names have one."
        )
    splits, notes = _read(listing, which, SPLITS, patients, image_size, on_progress)
    return _dataset(listing, splits, notes, f"folder:{root.name}", rule, warnings)


def check_folder(root: Path, pattern: str | None, seed: int) -> None:
    """Raises what `split_folder` would say of the folder and of the names in it; no image is opened."""
    _split(root, list_folder(root), pattern, seed)


def _split(root: Path, listing: Listing, pattern: str | None, seed: int) -> tuple[np.ndarray | None, np.ndarray]:
    """Patient ids (N,) str, where known, and split number (N,) of each image.

    Raises UserError where a split would have no image, or training one class only.
    """
    patients = patients_of(listing.paths, pattern)
    rng = np.random.default_rng(seed)
    if patients is None:
        which = _by_image(listing.labels, rng)
        found, need = "", "each class needs at least three images"
    else:
        which = _by_patient(patients, listing.labels, rng)
        found = f" of {_counted(len(np.unique(patients)), 'patient')}"
        need = "whole patients go into one split, so each class needs images of at least three patients"
    trained = np.unique(listing.labels[which == 0])
    empty = [name for i, name in enumerate(("training", "validation", "test")) if not (which == i).any()]
    if empty or len(trained) < 2:
        lacking = f"{' and '.join(empty)} would have none" if empty else "training would have those of one class only"
        raise UserError(
            f"The {_counted(len(listing.paths), 'image')}{found} in {root} are too few to split into training, "
            f"validation and test: {lacking}. Add images: {need}"
            + (f"; or correct patient_pattern '{pattern}' if these are more patients." if pattern else "."),
            field="dataset",
        )
    return patients, which


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _read(
    listing: Listing,
    which: np.ndarray,
    names: tuple[str, ...],
    patients: np.ndarray | None,
    image_size: int,
    on_progress: Progress,
) -> tuple[dict[str, Split], Notes]:
    """The splits by name, from split numbers (N,); the positions in the notes are those in the listing.

    The files are read split by split, so that each split is a slice of one array and no image is held twice.
    """
    order = np.argsort(which, kind="stable")
    prepared = prepare_files(listing.root, [listing.paths[i] for i in order], image_size, on_progress)
    source = order[prepared.kept]  # (n,) position in the listing of each prepared image
    ids = np.array([plain(listing.paths[i]) for i in source], dtype=str)
    ends = np.searchsorted(which[source], np.arange(len(names) + 1))
    splits = {}
    for i, name in enumerate(names):
        part = slice(ends[i], ends[i + 1])
        own = None if patients is None else patients[source[part]]
        splits[name] = Split(prepared.images[part], listing.labels[source[part]], ids[part], own)
    left_out = sorted((int(order[position]), reason) for position, reason in prepared.notes.left_out)
    return splits, Notes(left_out, prepared.notes.converted)


def _dataset(
    listing: Listing, splits: dict[str, Split], notes: Notes, source: str, rule: str, warnings: list[str]
) -> Dataset:
    total = len(listing.paths)
    left_out = tuple(f"{shown(listing.paths[position])}: {reason}" for position, reason in notes.left_out)
    if left_out:
        some = ", ".join(shown(listing.paths[position]) for position, _ in notes.left_out[:5])
        more = ", ..." if len(left_out) > 5 else ""
        warnings.append(f"{len(left_out):,} of {total:,} images did not open and were left out: {some}{more}.")
    warnings += [*notes.converted.sentences(total), *listing.warnings]
    return Dataset(splits, listing.class_names, True, source, rule, warnings=tuple(warnings), left_out=left_out)


def patient_expression(pattern: str) -> re.Pattern[str]:
    """Raises UserError for what is no regular expression, or has no group named "patient"."""
    try:
        expression = re.compile(unicodedata.normalize("NFC", pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(
            f"patient_pattern '{shortened(pattern)}' is no regular expression: {error}.", field="patient_pattern"
        ) from error
    if "patient" not in expression.groupindex:
        raise UserError(
            f"patient_pattern '{shortened(pattern)}' has no group (?P<patient>...).", field="patient_pattern"
        )
    return expression


def patients_of(paths: list[str], pattern: str | None) -> np.ndarray | None:
    """Patient ids (N,) str from file names; None where no pattern was given and the names are not Kermany's."""
    expression = patient_expression(pattern or KERMANY)
    found = []
    for path in paths:
        name = shown(os.path.basename(path))
        match = expression.search(os.path.splitext(name)[0])
        if match is None and pattern is None:
            return None
        if match is None or match["patient"] is None:
            raise UserError(f"patient_pattern '{pattern}' finds no patient in '{name}'.", field="patient_pattern")
        found.append(match["patient"])
    return np.array(found, dtype=str)


def _by_patient(patient_ids: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Split number (N,) of each image, whole patients together, each class near its share.

    Patients come in random order, large ones first; each goes where its classes are furthest below their share.
    """
    patients, owner = np.unique(patient_ids, return_inverse=True)
    classes = int(labels.max()) + 1
    content = np.zeros((len(patients), classes))
    np.add.at(content, (owner, labels), 1)
    shares = np.array([SHARES[name] for name in SPLITS])
    room = shares[:, None] * content.sum(0)  # (splits, classes): images still wanted
    order = rng.permutation(len(patients))
    order = order[np.argsort(-content[order].sum(1), kind="stable")]
    assigned = np.empty(len(patients), dtype=np.int64)
    for p in order:
        assigned[p] = int(np.argmax((room / shares[:, None]) @ content[p]))
        room[assigned[p]] -= content[p]
    return assigned[owner]


def _by_image(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Split number (N,) of each image; each class is cut at the shares, validation and test get at least one
    if there are three."""
    which = np.zeros(len(labels), dtype=np.int64)
    for c in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == c))
        n = len(members)
        held_out = max(1, round(SHARES["val"] * n)) if n >= 3 else 0
        which[members[:held_out]] = 1
        which[members[held_out : 2 * held_out]] = 2
    return which
