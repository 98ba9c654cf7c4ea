"""`folder:DIR`: one sub-folder of images a class; split into train, validation and test by patient where
patients are known."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from colora.data.dataset import SPLITS, Dataset, Split
from colora.data.prepare import prepare_file
from colora.errors import UserError

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"}
KERMANY = r"^(?P<class>[A-Za-z]+)-(?P<patient>\d+)-\d+$"  # CLASS-PATIENT-N, doi:10.17632/rscbjbr9sj
UNREADABLE_SHARE = 0.05  # more images than this that do not open: something is wrong with the whole folder
SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def read_folder(root: Path, image_size: int, pattern: str | None = None) -> tuple[Split, tuple[str, ...], list[str]]:
    """Every image of the folder, prepared: (images in path order, class names, warnings).

    `pattern` is a regular expression with a group "patient", searched in each file name without its ending.
    Raises UserError for a missing folder, no or one class, no image, or more than 5 % that do not open.
    """
    files = list_folder(root)
    names = tuple(files)
    paths = [path for found in files.values() for path in found]
    labels = np.repeat(np.arange(len(names)), [len(found) for found in files.values()])

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding releases the interpreter's lock
        prepared = list(pool.map(lambda p: _try(p, image_size), paths))
    bad = [(p, result) for p, result in zip(paths, prepared, strict=True) if isinstance(result, UserError)]
    if len(bad) > UNREADABLE_SHARE * len(paths):
        raise UserError(
            f"{len(bad)} of {len(paths)} images in {root} do not open; the first: {bad[0][1]}", field="dataset"
        )
    good = np.array([not isinstance(result, UserError) for result in prepared])
    split = Split(
        np.stack([result for result in prepared if not isinstance(result, UserError)]),
        labels[good],
        np.array([path.relative_to(root).as_posix() for path, ok in zip(paths, good, strict=True) if ok], dtype=str),
        _patients([path for path, ok in zip(paths, good, strict=True) if ok], pattern),
    )
    warnings = [
        f"{len(bad)} of {len(paths)} images did not open and were left out: " + ", ".join(p.name for p, _ in bad[:5])
    ]
    return split, names, warnings if bad else []


def list_folder(root: Path) -> dict[str, list[Path]]:
    """Image files by class, both sorted; nothing is opened. Raises UserError as `read_folder` does."""
    if not root.is_dir():
        raise UserError(f"There is no folder {root}.", field="dataset")
    classes = sorted((entry for entry in os.scandir(root) if _is_class(entry)), key=lambda entry: entry.name)
    files = {entry.name: found for entry in classes if (found := _images(Path(entry.path)))}
    if not files:
        endings = ", ".join(sorted(SUFFIXES))
        raise UserError(
            f"{root} has no sub-folder with images ({endings}): each class is one sub-folder.", field="dataset"
        )
    if len(files) == 1:
        raise UserError(
            f"{root} has images of one class only ({next(iter(files))}); at least two are needed.", field="dataset"
        )
    return files


def _is_class(entry: os.DirEntry) -> bool:
    return entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")


def _images(folder: Path) -> list[Path]:
    """Image files below a class folder, sorted; links are not followed, so nothing outside the folder is read."""
    found = []
    for where, _, names in os.walk(folder, followlinks=False):
        found += [Path(where, n) for n in names if Path(n).suffix.lower() in SUFFIXES and not n.startswith(".")]
    return sorted(p for p in found if not p.is_symlink())


def _try(path: Path, image_size: int) -> np.ndarray | UserError:
    try:
        return prepare_file(path, image_size)
    except UserError as error:
        return error


def _patients(paths: list[Path], pattern: str | None) -> np.ndarray | None:
    """Patient ids from file names; None where no pattern was given and the names are not Kermany's."""
    try:
        expression = re.compile(pattern or KERMANY)
    except re.error as error:
        raise UserError(
            f"patient_pattern '{pattern}' is no regular expression: {error}.", field="patient_pattern"
        ) from error
    if "patient" not in expression.groupindex:
        raise UserError(f"patient_pattern '{pattern}' has no group (?P<patient>...).", field="patient_pattern")
    matches = [expression.search(path.stem) for path in paths]
    if pattern is None and not all(matches):
        return None
    for path, match in zip(paths, matches, strict=True):
        if match is None:
            raise UserError(f"patient_pattern '{pattern}' finds no patient in '{path.name}'.", field="patient_pattern")
    return np.array([match["patient"] for match in matches], dtype=str)


def split_folder(root: Path, image_size: int, pattern: str | None, seed: int) -> Dataset:
    """The folder as a data set: 70 / 15 / 15 %, by patient where known, else by image within each class (with
    a warning)."""
    every, names, warnings = read_folder(root, image_size, pattern)
    rng = np.random.default_rng(seed)
    if every.patient_ids is not None:
        which = _by_patient(every, rng)
        rule = f"by patient, 70 / 15 / 15 % of the images, split seed {seed}"
    else:
        which = _by_image(every.labels, rng)
        rule = f"by image within each class, 70 / 15 / 15 %, split seed {seed}; patients unknown"
        warnings.append(
            "The file names do not tell the patient, so the split is by image: scans of one patient can be in training "
            "and test, which makes the results look better than they are. Give --patient-pattern if the names have one."
        )
    splits = {name: every.take(np.flatnonzero(which == i)) for i, name in enumerate(SPLITS)}
    return Dataset(splits, names, True, f"folder:{root.name}", rule, warnings=tuple(warnings))


def _by_patient(every: Split, rng: np.random.Generator) -> np.ndarray:
    """Split number (N,) of each image, whole patients together, each class near its share.

    Patients come in random order, large ones first; each goes where its classes are furthest below their share.
    """
    patients, owner = np.unique(every.patient_ids, return_inverse=True)
    classes = int(every.labels.max()) + 1
    content = np.zeros((len(patients), classes))
    np.add.at(content, (owner, every.labels), 1)
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
