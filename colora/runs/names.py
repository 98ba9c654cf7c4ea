"""Names in a runs folder: of groups, cuts and readers, which become names of files; and of what a group has predicted.

A group has predictions of its own splits, "train", "val" and "test", and of other data that its models were tested on:
"external/NAME", which stands wherever a split's name does. Knows no other module of `runs`.
"""

import re
from pathlib import Path

from colora.system.errors import UserError
from colora.system.typed import shortened

# One space at a time, since two look like one.
NAME = re.compile(r"(?=.{1,80}\Z)[A-Za-z0-9][A-Za-z0-9._-]*(?: [A-Za-z0-9._-]+)*")
RULE = "use up to 80 letters, digits, dots, dashes, underscores and single spaces, beginning with a letter or a digit"
EXTERNAL = "external/"
ELSEWHERE = "choose another --runs-dir"  # where the disk of a runs folder takes nothing
RESERVED = ("train", "val", "validation", "test", "all")  # which would pass for splits of a group's own


def check_file_name(name: str, what: str, field: str = "name") -> None:
    """Raises UserError, marking `field`, where `name` does not fit `what` ("a group"): it becomes a file's name."""
    if not NAME.fullmatch(name):
        raise UserError(
            f"'{shortened(name)}' cannot name {what}: {RULE}.",
            field=field,
        )


def is_external(split: str) -> bool:
    """Whether it is no split of the group's own data."""
    return split.startswith(EXTERNAL)


def external_name(split: str) -> str:
    """NAME of "external/NAME". Raises UserError where it is no such name, and where it would pass for a split."""
    name = split.removeprefix(EXTERNAL)
    check_file_name(name if is_external(split) else "", "a test on other data")
    if name.casefold() in RESERVED:
        raise UserError(f"'{name}' would pass for a split of the group's own: choose another name.", field="name")
    return name


def external_folder(group: Path, split: str) -> Path:
    """Where a group keeps what it predicted of other data. Raises UserError as `external_name`."""
    return Path(group) / "external" / external_name(split)
