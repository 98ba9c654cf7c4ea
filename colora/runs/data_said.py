"""What was found in data before training, in sentences: of `documents.DataCheck`, as `colora data check` prints it, the
pages show it, and every result of a group bears it in one line."""

from pathlib import Path
from typing import Any

from colora.runs.documents import DATA, data_file

NO_CLASS = "in no class"  # of files in `not_read`
SPLITS = {"train": "train", "val": "validation", "test": "test"}


def says_patients(found: dict[str, Any]) -> str:
    patients = found["patients"]
    if not patients["known"]:
        return "Patients: unknown."
    shared = patients["in_several_splits"]
    each = f"{shared:,} of them in several splits" if shared else "none of them in several splits"
    return f"Patients: {patients['n']:,}, by {patients['from'] or 'the data'}; {each}."


def says_duplicates(found: dict[str, Any]) -> str:
    several = found["duplicates"]
    if several is None:
        return "Duplicates: not looked for yet."
    near = "of validation or test nearly the same as one of an earlier split"
    parts = [
        f"{several[key]:,} {thing if several[key] == 1 else f'{thing}s'} {words}"
        for key, thing, words in (
            ("exact_across_splits", "picture", "in several splits"),
            ("near_across_splits", "image", near),
            ("exact_across_classes", "picture", "under several classes"),
        )
        if several[key]
    ]
    return f"Duplicates: {'; '.join(parts) or 'none across splits or classes'}."


def says_not_read(found: dict[str, Any]) -> str:
    left_out = found["not_read"]
    if not left_out["n"]:
        return "Not read: nothing."
    kinds = []
    for reason, n in left_out["by_reason"].items():
        own = left_out["by_class"][reason]
        where = "" if list(own) == [NO_CLASS] else ", ".join(f"{name} {count:,}" for name, count in own.items()) + "; "
        kinds.append(f"{n:,} {reason} ({where}such as {left_out['examples'][reason][0]})")
    return f"Not read: {'; '.join(kinds)}."


def leak(found: dict[str, Any]) -> str | None:
    """A sentence for a banner, where the data are known to leak from training into what judges it; None where not."""
    patients, several = found["patients"]["in_several_splits"], found["duplicates"] or {}
    parts = []
    if patients:
        parts.append(f"{_are(patients, 'patient', 'patients')} in several splits")
    if n := several.get("exact_across_splits"):
        parts.append(f"{_are(n, 'picture', 'pictures')} in several splits")
    if n := several.get("near_across_splits"):
        held_out = "of validation or test"
        parts.append(f"{_are(n, f'image {held_out}', f'images {held_out}')} nearly the same as one of an earlier split")
    if not parts:
        return None
    return f"These data leak: {'; '.join(parts)}. The figures look better than they would on new patients."


def one_line(found: dict[str, Any]) -> str:
    """For every result: how the data were split, and what the check found."""
    return f"Split {found['split_rule']}. {says_patients(found)} {says_duplicates(found)}"


def of_group(group: Path) -> dict[str, Any] | None:
    """The check that a group keeps; None of one that was launched before there was any. Raises UserError where the file
    is damaged."""
    return data_file(group) if (Path(group) / DATA).exists() else None


def _are(n: int, one: str, several: str) -> str:
    return f"1 {one} is" if n == 1 else f"{n:,} {several} are"
