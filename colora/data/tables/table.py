"""`table:FILE`: a line an image, in CSV, TSV, a workbook or Parquet, with its class and whatever else is known of it.

Which line comes first changes nothing: images are in order of their class, then of their path, as a folder's are. What
is not taken, and why, is counted; what may mean two things is asked about and not guessed.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from colora.data.catalogue import Catalogue, NotRead, Patients
from colora.data.listing import plain
from colora.data.prepare import Progress, quiet
from colora.data.splits import counted
from colora.data.tables.columns import Columns, columns_of, names_columns
from colora.data.tables.images import images_of
from colora.data.tables.labels import class_names, labels_of, whole_numbers
from colora.data.tables.places import Places, brief
from colora.data.tables.splits import given_splits, split_places
from colora.runs.access import named_place
from colora.system.errors import UserError
from colora.system.table_file import ENDINGS, Table, read_table
from colora.system.typed import bare, one_line, shortened

NO_PATIENT = {"", "na", "n/a", "nan", "none", "null", "<na>"}  # as programs write a cell that is missing
TOO = (".tab", ".dat", ".asc", ".pq", ".xls", ".ods")  # endings of tables, read by their content or refused by it
LONGEST_PATIENT = 255  # letters


def table_catalogue(
    path: Path,
    columns: str | None = None,
    data_roots: Sequence[str] | None = None,
    ignore_splits: bool = False,
    on_progress: Progress = quiet,
    to_train: bool = True,
) -> Catalogue:
    """What the table at `path` names, beside it or in `data_roots`. No image is opened.

    `ignore_splits` leaves the split that it tells unread; what is not `to_train` may have one class. Raises UserError
    for a table that cannot be read, of which it is not clear what its columns hold, whose labels, splits or paths mean
    two things, or most of whose images are not there; Refused for places that may not be named.
    """
    path = named_place(path, "dataset")
    if path.suffix.lower() not in (*ENDINGS, *TOO):  # a sentence about what is in it would quote any file
        raise UserError(
            f"{path} is not named as a table, whose name ends in one of {', '.join(ENDINGS)}: rename it, or is it a "
            "folder of images (folder:), or a file in MedMNIST's format (npz:)?",
            field="dataset",
        )
    root = os.path.realpath(named_place(path.parent, "dataset"))
    places = Places(
        root, [os.path.realpath(named_place(place, "data_roots")) for place in data_roots or ()], on_progress
    )
    table = read_table(path, "dataset", lambda first: names_columns(first, columns, places.is_image))
    if not len(table):
        raise UserError(f"{table.name} has a line that names its columns, and no line behind it.", field="dataset")
    chosen = columns_of(table, columns)
    labels = labels_of(table, chosen.label)
    told_split = _column(table, chosen.split)
    splits = split_places(table.cells[chosen.split], told_split) if chosen.split and not ignore_splits else None
    patients = _patients(table, chosen.patient) if chosen.patient else None

    not_read, warnings = NotRead(), [f"{table.name}: {warning}" for warning in table.warnings]
    images = images_of(table, chosen.path, labels, places, not_read, warnings)
    rows = _once(table, images, {"labels": labels, "splits": splits, "patients": patients}, warnings)
    names = class_names([labels[row] for row in rows], table, chosen.label, at_least=2 if to_train else 1)
    number = {name: i for i, name in enumerate(names)}
    rows.sort(key=lambda row: (number[labels[row]], images[row].replace(os.sep, "\0")))  # folder by folder
    paths = [images[row] for row in rows]
    given = None if splits is None else given_splits(splits[rows], told_split)
    return Catalogue(
        root,
        paths,
        names,
        np.array([number[labels[row]] for row in rows], dtype=np.int64),
        _known(patients, rows, paths, _column(table, chosen.patient), warnings),
        given,
        "" if given is None else told_split,
        not_read,
        tuple(warnings),
        _metadata(table.cells, chosen, rows),
    )


def _column(table: Table, name: str | None) -> str:
    return f"{'the column ' if table.headed else ''}{one_line(shortened(name or ''))} of {table.name}"


def _patients(table: Table, column: str) -> list[str]:
    """The patient of each row, "" where it tells none."""
    texts = [bare(text) for text in table.cells[column].tolist()]
    known = sorted(set(texts))
    if (longest := max(map(len, known))) > LONGEST_PATIENT:
        raise UserError(
            f"{_column(table, column)} has a cell of {longest:,} letters, and is to name patients: say which column "
            "does with --columns patient=... (in the app: the field Columns), or patient= where none does.",
            field="columns",
        )
    name = {text: "" if text.lower() in NO_PATIENT else text for text in known}
    name = dict(zip(name, whole_numbers(list(name.values())), strict=True))
    return [name[text] for text in texts]


def _once(table: Table, images: list[str | None], told: dict[str, Sequence | None], warnings: list[str]) -> list[int]:
    """The rows to take, each image once. Raises UserError for one that has two labels, splits or patients."""
    first: dict[str, int] = {}
    again = []
    for row, path in enumerate(images):
        if path is None or (before := first.setdefault(path, row)) == row:
            continue
        again.append(row)
        for what, values in told.items():
            if values is not None and values[row] != values[before]:
                raise UserError(
                    f"{table.name} gives the image {brief(path)} two {what}, in {table.place(before)} and in "
                    f"{table.place(row)}: take the wrong one out.",
                    field="dataset",
                )
    if again:
        warnings.append(
            f"Rows of {table.name} that name an image again, with the same label, left out: {len(again):,}; the first: "
            f"{table.place(again[0])} ({brief(images[again[0]] or '')})."
        )
    return list(first.values())


def _known(patients: list[str] | None, rows: list[int], paths: list[str], column: str, warnings: list[str]) -> Patients:
    if patients is None:
        return Patients()
    alone = [path for path, row in zip(paths, rows, strict=True) if not patients[row]]
    if len(alone) == len(paths):
        warnings.append(f"{column[0].upper()}{column[1:]} names no patient of these images.")
        return Patients()
    if alone:
        warnings.append(
            f"{column[0].upper()}{column[1:]} names no patient of {counted(len(alone), 'image')}: each counts as a "
            f"patient of its own; the first: {brief(alone[0])}."
        )
    ids = [patients[row] or plain(path) for path, row in zip(paths, rows, strict=True)]
    return Patients(np.array(ids, dtype=str), column.removeprefix("the "), tuple(alone))


def _metadata(cells: pd.DataFrame, chosen: Columns, rows: list[int]) -> pd.DataFrame:
    """The columns that have no other part, and the eye's under the name "eye"."""
    others = cells.drop(columns=list(chosen.others))
    if chosen.eye:
        others = others.rename(columns={"eye": "eye (as in the table)"})  # where another column was chosen for it
        others.insert(0, "eye", cells[chosen.eye])
    return others.iloc[rows].reset_index(drop=True)
