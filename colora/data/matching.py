"""The classes of other data meet those that finished models know: by name, or in their order where a side has no names.

A set may have fewer classes than the models, or more: an external test set seldom has the same ones. What it has no
image of can be said nothing about; what the models do not know they can only get wrong, so that is never done silently.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from colora.data.dataset import Split
from colora.data.sources import Outside
from colora.settings.resolved import Resolved
from colora.system.errors import UserError
from colora.system.typed import shortened

MOST_NAMED = 12  # classes that one sentence names
UNKNOWN = -1
NAME_THEM = "Name the data's classes in label order with --class-names"


@dataclass(frozen=True)
class Matched:
    """Images with the models' labels.

    classes: one row a class of the data: own (its name there), given (the one that a person gave it, or None), model
    (the class of the models that it is, or None), images; absent: the models' classes without an image; left_out:
    images of each class that the models do not know, which are not among these. kept (n,): the positions of the others
    among the data's.
    """

    images: Split
    kept: np.ndarray
    classes: list[dict[str, Any]]
    absent: tuple[str, ...]
    left_out: dict[str, int]
    warnings: tuple[str, ...]


def match_classes(resolved: Resolved, outside: Outside, leave_out_unknown: bool = False) -> Matched:
    """Raises UserError where a class is unknown to the models and not to be left out, could be several of them, or
    where a side has no names and the numbers of classes differ."""
    known, names, split = resolved.class_names, outside.dataset.class_names, outside.images
    counts = np.bincount(split.labels, minlength=len(names))
    source = outside.dataset.source
    by_name = _by_name(resolved, outside)
    to_model = _named_alike(known, names, counts, source) if by_name else _in_order(known, names, source)
    left_out = {names[c]: int(counts[c]) for c in np.flatnonzero((to_model == UNKNOWN) & (counts > 0))}
    keep = to_model[split.labels] != UNKNOWN
    if not keep.any():
        raise UserError(
            f"{source} has no image of a class that the models know: it has {named(list(left_out))}, and they know "
            f"{named(known)}. {NAME_THEM}.",
            field="class_names",
        )
    if left_out and not leave_out_unknown:
        raise _unknown(source, left_out, known)
    kept = np.flatnonzero(keep)
    own = split if keep.all() else split.take(kept)
    images = Split(own.images, to_model[own.labels], own.image_ids, own.patient_ids)
    there = np.bincount(images.labels, minlength=len(known))
    renamed = names != outside.own_names
    rows = [
        {
            "own": outside.own_names[c],
            "given": name if renamed else None,
            "model": None if to_model[c] == UNKNOWN else known[to_model[c]],
            "images": int(counts[c]),
        }
        for c, name in enumerate(names)
    ]
    absent = tuple(name for name, n in zip(known, there, strict=True) if n == 0)
    warnings = (*(() if by_name else _said_order(resolved, outside)), *_said_left_out(left_out))
    return Matched(images, kept, rows, absent, left_out, warnings)


def _by_name(resolved: Resolved, outside: Outside) -> bool:
    """Whether both sides name their classes. Numbers are names too, where one side has them as such: those of folders
    0, 1, 2 are what a file without names calls its classes."""
    given = (resolved.class_names_given, outside.dataset.class_names_given)
    numbers = all(name.isdecimal() for name in (*resolved.class_names, *outside.dataset.class_names))
    return all(given) or (numbers and any(given))


def _folded(name: str) -> str:
    """What two spellings of one name have in common."""
    folded = unicodedata.normalize("NFC", name).strip().casefold()
    return (folded.lstrip("0") or "0") if folded.isdecimal() else folded


def _named_alike(known: Sequence[str], names: Sequence[str], counts: np.ndarray, source: str) -> np.ndarray:
    """(C,) int64, the models' label of each of the data's, UNKNOWN where they have none: of the same name, else of one
    that differs in capitals alone."""
    place = {name: c for c, name in enumerate(known)}
    alike: dict[str, list[str]] = {}
    for name in known:
        alike.setdefault(_folded(name), []).append(name)
    rivals: dict[str, list[str]] = {}
    for name, n in zip(names, counts, strict=True):
        if n:
            rivals.setdefault(_folded(name), []).append(name)
    found = np.array([place.get(name, UNKNOWN) for name in names], dtype=np.int64)
    for c in np.flatnonzero((found == UNKNOWN) & (counts > 0)):
        candidates, own = alike.get(_folded(names[c]), []), rivals[_folded(names[c])]
        if len(candidates) > 1 or (candidates and len(own) > 1):
            raise UserError(
                f"{source} has the class{'es' * (len(own) > 1)} {' and '.join(own)}, and the models know "
                f"{' and '.join(candidates)}: which is which is not clear. Name each as the models do, or put them "
                "into one.",
                field="class_names",
            )
        if candidates:
            found[c] = place[candidates[0]]
    return found


def _in_order(known: Sequence[str], names: Sequence[str], source: str) -> np.ndarray:
    if len(known) != len(names):
        raise UserError(
            f"The models know {len(known)} classes ({named(known)}), but {source} has {len(names)} ({named(names)}), "
            f"and not both sides name theirs: which is which is not known. {NAME_THEM}.",
            field="class_names",
        )
    return np.arange(len(known))


def _unknown(source: str, left_out: dict[str, int], known: Sequence[str]) -> UserError:
    them, it = ("classes", "their") if len(left_out) > 1 else ("class", "its")
    return UserError(
        f"{source} has the {them} {_counted(left_out)}, unknown to the models; they know {named(known)}. {NAME_THEM}, "
        f"or leave {it} images out with --leave-out-unknown.",
        field="class_names",
    )


def _said_order(resolved: Resolved, outside: Outside) -> Iterator[str]:
    names = outside.dataset.class_names
    pairs = _first([f"{shortened(a)} as {shortened(b)}" for a, b in zip(names, resolved.class_names, strict=True)])
    if resolved.class_names_given or outside.dataset.class_names_given:
        yield f"Only one side names its classes, so they were matched by sorted order: {pairs}."
    else:
        yield f"Neither the models nor the data name their classes, so they were matched by number: {pairs}."


def _said_left_out(left_out: dict[str, int]) -> Iterator[str]:
    if left_out:
        yield (
            f"Left out, since the models do not know the class: {_counted(left_out)}. These figures say nothing of "
            "what the models make of such images."
        )


def _counted(classes: dict[str, int]) -> str:
    return _first([f"{shortened(name)} ({n:,} image{'s' * (n != 1)})" for name, n in classes.items()])


def named(names: Sequence[str]) -> str:
    """`A, B, C`; where there are many, the first of them `and 5 more`."""
    return _first(list(map(shortened, names)))


def _first(parts: Sequence[str]) -> str:
    more = len(parts) - MOST_NAMED
    return ", ".join(parts[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
