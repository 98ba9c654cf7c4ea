"""Records of a table, one after the other, as columns of text: what a CSV file and a sheet of a workbook share."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, zip_longest

import numpy as np
import pandas as pd

from colora.system.spreadsheet import as_typed
from colora.system.typed import bare, one_line, shortened

MOST_ROWS, MOST_COLUMNS, MOST_CELLS = 5_000_000, 5_000, 50_000_000
MOST_CELL = 1 << 17  # characters of one cell, which is what Python's csv takes
PART_ROWS = 1 << 16  # so many are held as Python's objects, which take ten times the memory
TOO_LARGE = "it is too large: {:,} rows and {:,} cells are read at most"
TOO_WIDE = "it has {:,} columns, and {:,} are read at most"

Record = tuple[int, list[str]]  # its line in the file, from 1 on; its cells
HasHeader = Callable[[list[str]], bool]


class NoTable(Exception):
    """Why a file is no table, as the end of a sentence without its full stop."""


class Gathered:
    """What records make: `cells` (N rows of text), `lines` (N,) int64, and whether the first one named the columns;
    `first` is that one as it stands."""

    def __init__(self, records: Iterable[Record], has_header: HasHeader, may_lack: bool, told: str, word: str = "line"):
        """`may_lack`: records with fewer cells than the first are filled up. Raises NoTable, in which `told` says how
        they were divided, for records with other numbers of cells, names that are there twice, and where there are
        none."""
        filled = (record for record in records if any(record[1]))
        line, self.first = next(filled, (0, []))
        if not self.first:
            raise NoTable("it is empty")
        self.headed = has_header(self.first)
        if not self.headed:
            self.cells, self.lines = _joined(chain([(line, self.first)], filled), 0)
            self.cells.columns = pd.Index([numbered(i) for i in range(self.cells.shape[1])], dtype=object)
            return
        names = column_names(self.first)
        check_names([name for name in names if name])
        self.cells, self.lines = _joined(_even(filled, names, may_lack, told, word), len(names))
        kept = [i for i, name in enumerate(names) if name or (self.cells.iloc[:, i] != "").any()]
        self.cells = self.cells.iloc[:, kept]  # separators at the ends of lines make columns that hold nothing
        self.cells.columns = pd.Index([names[i] or numbered(i) for i in kept], dtype=object)
        check_names(list(self.cells.columns))


def numbered(place: int) -> str:
    """What a column without a name is called."""
    return f"column {place + 1}"


def column_names(first: list[str]) -> list[str]:
    return [bare(as_typed(name)) for name in first]


def check_names(names: list[str]) -> None:
    if len(names) > MOST_COLUMNS:
        raise NoTable(TOO_WIDE.format(len(names), MOST_COLUMNS))
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise NoTable(f"two of its columns are named '{one_line(shortened(name))}': rename one")
        seen.add(name)


def _even(records: Iterable[Record], names: list[str], may_lack: bool, told: str, word: str) -> Iterator[Record]:
    width = len(names)
    needed = max((i + 1 for i, name in enumerate(names) if name), default=0)  # behind it stand columns without a name
    for line, cells in records:
        if any(cells[width:]) or (len(cells) < needed and not may_lack):
            raise NoTable(
                f"{told}{word} {line:,} has {len(cells):,} cell{'s' * (len(cells) > 1)} where the first has {width:,}. "
                "Give each the same number, and put quotes around a text that holds what stands between columns"
            )
        yield line, cells[:width] if len(cells) > width else cells + [""] * (width - len(cells))


def _joined(records: Iterable[Record], width: int) -> tuple[pd.DataFrame, np.ndarray]:
    """(N rows of text with columns 0, 1, ..., (N,) int64 lines), made part by part."""
    parts: list[pd.DataFrame] = []
    lines: list[int] = []
    part: list[list[str]] = []
    cells = 0
    for line, row in records:
        part.append(row)
        lines.append(line)
        cells += len(row)
        if cells > MOST_CELLS or len(lines) > MOST_ROWS:
            raise NoTable(TOO_LARGE.format(MOST_ROWS, MOST_CELLS))
        if len(row) > MOST_COLUMNS:
            raise NoTable(TOO_WIDE.format(len(row), MOST_COLUMNS))
        if len(part) == PART_ROWS:
            parts.append(_frame(part))
            part = []
    parts += [_frame(part)] if part else []
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    found = found.reindex(columns=range(max(width, found.shape[1])))
    return found.fillna("").astype(str), np.array(lines, dtype=np.int64)


def _frame(rows: list[list[str]]) -> pd.DataFrame:
    columns = zip_longest(*rows, fillvalue="")
    return pd.DataFrame({i: pd.Series(text_cells(column), dtype=str) for i, column in enumerate(columns)})


def text_cells(column: Iterable[str]) -> list[str]:
    """Cells as they were typed, without the apostrophe that keeps a spreadsheet from taking them for formulas."""
    return [as_typed(cell) if cell.startswith("'") else cell for cell in column]
