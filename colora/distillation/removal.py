"""`colora verdicts rm`: take back many verdicts at once, by reader, image and time, and bring them back.

Nothing is deleted: each verdict is undone by an event of its own, and those of one removal share an id by which one
event more brings all of them back to where they stood (colora.distillation.journals). Also verdicts are taken back over
which a later one stands, so that none of them comes up when that one is undone.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from colora.distillation.journals import (
    append_events,
    known_reader,
    new_event,
    not_undone,
    readers,
    restored,
    told_journal,
    verdicts_folder,
    writing,
)
from colora.distillation.verdicts import taking_back
from colora.runs.audit import record
from colora.system.errors import UserError
from colora.system.typed import shortened

ID_DIGITS = 12
Event = dict[str, Any]


def remove(
    runs_dir: Path,
    reader: str | None = None,
    image_id: str | None = None,
    after: datetime | None = None,
    before: datetime | None = None,
) -> dict[str, Any]:
    """Take back every verdict that fits all that is named, of everyone and all data sets: {"removal": its id, None
    where nothing fits, "readers": {reader: images whose verdict stood}, "removed": their sum, "earlier": verdicts that
    later ones stood over, "problems"}.

    Times are those of the verdicts, from `after` on and before `before`. Raises UserError where nothing is named, or
    the named reader has no file that can be read and written; of several readers that one is left out and said.
    """
    if (reader, image_id, after, before) == (None,) * 4:
        raise UserError("Say which verdicts: name a reader, an image, a time, or several of these.")
    named = [known_reader(runs_dir, reader)] if reader else readers(runs_dir)
    removal, problems = uuid.uuid4().hex[:ID_DIGITS], []
    counts: dict[str, int] = {}
    earlier = 0
    for name in named:
        problems += told_journal(runs_dir, name).problems
        with _others_go_on(problems, alone=bool(reader)), writing(runs_dir, name) as path:
            events = not_undone(told_journal(runs_dir, name).events)
            fits = [image_id in (None, event["image_id"]) and _within(event, after, before) for event in events]
            if any(fits):
                fitting = [event for event, fit in zip(events, fits, strict=True) if fit]
                append_events(path, [taking_back(name, event, removal=removal) for event in fitting])
                counts[name] = _standing(events, {event["id"] for event in fitting})
                earlier += len(fitting) - counts[name]
    if counts:
        record(runs_dir, "verdicts-rm", "", [], removal=removal, readers=counts)
    about = {"removal": removal if counts else None, "readers": counts, "removed": sum(counts.values())}
    return about | {"earlier": earlier, "problems": problems}


@contextmanager
def _others_go_on(problems: list[str], alone: bool = False) -> Iterator[None]:
    """One reader's file that cannot be written keeps no other from being written, and is told."""
    try:
        yield
    except UserError as error:
        if alone:
            raise
        problems.append(str(error))


def _standing(events: list[Event], ids: set[str]) -> int:
    """How many of these judgements are the last ones of their images."""
    last = {(event["data_checksum"], event["image_id"]): event["id"] for event in events}
    return len(ids & set(last.values()))


def _within(event: Event, after: datetime | None, before: datetime | None) -> bool:
    """Whether a verdict was given in a time; one that does not tell when fits no time."""
    if after is None and before is None:
        return True
    try:
        given = moment(event["time"])
    except ValueError:
        return False
    return (after is None or given >= after) and (before is None or given < before)


def moment(text: str) -> datetime:
    """A time, in UTC where it names no zone, or the beginning of a day. Raises ValueError for anything else."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def bring_back(runs_dir: Path, removal: str | None = None) -> dict[str, Any]:
    """Let what a removal took back stand again; without its id the last one that was not brought back: {"removal",
    "readers": {reader: images whose verdict stands again}, "restored": their sum, "problems"}. Raises UserError where
    there is no such removal, or it was brought back already."""
    known = _removals(runs_dir, lambda events: {})
    standing = _removals(runs_dir, restored)
    if removal is None:
        if not standing:
            raise UserError(f"No verdicts are removed in {verdicts_folder(runs_dir)}.")
        removal = max(standing, key=standing.get)
    if removal not in standing:
        why = "was brought back already" if removal in known else f"is not in {verdicts_folder(runs_dir)}"
        there = f"; there {'is' if len(standing) == 1 else 'are'} {', '.join(sorted(standing))}" if standing else ""
        raise UserError(f"The removal '{shortened(removal)}' {why}{there}.", field="removal")
    counts: dict[str, int] = {}
    problems: list[str] = []
    for name in readers(runs_dir):
        with _others_go_on(problems), writing(runs_dir, name) as path:
            events = told_journal(runs_dir, name).events
            undone = {e["undoes"] for e in events if e["action"] == "undo" and e.get("removal") == removal}
            if undone and removal not in restored(events):
                append_events(path, [back := new_event(name, "restore", removal=removal)])
                counts[name] = _standing(not_undone([*events, back]), undone)
    record(runs_dir, "verdicts-rm-undo", "", [], removal=removal, readers=counts)
    return {"removal": removal, "readers": counts, "restored": sum(counts.values()), "problems": problems}


def _removals(runs_dir: Path, without: Callable[[list[Event]], Any]) -> dict[str, str]:
    """{id of each removal, but those that `without` names of a reader's events: its last time}."""
    found: dict[str, str] = {}
    for name in readers(runs_dir):
        events = told_journal(runs_dir, name).events
        left_out = without(events)
        for event in events:
            if event["action"] == "undo" and (removal := event.get("removal")) and removal not in left_out:
                found[removal] = max(event["time"], found.get(removal, ""))
    return found
