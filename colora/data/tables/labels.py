"""The classes of a table: its labels as they stand, but for blanks around them and the .0 of a column of floats."""

import re
import unicodedata
from collections import Counter

from colora.data.catalogue import WHOLE, in_order
from colora.settings.catalog import MOST_CLASSES
from colora.system.errors import UserError
from colora.system.table_file import Table, columns_text
from colora.system.typed import bare, one_line, shortened

WHOLE_AS_FLOAT = re.compile(r"([+-]?\d{1,18})[.,]0*")
LONGEST_NAME = 255  # letters
NO_LABEL = {"nan", "<na>", "na", "n/a", "#n/a", "null"}  # as programs write a missing cell; "none" may be a class
EACH_ITS_OWN = 20  # so many images, and every one of another class: that column holds something else


def labels_of(table: Table, column: str) -> list[str]:
    """Class name of each row, "" where it has none.

    Raises UserError for labels that differ in case or blanks alone: whether they are one class, a person knows.
    """
    raw = [text if text.isascii() else unicodedata.normalize("NFC", text) for text in table.cells[column].tolist()]
    counts = Counter(raw)
    alike: dict[str, list[str]] = {}
    for label in sorted(counts):
        if bare(label):
            alike.setdefault("".join(label.casefold().split()), []).append(label)
    if doubtful := [labels for labels in alike.values() if len(labels) > 1]:
        told = "; ".join(
            " and ".join(f"{shortened(label)!r} ({_rows(counts[label])})" for label in labels)
            for labels in (sorted(labels, key=lambda label: -counts[label]) for labels in doubtful[:5])
        )
        raise UserError(
            f"The column {one_line(shortened(column))} of {table.name} has labels that differ in capitals or blanks "
            f"alone: {told}. Make them alike in the table: as they stand, each would be a class of its own.",
            field="columns",
        )
    names = {label: "" if bare(label).casefold() in NO_LABEL else bare(label) for label in counts}
    whole = whole_numbers(list(names.values()))
    names = dict(zip(names, whole, strict=True))
    return [names[label] for label in raw]


def _rows(count: int) -> str:
    return f"{count:,} row" + ("" if count == 1 else "s")


def whole_numbers(texts: list[str]) -> list[str]:
    """`["0.0", "1.0", ""]` -> `["0", "1", ""]`, as a column of whole numbers looks that some cell made one of floats;
    unchanged where any text is something else."""
    found = [WHOLE_AS_FLOAT.fullmatch(text) for text in texts]
    if not any(found) or not all(m or not text or WHOLE.fullmatch(text) for m, text in zip(found, texts, strict=True)):
        return texts
    return [m[1] if m else text for m, text in zip(found, texts, strict=True)]


def class_names(labels: list[str], table: Table, column: str, at_least: int = 2) -> tuple[str, ...]:
    """The classes that there are, `in_order`. Raises UserError for fewer than `at_least`, for more than data may have,
    and where every image has its own."""
    names = in_order(set(labels))
    about = f"The column {one_line(shortened(column))} of {table.name}"
    long = max(map(len, names), default=0) > LONGEST_NAME
    such = ", ".join(one_line(shortened(name)) for name in sorted(names, key=len)[-3:])
    if len(names) > MOST_CLASSES or len(labels) == len(names) > EACH_ITS_OWN or long:
        raise UserError(
            f"{about} has {len(names):,} different labels for {len(labels):,} images, such as {such}: that is "
            "no class. Which column is it? Say so with --columns label=... (in the app: the field Columns); its "
            f"columns are: {columns_text(table)}.",
            field="columns",
        )
    if len(names) < at_least:
        raise UserError(
            f"{about} has images of one class only ({one_line(shortened(names[0]))}); at least two are needed. If "
            "another column holds the class, say so with --columns label=... (in the app: the field Columns); its "
            f"columns are: {columns_text(table)}.",
            field="columns",
        )
    return tuple(names)
