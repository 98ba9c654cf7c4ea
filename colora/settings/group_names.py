"""Names of groups that differ in some settings: NAME-SETTING-VALUE-SETTING-VALUE, as `runs.names.NAME` has them.

Readable first: a path gives its last part, and what no name may have becomes a dash. Where two would be the same, or
one too long, the first digits of a hash of the values tell them apart; they depend on the values alone.
"""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath, PureWindowsPath
from typing import Any

from colora.settings.config import KNOWN_WEIGHTS, WITH_PATH, RunConfig, names_file
from colora.system.errors import UserError
from colora.system.typed import number_text

LONGEST = 80  # runs.names.NAME
DIGITS = 6  # of a hash
LONGEST_TEXT = 32  # of one value
SHORTEST = 12  # what is left of a long ending, beside the digits


def named(name: str, configs: Sequence[RunConfig], fields: Sequence[str]) -> list[str]:
    """The names of groups that differ in `fields`, in the order of `configs`. Raises UserError where `name` leaves no
    room."""
    if not fields:
        return [name]
    texts = {field: _distinct([getattr(config, field) for config in configs], field) for field in fields}
    endings = ["".join(f"-{_setting(field)}-{texts[field][i]}" for field in fields) for i in range(len(configs))]
    many = Counter(endings)
    room = LONGEST - len(name)
    found = []
    for ending, config in zip(endings, configs, strict=True):
        if len(ending) > room or many[ending] > 1:
            if room < SHORTEST + 1 + DIGITS:
                most = LONGEST - SHORTEST - 1 - DIGITS
                raise UserError(f"The name is too long for several groups: at most {most} letters.", field="name")
            values = [getattr(config, field) for field in fields]
            ending = f"{ending[: room - 1 - DIGITS].rstrip('-.')}-{_hash(values)}"
        found.append(name + ending)
    return found


def _setting(field: str) -> str:
    return field.replace("_", "-")


def _distinct(values: list[Any], field: str) -> list[str]:
    """A text for each value; the same text for the same value, and for no other."""
    texts = [value_text(field, value) for value in values]
    meant: dict[str, set[str]] = {}
    for text, value in zip(texts, values, strict=True):
        meant.setdefault(text, set()).add(json.dumps(value))
    return [
        text
        if len(meant[text]) == 1 and len(text) <= LONGEST_TEXT
        else f"{text[: LONGEST_TEXT - 1 - DIGITS].rstrip('-.')}-{_hash(value)}"
        for text, value in zip(texts, values, strict=True)
    ]


def value_text(field: str, value: Any) -> str:
    """`0.003`, `resnet18-layer3`, `folder-scans` of "folder:/data/scans": of what a name may have, and nothing else."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, list):
        return _slug("-".join(value))
    text = str(value)
    kind, _, place = text.partition(":")
    if field == "dataset" and kind in WITH_PATH:
        return _slug(f"{kind}-{_last(place)}")
    is_path = field == "data_dir" or (field == "weights" and text not in KNOWN_WEIGHTS)
    if is_path or (field == "cut" and names_file(text)):
        return _slug(_last(text))
    return _slug(text)


def _last(path: str) -> str:
    """The last part of a path, of Windows too, without the ending of a file that is read."""
    name = (PureWindowsPath(path) if "\\" in path else PurePath(path)).name or path
    return re.sub(r"\.(npz|json|pth|safetensors)$", "", name)


def _slug(text: str) -> str:
    """Plain letters for accented ones, and one dash for each stretch of what no name may have."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._]+", "-", plain).strip("-.") or f"x{_hash(text)}"


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:DIGITS]
