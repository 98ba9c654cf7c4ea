"""Whose image a file is, from its name and the folders it lies in.

A split that knows the patients keeps each in one part; without them, scans of one eye are trained on and tested on. So
what most names tell is used, and a name that tells nothing is counted as a patient of its own and said, instead of
costing all others theirs.
"""

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

from colora.data.catalogue import MOST_EXAMPLES, Patients
from colora.data.listing import plain, shown
from colora.system.errors import UserError
from colora.system.typed import shortened

KERMANY = re.compile(r"(?P<class>[A-Za-z]+)-(?P<patient>\d+)-\d+")  # CLASS-PATIENT-N, doi:10.17632/rscbjbr9sj
MOST = 0.5  # of the names have to tell their patient, for the others to be the odd ones


def by_pattern(paths: Sequence[str], pattern: str) -> Patients:
    """By a person's regular expression with a group "patient": searched in the file names without their endings, or,
    where it has a / or no name fits it, in the paths. Raises UserError for a wrong one, or one that fits nothing."""
    expression = patient_expression(pattern)
    names = [os.path.splitext(shown(path))[0] for path in paths]
    found: list[str | None] = []
    if "/" not in pattern:
        found = [_patient(expression, name.rpartition("/")[2]) for name in names]
    if not any(found):
        found = [_patient(expression, name) for name in names]
    if not any(found):
        first = shown(os.path.basename(paths[0])) if paths else ""
        raise UserError(f"patient_pattern '{pattern}' finds no patient in '{first}'.", field="patient_pattern")
    return _with_odd_ones(found, paths, f"patient_pattern {pattern}")


def by_file_name(paths: Sequence[str], labels: np.ndarray, class_names: Sequence[str]) -> Patients | None:
    """By Kermany's CLASS-PATIENT-N, where the word is the class: the same form is a viewer's IM-SERIES-NUMBER. None
    where most names are others."""
    names = [name.strip().casefold() for name in class_names]
    matches = [KERMANY.fullmatch(os.path.splitext(os.path.basename(path))[0]) for path in paths]
    of_class = sum(
        match is not None and match["class"].casefold() == names[label]
        for match, label in zip(matches, labels.tolist(), strict=True)
    )
    if of_class <= MOST * len(paths):
        return None
    words = set(names)
    found = [match["patient"] if match and match["class"].casefold() in words else None for match in matches]
    return _with_odd_ones(found, paths, "file name CLASS-PATIENT-N")


def by_folder(paths: Sequence[str], above: Sequence[str], classes: Sequence[str] | None = None) -> Patients | None:
    """By the first folder below the class, CLASS/PATIENT/N; `above` are the paths of each image's class folder, of
    which one of `classes` may have several, in several splits. None where that does not look like patients: few
    sub-folders, or names without a number, such as "dry" and "wet".

    Patients that are counted from 1 in every class folder are others in each, and those that are counted from 1 in
    every class others in each class; else one name is one patient.
    """
    found: list[str | None] = []
    by_class: dict[str, set[str]] = {}
    for path, own in zip(paths, above, strict=True):
        inner = path[len(own) + 1 :] if own else path
        patient, _, rest = inner.partition(os.sep)
        found.append(shown(patient) if rest else None)
        by_class.setdefault(own, set())
        if rest:
            by_class[own].add(found[-1])
    names = [name for own in by_class.values() for name in own]
    numbered = sum(any(letter.isdigit() for letter in name) for name in names)
    known = sum(name is not None for name in found)
    if (
        min(map(len, by_class.values())) < 2
        or len(names) < 3
        or numbered <= 0.9 * len(names)
        or known <= MOST * len(found)
    ):
        return None
    told_by = "folder CLASS/PATIENT"
    if len(by_class) > 1 and all(map(_counted, by_class.values())):
        found = [name and f"{shown(own)}/{name}" for name, own in zip(found, above, strict=True)]
        told_by += ", counted anew in each class"
    elif len(through := _by_class(found, classes or above)) > 1 and all(map(_counted, through.values())):
        found = [name and f"{own}/{name}" for name, own in zip(found, classes or above, strict=True)]
        told_by += ", counted anew in each class"
    return _with_odd_ones(found, paths, told_by)


def _by_class(found: Sequence[str | None], classes: Sequence[str]) -> dict[str, set[str]]:
    by_class: dict[str, set[str]] = {}
    for name, own in zip(found, classes, strict=True):
        by_class.setdefault(own, set()).update([name] if name is not None else [])
    return by_class


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


def says_alone(patients: Patients) -> Iterator[str]:
    """A warning where some images tell no patient."""
    if patients.alone:
        one, first = len(patients.alone) == 1, ", ".join(map(shown, patients.alone[:MOST_EXAMPLES]))
        yield (
            f"{len(patients.alone):,} of {len(patients.ids):,} images {'tells' if one else 'tell'} no patient "
            f"({patients.told_by}); {'it' if one else 'each'} counts as a patient of its own: {first}"
            f"{', ...' if len(patients.alone) > MOST_EXAMPLES else ''}."
        )


def _patient(expression: re.Pattern[str], name: str) -> str | None:
    match = expression.search(name)
    return (match["patient"] or None) if match else None


def _counted(names: set[str]) -> bool:
    """Whether the numbers in these names are 1, 2, 3 ... or 0, 1, 2 ..., each once."""
    numbers = sorted(int(re.sub(r"\D", "", name)[:18] or -1) for name in names)
    return numbers in (list(range(len(names))), list(range(1, len(names) + 1)))


def _with_odd_ones(found: Sequence[str | None], paths: Sequence[str], told_by: str) -> Patients:
    """An image that tells no patient gets its own path as one, which no other has."""
    alone = tuple(path for path, patient in zip(paths, found, strict=True) if patient is None)
    ids = [patient if patient is not None else f"?{plain(path)}" for patient, path in zip(found, paths, strict=True)]
    return Patients(np.array(ids, dtype=str), told_by, alone)
