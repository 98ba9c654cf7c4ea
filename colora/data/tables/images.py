"""The image of each row of a table, or why it has none."""

import os
import posixpath
from collections import Counter, defaultdict

from colora.data import not_images
from colora.data.catalogue import NotRead
from colora.data.listing import SUFFIXES
from colora.data.splits import counted
from colora.data.tables.places import Outside, Places, brief, plain_path
from colora.system.errors import UserError
from colora.system.table_file import Table

MISSING_SHARE = 0.5  # of the rows: with more that are not there, the table is of other files, or lies elsewhere
TOLD = 3  # rows in a sentence


def images_of(
    table: Table, column: str, labels: list[str], places: Places, not_read: NotRead, warnings: list[str]
) -> list[str | None]:
    """The path of each row's image, None of a row that is not taken, which `not_read` counts with its class.

    Raises UserError for a path that leads out of the folder or fits several files, and where more than half are not
    there.
    """
    rows = _Rows(table, column, labels, places)
    rows.find()
    rows.only_one_each()
    left_out = rows.left_out()
    _check(rows, left_out)
    for reason, numbers in left_out.items():
        for row in numbers:
            not_read.add(reason, labels[row], [rows.texts[row]])
            rows.found[row] = None
    rows.by_end = [row for row in rows.by_end if rows.found[row] is not None]
    for path in sorted(set(places.files.values()) - rows.in_table - places.meant):
        not_read.add("not in the table", "", [path])
    warnings += _said(rows, left_out)
    return rows.found


class _Rows:
    """Rows of a table with what was found for each: `found`, and how: `by_end` are those found by their path's end."""

    def __init__(self, table: Table, column: str, labels: list[str], places: Places):
        self.table, self.labels, self.places = table, labels, places
        self.texts: list[str] = table.cells[column].tolist()
        self.found: list[str | None] = []
        self.by_end: list[int] = []
        self.outside: dict[int, str] = {}  # {row: the folder that its path leads to}
        self.in_table: set[str] = set()

    def find(self) -> None:
        files, asked = self.places.files, self.places.links | self.places.odd
        for row, text in enumerate(self.texts):
            path = files.get(text)
            self.found.append(path if path is not None and path not in asked else self._look(row, text))
        self.in_table = {path for path in self.found if path is not None}

    def _look(self, row: int, text: str) -> str | None:
        try:
            if path := self.places.named(text):
                return path
        except Outside as error:
            self.outside[row] = str(error)
        alike = self.places.ending_alike(text, self.labels[row])
        if len(alike) > 1:
            raise UserError(
                f"{self.named(row)}, which may be {brief(alike[0])} or {brief(alike[1])} in "
                f"{brief(self.places.root)}: write the path from the table's folder on.",
                field="dataset",
            )
        if not alike:
            return None
        self.outside.pop(row, None)
        self.by_end.append(row)
        return alike[0]

    def named(self, row: int) -> str:
        return f"{self.table.place(row).capitalize()} of {self.table.name} names {brief(self.texts[row])}"

    def only_one_each(self) -> None:
        """A file that a row names wholly, by its path or by the end of it, is no other row's, with whose path it shares
        its end alone. Two such rows with different paths mean two files, of which at most one is here."""
        rows = Counter(self.found)
        shared = [row for row in self.by_end if rows[self.found[row]] > 1]
        partly = [row for row in shared if not self.places.is_end(self.texts[row], self.found[row] or "")]
        if not partly:
            return
        skip = set(partly)
        named = {path for row, path in enumerate(self.found) if path is not None and row not in skip}
        claimed: dict[str, int] = {}
        for row in partly:
            path = self.found[row] or ""
            if path in named:
                self.found[row] = None  # its own file is not here
            elif self.texts[first := claimed.setdefault(path, row)] != self.texts[row]:
                raise UserError(
                    f"{self.named(row)}, and {self.table.place(first)} {brief(self.texts[first])}; neither is in "
                    f"{brief(self.places.root)}, and by its end {brief(path)} may be either: put the other beside it, "
                    "or write the paths from the table's folder on.",
                    field="dataset",
                )

    def left_out(self) -> dict[str, list[int]]:
        """{reason: rows}"""
        reasons: dict[str, list[int]] = defaultdict(list)
        for row, path in enumerate(self.found):
            if not self.labels[row]:
                reasons["no label"].append(row)
            elif path is None:
                reasons[_ending(self.texts[row]) or "missing"].append(row)
        return dict(reasons)


def _ending(text: str) -> str | None:
    """The ending of a kind of file that is not read."""
    found = not_images.ending(posixpath.basename(plain_path(text)))
    return None if found == not_images.NO_ENDING or found in SUFFIXES else found


def _check(rows: _Rows, left_out: dict[str, list[int]]) -> None:
    table, root = rows.table, brief(rows.places.root)
    missing = left_out.get("missing", [])
    moved = any(rows.found[row] and rows.texts[row].startswith(("/", "..")) for row in rows.by_end)
    outside = [row for row in missing if row in rows.outside]
    if outside and not moved:  # else the table was written elsewhere, and its images are here but for these
        row = outside[0]
        raise UserError(
            f"{rows.named(row)}, which is not in the table's folder {root} but in {brief(rows.outside[row])}: if "
            f"images may be read from there, say so with --data-roots {brief(rows.outside[row])} (in the app: the "
            f"field Data roots); else put the table beside its images. {counted(len(outside), 'path')} of the table "
            f"{'leads' if len(outside) == 1 else 'lead'} out of its folder.",
            field="data_roots",
        )
    taken = sum(path is not None and bool(label) for path, label in zip(rows.found, rows.labels, strict=True))
    if missing and len(missing) > MISSING_SHARE * (taken + len(missing)):
        first = ", ".join(f"{brief(rows.texts[row]) or 'an empty path'} ({table.place(row)})" for row in missing[:TOLD])
        raise UserError(
            f"{len(missing):,} of the {counted(taken + len(missing), 'image')} that {table.name} names are not there, "
            f"such as {first}. They were looked for from {root} on, and by the ends of their paths among the "
            f"{counted(len(rows.places.files), 'image')} below it: put the table beside its images, or correct the "
            "paths.",
            field="dataset",
        )
    if not taken:
        reasons = ", ".join(f"{len(numbers):,} {reason}" for reason, numbers in sorted(left_out.items()))
        raise UserError(
            f"{table.name} names no image with a label that can be read here ({reasons}): images end in "
            f"{', '.join(SUFFIXES)}.",
            field="dataset",
        )


def _said(rows: _Rows, left_out: dict[str, list[int]]) -> list[str]:
    table, said = rows.table, []
    if missing := left_out.get("missing"):
        row = missing[0]
        said.append(
            f"Images that {table.name} names and that are not there, left out: {len(missing):,}; the first: "
            f"{brief(rows.texts[row]) or 'an empty path'} ({table.place(row)})."
        )
    if without := left_out.get("no label"):
        row = without[0]
        said.append(
            f"Rows of {table.name} without a label, left out: {len(without):,}; the first: {brief(rows.texts[row])} "
            f"({table.place(row)})."
        )
    if rows.by_end:
        row = rows.by_end[0]
        said.append(
            f"{counted(len(rows.by_end), 'image')} of {table.name} were found by the ends of their paths: "
            f"{brief(rows.texts[row])} is {brief(rows.found[row] or '')}, and so on."
        )
    if rows.places.unread:
        first = brief(os.path.join(rows.places.root, min(rows.places.unread)))
        said.append(
            f"Folders beside {table.name} that may not be read: {len(rows.places.unread):,}; the first: {first}."
        )
    return said
