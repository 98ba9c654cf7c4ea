"""Leaks: pictures that stand in two splits of a data set, the same or nearly, and pictures under two labels.

A model that has seen a test picture in training looks better than it is; one that is shown the same picture under two
labels learns neither. Whether two are the same is asked of the prepared pixels, which are what a network sees: files
that are equal byte for byte prepare to equal pixels, so that a hash of the files would find nothing more. What counts
as nearly the same, and how it was measured, stands in `alike`. Near duplicates within one split are no leak and not
looked for. Of whom the pictures are is not asked here.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from colora.data.alike import LEAST_CORRELATION, agreeing, correlations, signatures
from colora.data.dataset import SPLITS, Dataset, Split
from colora.data.prepare import Progress, quiet
from colora.settings.resolved import Count

RULE_VERSION = 1  # counts up when the same images would give other leaks, so that kept ones are found anew
MOST_PAIRS = 2_000
CHUNK_PIXELS = 2**23  # of images under way at once: 32 MB as float32
NONE = -1


class Shown(TypedDict):
    """One image of a pair."""

    split: str
    image_id: str
    label: int
    index: int  # in its split


class Pair(TypedDict):
    """Two images to look at.

    split: the same picture in two splits, a in the earlier one; class: the same picture under two labels; near: b has
    its nearest duplicate a in an earlier split. correlation: Pearson's at 64 px, 1 of the same picture.
    """

    kind: Literal["split", "class", "near"]
    a: Shown
    b: Shown
    correlation: float


@dataclass(frozen=True)
class Leaks:
    """What was found.

    exact_across_splits: pictures that stand in more than one split; exact_across_classes: pictures under more than one
    label, in one split or several; near_across_splits: images of validation and test that have a near duplicate in an
    earlier split and are themselves in none. pairs: one for each of these pictures and images, at most MOST_PAIRS, and
    pairs_left_out beyond. leaking: ids of all train images that are in validation or test too, or nearly; two_labels:
    ids of all train images whose picture has another label as well, wherever.
    """

    exact_across_splits: Count
    exact_across_classes: Count
    near_across_splits: Count
    pairs: tuple[Pair, ...]
    pairs_left_out: Count
    leaking: frozenset[str]
    two_labels: frozenset[str]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        lists = {"pairs": [*self.pairs], "leaking": sorted(self.leaking), "two_labels": sorted(self.two_labels)}
        return asdict(self) | lists

    @staticmethod
    def from_dict(document: Any) -> "Leaks":
        """Of `as_dict`. Raises ValueError for anything else."""
        return _LEAKS.validate_python(document)


_LEAKS = TypeAdapter(Leaks)


@dataclass(frozen=True)
class _Images:
    """All T images of a data set, split after split, and their P different pictures.

    starts (S + 1,) of the splits; which (T,), the number of each image's split; labels (T,); picture (T,), the same
    number for equal pixels; signature (T, D) as in `alike`; first (P, S), each picture's first image in each split, or
    NONE.
    """

    splits: list[Split]
    names: list[str]
    starts: np.ndarray
    which: np.ndarray
    labels: np.ndarray
    picture: np.ndarray
    signature: np.ndarray
    first: np.ndarray

    def shown(self, image: int) -> Shown:
        number = int(self.which[image])
        split, index = self.splits[number], int(image - self.starts[number])
        about = {"image_id": str(split.image_ids[index]), "label": int(split.labels[index]), "index": index}
        return {"split": self.names[number], **about}

    def pixels(self, images: np.ndarray, number: int) -> np.ndarray:
        """(n, S, S) uint8, of images of one split."""
        return self.splits[number].images[images - self.starts[number]]

    def ids(self, chosen: np.ndarray) -> frozenset[str]:
        """Of the train images among chosen (T,) bool."""
        if "train" not in self.names:
            return frozenset()
        number = self.names.index("train")
        return frozenset(self.splits[number].image_ids[chosen[self.which == number]].tolist())


def find_leaks(dataset: Dataset, on_progress: Progress = quiet) -> Leaks:
    """Looks at every image once, and at every pair of images of two splits. What `on_progress` raises ends it."""
    images = _read(dataset, on_progress)
    in_split = images.first != NONE  # (P, S)
    found: dict[str, list[tuple[int, int, float]]] = {
        "class": _of_two_classes(images),
        "split": [(*np.sort(row[row != NONE])[:2], 1.0) for row in images.first[in_split.sum(1) > 1]],
        "near": [],
    }
    known = np.zeros_like(in_split)  # (P, S): pictures of which a near duplicate in another split was found
    near_images = 0
    for later in range(1, len(images.names)):
        best, correlation = _nearest(images, later, known, on_progress)
        best[in_split[:, :later].any(1)] = NONE
        pictures = np.flatnonzero(best != NONE)
        found["near"] += [(best[p], images.first[p, later], float(correlation[p])) for p in pictures]
        near_images += int((best[images.picture[images.which == later]] != NONE).sum())
    of_two = np.zeros(len(in_split), dtype=bool)
    of_two[[images.picture[a] for a, *_ in found["class"]]] = True
    leaking = known[:, 0] | in_split[:, 1:].any(1)
    shown = dict(zip(found, _shared([len(pairs) for pairs in found.values()]), strict=True))
    return Leaks(
        exact_across_splits=len(found["split"]),
        exact_across_classes=len(found["class"]),
        near_across_splits=near_images,
        pairs=tuple(
            {"kind": kind, "a": images.shown(a), "b": images.shown(b), "correlation": round(correlation, 4)}
            for kind, pairs in found.items()
            for a, b, correlation in pairs[: shown[kind]]
        ),
        pairs_left_out=sum(map(len, found.values())) - sum(shown.values()),
        leaking=images.ids(leaking[images.picture]),
        two_labels=images.ids(of_two[images.picture]),
    )


def _read(dataset: Dataset, on_progress: Progress) -> _Images:
    names = [name for name in (*SPLITS, "all") if name in dataset.splits]
    splits = [dataset.splits[name] for name in names]
    sizes = [len(split) for split in splits]
    checksums, found, done = [], [], 0
    for split in splits:
        for part in _parts(split.images):
            on_progress(done, sum(sizes))
            images = split.images[part]
            checksums.append(Split(images, split.labels[part], split.image_ids[part]).checksums())
            found.append(signatures(images))
            done += len(images)
    _, picture = np.unique(np.concatenate(checksums), return_inverse=True)
    which = np.repeat(np.arange(len(names)), sizes)
    first = np.full((picture.max() + 1, len(names)), NONE)
    backwards = np.arange(len(picture))[::-1]  # so that of equal ones the first is written last
    first[picture[backwards], which[backwards]] = backwards
    starts = np.concatenate([[0], np.cumsum(sizes)])
    labels = np.concatenate([split.labels for split in splits])
    return _Images(splits, names, starts, which, labels, picture, np.concatenate(found), first)


def _parts(images: np.ndarray) -> Iterator[slice]:
    step = _step(images)
    return (slice(start, start + step) for start in range(0, len(images), step))


def _step(images: np.ndarray) -> int:
    """How many images are under way at once."""
    return max(1, CHUNK_PIXELS // images[0].size) if len(images) else 1


def _of_two_classes(images: _Images) -> list[tuple[int, int, float]]:
    """Of each picture with more than one label: its first image, and the first one under another label."""
    firsts = np.full(len(images.first), NONE)
    backwards = np.arange(len(images.picture))[::-1]
    firsts[images.picture[backwards]] = backwards
    others = np.full(len(images.first), NONE)
    backwards = backwards[(images.labels != images.labels[firsts[images.picture]])[::-1]]
    others[images.picture[backwards]] = backwards
    return [(firsts[p], others[p], 1.0) for p in np.flatnonzero(others != NONE)]


def _nearest(images: _Images, later: int, known: np.ndarray, on_progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """(P,) the nearest duplicate that each picture of the split `later` has in an earlier one, or NONE, and how far it
    correlates; both are marked in `known` (P, S).

    Among thousands of copies of one picture a pair of two that are known to leak is passed over, so that not all their
    pairs are looked at.
    """
    best, correlation = np.full(len(images.first), NONE), np.zeros(len(images.first), dtype=np.float32)
    own = images.first[images.first[:, later] != NONE, later]
    for earlier in range(later):
        theirs = images.first[images.first[:, earlier] != NONE, earlier]
        for a, b, crowded in agreeing(images.signature[theirs], images.signature[own]):
            on_progress(len(images.picture), len(images.picture))
            a, b = theirs[a], own[b]
            wanted = images.picture[a] != images.picture[b]
            if crowded:
                wanted &= ~known[images.picture[a], earlier] | ~known[images.picture[b], later]
            a, b = a[wanted], b[wanted]
            for start in range(0, len(a), step := _step(images.splits[later].images)):
                one, other = a[start : start + step], b[start : start + step]
                found = correlations(images.pixels(one, earlier), images.pixels(other, later))
                enough = np.flatnonzero(found >= LEAST_CORRELATION)
                enough = enough[np.argsort(found[enough], kind="stable")]  # of several the largest is written last
                known[images.picture[one[enough]], earlier] = known[images.picture[other[enough]], later] = True
                enough = enough[found[enough] > correlation[images.picture[other[enough]]]]
                best[images.picture[other[enough]]] = one[enough]
                correlation[images.picture[other[enough]]] = found[enough]
    return best, correlation


def _shared(lengths: list[int]) -> list[int]:
    """How many of each list are kept, MOST_PAIRS in all: no long list crowds out a short one."""
    kept, left = [0] * len(lengths), MOST_PAIRS
    for position, number in enumerate(order := np.argsort(lengths, kind="stable").tolist()):
        kept[number] = min(lengths[number], left // (len(order) - position))
        left -= kept[number]
    return kept
