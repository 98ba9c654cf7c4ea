"""Tables as CSV files that a spreadsheet shows and does not execute.

Excel, LibreOffice and Google Sheets take a cell for a formula whatever quotes stand around it in the file: an image, a
class or a note named `=HYPERLINK(...)` would run on the computer of whoever opens the file. Such a text gets a leading
apostrophe, by which a spreadsheet knows text, as OWASP's page on CSV injection says: where it begins with = + - @, a
tab, a carriage return or a line feed, or with the wide forms of the four, also after blanks, which some programs drop.
A text that would be one but for apostrophes before it gets one more, so that `as_typed` gives back every text exactly.
Numbers stay numbers: only texts are looked at.
"""

from typing import Any

import pandas as pd

from colora.system.typed import BLANKS

BEGINS_A_FORMULA = tuple("=+-@＝＋－＠")
BEGINS_A_CELL = ("\t", "\r", "\n")


def for_spreadsheet(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet might execute it."""
    return f"'{text}" if _is_taken_for_a_formula(text) else text


def as_typed(cell: str) -> str:
    """The inverse of `for_spreadsheet`."""
    return cell[1:] if cell.startswith("'") and _is_taken_for_a_formula(cell) else cell


def _is_taken_for_a_formula(text: str) -> bool:
    own = text.lstrip("'")
    return own.lstrip(" ").startswith(BEGINS_A_CELL) or own.lstrip(BLANKS).startswith(BEGINS_A_FORMULA)


def csv_bytes(table: pd.DataFrame) -> bytes:
    """The table without its index, UTF-8, in the form of RFC 4180."""
    shown = table.map(_cell).rename(columns=_cell)
    # Of a lone carriage return, which readers take for the end of a line, Python knows only where its own lines end so.
    return shown.to_csv(index=False, lineterminator="\r\n").encode()


def _cell(value: Any) -> Any:
    return for_spreadsheet(value) if isinstance(value, str) else value
