"""What people type and paste, read alike in every field and on the command line. Standard library only.

A path may come as Windows' "Copy as path" gives it ("C:\\scans\\left eye"), with typographic quotes, as the address
that a browser or a file manager copies (file:///home/me/left%20eye), with blanks or invisible marks around it. A number
may have a decimal comma.
"""

import math
import os
import re
from pathlib import Path
from urllib.parse import unquote

from colora.system.errors import UserError

MARKS = "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"  # seen by nobody
BLANKS = "".join(c for c in map(chr, range(0x3001)) if c.isspace()) + MARKS
QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“”", "‘": "’", "‚": "‘’", "«": "»", "»": "«"}  # opening: its closing ones
ADDRESS = re.compile(r"file:(?://(?P<host>[^/]*))?(?P<place>/.*)", re.IGNORECASE | re.DOTALL)
WINDOWS = os.name == "nt"
LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes, on Linux's and macOS' usual disks; on Windows 255 letters
LONGEST_LINE = 4_000  # letters of a sentence
SHOWN = 60  # letters of what was typed, in a sentence about it
NUMBER = re.compile(r"[+-]?(\d{1,3}([ \u00a0\u2009\u202f]\d{3})+|\d+)?([.,]\d*)?(e[+-]?\d+)?", re.IGNORECASE)

# pathlib's own raise for a name that is too long, and where this user may not look.
exists, is_dir, is_file = os.path.exists, os.path.isdir, os.path.isfile


def bare(text: str) -> str:
    """The text without blanks and invisible marks around it."""
    return text.strip(BLANKS)


def shortened(text: str) -> str:
    """The beginning of a text that may be long, for a sentence."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def one_line(text: str) -> str:
    """The text on one line that somebody can read: blanks joined; in place of what cannot be printed, as half a
    character of a file name in another encoding or what moves a terminal's cursor, its escape; without the middle of a
    very long one."""
    joined = " ".join(text.split())
    if len(joined) > LONGEST_LINE:
        joined = f"{joined[: LONGEST_LINE // 2]}…{joined[-LONGEST_LINE // 2 :]}"
    return joined if joined.isprintable() else visible(joined)


def visible(name: str) -> str:
    """A name as it stands, blanks and all, but for what is no letter of a line, which is written as its escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def clean_path(text: str, field: str | None = None) -> str:
    """The path that a text means, with `~` as it stands and whether or not there can be such a path; "" of blanks.

    Raises UserError for an address that names another computer, or that is no text.
    """
    text = bare(text)
    while len(text) > 1 and text[-1] in QUOTES.get(text[0], ""):
        text = bare(text[1:-1])
    address = ADDRESS.fullmatch(text)
    if not address:
        return text
    host = address["host"] or ""
    try:
        place = unquote(address["place"], errors="strict")
    except UnicodeDecodeError as error:
        raise UserError(f"The address {shortened(text)} is not in UTF-8: type the path itself.", field) from error
    if WINDOWS:
        return place.lstrip("/") if host in ("", "localhost") else f"//{host}{place}"
    if host not in ("", "localhost"):
        raise UserError(
            f"The address {shortened(text)} names another computer, {shortened(host)}: type the path under which this "
            "one reaches it.",
            field,
        )
    return place


def typed_path(text: str | os.PathLike[str], field: str | None = None) -> Path:
    """The path that a text means, with `~` resolved; it need not exist. Raises UserError where no such path can be."""
    path = clean_path(os.fspath(text), field)
    if "\0" in path:
        raise UserError(
            f"The path {shortened(path.replace(chr(0), '�'))} holds a NUL character, which no path can have.", field
        )
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError as error:
        raise UserError("The path holds a character that no file name can have.", field) from error
    expanded = str(at_home(path, field=field)) if path.startswith("~") else path
    names = re.split(r"[/\\]", expanded) if WINDOWS else expanded.split("/")
    longest = max(names, key=_length)
    if _length(longest) > LONGEST_NAME:
        raise UserError(
            f"The name {shortened(longest)} is too long: it takes {_length(longest):,} bytes, and that of a file or "
            f"folder {LONGEST_NAME} at most.",
            field,
        )
    if len(encoded) > LONGEST_PATH:
        raise UserError(f"The path {shortened(path)} is too long: it has {len(path):,} letters.", field)
    return Path(expanded)


def at_home(path: str | os.PathLike[str], instead: str = "type the whole path", field: str | None = None) -> Path:
    """The path with the home folder in place of a `~` at its beginning. Raises UserError where the account, or the one
    that is named, has none, as in a container that runs under a foreign number; `instead` says what to do."""
    text = os.fspath(path)
    expanded = os.path.expanduser(text)
    if text.startswith("~") and expanded.startswith("~"):
        whose = one_line(shortened(re.split(r"[/\\]", text)[0]))
        raise UserError(f"There is no home folder {whose} on this computer: {instead}.", field)
    return Path(expanded)


def _length(name: str) -> int:
    return len(name) if WINDOWS else len(os.fsencode(name))


def typed_number(text: str) -> float:
    """`"0,01"`, `" 1e-2 "`, `"0.01"` -> 0.01; `"1 000"` -> 1000.0. Raises ValueError for anything else."""
    plain = bare(text).replace("−", "-")
    if not NUMBER.fullmatch(plain):
        raise ValueError(f"'{shortened(plain)}' is no number")
    value = float("".join(plain.split()).replace(",", "."))
    if not math.isfinite(value):
        raise ValueError(f"'{shortened(plain)}' is too large")
    return value


def number_text(value: float) -> str:
    """`0.001`, and every digit of a number that has more than six: the inverse of `typed_number`."""
    return short if float(short := f"{value:g}") == value else repr(value)


def typed_numbers(text: str) -> list[float]:
    """Several numbers, or one. Raises ValueError where one is none.

    Semicolons separate. Without one a comma does, unless it makes a number of the whole text, as "0,01", or a blank
    follows other commas, as in "0,01, 0,03". Commas alone that could be either, as in "0,1,0,3", are refused.
    """
    text = text.strip(BLANKS + ",;")
    if ";" in text:
        return [typed_number(part) for part in text.split(";") if bare(part)]
    for separator in ("$", r",\s+", ","):  # none, each comma before a blank, each comma
        parts = [part for part in re.split(separator, text) if bare(part)]
        try:
            found = [typed_number(part) for part in parts]
        except ValueError:
            continue
        if separator != "," or (re.search("[.eE]", text) and not any(re.match(r"0\d", part) for part in parts)):
            return found
    raise ValueError(f"'{shortened(text)}' is not one number, nor several with semicolons")


def typed_whole_numbers(text: str) -> list[int]:
    """The same of whole numbers, which both commas and semicolons separate. Raises ValueError where one is none."""
    found = [typed_number(part) for part in re.split("[,;]", text) if bare(part)]
    if not all(value.is_integer() for value in found):
        raise ValueError(f"'{shortened(text)}' is not whole")
    return [int(value) for value in found]
