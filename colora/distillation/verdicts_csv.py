"""Verdicts as a table: what stands, one line an image and reader, to carry to another machine or a spreadsheet and
back.

It goes out as CSV and comes back as that or as whatever a spreadsheet makes of it.
"""

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
from pydantic import ValidationError

from colora.distillation.journals import (
    MOST_TEXT,
    append_events,
    check_reader,
    check_writer,
    is_text,
    journal,
    not_undone,
    utc_text,
    writing,
)
from colora.distillation.verdicts import COLUMNS, current, judgement
from colora.runs.external import data_of, external_splits
from colora.runs.folder import Group
from colora.runs.listing import list_groups
from colora.settings.catalog import MOST_CLASSES
from colora.system import spreadsheet
from colora.system.errors import UserError
from colora.system.files import AT_ONCE, write_bytes
from colora.system.storage import disk_errors, size_text
from colora.system.table_file import Table, table_of
from colora.system.typed import exists, is_dir, is_file, shortened

MOST_BYTES = 1 << 27  # of a file that is imported: some 500,000 verdicts


def export_csv(runs_dir: Path, path: Path, reader: str | None = None, data_checksum: str | None = None) -> int:
    """What stands, one line an image and reader, columns COLUMNS; returns the lines."""
    table, path = current(runs_dir, data_checksum, reader), Path(path)
    with disk_errors(path, "choose another file"):
        if _is_stream(path):  # written into, and not replaced by a file
            with _pipe(path, os.O_WRONLY | os.O_APPEND) as file:
                file.write(csv_bytes(table))
        else:
            write_bytes(path.resolve(), csv_bytes(table))  # a link stays one
    return len(table)


def _is_stream(path: Path) -> bool:
    """Whether it is a pipe or a device, or a name of one, as /dev/stdout, whatever that leads to."""
    if path.absolute().parts[1:2] in (("dev",), ("proc",)):
        return exists(path)
    return exists(path) and not is_dir(path) and not is_file(path)


def csv_bytes(table: pd.DataFrame) -> bytes:
    """A table of `current` as the CSV file that `import_csv` reads, UTF-8."""
    return spreadsheet.csv_bytes(table[list(COLUMNS)])


def import_csv(runs_dir: Path, source: Path | bytes, reader: str | None = None) -> dict[str, int]:
    """Append what a file (or its bytes) in the form of `export_csv` holds: {"added", "known"}; lines that stand already
    are left out. Needs the columns image_id, verdict, data_checksum, and reader where `reader` does not replace it.
    Any file that `table_file` reads will do: with semicolons, of Excel ...

    A verdict keeps the time and the user that the file gives it, and says who imported it, and when. All or nothing:
    raises UserError that names the line for anything wrong, also a right class that the data do not have, where a group
    in `runs_dir` was trained on them.
    """
    table = _read(source)
    needed = ["image_id", "verdict", "data_checksum"] + ([] if reader else ["reader"])
    if missing := [name for name in needed if name not in table.cells]:
        raise UserError(f"The file lacks the column {missing[0]}; it needs {', '.join(needed)}.", field="file")
    classes = classes_of_data(runs_dir, set(table.cells["data_checksum"]))
    events: dict[str, list[dict[str, Any]]] = {}
    for number, row in enumerate(table.cells.to_dict("records")):
        name = reader or row["reader"]
        try:
            check_reader(name)
            event = _event_of(name, row, classes.get(row["data_checksum"]))
        except UserError as error:
            raise UserError(f"{table.place(number).capitalize()} of the file: {error}", field="file") from error
        events.setdefault(name, []).append(event)
    for name in events:
        check_writer(runs_dir, name)
    added = 0
    for name, theirs in events.items():
        with writing(runs_dir, name) as path:
            known = {_key(event): _content(event) for event in not_undone(journal(runs_dir, name).events)}
            new = []
            for event in theirs:
                if known.get(_key(event)) != _content(event):
                    known[_key(event)] = _content(event)
                    new.append(event)
            if new:
                append_events(path, new)
            added += len(new)
    return {"added": added, "known": len(table) - added}


def classes_of_data(runs_dir: Path, checksums: set[str]) -> dict[str, int]:
    """{data checksum: number of classes} of those that a group in this folder was trained on, or tested."""
    found: dict[str, int] = {}
    for group in list_groups(runs_dir):
        with suppress(UserError, ValidationError):  # a damaged group tells nothing, and stands in no file's way
            for run in group.runs:
                if run.state != "damaged" and run.resolved and run.resolved.data_checksum in checksums:
                    found[run.resolved.data_checksum] = len(run.resolved.class_names)
            found |= {key: n for key, n in _of_tests(group).items() if key in checksums}
    return found


def _of_tests(group: Group) -> dict[str, int]:
    """Of the other data that a group was tested on."""
    run = next((run for run in group.runs if run.state != "damaged" and run.resolved), None)
    found = {}
    for split in external_splits(group) if run else ():
        with suppress(UserError):  # a damaged test tells nothing
            found[data_of(run, split).verdicts] = len(run.resolved.class_names)
    return found


def _event_of(reader: str, row: dict[str, str], classes: int | None) -> dict[str, Any]:
    """A line as an event. Raises UserError for what is wrong with it."""
    for column in ("data_checksum", "user"):
        if not is_text(row.get(column, "")):
            raise UserError(f"its {column} has more than {MOST_TEXT:,} characters.")
    label, note = _label(row.get("label", "")), row.get("note", "")
    event = judgement(reader, row["data_checksum"], row["image_id"], row["verdict"], label, note, classes)
    imported = {"imported": {"time": event["time"], "by": event["user"]}}
    if row.get("time"):
        event["time"] = _time(row["time"])
    seen = {"seen": row["image_id"]} if row.get("seen") == row["image_id"] else {}
    return event | {"user": row.get("user") or event["user"]} | imported | seen


def _time(text: str) -> str:
    try:
        return utc_text(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        found = shortened(text)
        raise UserError(f"the time of a verdict is such as 2026-01-31T12:00:00Z, or empty; got '{found}'.") from error


def _read(source: Path | bytes) -> Table:
    try:
        content = source if isinstance(source, bytes) else _content_of(source)
    except OSError as error:
        raise UserError(f"{source} cannot be read: {error.strerror}.", field="file") from error
    return table_of(content, "The file", field="file", may_lack=True)


def _pipe(path: Path, flag: int) -> BinaryIO:
    """A file, or a pipe, as a shell gives it for what another command writes or reads; where there is no other command
    that is an error, or nothing is read, and no wait for ever."""
    handle = os.open(path, flag | AT_ONCE)
    os.set_blocking(handle, True)
    return open(handle, "wb" if flag & os.O_WRONLY else "rb")


def _content_of(path: Path) -> bytes:
    with _pipe(path, os.O_RDONLY) as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UserError(f"{path} has more than {size_text(MOST_BYTES)}: that is no file of verdicts.", field="file")
    return content


def _label(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > len(str(MOST_CLASSES)):
        raise UserError(f"a right class is a class number from 0 on, or empty; got '{shortened(text)}'.")
    return int(text)


def _key(event: dict[str, Any]) -> tuple[str, str]:
    return event["data_checksum"], event["image_id"]


def _content(event: dict[str, Any]) -> tuple[Any, ...]:
    return event["verdict"], event["label"], event["note"]
