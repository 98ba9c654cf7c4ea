"""`folder:DIR` and `table:FILE`: image files in a catalogue, split and read into a data set."""

import contextlib
import os
from dataclasses import replace

import numpy as np
import pandas as pd

from colora.data import not_images
from colora.data.catalogue import Catalogue, NotRead, Patients
from colora.data.dataset import SPLITS, Dataset, Split, outline_split
from colora.data.layout import folder_catalogue
from colora.data.layout_parts import NoClasses
from colora.data.listing import plain, shown
from colora.data.patients import by_file_name, by_pattern, says_alone
from colora.data.prepare import Progress, quiet
from colora.data.prepared import Notes, prepare_files
from colora.data.splits import divide
from colora.data.tables.beside import tables_beside
from colora.data.tables.table import table_catalogue
from colora.runs.access import Refused, named_place
from colora.settings.config import RunConfig
from colora.system.errors import UserError

DAMAGED = "does not open"
MASK = "a mask: two grey values only"


def catalogue_of(config: RunConfig, on_progress: Progress = quiet, to_train: bool = True) -> Catalogue:
    """What the folder or table of a config holds, by names alone. Raises UserError for what has to be put right first,
    or asked about, and for what cannot be trained on where that is wanted."""
    kind, _, place = config.dataset.partition(":")
    path = named_place(place, "dataset")
    if kind == "table":
        found = table_catalogue(
            path, config.columns, config.data_roots, config.ignore_splits, on_progress, to_train
        )
        if found.patients.ids is None and (named := by_file_name(found.paths, found.labels, found.class_names)):
            found = _with_patients(found, named)
    else:
        allowed = allowed_places(config)
        try:
            found = folder_catalogue(path, config.layout, config.ignore_splits, allowed, on_progress, to_train)
        except NoClasses as error:
            if offer := _offered(os.path.realpath(path), error.images):
                raise UserError(f"{error} {offer}", field=error.field) from error
            raise
        if offer := _offered(found.root, found.paths):
            found = replace(found, warnings=(*found.warnings, offer))
    if config.patient_pattern:
        found = _with_patients(found, by_pattern(found.paths, config.patient_pattern))
    return found


def _offered(root: str, paths: list[str]) -> str | None:
    """A table in the folder, in those that lie between it and its classes, or in the one that it lies in where that may
    be named too."""
    inner = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    places = [root]
    for name in inner.split(os.sep) if inner else ():
        places.append(os.path.join(places[-1], name))
    with contextlib.suppress(Refused):
        places.append(str(named_place(os.path.dirname(root), "dataset")))
    return next((offer for place in places if (offer := tables_beside(place, paths))), None)


def allowed_places(config: RunConfig) -> tuple[str, ...]:
    """Real paths of the folders, beside the source's own, that its links and entries may lead to."""
    return tuple(os.path.realpath(named_place(root, "data_roots")) for root in config.data_roots or ())


def split_files(config: RunConfig, on_progress: Progress = quiet) -> Dataset:
    """The images as a data set of three splits, as `splits.divide` says.

    Raises UserError as `catalogue_of` and `divide` do, or where more than 5 % of the images do not open.
    """
    catalogue = catalogue_of(config, on_progress)
    division = divide(catalogue, config.split_seed, source_path(config), config.patient_pattern)
    splits, notes = _read(catalogue, division.which, SPLITS, config.image_size, on_progress)
    return _dataset(catalogue, splits, notes, source_name(config), division.rule, list(division.warnings))


def whole_files(config: RunConfig, on_progress: Progress = quiet) -> Dataset:
    """Every image, in the splits that the source has, or in path order as the one split "all": to meet models with, so
    it may have one class.

    Raises UserError as `catalogue_of` does, or where more than 5 % of the images do not open.
    """
    catalogue = catalogue_of(config, on_progress, to_train=False)
    names, which, rule = _whole(catalogue)
    splits, notes = _read(catalogue, which, names, config.image_size, on_progress)
    return _dataset(catalogue, splits, notes, config.dataset, rule, [])


def outline_whole(config: RunConfig, on_progress: Progress = quiet) -> Dataset:
    """What `whole_files` would return, as far as names tell: no image is opened, and all are taken to open.

    Raises UserError as `catalogue_of` does.
    """
    catalogue = catalogue_of(config, on_progress, to_train=False)
    names, which, rule = _whole(catalogue)
    return _dataset(catalogue, _outlines(catalogue, names, which), Notes(), config.dataset, rule, [])


def _whole(catalogue: Catalogue) -> tuple[tuple[str, ...], np.ndarray, str]:
    """(splits, the number of each image's (N,), by which rule): those that the source has, else the one split "all"."""
    if catalogue.given is None:
        return ("all",), np.zeros(len(catalogue.paths), dtype=np.int64), "every image of it"
    present, which = np.unique(catalogue.given, return_inverse=True)
    return tuple(SPLITS[i] for i in present), which, f"as given by {catalogue.given_by}"


def outline_files(config: RunConfig, on_progress: Progress = quiet) -> Dataset:
    """What `split_files` would return, as far as names tell: no image is opened, and all are taken to open.

    Raises UserError as `catalogue_of` and `divide` do.
    """
    catalogue = catalogue_of(config, on_progress)
    division = divide(catalogue, config.split_seed, source_path(config), config.patient_pattern)
    splits = _outlines(catalogue, SPLITS, division.which)
    return _dataset(catalogue, splits, Notes(), source_name(config), division.rule, list(division.warnings))


def _outlines(catalogue: Catalogue, names: tuple[str, ...], which: np.ndarray) -> dict[str, Split]:
    """The splits by name, from split numbers (N,), without pixels and ids."""
    splits, patients = {}, catalogue.patients.ids
    for i, name in enumerate(names):
        own = np.flatnonzero(which == i)
        splits[name] = outline_split(catalogue.labels[own], None if patients is None else patients[own])
    return splits


def source_path(config: RunConfig) -> str:
    return str(named_place(config.dataset.partition(":")[2], "dataset"))


def source_name(config: RunConfig) -> str:
    """As results name it: the kind, and the folder's or file's own name."""
    kind, _, place = config.dataset.partition(":")
    return f"{kind}:{named_place(place, 'dataset').name}"


def _with_patients(catalogue: Catalogue, patients: Patients) -> Catalogue:
    old = tuple(says_alone(catalogue.patients))
    kept = tuple(said for said in catalogue.warnings if said not in old)
    return replace(catalogue, patients=patients, warnings=(*says_alone(patients), *kept))


def _read(
    catalogue: Catalogue, which: np.ndarray, names: tuple[str, ...], image_size: int, on_progress: Progress
) -> tuple[dict[str, Split], Notes]:
    """The splits by name, from split numbers (N,); the positions in the notes are those in the catalogue.

    The files are read split by split, so that each split is a slice of one array and no image is held twice.
    """
    order = np.argsort(which, kind="stable")
    prepared = prepare_files(catalogue.root, [catalogue.paths[i] for i in order], image_size, on_progress)
    source = order[prepared.kept]  # (n,) position in the catalogue of each prepared image
    ids = np.array([plain(catalogue.paths[i]) for i in source], dtype=str)
    ends = np.searchsorted(which[source], np.arange(len(names) + 1))
    splits, patients = {}, catalogue.patients.ids
    for i, name in enumerate(names):
        part = slice(ends[i], ends[i + 1])
        own = None if patients is None else patients[source[part]]
        splits[name] = Split(prepared.images[part], catalogue.labels[source[part]], ids[part], own)
    notes = prepared.notes
    left_out = sorted((int(order[position]), reason) for position, reason in notes.left_out)
    return splits, Notes(left_out, notes.converted, sorted(int(order[position]) for position in notes.masks))


def _dataset(
    catalogue: Catalogue, splits: dict[str, Split], notes: Notes, source: str, rule: str, warnings: list[str]
) -> Dataset:
    total = len(catalogue.paths)
    left_out = [f"{shown(catalogue.paths[position])}: {reason}" for position, reason in notes.left_out]
    if left_out:
        warnings.append(
            f"{len(left_out):,} of {total:,} images did not open and were left out: "
            f"{_first(catalogue, [position for position, _ in notes.left_out])}."
        )
    if notes.masks:
        left_out += [f"{shown(catalogue.paths[position])}: {MASK}" for position in notes.masks]
        warnings.append(
            f"{len(notes.masks):,} of {total:,} images have two grey values only, as masks have, and were left out: "
            f"{_first(catalogue, notes.masks)}."
        )
    warnings += [*notes.converted.sentences(total), *catalogue.warnings]
    return Dataset(
        splits,
        catalogue.class_names,
        class_names_given=True,
        source=source,
        split_rule=rule,
        warnings=tuple(warnings),
        doubts=catalogue.doubts,
        left_out=tuple(left_out),
        patients_from=catalogue.patients.told_by,
        not_read=_not_read(catalogue, notes),
        metadata=_metadata(catalogue),
    )


def _metadata(catalogue: Catalogue) -> pd.DataFrame | None:
    if catalogue.metadata is None or not len(catalogue.metadata.columns):
        return None
    ids = pd.Index(map(plain, catalogue.paths), name="image_id")
    return catalogue.metadata.set_axis(ids)


def _not_read(catalogue: Catalogue, notes: Notes) -> NotRead:
    """What the catalogue left out, and what was left out when the files were read."""
    found = catalogue.not_read.copy()
    for reason, positions in ((DAMAGED, [p for p, _ in notes.left_out]), (not_images.MASK, notes.masks)):
        for position in positions:
            found.add(reason, catalogue.class_names[catalogue.labels[position]], [catalogue.paths[position]])
    return found


def _first(catalogue: Catalogue, positions: list[int]) -> str:
    return ", ".join(shown(catalogue.paths[i]) for i in positions[:5]) + (", ..." if len(positions) > 5 else "")
