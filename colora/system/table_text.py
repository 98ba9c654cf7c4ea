"""CSV as people have it: with commas, semicolons, tabs or bars, as UTF-8, UTF-16 or Windows' own letters.

Which of the four separates is tried out and not guessed from how often a character occurs: the one that gives the most
of the first lines as many cells as the very first line has, quotes heeded, and of two that agree the one with more
cells. Decimal commas and commas within texts come and go from line to line, so a wrong separator agrees with few.
"""

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import NamedTuple

from colora.system.table_rows import MOST_CELL, NoTable, Record
from colora.system.typed import one_line, shortened

SEPARATORS = {"\t": "tabs", ";": "';'", "|": "'|'", ",": "','"}  # of two that agree equally, the rarer in prose counts
TRIED_LINES = 500
TOLD = re.compile(r'"?sep=([\t;|,])"?\r?\n?', re.IGNORECASE)  # Excel's own first line, which names the separator
CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
END = "\0"  # a line that no text has, behind the last: what it is a part of is a quote that nobody has closed


class Text(NamedTuple):
    """The records of a text file, how its columns are separated, and what a person should look at."""

    records: Iterator[Record]
    told: str  # "with ';' between its columns"
    warnings: tuple[str, ...]


def text_records(content: bytes) -> Text:
    """Raises NoTable for what is no text; for a quote that is never closed, when the records get there."""
    text, warnings = _decoded(content)
    named = TOLD.match(text)
    if named:
        text = text[named.end() :]
    separator = named[1] if named else _separator(text)
    told = f"with {SEPARATORS[separator]} between its columns" if separator else "as one column"
    return Text(_records(text, separator or ",", 1 if named else 0), told, warnings)


def _decoded(content: bytes) -> tuple[str, tuple[str, ...]]:
    warnings: tuple[str, ...] = ()
    try:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            text = content.decode("utf-16")
        else:
            text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text, warnings = _windows(content, error)
    if "\0" in text:
        raise NoTable(
            "it holds NUL characters, so it is no text, or UTF-16 without the mark at its beginning: save it as CSV in "
            "UTF-8"
        )
    return text, warnings


def _windows(content: bytes, error: UnicodeDecodeError) -> tuple[str, tuple[str, ...]]:
    """Windows-1252, in which Latin-1's letters are the same. Not where most letters beyond ASCII are UTF-8's, of which
    some are damaged; bytes that Windows-1252 does not have are another script's, or no text at all."""
    line, read = content.count(b"\n", 0, error.start) + 1, content.decode("utf-8", "replace")
    damaged = read.count("\ufffd")
    if error.encoding != "utf-8" or sum(not letter.isascii() for letter in read) > 2 * damaged:
        raise NoTable(f"it is {error.encoding.upper()} with damaged bytes in line {line:,}: save it anew")
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    if not text or CONTROL.search(text):
        raise NoTable(f"it is no text in UTF-8, UTF-16 or Windows-1252 (line {line:,}): save it as CSV in UTF-8")
    letters = one_line(shortened(" ".join(sorted({letter for letter in text if not letter.isascii()}))))
    return text, (f"It is not in UTF-8 and was read as Windows-1252: see whether these are its letters: {letters}",)


def _separator(text: str) -> str | None:
    """None where no line is divided by any of them."""
    lines = list(islice(io.StringIO(text, newline=""), TRIED_LINES))
    agreeing = {separator: _agreement(lines, separator) for separator in SEPARATORS}
    best = max(agreeing, key=lambda separator: agreeing[separator])
    return best if agreeing[best][0] else None


def _agreement(lines: list[str], separator: str) -> tuple[float, int]:
    """(share of records with as many cells as the first, cells of the first)."""
    widths = []
    try:
        for row in csv.reader(lines, delimiter=separator):
            if any(row):
                widths.append(len(row))
    except csv.Error:  # a cell without end, which is told where the file is read
        pass
    first = widths[0] if widths else 0
    return (widths.count(first) / len(widths), first) if first > 1 else (0.0, 0)


def _records(text: str, separator: str, before: int) -> Iterator[Record]:
    """`before` is the number of lines that were taken off."""
    reader = csv.reader(chain(io.StringIO(text, newline=""), [END]), delimiter=separator)
    line = before + 1
    try:
        for row in reader:
            if row and row[-1].endswith(END):
                if row == [END]:
                    return
                raise NoTable(f"a quote that opens in line {line:,} or behind it is never closed")
            yield line, row
            line = before + reader.line_num + 1
    except csv.Error as error:
        raise NoTable(
            f"line {line:,} has a cell of more than {MOST_CELL:,} characters: look for a quote that opens there and is "
            "never closed"
        ) from error
