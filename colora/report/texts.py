"""Texts and figures as they stand on paper: short enough, and of letters that typst's own fonts have."""

import re
import unicodedata
from collections.abc import Sequence

from colora.system.typed import one_line

# What the fonts inside typst can draw and what stands in one place on a line: Latin, Greek and Cyrillic letters
# (without marks that are stacked on others), punctuation, signs.
DRAWN = (
    range(0x20, 0x300),
    range(0x370, 0x483),
    range(0x48A, 0x500),
    range(0x1E00, 0x2000),
    range(0x2010, 0x2041),
    range(0x2070, 0x20CE),
    range(0x2100, 0x211F),
    range(0x2190, 0x2247),
    range(0x2248, 0x22AC),
)
LONGEST = 240  # letters of a sentence
NAME = 100  # of a name
LONG_WORD = re.compile(r"\S{25,}")


def drawn(text: str, most: int = LONGEST) -> str:
    """The text on one line of at most `most` letters, without its middle if need be: two long names differ at either
    end. A letter that the fonts lack is written by its number, as [U+5F20]: boxes would make all such names one."""
    composed = unicodedata.normalize("NFC", one_line(text))  # macOS writes ä of a file name as a and two dots
    known = "".join(c if any(ord(c) in block for block in DRAWN) else f"[U+{ord(c):04X}]" for c in composed)
    if len(known) <= most:
        return known
    return f"{known[: most // 2]}…{known[len(known) - (most - 1) // 2 :]}"


def breakable(text: str) -> str:
    """The text with places inside words longer than a line where a line may end, which nobody sees."""
    return LONG_WORD.sub(lambda word: "\u200b".join(re.findall(".{1,8}", word[0])), text)


def figure(value: float | None) -> str:
    """A figure with three decimals."""
    return "not defined" if value is None else f"{value:.3f}"


def probability(p: float) -> str:
    """With three decimals; none is written as 0 or 1 that is neither."""
    if 0 < p < 0.0005:
        return "< 0.001"
    return "> 0.999" if 0.9995 <= p < 1 else f"{p:.3f}"


def beyond(share: float, of: str) -> str:
    """`more than 64 % of validation images`: a place in [0, 1] among others."""
    return f"more than all {of}" if share >= 1 else f"more than {min(round(100 * share), 99)} % of {of}"


def listed(parts: Sequence[str], most: int, separator: str = ", ", last: str = " and ") -> str:
    """The first `most` of them, and how many more there are."""
    if len(parts) <= most:
        return separator.join(parts)
    return f"{separator.join(parts[:most])}{last}{len(parts) - most} more"
