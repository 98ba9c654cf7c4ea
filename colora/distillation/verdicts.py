"""What people decide about single images: append-only events, one file a reader, runs/.colora/verdicts/READER.jsonl.

An event is one JSON line, synced before `judge` returns:
    {"id", "time" (UTC), "reader", "user", "action": "judge" | "undo", "data_checksum", "image_id",
     "verdict", "label" (the right class, of a wrong label), "note", "undoes" (id, of an undo),
     "seen" (the image whose picture was on the screen; older lines and some imported ones do not say),
     "tab" (the browser tab that it came from, which alone may take it back; only lines from the app say so),
     "imported" ({"time", "by"}, of a verdict from a file: its own time and user are those of whoever gave it)}
Nothing is ever changed or deleted: an undo is an event, and the reader's verdict on that image is again the one before.
A file that a crash left with half a last line is read without it, says so, and takes further events.
"""

import json
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from colora.runs.access import check
from colora.runs.audit import acting_user, own_folder
from colora.runs.folder import NAME, check_file_name
from colora.settings.catalog import VERDICTS
from colora.system.errors import UserError
from colora.system.files import append_bytes, remembered, sync_folder
from colora.system.storage import disk_errors, locked

COLUMNS = ("reader", "image_id", "verdict", "label", "note", "time", "user", "data_checksum", "imported_by", "seen")
IDENTITY = ("id", "tab")  # what tells a standing verdict from the next one; no part of an export
MOST_NOTE = 2_000  # characters
REMEMBERED_JOURNALS = 256


@dataclass(frozen=True)
class Journal:
    """A reader's events, oldest first, and a sentence for each line that could not be read."""

    events: list[dict[str, Any]]
    problems: list[str]


def own_reader() -> str:
    """The reader's name of who is at the keyboard, fit for a file name."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", acting_user()).lstrip("._-")[:80]
    return name or "reader"


def verdicts_folder(runs_dir: Path) -> Path:
    return Path(runs_dir) / ".colora" / "verdicts"


def readers(runs_dir: Path) -> list[str]:
    """Everyone with a file, sorted."""
    return sorted(path.stem for path in verdicts_folder(runs_dir).glob("*.jsonl") if NAME.fullmatch(path.stem))


def journal(runs_dir: Path, reader: str) -> Journal:
    """Empty where the reader has none yet. Raises UserError for a bad name, or a file that may not be read."""
    path = reader_file(runs_dir, reader)
    try:
        return remembered(_read, path)
    except FileNotFoundError:
        return Journal([], [])
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error


@lru_cache(maxsize=REMEMBERED_JOURNALS)
def _read(path: str, stamp: Any) -> Journal:
    events, found = [], []
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
            if not _is_event(event):
                raise ValueError("not an event")
            events.append(event)
        except ValueError:
            last = number == len(lines)
            what = "is cut off (a crash, or it is being written now)" if last else "is no event"
            found.append(f"{path}, line {number}, {what} and was left out; the other lines count.")
    return Journal(events, found)


def _is_event(event: Any) -> bool:
    """Whether a line has all that its action needs, each of the kind that readers of the file rely on."""
    names = ("id", "time", "user", "data_checksum", "image_id")
    if not isinstance(event, dict) or not all(isinstance(event.get(name), str) for name in names):
        return False
    if event.get("action") == "undo":
        return isinstance(event.get("undoes"), str)
    label, imported, seen, tab = (event.get(name) for name in ("label", "imported", "seen", "tab"))
    return (
        event.get("action") == "judge"
        and event.get("verdict") in VERDICTS
        and (label is None or (type(label) is int and label >= 0 and event["verdict"] == "wrong_label"))
        and isinstance(event.get("note"), str)
        and seen in (None, event["image_id"])
        and (tab is None or isinstance(tab, str))
        and (imported in (None, True) or (isinstance(imported, dict) and isinstance(imported.get("by"), str)))
    )


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
) -> dict[str, Any]:
    """Append a verdict and return its event.

    `label` is the right class of a wrong label (None: wrong, the right one unknown); `seen` the image whose picture the
    reader had before them, and `tab` the browser tab, where those are known. Raises UserError for a bad reader's name,
    an unknown verdict, a label with another verdict than wrong_label, or where another image was seen.
    """
    check_seen(image_id, seen)
    known = {name: value for name, value in (("seen", seen), ("tab", tab)) if value}
    event = judgement(reader, data_checksum, image_id, verdict, label, note) | known
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
    reader: str, data_checksum: str, image_id: str, verdict: str, label: int | None, note: str
) -> dict[str, Any]:
    """The event of `judge`, not written yet; raises what `judge` does."""
    if verdict not in VERDICTS:
        raise UserError(f"There is no verdict '{verdict}': known are {', '.join(VERDICTS)}.", field="verdict")
    if label is not None and verdict != "wrong_label":
        raise UserError(f"A right class goes with the verdict wrong_label, not with {verdict}.", field="label")
    if label is not None and label < 0:
        raise UserError(f"The right class is a class number from 0 on, got {label}.", field="label")
    if not image_id or not data_checksum:
        raise UserError("A verdict names an image and the checksum of its data.", field="image_id")
    if len(note) > MOST_NOTE:
        raise UserError(f"A note has up to {MOST_NOTE:,} characters; this one has {len(note):,}.", field="note")
    event = _event(reader, "judge", data_checksum, image_id)
    return event | {"verdict": verdict, "label": label, "note": note}


def _event(reader: str, action: str, data_checksum: str, image_id: str) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "time": utc_text(datetime.now(UTC)),
        "reader": reader,
        "user": acting_user(),
        "action": action,
        "data_checksum": data_checksum,
        "image_id": image_id,
    }


def utc_text(time: datetime) -> str:
    """As an event has it: ISO 8601 in UTC, to the millisecond; a time without a zone is taken as UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
        taken_back = _event(reader, "undo", last["data_checksum"], last["image_id"]) | {"undoes": last["id"]}
        append_events(path, [taken_back])
    return last


def _not_the_last(standing: list[dict[str, Any]], reader: str, event_id: str) -> str:
    found = (
        f"{reader} has judged this image anew since, {VERDICTS[standing[-1]['verdict']].lower()}, in another window"
        if any(event["id"] == event_id for event in standing)
        else f"{reader}'s verdict was taken back already, in another window"
    )
    return f"Nothing was taken back: {found}. Look at what stands now."


def check_reader(name: str) -> None:
    """Raises UserError for a name that cannot be a reader's, since it cannot be a file's."""
    check_file_name(name, "a reader", "reader")


def reader_file(runs_dir: Path, reader: str) -> Path:
    """It need not exist. Raises UserError for a name that cannot be a file's."""
    check_reader(reader)
    return verdicts_folder(runs_dir) / f"{reader}.jsonl"


def check_writer(runs_dir: Path, reader: str) -> None:
    """Raises UserError where whoever acts may not decide in the name of this reader."""
    own = reader == own_reader()
    check("judge", runs_dir, reader, acting_user() if own else reader)


@contextmanager
def writing(runs_dir: Path, reader: str) -> Iterator[Path]:
    """The reader's file, which no other process on this host writes meanwhile."""
    check_writer(runs_dir, reader)
    path = reader_file(runs_dir, reader)
    with disk_errors(path, "choose another --runs-dir"):
        own_folder(runs_dir)
        path.parent.mkdir(exist_ok=True)
        with locked(path):
            yield path


def append_events(path: Path, events: list[dict[str, Any]]) -> None:
    """Append and sync; half a line that a crash left is ended first, so that it damages no other."""
    new, torn = not path.exists(), False
    if not new and path.stat().st_size:
        with open(path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            torn = file.read() != b"\n"
    lines = "".join(json.dumps(event, allow_nan=False) + "\n" for event in events)
    append_bytes(path, (b"\n" if torn else b"") + lines.encode())
    if new:
        sync_folder(path.parent)


def not_undone(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The judgements that stand or stood until a later one on the same image, oldest first."""
    undone = {event["undoes"] for event in events if event["action"] == "undo"}
    return [event for event in events if event["action"] == "judge" and event["id"] not in undone]


def current(runs_dir: Path, data_checksum: str | None = None, reader: str | list[str] | None = None) -> pd.DataFrame:
    """Each reader's verdict that stands on each image: columns COLUMNS and IDENTITY (label Int64, null where none),
    sorted by reader and image id; of one data set, of one or some readers, if named."""
    names = [reader] if isinstance(reader, str) else readers(runs_dir) if reader is None else reader
    rows: list[dict[str, Any]] = []
    for name in names:
        standing = {(e["data_checksum"], e["image_id"]): e for e in not_undone(journal(runs_dir, name).events)}
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
    """A sentence for each line of any reader that could not be read."""
    return [problem for reader in readers(runs_dir) for problem in journal(runs_dir, reader).problems]


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
        if name not in readers(runs_dir):
            known = ", ".join(readers(runs_dir)) or "nobody"
            raise UserError(
                f"There is no reader '{name}' in {verdicts_folder(runs_dir)}; there are: {known}.", field="reader"
            )
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
