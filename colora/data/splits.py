"""Which images train, which choose the epoch, which test: a source's own splits, and a split of what it leaves open.

By patient where patients are known, so that no eye is trained on and tested on; else by image within each class, which
is said. Names and labels alone decide, so an image that does not open moves no other one.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from colora.data.catalogue import Catalogue
from colora.data.dataset import SPLITS
from colora.system.errors import UserError

WORDS = {  # as folders and tables name a split, but for case and what is no letter
    "train": "train training trn trainset trainingset traindata trainingdata trainingsdaten",
    "val": "val valid validation validate dev development valset validationset valdata validationdata validierung "
    "validierungsdaten",
    "test": "test testing tst testset testdata testingdata testdaten holdout heldout",
}
SPLIT_OF = {word: split for split, words in WORDS.items() for word in words.split()}
SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
TITLES = {"train": "training", "val": "validation", "test": "test"}
UNKNOWN = (
    "The file names do not tell the patient, so the split is by image: scans of one patient can be in training and "
    "test, which makes the results look better than they are. Give --patient-pattern if the names have one."
)
UNKNOWN_IN_GIVEN = "Nothing tells the patients, so whether one is in several of the given splits is not known."


def bare_word(text: str) -> str:
    """"TEST set" -> "testset"."""
    return re.sub(r"[\W_]", "", text).lower()


def split_named(text: str) -> str | None:
    """The one of SPLITS that a folder's name or a table's cell means; None where it means none."""
    return SPLIT_OF.get(bare_word(text))


def splits_named(names: Sequence[str]) -> list[str | None]:
    """What each of several folders beside each other means, as `split_named`; and also where they differ in nothing but
    that word and a number: "OCT_train" and "OCT_test", "1 train" and "2 val"."""
    plain = [split_named(name) for name in names]
    if any(plain):
        return plain
    words = [[word.casefold() for word in re.findall(r"[^\W\d_]+", name)] for name in names]
    of_words = [[split for word in own if (split := SPLIT_OF.get(word))] for own in words]
    others = {tuple(word for word in own if word not in SPLIT_OF) for own in words}
    if len(others) == 1 and all(len(own) == 1 for own in of_words) and len({own[0] for own in of_words}) > 1:
        return [own[0] for own in of_words]
    return plain


@dataclass(frozen=True)
class Division:
    """which (N,) int64, the place in SPLITS of each image; rule and warnings for a person to read."""

    which: np.ndarray
    rule: str
    warnings: tuple[str, ...] = ()


def divide(catalogue: Catalogue, seed: int, source: str, pattern: str | None = None) -> Division:
    """The source's own splits as they are; what is missing of them is cut from its training images, 15 % each.

    Raises UserError, which calls the data `source`, where a split would have no image, or training one class only.
    """
    wanted = [name for i, name in enumerate(SPLITS) if catalogue.given is None or not (catalogue.given == i).any()]
    known = catalogue.patients.ids is not None
    unknown, warnings = ("", ()) if known else ("; patients unknown", (UNKNOWN_IN_GIVEN,))
    if catalogue.given is not None and "train" in wanted:
        given = " and ".join(TITLES[name] for name in SPLITS if name not in wanted)
        raise UserError(
            f"{source} has no training images: {catalogue.given_by} tells {given} only. Name those to "
            "train on too, or split all its images anew with --ignore-splits.",
            field="ignore_splits",
        )
    if not wanted:
        return Division(catalogue.given, f"as given by {catalogue.given_by}{unknown}", warnings)
    rng = np.random.default_rng(seed)
    if catalogue.given is None:
        which = _cut(catalogue, np.arange(len(catalogue.labels)), SHARES, rng)
        _check(catalogue, which, source, pattern)
        how = "by patient, 70 / 15 / 15 % of the images" if known else "by image within each class, 70 / 15 / 15 %"
        pooled = f"; {catalogue.given_by} were pooled" if catalogue.given_by else ""
        return Division(which, f"{how}, split seed {seed}{unknown}{pooled}", () if known else (UNKNOWN,))
    pool = np.flatnonzero(catalogue.given == 0)
    shares = {"train": 1 - sum(SHARES[name] for name in wanted)} | {name: SHARES[name] for name in wanted}
    which = catalogue.given.copy()
    which[pool] = _cut(catalogue, pool, shares, rng)
    _check(catalogue, which, source, pattern)
    parts = " and ".join(TITLES[name] for name in wanted)
    how, each = "by patient" if known else "by image within each class", " each" if len(wanted) > 1 else ""
    rule = f"as given by {catalogue.given_by}; {parts} cut from train {how}, 15 % of its images{each}"
    return Division(which, f"{rule}, split seed {seed}{unknown}", warnings)


def _cut(catalogue: Catalogue, pool: np.ndarray, shares: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """(len(pool),) the place in SPLITS of each of these images."""
    labels, ids = catalogue.labels[pool], catalogue.patients.ids
    found = _by_image(labels, shares, rng) if ids is None else by_patient(ids[pool], labels, shares, rng)
    return np.array([SPLITS.index(name) for name in shares])[found]


def by_patient(
    patient_ids: np.ndarray, labels: np.ndarray, shares: Mapping[Hashable, float], rng: np.random.Generator
) -> np.ndarray:
    """(N,) the place in `shares` of each image, whole patients together, each class near its share.

    Patients come in random order, large ones first; each goes where its classes are furthest below their share.
    """
    patients, owner = np.unique(patient_ids, return_inverse=True)
    classes = int(labels.max()) + 1
    content = np.zeros((len(patients), classes))
    np.add.at(content, (owner, labels), 1)
    share = np.array(list(shares.values()))
    room = share[:, None] * content.sum(0)  # (splits, classes): images still wanted
    order = rng.permutation(len(patients))
    order = order[np.argsort(-content[order].sum(1), kind="stable")]
    assigned = np.empty(len(patients), dtype=np.int64)
    for p in order:
        assigned[p] = int(np.argmax((room / share[:, None]) @ content[p]))
        room[assigned[p]] -= content[p]
    return assigned[owner]


def _by_image(labels: np.ndarray, shares: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """(N,) the place in `shares` of each image; each class is cut at the shares, and what is held out gets at least one
    of a class that has an image for each split."""
    which = np.zeros(len(labels), dtype=np.int64)
    for c in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == c))
        start = 0
        for place, name in enumerate(shares):
            if name == "train":
                continue
            held_out = max(1, round(shares[name] * len(members))) if len(members) >= len(shares) else 0
            which[members[start : start + held_out]] = place
            start += held_out
    return which


def _check(catalogue: Catalogue, which: np.ndarray, source: str, pattern: str | None) -> None:
    trained = np.unique(catalogue.labels[which == 0])
    empty = [TITLES[name] for i, name in enumerate(SPLITS) if not (which == i).any()]
    if not empty and len(trained) >= 2:
        return
    found, need = "", "each class needs at least three images"
    if catalogue.patients.ids is not None:
        found = f" of {counted(len(np.unique(catalogue.patients.ids)), 'patient')}"
        need = "whole patients go into one split, so each class needs images of at least three patients"
    lacking = f"{' and '.join(empty)} would have none" if empty else "training would have those of one class only"
    raise UserError(
        f"The {counted(len(which), 'image')}{found} in {source} are too few to split into training, validation and "
        f"test: {lacking}. Add images: {need}"
        + (f"; or correct patient_pattern '{pattern}' if these are more patients." if pattern else "."),
        field="dataset",
    )


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
