"""How an image, or a patient, stands in an address: as the first digits of a hash, never by its name.

File names can name patients, and an address is kept by the browser's history, by a proxy's log and in whatever it is
sent with. The hash is of the data's checksum and the name, so that it means the same to everybody with the same data,
and is not to be looked up in a list of names that some other data have. Of two names with the same digits neither is
found: another image than the one that was meant is never shown.
"""

import hashlib
from collections.abc import Iterable

import streamlit as st

from pages.components import address

IMAGE = "image"
DIGITS = 16  # of the hash: of a million names two have the same with a chance of 1 in 30 million
OPENED = "opened-image"


def code(data_checksum: str, name: str) -> str:
    return hashlib.sha256(f"{data_checksum}\n{name}".encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def meant(data_checksum: str, names: Iterable[str], asked: str) -> str | None:
    """The one of `names` that an address means by its code, or by itself, as older versions wrote it; None of none."""
    names = list(dict.fromkeys(names))
    found = [name for name in names if code(data_checksum, name) == asked]
    if found:
        return found[0] if len(found) == 1 else None
    return asked if asked in names else None


def open_image(data_checksum: str, image_id: str) -> None:
    """The address names this image from now on."""
    short = code(data_checksum, image_id)
    st.session_state[OPENED] = short, image_id
    address.put(IMAGE, short)


def named_now(drawn: str) -> str | None:
    """The image that the address names by now: the one that was opened last, or else `drawn`; None where it names
    none."""
    short, image_id = st.session_state.get(OPENED, (None, drawn))
    asked = address.get(IMAGE)
    return None if not asked else image_id if asked == short else drawn


def opened_image(data_checksum: str, image_ids: Iterable[str]) -> str | None:
    """The image that the address names, or what stands there instead where that is none; None where it names none."""
    asked = address.get(IMAGE)
    if not asked:
        return None
    short, image_id = st.session_state.get(OPENED, (None, None))
    if asked != short:  # of a link, or the browser's Back: only then every image is looked at
        image_id = meant(data_checksum, image_ids, asked)
        if image_id is None:
            return asked
        open_image(data_checksum, image_id)  # also where the address still had its name
    return image_id


def name(key: str, data_checksum: str, names: Iterable[str]) -> str:
    """`address.text` of a field for a patient's id, or an image's."""

    def read(asked: str) -> str:
        if (found := meant(data_checksum, names, asked)) is None:
            raise ValueError(asked)
        return found

    return address.text(key, written=lambda typed: code(data_checksum, typed), read=read)
