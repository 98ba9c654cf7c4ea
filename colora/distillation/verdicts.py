"""What people decide about single images, and what several of them come to: events in readers' files (journals)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from colora.distillation.journals import (
    MOST_NOTE,
    MOST_TEXT,
    append_events,
    check_reader,
    is_text,
    journal,
    known_reader,
    new_event,
    not_undone,
    own_reader,
    readers,
    told_journal,
    verdicts_folder,
    writing,
)
from colora.settings.catalog import MOST_CLASSES, VERDICTS
from colora.system.errors import UserError
from colora.system.typed import one_line

__all__ = [  # with what whoever judges needs of journals
    "COLUMNS", "Decision", "agreement", "check_reader", "check_seen", "class_title", "current", "decide", "journal",
    "judge", "judgement", "own_reader", "problems", "readers", "undo", "verdicts_folder",
]  # fmt: skip
COLUMNS = ("reader", "image_id", "verdict", "label", "note", "time", "user", "data_checksum", "imported_by", "seen")
IDENTITY = ("id", "tab")  # what tells a standing verdict from the next one; no part of an export


def judge(
    runs_dir: Path,
    reader: str,
    data_checksum: str,
    image_id: str,
    verdict: str,
    label: int | None = None,
    note: str = "",
    seen: str | None = None,
    tab: str | None = None,
    classes: int | None = None,
) -> dict[str, Any]:
    """Append a verdict and return its event.

    `label` is the right class of a wrong label (None: wrong, the right one unknown); `seen` the image whose picture the
    reader had before them, `tab` the browser tab, and `classes` how many the data have, where those are known. Raises
    UserError for a bad reader's name, an unknown verdict, a label with another verdict than wrong_label or that is no
    class of the data, or where another image was seen.
    """
    check_seen(image_id, seen)
    known = {name: value for name, value in (("seen", seen), ("tab", tab)) if value}
    event = judgement(reader, data_checksum, image_id, verdict, label, note, classes) | known
    with writing(runs_dir, reader) as path:
        append_events(path, [event])
    return event


def check_seen(image_id: str, seen: str | None) -> None:
    """Raises UserError where the picture before the reader is known to be another image's."""
    if seen not in (None, image_id):
        raise UserError(
            f"Nothing was recorded: the picture on the screen was {seen}, while the page had gone on to {image_id}. "
            "Look at the picture that is there now and press again.",
            field="seen",
        )


def judgement(
    reader: str,
    data_checksum: str,
    image_id: str,
    verdict: str,
    label: int | None,
    note: str,
    classes: int | None = None,
) -> dict[str, Any]:
    """The event of `judge`, not written yet; raises what `judge` does."""
    if verdict not in VERDICTS:
        raise UserError(f"There is no verdict '{verdict}': known are {', '.join(VERDICTS)}.", field="verdict")
    if label is not None and verdict != "wrong_label":
        raise UserError(f"A right class goes with the verdict wrong_label, not with {verdict}.", field="label")
    if label is not None:
        check_label(label, classes)
    if not image_id or not data_checksum:
        raise UserError("A verdict names an image and the checksum of its data.", field="image_id")
    if len(image_id) > MOST_TEXT:
        found = f"this one has {len(image_id):,}"
        raise UserError(f"An image's name has up to {MOST_TEXT:,} characters; {found}.", field="image_id")
    if len(note) > MOST_NOTE:
        raise UserError(f"A note has up to {MOST_NOTE:,} characters; this one has {len(note):,}.", field="note")
    for text, field in ((image_id, "image_id"), (note, "note")):
        if not is_text(text):
            raise UserError(f"'{one_line(text)}' holds half a character, which is no text.", field=field)
    about = {"data_checksum": data_checksum, "image_id": image_id, "verdict": verdict, "label": label, "note": note}
    return new_event(reader, "judge", **about)


def check_label(label: int, classes: int | None) -> None:
    """Raises UserError for what is no class of data with so many `classes`; where those are unknown, of any data."""
    if label < 0:
        raise UserError(f"The right class is a class number from 0 on, got {label}.", field="label")
    if classes is not None and label >= classes:
        raise UserError(
            f"There is no class {label} in these data, whose classes are 0 to {classes - 1}.", field="label"
        )
    if label >= MOST_CLASSES:
        raise UserError(f"The right class is a class number from 0 to {MOST_CLASSES - 1:,}, got more.", field="label")


def undo(
    runs_dir: Path,
    reader: str,
    data_checksum: str | None = None,
    image_id: str | None = None,
    seen: str | None = None,
    event_id: str | None = None,
) -> dict[str, Any] | None:
    """Take back the reader's last verdict that stands (of one image or one data set, if named): returns the event taken
    back, None where there is none. With `event_id` it is that event or none.

    Raises UserError where another image than the named one was seen, or where the last verdict is another event, given
    elsewhere meanwhile.
    """
    if image_id is not None:
        check_seen(image_id, seen)
    with writing(runs_dir, reader) as path:
        standing = [
            event
            for event in not_undone(journal(runs_dir, reader).events)
            if data_checksum in (None, event["data_checksum"]) and image_id in (None, event["image_id"])
        ]
        if event_id is not None and (not standing or standing[-1]["id"] != event_id):
            raise UserError(_not_the_last(standing, reader, event_id), field="event_id")
        if not standing:
            return None
        last = standing[-1]
        append_events(path, [taking_back(reader, last)])
    return last


def taking_back(reader: str, event: dict[str, Any], **about: Any) -> dict[str, Any]:
    """The undo of a judgement, not written yet."""
    which = {"data_checksum": event["data_checksum"], "image_id": event["image_id"], "undoes": event["id"]}
    return new_event(reader, "undo", **which, **about)


def _not_the_last(standing: list[dict[str, Any]], reader: str, event_id: str) -> str:
    found = (
        f"{reader} has judged this image anew since, {VERDICTS[standing[-1]['verdict']].lower()}, in another window"
        if any(event["id"] == event_id for event in standing)
        else f"{reader}'s verdict was taken back already, in another window"
    )
    return f"Nothing was taken back: {found}. Look at what stands now."


def current(runs_dir: Path, data_checksum: str | None = None, reader: str | list[str] | None = None) -> pd.DataFrame:
    """Each reader's verdict that stands on each image: columns COLUMNS and IDENTITY (label Int64, null where none),
    sorted by reader and image id; of one data set, of one or some readers, if named. What cannot be read is left out,
    and `problems` says it."""
    names = [reader] if isinstance(reader, str) else readers(runs_dir) if reader is None else reader
    rows: list[dict[str, Any]] = []
    for name in names:
        standing = {(e["data_checksum"], e["image_id"]): e for e in not_undone(told_journal(runs_dir, name).events)}
        rows += [
            event | {"reader": name, "imported_by": _importer(event)}
            for (checksum, _), event in standing.items()
            if data_checksum in (None, checksum)
        ]
    table = pd.DataFrame(rows, columns=[*COLUMNS, *IDENTITY]).astype({"label": "Int64"})
    return table.sort_values(["reader", "image_id", "data_checksum"], ignore_index=True)


def _importer(event: dict[str, Any]) -> str | None:
    imported = event.get("imported")  # True where it was once written without saying who
    return imported["by"] if isinstance(imported, dict) else None


def problems(runs_dir: Path) -> list[str]:
    """A sentence for each line, and each file, of any reader that could not be read."""
    return [problem for reader in readers(runs_dir) for problem in told_journal(runs_dir, reader).problems]


@dataclass(frozen=True)
class Decision:
    """What several readers' verdicts on one data set come to.

    said: every verdict on an image, by anyone; labels: the right class where all who name one name the same, and nobody
    holds the given one for right; contradicted: images with a right class of which that does not hold, sorted;
    unnamed: images with a wrong label whose right class nobody names, sorted.
    """

    said: dict[str, set[str]]
    labels: dict[str, int]
    contradicted: list[str]
    unnamed: list[str]

    @property
    def held_right(self) -> set[str]:
        """The images whose given label somebody holds for right, and nobody for wrong."""
        return {image for image, said in self.said.items() if said & GIVEN_IS_RIGHT and "wrong_label" not in said}


GIVEN_IS_RIGHT = {"hard", "fine"}  # verdicts that hold the given label for right; an artefact says nothing of it


def decide(standing: pd.DataFrame) -> Decision:
    """From `current` of one data set. One reader's word is enough to leave an image out, but not against another's to
    change a label: "hard", "fine" and another right class speak against it, "artefact" and "wrong, not sure which" do
    not."""
    said: dict[str, set[str]] = {}
    named: dict[str, set[int]] = {}
    for row in standing.itertuples():
        said.setdefault(row.image_id, set()).add(row.verdict)
        if row.verdict == "wrong_label" and not pd.isna(row.label):
            named.setdefault(row.image_id, set()).add(int(row.label))
    agreed = {image for image, classes in named.items() if len(classes) == 1 and not said[image] & GIVEN_IS_RIGHT}
    labels = {image: next(iter(named[image])) for image in named if image in agreed}
    unnamed = [image for image, verdicts in said.items() if "wrong_label" in verdicts and image not in named]
    return Decision(said, labels, sorted(set(named) - agreed), sorted(unnamed))


def class_title(label: int, class_names: Sequence[str]) -> str:
    """The name of a right class; one that the data do not have is said by its number."""
    return class_names[label] if 0 <= label < len(class_names) else f"class {label}, unknown"


def agreement(runs_dir: Path, first: str, second: str, data_checksum: str | None = None) -> dict[str, Any]:
    """Two readers on the images that both have judged: {"readers", "n", "agreed" (share), "kappa" (Cohen's, None where
    not defined), "says" (a sentence), "table" {verdict of first: {verdict of second: images}}}.

    To say wrong label with different right classes is to disagree.
    """
    from sklearn.metrics import cohen_kappa_score

    if first == second:
        raise UserError(f"Agreement is between two readers; '{first}' was named twice.", field="reader")
    for name in (first, second):
        known_reader(runs_dir, name)
    key = ["data_checksum", "image_id"]
    a, b = (current(runs_dir, data_checksum, name).set_index(key) for name in (first, second))
    both = a.merge(b, left_index=True, right_index=True, suffixes=("_a", "_b"))
    said = [[_category(v, c) for v, c in zip(both[f"verdict_{x}"], both[f"label_{x}"], strict=True)] for x in "ab"]
    n, agreed = len(both), sum(x == y for x, y in zip(*said, strict=True))
    defined = len(set(said[0]) | set(said[1])) > 1
    kappa = float(cohen_kappa_score(*said)) if defined else None
    table: dict[str, dict[str, int]] = {}
    for x, y in zip(*said, strict=True):
        table.setdefault(x, {}).setdefault(y, 0)
        table[x][y] += 1
    if not n:
        says = f"{first} and {second} have judged no image both."
    elif kappa is None:
        says = f"{first} and {second} gave the same verdict to all {n} images both judged: kappa is not defined."
    else:
        says = f"{first} and {second} agree on {agreed} of {n} images both judged; Cohen's kappa {kappa:.2f}."
    share = agreed / n if n else None
    return {"readers": [first, second], "n": n, "agreed": share, "kappa": kappa, "says": says, "table": table}


def _category(verdict: str, label: Any) -> str:
    return verdict if pd.isna(label) else f"{verdict}: {label}"
