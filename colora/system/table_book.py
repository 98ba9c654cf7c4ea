"""Workbooks of Excel and Parquet files, of which nobody vouches for any: every cell as text.

Both are packed, so that a small file may unfold into more than the memory holds: what they claim is bounded before they
are read, and what is read is counted. Formulas are not worked out, their last result is taken; nothing that a file
refers to elsewhere is fetched.
"""

import datetime as dt
import io
import math
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from colora.system.files import why
from colora.system.storage import size_text
from colora.system.table_rows import (
    MOST_CELL,
    MOST_CELLS,
    MOST_ROWS,
    TOO_LARGE,
    Gathered,
    HasHeader,
    NoTable,
    Record,
    check_names,
    numbered,
)
from colora.system.typed import one_line, shortened

MOST_UNPACKED = 1 << 29  # bytes of a workbook: a million rows of five cells
MOST_PARTS = 10_000  # of its files
MOST_TEXT = 1 << 30  # bytes of a Parquet file's cells
SHEET_ROWS = 1 << 20  # that Excel knows
PARQUET_ROWS = 4096  # read at once


class Sheet(NamedTuple):
    columns: Gathered
    told: str
    warnings: tuple[str, ...]


def read_workbook(content: bytes, has_header: HasHeader) -> Sheet:
    """The first visible sheet that holds anything. Raises NoTable."""
    from openpyxl import load_workbook  # with most of its package: a third of a second

    _check_packed(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts of a workbook that are no cells
            book = load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
            sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"] or book.worksheets
            chosen = next((sheet for sheet in sheets if any(any(row) for _, row in _sheet_records(sheet))), None)
            if chosen is None:
                raise NoTable("it is empty")
            found = Gathered(_sheet_records(chosen), has_header, True, "", "row")
    except NoTable:
        raise
    except Exception as error:  # openpyxl, zipfile and expat raise nearly everything on damaged bytes
        raise NoTable(why(error)) from error
    title = one_line(shortened(chosen.title))
    said = f"It has {len(book.worksheets)} sheets; '{title}', the first that holds anything, was read."
    return Sheet(found, f"from the sheet '{title}'", (said,) if len(book.worksheets) > 1 else ())


def _check_packed(content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
    except Exception as error:  # as above
        raise NoTable(why(error)) from error
    if "[Content_Types].xml" not in {part.filename for part in parts}:
        raise NoTable("it is a zip archive and no workbook of Excel: unpack it, or save the table as .xlsx or CSV")
    unpacked = sum(part.file_size for part in parts)
    if unpacked > MOST_UNPACKED or len(parts) > MOST_PARTS:
        raise NoTable(
            f"it unfolds into {size_text(unpacked)} in {len(parts):,} parts, and {size_text(MOST_UNPACKED)} are read "
            "at most: save the table as CSV"
        )


def _sheet_records(sheet: Any) -> Iterator[Record]:
    sheet.reset_dimensions()  # what a sheet says of its size is often wrong
    cells = 0
    for number, row in enumerate(sheet.iter_rows(min_row=1, min_col=1, values_only=True), start=1):
        cells += len(row)
        if number > SHEET_ROWS or cells > MOST_CELLS:
            raise NoTable(f"it has more than the {SHEET_ROWS:,} rows or {MOST_CELLS:,} cells that are read at most")
        texts = [cell_text(value) for value in row]
        if any(len(text) > MOST_CELL or "\0" in text for text in texts):
            raise NoTable(f"row {number:,} has a cell of more than {MOST_CELL:,} characters, or with a NUL in it")
        yield number, texts


def cell_text(value: Any) -> str:
    """A typed cell as a person would type it: 3.0 is "3", a date without a time is a date, nothing is ""."""
    if value is None or value is pd.NaT:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).upper()  # as Excel writes it
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, dt.datetime):
        bare_date = value.time() == dt.time() and value.tzinfo is None
        return value.date().isoformat() if bare_date else value.isoformat(sep=" ")
    return str(value)


def read_parquet(content: bytes) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """(N rows of text, what was left out: columns of lists, of pictures and the like). Raises NoTable."""
    try:
        return _parquet(content)
    except NoTable:
        raise
    except Exception as error:  # of damaged bytes pyarrow raises errors of very many kinds
        raise NoTable(why(error)) from error


def _parquet(content: bytes) -> tuple[pd.DataFrame, tuple[str, ...]]:
    from pyarrow import types
    from pyarrow.parquet import ParquetFile

    claimed = ParquetFile(io.BytesIO(content))
    names, rows = list(claimed.schema_arrow.names), claimed.metadata.num_rows
    check_names(names)
    if rows > MOST_ROWS or rows * len(names) > MOST_CELLS:
        raise NoTable(TOO_LARGE.format(MOST_ROWS, MOST_CELLS))
    kinds = {name: claimed.schema_arrow.field(name).type for name in names}
    plain = {name: kind.value_type if types.is_dictionary(kind) else kind for name, kind in kinds.items()}
    texts = [name for name in names if types.is_string(plain[name]) or types.is_large_string(plain[name])]
    cells = [
        name for name in names if name in texts or types.is_primitive(plain[name]) or types.is_decimal(plain[name])
    ]
    cells = [name for name in cells if not name.startswith("__index_level_")]  # pandas' own count of rows
    if not cells:
        raise NoTable("it has no column of text or numbers")
    # A text that occurs a million times stands in the file once: as a dictionary it takes no more here, until counted.
    file = ParquetFile(io.BytesIO(content), read_dictionary=[name for name in texts if name in cells])
    left_out = [name for name in names if name not in cells and not name.startswith("__index_level_")]
    said = f"Columns that hold no text or numbers were left out: {one_line(shortened(', '.join(left_out)))}."
    return _read_batches(file, cells), (said,) if left_out else ()


def _read_batches(file: Any, names: list[str]) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import compute

    found: dict[str, list[Any]] = {name: [] for name in names}
    size = 0
    for batch in file.iter_batches(batch_size=PARQUET_ROWS, columns=names):
        for name in names:
            column = batch.column(name)
            if pa.types.is_dictionary(column.type):
                _check_cells(column.dictionary, name)
                column = column.cast(pa.large_string())
            elif not pa.types.is_large_string(column.type):
                column = pa.array([cell_text(value) for value in column.to_pylist()], pa.large_string())
            size += column.nbytes
            found[name].append(compute.fill_null(column, ""))
        if size > MOST_TEXT:
            raise NoTable(f"its cells take more than {size_text(MOST_TEXT)}, which are read at most")
    columns = {name: pa.chunked_array(parts, pa.large_string()) for name, parts in found.items()}
    for column in columns.values():
        column.validate(full=True)  # text in name only is told here and not by whoever looks at a cell
    return pd.DataFrame(
        {name or numbered(i): pd.Series(c.to_numpy(), dtype=str) for i, (name, c) in enumerate(columns.items())}
    )


def _check_cells(texts: Any, name: str) -> None:
    from pyarrow import compute

    longest = compute.max(compute.binary_length(texts)).as_py() or 0
    if longest > MOST_CELL or compute.any(compute.match_substring(texts, "\0")).as_py():
        raise NoTable(
            f"its column {one_line(shortened(name))} has a cell of more than {MOST_CELL:,} bytes, or with a NUL in it"
        )
