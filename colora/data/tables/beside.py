"""A table that lies in a folder of classes and knows more of its images than the folder tells: their patients, above
all. It is offered and not taken: which of the two is right, a person knows."""

import os
import posixpath
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from colora.data.listing import shown
from colora.data.tables.columns import Columns, columns_of, names_columns
from colora.data.tables.places import brief, plain_path
from colora.system.errors import UserError
from colora.system.table_file import Table, read_table
from colora.system.typed import one_line, shortened

MOST_BYTES = {
    ".csv": 50_000_000,
    ".tsv": 50_000_000,
    ".parquet": 50_000_000,
    ".xlsx": 2_000_000,
}  # a second or two each
MOST_TABLES = 5  # that are looked at, in order of their names
MOST_TOLD = 6  # columns in the sentence
SHARE = 0.5  # of the images, or of its rows, that a table is of


class _Beside(NamedTuple):
    path: Path
    table: Table
    columns: Columns
    named: int  # of the images


def tables_beside(root: str, paths: Sequence[str]) -> str | None:
    """The sentence that offers the table directly in `root` which names most of these images, paths below it; None
    where none does, or none can be read."""
    tables = _tables(root)
    stems = [_stem(path) for path in paths] if tables else []
    found = [beside for path in tables if (beside := _of(path, stems))]
    return _offer(max(found, key=lambda beside: beside.named), len(stems)) if found else None


def _tables(root: str) -> list[Path]:
    found = []
    try:
        with os.scandir(root) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                most = MOST_BYTES.get(posixpath.splitext(entry.name)[1].lower(), 0)
                if not most or entry.name.startswith("."):
                    continue
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and status.st_size <= most:
                    found.append(Path(entry.path))
    except OSError:  # whoever reads the images says it
        return []
    return found[:MOST_TABLES]


def _of(path: Path, stems: list[str]) -> _Beside | None:
    """None for a table that is of something else."""
    images = set(stems)
    try:
        table = read_table(
            path, has_header=lambda first: names_columns(first, None, lambda name: _stem(name) in images)
        )
        columns = columns_of(table, None)
        rows = set(map(_stem, table.cells[columns.path]))
    except UserError:  # unreadable, or no table of images: nothing to offer
        return None
    named = sum(stem in rows for stem in stems)
    return _Beside(path, table, columns, named) if named and named >= SHARE * min(len(stems), len(table)) else None


def _stem(path: str) -> str:
    """A file's name without its ending, in small letters; of a table's cell, which may lack the ending, too."""
    name = posixpath.basename(plain_path(shown(path)))
    stem, ending = posixpath.splitext(name)
    return (stem if ending[1:2].isalpha() else name).casefold()


def _offer(beside: _Beside, images: int) -> str:
    table, columns = beside.table, beside.columns
    first = [name for name in (columns.patient, columns.split, columns.eye) if name]
    others = [name for name in table.cells.columns if name not in columns.others]
    more = [name for name in first + others if (table.cells[name] != "").any()]
    unnamed = {} if table.headed else {columns.split: "the split"}  # "column 1" tells nobody anything
    told = ", ".join(unnamed.get(name) or one_line(shortened(name)) for name in more[:MOST_TOLD])
    if len(more) > MOST_TOLD:
        told += f" and {len(more) - MOST_TOLD} more"
    return (
        f"{one_line(shortened(table.name))} names {beside.named:,} of these {images:,} images, and tells "
        f"{told or 'their classes'}: table:{brief(str(beside.path))} takes them from there."
    )


def offered_in(sentence: str) -> str | None:
    """The path of the table that a sentence offers as above, for a click; None where it offers none."""
    offer = re.search(r": table:(?P<path>.+) takes them from there\.", sentence)
    return offer["path"] if offer else None

