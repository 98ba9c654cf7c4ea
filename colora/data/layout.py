"""`folder:DIR`: from a folder as people have them to a catalogue, whatever lies between its top and its images.

    CLASS/image                        one sub-folder a class
    CLASS/PATIENT/image                the folder is the patient (`patients.by_folder`)
    train|val|test/CLASS/image         the folder's own splits, which count; below one more folder or not
    CLASS/train|val|test/image         the same the other way round
    CLASSNUMBER/.../image              AMD1 ... NORMAL15: patients of a class, where a person says so

What may be meant in two ways is asked about (a UserError that names the setting with the answer), and never guessed: a
model that was trained on the classes "train" and "test" looks like any other.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from colora.data import not_images
from colora.data.catalogue import MOST_EXAMPLES, Catalogue, NotRead, Patients, in_order
from colora.data.dataset import SPLITS
from colora.data.listing import SUFFIXES, Folder, Tree, list_tree, shown
from colora.data.patients import by_file_name, by_folder, says_alone
from colora.data.prepare import Progress, quiet
from colora.data.splits import split_named
from colora.settings.catalog import MOST_CLASSES
from colora.system.errors import UserError

CLASS_NUMBER = re.compile(r"(?P<word>.*[^\d\s_.-])[\s_.-]*\d+")
SMALL = 0.02  # a class with a smaller share of the images may be no class


@dataclass(frozen=True)
class Part:
    """A folder with images of one class: its own split where one is given, and its patient where it is one."""

    class_name: str
    folder: Folder
    split: str | None = None
    patient: str | None = None


def folder_catalogue(
    root: Path,
    layout: str = "auto",
    ignore_splits: bool = False,
    allowed: Sequence[str] = (),
    on_progress: Progress = quiet,
    to_train: bool = True,
) -> Catalogue:
    """`layout` and `ignore_splits` as RunConfig has them; `allowed` as `list_tree` has it.

    Raises UserError as `list_tree` does, for what has to be asked about, and, `to_train`, for fewer than two classes or
    splits that cannot be trained on.
    """
    tree = list_tree(root, allowed, on_progress)
    top = _below_common_folders(tree.top)
    parts = _parts(root, top, layout, checked=to_train and not ignore_splits)
    names = _class_names(root, top, parts, tree, at_least=2 if to_train else 1)
    of_name = {name: c for c, name in enumerate(names)}
    parts.sort(key=lambda part: (of_name[part.class_name], part.folder.path))
    paths = [list(part.folder.paths()) for part in parts]
    counts = [len(own) for own in paths]
    every = [path for own in paths for path in own]
    labels = np.repeat([of_name[part.class_name] for part in parts], counts).astype(np.int64)
    given, given_by = None, ""
    if parts[0].split is not None:
        given_by = f"the folders {', '.join(_split_folders(parts))}"
    if parts[0].split is not None and not ignore_splits:
        given = np.repeat([SPLITS.index(part.split) for part in parts], counts)
    patients = _patients(every, labels, names, parts, counts)
    not_read = _not_read(tree, top, parts)
    warnings = (
        *says_alone(patients),
        *_said(tree, top, parts, not_read),
        *_doubtful_classes(names, labels, parts, patients),
    )
    return Catalogue(
        root=tree.root,
        paths=every,
        class_names=tuple(names),
        labels=labels,
        patients=patients,
        given=given,
        given_by=given_by,
        not_read=not_read,
        warnings=warnings,
    )


def _below_common_folders(top: Folder) -> Folder:
    """Past folders that hold nothing but one other, as an unpacked archive begins: down to where classes or splits lie.

    Not past a class: a folder whose sub-folders are all numbered, and nothing else, may be one, with its patients.
    """
    while not top.images and len(inner := top.with_images()) == 1:
        below = inner[0].with_images()
        split = split_named(inner[0].name) is not None
        if inner[0].images or len(below) == 0:
            break
        words = {(CLASS_NUMBER.fullmatch(one.name) or {"word": ""})["word"] for one in below}
        numbered = all(any(letter.isdigit() for letter in one.name) for one in below)
        if len(below) > 1 and not split and numbered and len(words) == 1:
            break
        top = inner[0]
    return top


def _parts(root: Path, top: Folder, layout: str, checked: bool) -> list[Part]:
    """The class folders, in the splits that they lie in, `checked` to be splits that can be trained on."""
    folders = top.with_images()
    if layout != "classes":
        words = {folder.path: split_named(shown(folder.name)) for folder in folders}
        if any(words.values()):
            parts = _given_parts(root, folders, words, layout)
            if checked:
                _check_splits(root, parts)
            return parts
        if folders and all(_holds_splits(folder) for folder in folders):
            parts = [
                Part(shown(folder.name), inner, split_named(shown(inner.name)))
                for folder in folders
                for inner in folder.with_images()
            ]
            if checked:
                _check_splits(root, parts)
            return parts
    return _classes(root, folders, layout)


def _holds_splits(folder: Folder) -> bool:
    inner = folder.with_images()
    return not folder.images and len(inner) > 1 and all(split_named(shown(one.name)) for one in inner)


def _given_parts(root: Path, folders: list[Folder], words: dict[str, str | None], layout: str) -> list[Part]:
    """Raises UserError where these are not plainly one folder a split."""
    lone = [shown(folder.name) for folder in folders if words[folder.path] is None]
    named = [shown(folder.name) for folder in folders if words[folder.path] is not None]
    if lone:
        raise UserError(
            f"{root} has {_folders(lone)} beside {_folders(named)}: put classes into the folders of their splits, or "
            "take them out. If these are all classes, say so with --layout classes.",
            field="layout",
        )
    by_split: dict[str, list[Folder]] = {}
    for folder in folders:
        by_split.setdefault(words[folder.path], []).append(folder)
    for split, several in by_split.items():
        if len(several) > 1:
            raise UserError(
                f"{root} has {_folders([shown(one.name) for one in several])}, which both mean its {split} split: put "
                "their images into one.",
                field="dataset",
            )
    parts = []
    for split in filter(by_split.get, SPLITS):
        inner = _below_common_folders(by_split[split][0])
        if not inner.with_images():
            raise UserError(
                f"{root}: the images of {shown(by_split[split][0].path)} lie in no class folder: put them into one "
                "sub-folder a class, or name a table that tells their classes (table:FILE).",
                field="dataset",
            )
        parts += [
            Part(part.class_name, part.folder, split, part.patient)
            for part in _classes(root, inner.with_images(), layout)
        ]
    return parts


def _check_splits(root: Path, parts: list[Part]) -> None:
    """Raises UserError where nothing is to be trained on, or the splits have different classes."""
    sets: dict[str, set[str]] = {}
    for part in parts:
        sets.setdefault(part.split, set()).add(part.class_name)
    if "train" not in sets:
        raise UserError(
            f"{root} has {_folders(_split_folders(parts))} and no training images: add a folder train, or split all "
            "its images anew with --ignore-splits.",
            field="ignore_splits",
        )
    for split, names in sets.items():
        if names == sets["train"]:
            continue
        lacking, more = sorted(sets["train"] - names), sorted(names - sets["train"])
        said = [f"its {split} split lacks {', '.join(lacking)}"] if lacking else []
        said += [f"its {split} split has {', '.join(more)}, not in train"] if more else []
        raise UserError(
            f"{root} has other classes in its {split} split than in train: {' and '.join(said)}. Name the class "
            "folders alike and add what is missing, or split all images anew with --ignore-splits.",
            field="ignore_splits",
        )


def _classes(root: Path, folders: list[Folder], layout: str) -> list[Part]:
    """Each folder a class, or a patient of one. Raises UserError where the names may mean either."""
    if layout == "classes":
        return [Part(shown(folder.name), folder) for folder in folders]
    matches = [CLASS_NUMBER.fullmatch(shown(folder.name)) for folder in folders]
    words = {match["word"] for match in matches if match}
    if layout == "class-number":
        for folder, match in zip(folders, matches, strict=True):
            if match is None:
                raise UserError(
                    f"{root}: the folder {shown(folder.name)} is not named as CLASS and a number, as --layout "
                    "class-number says: rename it, or take it out.",
                    field="layout",
                )
        return [
            Part(match["word"], folder, patient=shown(folder.name))
            for folder, match in zip(folders, matches, strict=True)
        ]
    each = [sum(match["word"] == word for match in matches if match) for word in words]
    if all(matches) and len(words) > 1 and min(each) > 1:
        first, last = shown(folders[0].name), shown(folders[-1].name)
        raise UserError(
            f"{root} has {len(folders)} folders named as {first} ... {last}: {len(words)} classes "
            f"({', '.join(sorted(words))}) of {len(folders)} patients? Then say --layout class-number; if they are "
            f"{len(folders)} classes, --layout classes.",
            field="layout",
        )
    return [Part(shown(folder.name), folder) for folder in folders]


def _class_names(root: Path, top: Folder, parts: list[Part], tree: Tree, at_least: int) -> list[str]:
    """Sorted; numbers in their own order. Raises UserError for too few, too many, or two that look the same."""
    names = {part.class_name for part in parts}
    if not names:
        links = f" Its {len(tree.twice)} links lead to images that are elsewhere in it." if tree.twice else ""
        raise UserError(
            f"{root} has no sub-folder with images ({', '.join(SUFFIXES)}): each class is one sub-folder.{links}",
            field="dataset",
        )
    if len(names) < at_least:
        only, inner = next(iter(names)), top.with_images()[0].with_images() if not parts[0].split else []
        below = ", ".join(shown(one.name) for one in inner[:MOST_EXAMPLES]) + (", ..." if len(inner) > 5 else "")
        deeper = f" If its sub-folders ({below}) are the classes, choose folder:{root / parts[0].folder.path}."
        raise UserError(
            f"{root} has images of one class only ({only}); at least two are needed.{deeper if len(inner) > 1 else ''}",
            field="dataset",
        )
    if len(names) > MOST_CLASSES:
        raise UserError(f"{root} has {len(names):,} classes; there can be up to {MOST_CLASSES:,}.", field="dataset")
    seen: dict[tuple[str | None, str], str] = {}
    for part in parts:
        key = (part.split, part.class_name)
        if part.patient is None and seen.setdefault(key, part.folder.name) != part.folder.name:
            raise UserError(
                f"{root} has two sub-folders named {part.class_name}, which differ only in how their letters are "
                "stored: put their images into one.",
                field="dataset",
            )
    return in_order(names)


def _patients(paths: list[str], labels: np.ndarray, names: list[str], parts: list[Part], counts: list[int]) -> Patients:
    if parts[0].patient is not None:
        return Patients(np.repeat([part.patient for part in parts], counts), "folder CLASSNUMBER")
    above = [part.folder.path for part, count in zip(parts, counts, strict=True) for _ in range(count)]
    return by_file_name(paths, labels, names) or by_folder(paths, above) or Patients()


def _not_read(tree: Tree, top: Folder, parts: list[Part]) -> NotRead:
    """What lies in the class folders and is no image, by class; of what lies above them only what is told by more than
    its ending, since a table or a README beside the classes is in its place."""
    found = NotRead()
    empty = [child for child in top.folders if not child.holds_images()]  # no classes, and not read either
    of_class = {one.path: shown(child.name) for child in empty for one in child.everywhere()}
    of_class |= {folder.path: part.class_name for part in parts for folder in part.folder.everywhere()}
    for folder in tree.top.everywhere():
        name = of_class.get(folder.path, "")
        for reason, own in folder.left_out.counts.items():
            if name or not (reason.startswith(".") or reason == not_images.NO_ENDING):
                found.merge(reason, name, sum(own.values()), folder.left_out.examples[reason])
        if not name and folder.images:
            found.add(not_images.LOOSE, "", [os.path.join(folder.path, image) for image in folder.images])
    found.add(not_images.TWICE, "", tree.twice)
    return found


def _said(tree: Tree, top: Folder, parts: list[Part], not_read: NotRead) -> Iterator[str]:
    by_reason = not_read.by_reason

    def first(reason: str) -> str:
        return shown(not_read.examples[reason][0])

    if loose := by_reason.get(not_images.LOOSE):
        yield f"Images beside the class folders, in no class, left out: {loose:,}; first: {first(not_images.LOOSE)}."
    if not parts[0].split:
        of_parts = {part.folder.path for part in parts}
        if empty := [shown(folder.name) for folder in top.folders if folder.path not in of_parts]:
            yield f"Sub-folders without an image ({', '.join(SUFFIXES)}) are no class: {', '.join(empty)}."
    if tree.twice:
        yield (
            f"Links to images or folders that are there already, not followed: {len(tree.twice):,}; the first: "
            f"{shown(tree.twice[0])}."
        )
    if broken := by_reason.get(not_images.BROKEN):
        yield f"Links to files that are not there, left out: {broken:,}; the first: {first(not_images.BROKEN)}."
    for reason in (not_images.MASK, not_images.THUMBNAIL):
        if count := by_reason.get(reason):
            yield f"Files named as {reason}s of other images, left out: {count:,}; the first: {first(reason)}."
    endings = {reason: n for reason, n in by_reason.items() if reason.startswith(".") or reason == not_images.NO_ENDING}
    if endings:
        listed = ", ".join(f"{n:,} {reason}" for reason, n in endings.items())
        yield f"Files in the class folders that are not read: {listed}; the first: {first(next(iter(endings)))}."


def _doubtful_classes(names: list[str], labels: np.ndarray, parts: list[Part], patients: Patients) -> Iterator[str]:
    """What may not be meant as a class, though it can be one."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.strip().casefold(), name)) != name:
            yield f"The classes {other!r} and {name!r} differ only in case or blanks; they are trained as two classes."
    counts = np.bincount(labels, minlength=len(names))
    for name, count in zip(names, counts.tolist(), strict=True):
        if count < SMALL * len(labels):
            yield f"The class {name} has {count:,} of {len(labels):,} images, under {SMALL:.0%}: is it one?"
    if "folder" in patients.told_by:
        return
    for part in parts:
        inner = part.folder.with_images()
        if len(inner) > 1 and not part.folder.images:
            some = ", ".join(shown(one.name) for one in inner[:MOST_EXAMPLES]) + (", ..." if len(inner) > 5 else "")
            yield (
                f"The images of {part.class_name} lie in its sub-folders ({some}), which are all taken as this class. "
                "If these are the classes, choose the folder they lie in."
            )


def _split_folders(parts: list[Part]) -> list[str]:
    """As they are called there, in the order of SPLITS."""
    found: dict[str, str] = {}
    for part in parts:
        for name in part.folder.path.split("/"):
            if split_named(shown(name)) == part.split:
                found.setdefault(part.split, shown(name))
    return [found[split] for split in SPLITS if split in found]


def _folders(names: list[str]) -> str:
    some = ", ".join(names[:MOST_EXAMPLES]) + (", ..." if len(names) > MOST_EXAMPLES else "")
    return f"the folder{'s' if len(names) > 1 else ''} {some}"
