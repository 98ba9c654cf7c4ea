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
from pathlib import Path

import numpy as np

from colora.data import not_images
from colora.data.catalogue import MOST_EXAMPLES, Catalogue, Doubt, NotRead, Patients, in_order
from colora.data.dataset import SPLITS
from colora.data.layout_parts import NoClasses, Part, below_common_folders, parts_of, split_folders
from colora.data.listing import SUFFIXES, Folder, Tree, list_tree, shown
from colora.data.patients import by_file_name, by_folder, says_alone
from colora.data.prepare import Progress, quiet
from colora.settings.catalog import MOST_CLASSES
from colora.system.errors import UserError

SMALL = 0.02  # a class with a smaller share of the images may be no class
SMALL_OF_MANY = 0.2  # or, of many classes, one with so much less than an even share
MOST_TOLD = 20  # folders in a sentence
COPY = re.compile(  # as Windows, macOS and browsers name one
    r"(?P<of>.+?)(?: - copy| - kopie| copy| kopie| ?\(\d+\))(?: ?\(?\d+\)?)?|(?:copy of|kopie von) (?P<end>.+)",
    re.IGNORECASE,
)
LAST_FOLDER = "(?P<patient>[^/]+)/[^/]+$"


def folder_catalogue(
    root: Path,
    layout: str = "auto",
    ignore_splits: bool = False,
    allowed: Sequence[str] = (),
    on_progress: Progress = quiet,
    to_train: bool = True,
) -> Catalogue:
    """`layout` and `ignore_splits` as RunConfig has them; `allowed` as `list_tree` has it.

    Raises UserError as `list_tree` does, for what has to be asked about, and, `to_train`, for splits that cannot be
    trained on; NoClasses for images in no class folder, and, `to_train`, in one.
    """
    tree = list_tree(root, allowed, on_progress)
    top, parts, names = class_parts(root, tree, layout, ignore_splits, to_train)
    of_name = {name: c for c, name in enumerate(names)}
    parts.sort(key=lambda part: (of_name[part.class_name], part.folder.path))
    paths = [list(part.folder.paths()) for part in parts]
    counts = [len(own) for own in paths]
    every = [path for own in paths for path in own]
    labels = np.repeat([of_name[part.class_name] for part in parts], counts).astype(np.int64)
    given, given_by = None, ""
    if parts[0].split is not None:
        given_by = f"the folders {', '.join(split_folders(parts))}"
    if parts[0].split is not None and not ignore_splits:
        given = np.repeat([SPLITS.index(part.split) for part in parts], counts)
    patients = _patients(every, labels, names, parts, counts)
    not_read = _not_read(tree, top, parts)
    doubts = tuple(_doubts(names, labels, parts, patients))
    warnings = (
        *says_alone(patients),
        *_said(tree, top, parts, not_read),
        *_doubtful_names(names),
        *(doubt.warning for doubt in doubts),
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
        doubts=doubts,
    )


def class_parts(
    root: Path, tree: Tree, layout: str = "auto", ignore_splits: bool = False, to_train: bool = True
) -> tuple[Folder, list[Part], list[str]]:
    """Of a folder that was listed: the one that its classes or splits lie in, its parts, and the names of its classes
    in their order. Raises UserError as `folder_catalogue` does."""
    top = below_common_folders(tree.top)
    parts = parts_of(root, top, layout, checked=to_train and not ignore_splits)
    return top, parts, _class_names(root, top, parts, tree, at_least=2 if to_train else 1)


def _class_names(root: Path, top: Folder, parts: list[Part], tree: Tree, at_least: int) -> list[str]:
    """Sorted; numbers in their own order. Raises UserError for too few, too many, or two that look the same."""
    names = {part.class_name for part in parts}
    links = ""
    if tree.twice:
        links = (
            f" Its {len(tree.twice):,} links, such as {shown(tree.twice[0])}, were not followed, since what they "
            "lead to is in it already: to take images where the links are, choose the folder that these lie in, and "
            "name the other one with --data-roots (in the app: Data roots)."
        )
    if not names:
        raise NoClasses(
            f"{root} has no sub-folder with images ({', '.join(SUFFIXES)}): each class is one sub-folder."
            f"{_what_is_there(tree)}{links}",
            list(tree.top.paths()),
        )
    if len(names) < at_least:
        only, inner = next(iter(names)), top.with_images()[0].with_images() if not parts[0].split else []
        below = ", ".join(shown(one.name) for one in inner[:MOST_EXAMPLES]) + (", ..." if len(inner) > 5 else "")
        deeper = f" If its sub-folders ({below}) are the classes, choose folder:{root / parts[0].folder.path}."
        raise NoClasses(
            f"{root} has images of one class only ({only}); at least two are needed."
            f"{deeper if len(inner) > 1 else ''}{links}",
            list(tree.top.paths()),
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


def _what_is_there(tree: Tree) -> str:
    """Of a folder without classes, for a sentence."""
    if loose := len(tree.top.images):
        images = f"{loose:,} images lie" if loose > 1 else "1 image lies"
        return f" {images} in no sub-folder: put them into one a class, or name a table that tells their classes."
    found = NotRead()
    for folder in tree.top.everywhere():
        for reason, own in folder.left_out.counts.items():
            found.merge(reason, "", sum(own.values()), ())
    kinds = sorted((n, reason) for reason, n in found.by_reason.items() if _is_ending(reason))[::-1]
    if not kinds:
        return ""
    listed = ", ".join(_kind(reason, n) for n, reason in kinds[:MOST_EXAMPLES])
    return f" What is there is not read: {listed}. Export the images as PNG or TIFF."


def _is_ending(reason: str) -> bool:
    return reason.startswith(".") or reason == not_images.NO_ENDING


def _kind(reason: str, n: int) -> str:
    return f"{n:,} {'without an ending' if reason == not_images.NO_ENDING else reason}"


def _patients(paths: list[str], labels: np.ndarray, names: list[str], parts: list[Part], counts: list[int]) -> Patients:
    if parts[0].patient is not None:
        return Patients(np.repeat([part.patient for part in parts], counts), "folder CLASSNUMBER")
    above = [part.folder.path for part, count in zip(parts, counts, strict=True) for _ in range(count)]
    classes = [names[label] for label in labels.tolist()]
    return by_file_name(paths, labels, names) or by_folder(paths, above, classes) or Patients()


def _not_read(tree: Tree, top: Folder, parts: list[Part]) -> NotRead:
    """What lies in the class folders and is no image, by class; of what lies above them only what is told by more than
    its ending, since a table or a README beside the classes is in its place."""
    found = NotRead()
    of_class = {one.path: shown(child.name) for child in _empty(top, parts) for one in child.everywhere()}
    of_class |= {folder.path: part.class_name for part in parts for folder in part.folder.everywhere()}
    for folder in tree.top.everywhere():
        name = of_class.get(folder.path, "")
        for reason, own in folder.left_out.counts.items():
            if name or not _is_ending(reason):
                found.merge(reason, name, sum(own.values()), folder.left_out.examples[reason])
        if not name and folder.images:
            found.add(not_images.LOOSE, "", [os.path.join(folder.path, image) for image in folder.images])
    found.add(not_images.TWICE, "", tree.twice)
    return found


def _empty(top: Folder, parts: list[Part]) -> list[Folder]:
    """The folders without images beside those that are classes or splits: no classes, and not read either."""
    above = {os.path.dirname(part.folder.path) for part in parts}
    places = [folder for folder in top.everywhere() if folder is top or folder.path in above]
    return [child for folder in places for child in folder.folders if not child.holds_images()]


def _said(tree: Tree, top: Folder, parts: list[Part], not_read: NotRead) -> Iterator[str]:
    by_reason = not_read.by_reason

    def first(reason: str) -> str:
        return shown(not_read.examples[reason][0])

    if loose := by_reason.get(not_images.LOOSE):
        yield f"Images beside the class folders, in no class, left out: {loose:,}; first: {first(not_images.LOOSE)}."
    if empty := [shown(os.path.relpath(folder.path, top.path or ".")) for folder in _empty(top, parts)]:
        more = ", ..." if len(empty) > MOST_TOLD else ""
        what = "no class and no split" if parts[0].split else "no class"
        yield f"Sub-folders without an image ({', '.join(SUFFIXES)}) are {what}: {', '.join(empty[:MOST_TOLD])}{more}."
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
    endings = {reason: n for reason, n in by_reason.items() if _is_ending(reason)}
    if endings:
        listed = ", ".join(_kind(reason, n) for reason, n in endings.items())
        yield f"Files in the class folders that are not read: {listed}; the first: {first(next(iter(endings)))}."


def _doubtful_names(names: list[str]) -> Iterator[str]:
    """What may not be meant as a class by its name, though it can be one."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.strip().casefold(), name)) != name:
            yield f"The classes {other!r} and {name!r} differ only in case or blanks; they are trained as two classes."
    for name in names:
        if (match := COPY.fullmatch(name)) and (of := match["of"] or match["end"]) in names:
            yield f"The class {name!r} is named as a copy of {of!r}: if it is one, take it out."
        if kind := not_images.of_folder(name):
            yield f"The class {name!r} is named as a folder of {kind}s, and no scans lie beside them: is it a class?"


def _doubts(names: list[str], labels: np.ndarray, parts: list[Part], patients: Patients) -> Iterator[Doubt]:
    """Classes that are small beside the others, or made of sub-folders: often a folder one level too high."""
    counts = np.bincount(labels, minlength=len(names)).tolist()
    least = min(SMALL, SMALL_OF_MANY / len(names))
    small = [(name, n) for name, n in zip(names, counts, strict=True) if n < least * len(labels)]
    for name, count in small[:MOST_EXAMPLES]:
        yield Doubt(f"The class {name} has {count:,} of {len(labels):,} images, under {100 * least:.2g}%: is it one?")
    if (more := len(small) - MOST_EXAMPLES) > 0:
        yield Doubt(f"{more:,} more classes have as few images.")
    if "folder" in patients.told_by:
        return
    told: dict[str, dict[str, None]] = {}  # {class: the names of its sub-folders, in each split}
    folder_of: dict[str, str] = {}  # of a class that is one folder
    for part in parts:
        if len(inner := part.folder.with_images()) > 1 and not part.folder.images:
            folder_of[part.class_name] = "" if part.split else part.folder.path
            told.setdefault(part.class_name, {}).update(dict.fromkeys(shown(one.name) for one in inner))
    for name, inner in list(told.items())[:MOST_EXAMPLES]:
        some = ", ".join(list(inner)[:MOST_EXAMPLES]) + (", ..." if len(inner) > MOST_EXAMPLES else "")
        yield Doubt(
            f"The images of {name} lie in its sub-folders ({some}), which are all taken as this class. "
            "If these are the classes, choose the folder they lie in.",
            folder_of[name],
            LAST_FOLDER if patients.ids is None else "",
        )
    if (more := len(told) - MOST_EXAMPLES) > 0:
        yield Doubt(f"So do those of {more:,} more classes.")
