"""What stands in the document of a figure, as Plotly reads it."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

OWN_TAGS = re.compile(r"</?(b|extra)>|<br>|<span style='[a-z0-9:;#-]*'>|</span>")


def strings(document: Any) -> Iterator[str]:
    """Every text in it, wherever."""
    if isinstance(document, dict):
        for value in document.values():
            yield from strings(value)
    elif isinstance(document, list | tuple | np.ndarray):
        for value in document:
            yield from strings(value)
    elif isinstance(document, str):
        yield document


def numbers(array: Any) -> np.ndarray:
    """An array of it, which Plotly writes as its bytes where it is long."""
    if not isinstance(array, dict):
        return np.asarray(array)
    found = np.frombuffer(base64.b64decode(array["bdata"]), dtype=array["dtype"])
    return found.reshape([int(size) for size in str(array["shape"]).split(",")]) if "shape" in array else found


def markup(document: Any, hostile: str) -> list[str]:
    """The texts in which something stands that is not the figures' own and that Plotly would take for markup: any other
    tag, or the beginning of a `hostile` text, which is one that is no more than a tag or a `%{...}`."""
    return [text for text in strings(document) if "<" in OWN_TAGS.sub("", text) or hostile in text]
