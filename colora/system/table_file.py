"""One reader of tables for the whole app: CSV, TSV, workbooks of Excel and Parquet, every cell as text.

What a file is, its content says and not its name: a workbook that somebody has named .csv is one. Cells stay as they
stand, so that a patient 007 does not become 7; a missing cell is "". The apostrophe of `spreadsheet` is taken off.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from colora.system.errors import UserError
from colora.system.files import read_file, why
from colora.system.table_book import read_parquet, read_workbook
from colora.system.table_rows import Gathered, HasHeader, NoTable
from colora.system.table_text import text_records
from colora.system.typed import one_line, shortened

ENDINGS = (".csv", ".tsv", ".txt", ".xlsx", ".parquet")
MOST_BYTES = 1 << 28  # of a table: three million lines of an image, its class, split and patient
FOREIGN = {
    b"\xd0\xcf\x11\xe0": "it is Excel's old format (.xls), or protected by a password: save it as .xlsx, without one",
    b"version https://git-lfs": "it is Git LFS' note of a file and not the file: fetch it with git lfs pull",
    b"\x1f\x8b": "it is packed by gzip: unpack it",
    b"BZh": "it is packed by bzip2: unpack it",
    b"\xfd7zXZ": "it is packed by xz: unpack it",
    b"\x28\xb5\x2f\xfd": "it is packed by zstd: unpack it",
}


@dataclass(frozen=True)
class Table:
    """A table that was read: `cells` has N rows of text under its columns' names.

    lines: (N,) int64, where each stands, as `place` tells; first: the first line's cells as they are in the file,
    whether they name the columns (`headed`) or not, so that the columns are named "column 1" and on; told: how it was
    read, such as "with ';' between its columns"; warnings: what a person should look at.
    """

    name: str
    cells: pd.DataFrame
    lines: np.ndarray
    first: tuple[str, ...]
    headed: bool
    told: str
    warnings: tuple[str, ...]
    word: str = "line"

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        """`line 7`, as an editor or a spreadsheet counts."""
        return f"{self.word} {self.lines[row]:,}"


def _always(first: list[str]) -> bool:
    return True


def read_table(path: Path, field: str | None = None, has_header: HasHeader = _always, most: int = MOST_BYTES) -> Table:
    """The table in a file. Raises UserError as `table_of` does, and where there is no regular file of up to `most`
    bytes that may be read."""
    try:
        content = read_file(path, most)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.", field=field) from error
    except (OSError, ValueError) as error:  # a folder, a pipe, no permission, too large
        raise UserError(f"{path} cannot be read as a table: {why(error)}.", field=field) from error
    return table_of(content, path.name, field, has_header)


def table_of(
    content: bytes, name: str, field: str | None = None, has_header: HasHeader = _always, may_lack: bool = False
) -> Table:
    """The table that bytes hold; `name` is what sentences call the file.

    `has_header` says of the first line's cells whether they name the columns. `may_lack`: a line of CSV may have fewer
    cells than the first one. Raises UserError for what is no table: damaged, empty, two columns of one name, lines of
    different length, more than a table may hold.
    """
    kind = "CSV"
    try:
        if foreign := next((why_not for begin, why_not in FOREIGN.items() if content.startswith(begin)), None):
            kind = "a table"
            raise NoTable(foreign)
        if content.startswith(b"PAR1"):
            kind = "Parquet"
            cells, warnings = read_parquet(content)
            lines = np.arange(1, len(cells) + 1)
            return Table(name, cells, lines, tuple(cells.columns), True, "as Parquet", warnings, "row")
        if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            kind = "a workbook of Excel"
            found, told, warnings = read_workbook(content, has_header)
            word = "row"
        else:
            text = text_records(content)
            told, warnings, word = text.told, text.warnings, "line"
            found = Gathered(text.records, has_header, may_lack, f"{told}, ")
    except NoTable as error:
        raise UserError(f"{name} cannot be read as {kind}: {str(error).rstrip('.')}.", field=field) from error
    return Table(name, found.cells, found.lines, tuple(found.first), found.headed, told, warnings, word)


def columns_text(table: Table) -> str:
    """Names of the columns, for a sentence."""
    return ", ".join(one_line(shortened(name)) for name in table.cells.columns[:30]) + (
        f" and {table.cells.shape[1] - 30} more" if table.cells.shape[1] > 30 else ""
    )
