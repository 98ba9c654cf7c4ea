"""Which folders are classes, splits and patients: from a tree of folders to parts, each of one class and one split."""

import re
from dataclasses import dataclass
from pathlib import Path

from colora.data.catalogue import MOST_EXAMPLES
from colora.data.dataset import SPLITS
from colora.data.listing import Folder, shown
from colora.data.splits import split_named
from colora.system.errors import UserError

CLASS_NUMBER = re.compile(r"(?P<word>.*[^\d\s_.-])[\s_.-]*\d+")


@dataclass(frozen=True)
class Part:
    """A folder with images of one class: its own split where one is given, and its patient where it is one."""

    class_name: str
    folder: Folder
    split: str | None = None
    patient: str | None = None


def below_common_folders(top: Folder) -> Folder:
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


def parts_of(root: Path, top: Folder, layout: str, checked: bool) -> list[Part]:
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
        inner = below_common_folders(by_split[split][0])
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
            f"{root} has {_folders(split_folders(parts))} and no training images: add a folder train, or split all "
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


def split_folders(parts: list[Part]) -> list[str]:
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
