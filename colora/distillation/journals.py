"""Readers' files of verdicts: append-only events, one file a reader, runs/.colora/verdicts/READER.jsonl.

An event is one JSON line, synced before whoever gives it goes on:
    {"id", "time" (UTC), "reader", "user", "action", and of the actions
     judge:    "data_checksum", "image_id", "verdict", "label" (the right class, of a wrong label), "note",
               "seen" (the image whose picture was on the screen; older lines and some imported ones do not say),
               "tab" (the browser tab that it came from, which alone may take it back; only lines from the app say so),
               "imported" ({"time", "by"}, of a verdict from a file: its own time and user are those of whoever gave it)
     undo:     "data_checksum", "image_id", "undoes" (the id of a judge event), "removal" (an id that all those share
               which one `colora verdicts rm` has taken back; those of the app have none)
     restore:  "removal": the undo events of that removal do not count, and what they took back stands where it stood}
Nothing is ever changed or deleted. An undo is an event, and the reader's verdict on that image is again the one before;
a removal is many undos, and to take it back is one event more. A version that does not know "restore" reads all other
lines as before, says that it leaves this one out, and has what was removed as removed.

A file is not to be trusted: anybody can write into a runs folder. What is no event, or longer than any that is written
here, is left out and said; what is no file, or may not be read, is one reader's trouble and no other's. A file that a
crash left with half a last line is read without it, says so, and takes further events.
"""

import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from colora.runs.access import check
from colora.runs.audit import acting_user, own_folder
from colora.runs.names import NAME, check_file_name
from colora.settings.catalog import MOST_CLASSES, VERDICTS
from colora.system.errors import UserError
from colora.system.files import append_bytes, regular, remembered, sync_folder, why
from colora.system.storage import disk_errors, locked, size_text

MOST_NOTE = 2_000  # characters
MOST_TEXT = 4_096  # characters of an image's id, a user's name and every other text
MOST_LINE = 1 << 19  # bytes: more than an event takes whose texts are all as long as they may be
MOST_BYTES = 1 << 29  # of a file: a million events
MOST_SAID = 20  # lines of one file that are told one by one
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


def check_reader(name: str) -> None:
    """Raises UserError for a name that cannot be a reader's, since it cannot be a file's."""
    check_file_name(name, "a reader", "reader")


def known_reader(runs_dir: Path, reader: str) -> str:
    """Raises UserError for a reader without verdicts, or whose file cannot be read."""
    check_reader(reader)
    if reader not in (known := readers(runs_dir)):
        there = f"there are: {', '.join(known)}" if known else "nobody has given a verdict yet"
        raise UserError(f"There is no reader '{reader}' in {verdicts_folder(runs_dir)}; {there}.", field="reader")
    journal(runs_dir, reader)
    return reader


def reader_file(runs_dir: Path, reader: str) -> Path:
    """It need not exist. Raises UserError for a name that cannot be a file's."""
    check_reader(reader)
    return verdicts_folder(runs_dir) / f"{reader}.jsonl"


def journal(runs_dir: Path, reader: str) -> Journal:
    """Empty where the reader has none yet. Raises UserError for a bad name, or what cannot be read as a file."""
    path = reader_file(runs_dir, reader)
    try:
        if not os.path.lexists(path):
            return Journal([], [])
        return remembered(_read, path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({why(error)}): move it; no verdict of {reader} counts.") from error


def told_journal(runs_dir: Path, reader: str) -> Journal:
    """The same, and where it cannot be read at all that is its one problem: of several readers the others count."""
    check_reader(reader)
    try:
        return journal(runs_dir, reader)
    except UserError as error:
        return Journal([], [str(error)])


@lru_cache(maxsize=REMEMBERED_JOURNALS)
def _read(path: str, stamp: Any) -> Journal:
    events, said, left_out = [], [], 0
    with _opened(path) as file:
        for number, (line, ended) in enumerate(_lines(file), start=1):
            if not line.strip():
                continue
            event = _event(line)
            if event is not None:
                events.append(event)
                continue
            left_out += 1
            if len(line) > MOST_LINE:
                what = f"is longer than the {MOST_LINE:,} bytes that an event takes at most"
            else:
                what = "is no event" if ended else "is cut off (a crash, or it is being written now)"
            if left_out <= MOST_SAID:
                said.append(f"{path}, line {number}, {what} and was left out; the other lines count.")
    if left_out > MOST_SAID:
        said.append(f"{path} has {left_out - MOST_SAID:,} more lines that were left out.")
    return Journal(events, said)


@contextmanager
def _opened(path: str | Path) -> Iterator[BinaryIO]:
    """Raises OSError and ValueError as `regular` does, the second also of a file larger than a reader's can be."""
    with open(regular(path), "rb") as file:
        if (size := os.fstat(file.fileno()).st_size) > MOST_BYTES:
            raise ValueError(f"it has {size_text(size)}, and a reader's verdicts {size_text(MOST_BYTES)} at most")
        yield file


def _lines(file: Any) -> Iterator[tuple[bytes, bool]]:
    """Each line without its end, and whether it has one; of a line that is too long the beginning, never the whole."""
    while line := file.readline(MOST_LINE + 1):
        rest = line
        while len(rest) > MOST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(MOST_LINE + 1)
        yield line.removesuffix(b"\n"), rest.endswith(b"\n")


def _event(line: bytes) -> dict[str, Any] | None:
    """None of what is none."""
    if len(line) > MOST_LINE:
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):  # the second of many brackets
        return None
    return event if is_event(event) else None


def is_text(value: Any, most: int = MOST_TEXT) -> bool:
    """Whether a value is text that can be shown and written anywhere: no half of a character, and not endless."""
    if not isinstance(value, str) or len(value) > most:
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def is_event(event: Any) -> bool:
    """Whether a value has all that its action needs, each of the kind that readers of the file rely on."""
    if not isinstance(event, dict) or not all(is_text(event.get(name)) for name in ("id", "time", "user")):
        return False
    action, removal = event.get("action"), event.get("removal")
    if action == "restore":
        return is_text(removal)
    if not all(is_text(event.get(name)) for name in ("data_checksum", "image_id")):
        return False
    if action == "undo":
        return is_text(event.get("undoes")) and (removal is None or is_text(removal))
    label, imported, seen, tab = (event.get(name) for name in ("label", "imported", "seen", "tab"))
    return (
        action == "judge"
        and isinstance(event.get("verdict"), str)
        and event["verdict"] in VERDICTS
        and (label is None or (type(label) is int and 0 <= label < MOST_CLASSES and event["verdict"] == "wrong_label"))
        and is_text(event.get("note"), MOST_NOTE)
        and seen in (None, event["image_id"])
        and (tab is None or is_text(tab))
        and (imported in (None, True) or (isinstance(imported, dict) and is_text(imported.get("by"))))
    )


def new_event(reader: str, action: str, **about: Any) -> dict[str, Any]:
    """Not written yet."""
    head = {"id": uuid.uuid4().hex, "time": utc_text(datetime.now(UTC)), "reader": reader, "user": acting_user()}
    return head | {"action": action} | about


def utc_text(time: datetime) -> str:
    """As an event has it: ISO 8601 in UTC, to the millisecond; a time without a zone is taken as UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
    """Append and sync; half a line that a crash left is ended first, so that it damages no other.

    Raises UserError where an event is one that nobody would read, or no file lies there.
    """
    if not all(map(is_event, events)):
        raise UserError(
            f"Nothing was written: a text has more than {MOST_TEXT:,} characters, or holds half a character."
        )
    new, torn = not os.path.lexists(path), False
    if not new:
        try:
            with _opened(path) as file:
                if file.seek(0, os.SEEK_END):
                    file.seek(-1, os.SEEK_END)
                    torn = file.read() != b"\n"
        except ValueError as error:
            raise UserError(f"{path} could not be written ({why(error)}): move it away.") from error
    lines = "".join(json.dumps(event, allow_nan=False) + "\n" for event in events)
    append_bytes(path, (b"\n" if torn else b"") + lines.encode())
    if new:
        sync_folder(path.parent)


def restored(events: list[dict[str, Any]]) -> set[str]:
    """The removals that were taken back."""
    return {event["removal"] for event in events if event["action"] == "restore"}


def not_undone(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The judgements that stand or stood until a later one on the same image, oldest first."""
    back = restored(events)
    undone = {event["undoes"] for event in events if event["action"] == "undo" and event.get("removal") not in back}
    return [event for event in events if event["action"] == "judge" and event["id"] not in undone]
