"""Which folders are classes, splits and patients: from a tree of folders to parts, each of one class and one split."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from colora.data.catalogue import MOST_EXAMPLES
from colora.data.dataset import SPLITS
from colora.data.listing import Folder, shown
from colora.data.splits import bare_word, split_named, splits_named
from colora.system.errors import UserError

CLASS_NUMBER = re.compile(r"(?P<word>.*[^\d\s_.(#-])[\s_.#-]*(?:\d+|\(\d+\))")  # AMD1, AMD 01, AMD (1)
EYES = {"od", "os", "ou", "l", "r", "left", "right", "lefteye", "righteye"}


class NoClasses(UserError):
    """There are no class folders to be trained on. `images` are the paths of what images there are: a table may name
    them."""

    def __init__(self, message: str, images: list[str]):
        super().__init__(message, field="dataset")
        self.images = images


@dataclass(frozen=True)
class Part:
    """A folder with images of one class: its own split where one is given, with the name of the folder that says so,
    and its patient where it is one."""

    class_name: str
    folder: Folder
    split: str | None = None
    patient: str | None = None
    split_folder: str = ""


def below_common_folders(top: Folder) -> Folder:
    """Past folders that hold nothing but one other, as an unpacked archive begins: down to where classes or splits lie.

    Not past a class: a folder whose sub-folders are all numbered, and nothing else, may be one, with its patients.
    """
    while not top.images and len(inner := top.with_images()) == 1:
        below = inner[0].with_images()
        split = split_named(shown(inner[0].name))
        if inner[0].images or len(below) == 0 or split in ("val", "test"):  # these alone are not to be trained on
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
        words = splits_named([shown(folder.name) for folder in folders])
        parts = None
        if any(words):
            of_folder = {folder.path: word for folder, word in zip(folders, words, strict=True)}
            parts = _given_parts(root, folders, of_folder, layout)
        elif any(_holds_splits(folder) for folder in folders):
            parts = _splits_below(root, folders)
        if parts is not None:
            if checked:
                _check_splits(root, parts)
            return parts
        _check_not_above_splits(root, folders)
    return _classes(root, folders, layout)


def _check_not_above_splits(root: Path, folders: list[Folder]) -> None:
    """Raises UserError where training and test lie side by side somewhere below what would be a class."""
    for folder in folders:
        for inner in folder.everywhere():
            below = [shown(one.name) for one in inner.folders if one.holds_images()] if len(inner.folders) > 1 else []
            splits = set(splits_named(below))
            if None in splits or "train" not in splits or len(splits) < 2:
                continue
            raise UserError(
                f"{root}: {shown(inner.path)} has {_folders(below)}. If these are the splits, choose "
                f"folder:{root / inner.path}; if {_folders([shown(one.name) for one in folders])} are classes, and all "
                "that lies below them is to be split anew, say so with --layout classes.",
                field="layout",
            )


def _holds_splits(folder: Folder, at_least: int = 2) -> bool:
    inner = folder.with_images()
    return len(inner) >= at_least and all(split_named(shown(one.name)) for one in inner)


def _splits_below(root: Path, folders: list[Folder]) -> list[Part]:
    """CLASS/SPLIT/image. Raises UserError where a class has no such folders, or images beside them."""
    odd = [folder for folder in folders if folder.images or not _holds_splits(folder, at_least=1)]
    if odd:
        one = next(folder for folder in folders if _holds_splits(folder))
        beside = " beside these" if _holds_splits(odd[0], at_least=1) else ""
        raise UserError(
            f"{root}: {shown(one.name)} has {_folders([shown(inner.name) for inner in one.with_images()])}, and "
            f"{shown(odd[0].name)} has images{beside} that lie in no split: put them into such folders too. If all "
            "that lies below a class is to be split anew, say so with --layout classes.",
            field="layout",
        )
    parts = []
    for folder in folders:
        if classes := _same_below(folder.with_images()):
            raise UserError(
                f"{root} has {_folders([shown(one.name) for one in folders])}, with splits below them, and below these "
                f"{_folders(sorted(classes))}: if those are the classes, choose one of the sets, as "
                f"folder:{root / folder.path}; if not, say so with --layout classes.",
                field="layout",
            )
        seen: dict[str, str] = {}
        for inner in folder.with_images():
            name, split = shown(inner.name), split_named(shown(inner.name))
            if (other := seen.setdefault(split, name)) != name:
                raise _both_mean(root, [other, name], split)
            parts.append(Part(shown(folder.name), inner, split, split_folder=name))
    return parts


def _same_below(folders: list[Folder]) -> set[str]:
    """The names below these folders where all have the same ones, as of classes; else none."""
    below = [{shown(one.name) for one in folder.with_images()} for folder in folders]
    names = below[0] if len(below) > 1 and all(own == below[0] for own in below) else set()
    return names if len(names) > 1 and _like_classes(names) and not any(one.images for one in folders) else set()


def _like_classes(names: set[str]) -> bool:
    """Whether these may be classes, and are no numbers of patients, and no eyes."""
    return not any(letter.isdigit() for name in names for letter in name) and not set(map(bare_word, names)) <= EYES


def _both_mean(root: Path, names: list[str], split: str) -> UserError:
    return UserError(
        f"{root} has {_folders(names)}, which both mean its {split} split: put their images into one.", field="dataset"
    )


def _given_parts(root: Path, folders: list[Folder], words: dict[str, str | None], layout: str) -> list[Part]:
    """Raises UserError where these are not plainly one folder a split, NoClasses where one has no classes."""
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
            raise _both_mean(root, [shown(one.name) for one in several], split)
    parts = []
    for split in filter(by_split.get, SPLITS):
        inner = below_common_folders(by_split[split][0])
        if not inner.with_images():
            raise NoClasses(
                f"{root}: the images of {shown(by_split[split][0].path)} lie in no class folder: put them into one "
                "sub-folder a class, or name a table that tells their classes (table:FILE). If these are classes "
                "and no splits, say so with --layout classes.",
                [path for folder in folders for path in folder.paths()],
            )
        parts += [
            replace(part, split=split, split_folder=shown(by_split[split][0].name))
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
        alike = {name.strip().casefold() for name in lacking} & {name.strip().casefold() for name in more}
        exact = " Capitals and blanks count." if alike else ""
        raise UserError(
            f"{root} has other classes in its {split} split than in train: {' and '.join(said)}.{exact} Name "
            "the class folders alike and add what is missing, or split all images anew with --ignore-splits.",
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
    numbered = [shown(folder.name) for folder, match in zip(folders, matches, strict=True) if match]
    if sum(n > 1 for n in each) > 1 and 2 * len(numbered) > len(folders):
        lone = [shown(folder.name) for folder, match in zip(folders, matches, strict=True) if not match]
        beside, first = (f" beside {_folders(lone)}", f"take {', '.join(lone)[:200]} out and ") if lone else ("", "")
        raise UserError(
            f"{root} has {len(numbered)} folders named as {numbered[0]} ... {numbered[-1]}{beside}: {len(words)} "
            f"classes ({', '.join(sorted(words))}) of {len(numbered)} patients? Then {first}say --layout class-number; "
            f"if they are {len(folders)} classes, --layout classes.",
            field="layout",
        )
    _check_not_above_classes(root, folders, words)
    return [Part(shown(folder.name), folder) for folder in folders]


def _check_not_above_classes(root: Path, folders: list[Folder], words: set[str]) -> None:
    """Raises UserError for PATIENT/CLASS/image: numbered folders of one word or none, with the same ones below."""
    names = [shown(folder.name) for folder in folders]
    inner = [{shown(one.name) for one in folder.with_images()} for folder in folders]
    every = set().union(*inner) if inner else set()
    shared = sum(len(own) for own in inner) > len(every)  # the same names below several
    if (
        len(folders) < 3
        or len(words) > 1
        or any(folder.images for folder in folders)
        or not all(any(letter.isdigit() for letter in name) for name in names)
        or len(every) < 2
        or not shared
        or not _like_classes(every)
    ):
        return
    raise UserError(
        f"{root} has {len(folders)} folders named as {names[0]} ... {names[-1]}, with {_folders(sorted(every))} below "
        f"them. If those below are the classes, arrange them as CLASS/{names[0]}/image, or name a table that tells the "
        f"classes (table:FILE); if {names[0]} and the others are the classes, say so with --layout classes.",
        field="layout",
    )


def split_folders(parts: list[Part]) -> list[str]:
    """As they are called there, in the order of SPLITS."""
    found: dict[str, str] = {}
    for part in parts:
        found.setdefault(part.split, part.split_folder)
    return [found[split] for split in SPLITS if split in found]


def _folders(names: list[str]) -> str:
    some = ", ".join(names[:MOST_EXAMPLES]) + (", ..." if len(names) > MOST_EXAMPLES else "")
    return f"the folder{'s' if len(names) > 1 else ''} {some}"
