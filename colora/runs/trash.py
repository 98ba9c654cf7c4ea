"""runs/.colora/trash: what was removed, until it is put back or deleted for good. Groups lie there as NAME.TIME,
retried seeds as NAME.seed-03.TIME, tests on other data as NAME+TEST.TIME, cuts as the file NAME.cut.TIME, images that
came in through the browser as NAME.upload.TIME. Who removed what stands in the audit log.

A link is moved, put back and deleted as the link that it is: nothing of what it leads to is read, and nothing deleted.
"""

import os
import re
import shutil
import stat
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from colora.runs.access import check, check_group
from colora.runs.audit import cuts_folder, own_folder, record, recorded, uploads_folder
from colora.runs.folder import Group, same_group
from colora.runs.lock import editing
from colora.runs.names import EXTERNAL, check_file_name, external_name
from colora.runs.verdict import processes_live
from colora.system.errors import Incomplete, UserError
from colora.system.files import read_json, sync_folder, write_json
from colora.system.storage import disk_errors, locked
from colora.system.typed import exists, shortened

LAST_MOMENTS_SECONDS = 3
POLL_SECONDS = 0.1
STAMP = "%Y%m%dT%H%M%S%fZ"
SEED = re.compile(r"(?P<group>.+)\.seed-(?P<seed>\d+)")
CUT, UPLOAD = ".cut", ".upload"
OF_GROUP = "+"  # between a group and its test on other data; no name has it
COMES_BACK = {"group": "group", "cut": "cut", "external": "test", "upload": "folder of scans"}  # kinds, as people say
GOING = ".going."  # what is being deleted, and no entry any more


@dataclass(frozen=True)
class Entry:
    """One thing in the trash; nothing of it changes as long as it lies there."""

    path: Path

    @property
    def name(self) -> str:
        """As it was called: `first`, `first.seed-03`, `hard10.cut`."""
        return self.path.name.removesuffix(f".{self.stamp}")

    @property
    def own_name(self) -> str:
        """That of the group, the cut, the test or the scans themselves: `first`, `hard10`, `clinic-b`, `eyes`."""
        if self.kind == "external":
            return self.name.partition(OF_GROUP)[2]
        return self.name.removesuffix({"cut": CUT, "upload": UPLOAD}.get(self.kind, ""))

    @property
    def group(self) -> str:
        """Of a test on other data the group that was tested."""
        return self.name.partition(OF_GROUP)[0]

    @property
    def stamp(self) -> str:
        """YYYYmmddTHHMMSSfZ, when it was removed; empty of what somebody else has put there."""
        last = self.path.name.rpartition(".")[2]
        return last if _time(last) else ""

    @property
    def removed(self) -> str | None:
        """ISO 8601 in UTC, to the second; None where it is not known."""
        return f"{_time(self.stamp):%Y-%m-%dT%H:%M:%SZ}" if self.stamp else None

    @cached_property
    def kind(self) -> str:
        """group, seed, cut, external (a test on other data), upload (images that came in), or other. Of a link its name
        tells it, as far as a name can."""
        if OF_GROUP in self.name:
            return "external" if self.path.is_symlink() or self.path.is_dir() else "other"
        if self.path.is_symlink():
            ends = next((kind for kind, end in (("cut", CUT), ("upload", UPLOAD)) if self.name.endswith(end)), None)
            return ends or ("seed" if SEED.fullmatch(self.name) else "group")
        if exists(self.path / "group.json"):
            return "group"
        if SEED.fullmatch(self.name) and self.path.is_dir():
            return "seed"
        if self.name.endswith(UPLOAD) and self.path.is_dir():
            return "upload"
        return "cut" if self.name.endswith(CUT) and self.path.is_file() else "other"

    @property
    def title(self) -> str:
        """In words: `first`, `seed 3 of first, before a retry`, `the cut hard10`, `the test of first on clinic-b`."""
        if self.kind == "seed":
            found = SEED.fullmatch(self.name)
            return f"seed {int(found['seed'])} of {found['group']}, before a retry"
        if self.kind == "external":
            return f"the test of {self.group} on {self.own_name}"
        return {"cut": "the cut ", "upload": "the scans "}.get(self.kind, "") + self.own_name

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = {"entry": self.path.name, "name": self.name, "kind": self.kind, "title": self.title}
        return found | {"removed": self.removed, "path": str(self.path)}


def _time(stamp: str) -> datetime | None:
    with suppress(ValueError):
        return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    return None


def trash_folder(runs_dir: Path) -> Path:
    return Path(runs_dir) / ".colora" / "trash"


def name_in_trash(group: str, test: str) -> str:
    """Of a group's test on other data."""
    return f"{group}{OF_GROUP}{test}"


def to_trash(runs_dir: Path, folder: Path, name: str) -> Path:
    """Rename `folder`, or a file, into the trash, on the same disk; returns its place there."""
    own_folder(runs_dir)
    trash = trash_folder(runs_dir)
    trash.mkdir(exist_ok=True)
    latest = max((entry.stamp for entry in listed(runs_dir)), default="")
    now = datetime.now(UTC)
    if f"{now:{STAMP}}" <= latest:  # the clock was set back
        now = _time(latest) + timedelta(microseconds=1)
    place = trash / f"{name}.{now:{STAMP}}"
    with disk_errors(folder, "remove it by hand"):
        folder.rename(place)
        sync_folder(trash)
        sync_folder(folder.parent)
    return place


def remove(group: Group) -> Path:
    """Move a group to the trash. Raises UserError while something of it waits or runs, or where it is gone already."""
    check_group("rm", group)
    runs_dir, identity, end = group.path.parent, group.identity, time.monotonic() + LAST_MOMENTS_SECONDS
    while not Group(group.path).active and _has_process(group) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)  # its last process is just ending
    with editing(runs_dir):
        fresh = same_group(group.path, identity)
        if fresh.active or _has_process(fresh):
            raise UserError(f"{group.name} still waits or runs: stop it first, with colora stop {group.path}")
        place = to_trash(runs_dir, group.path, group.name)
    record(runs_dir, "rm", group.name, [], trash=place.name)
    return place


def _has_process(group: Group) -> bool:
    return any(processes_live(run.path) for run in group.runs)


def restore(runs_dir: Path, name: str, kind: str = "group") -> Path:
    """Bring back the group or the cut of this name that was removed last. Raises UserError where there is none, or one
    has the name again."""
    there = [entry for entry in listed(runs_dir) if (entry.own_name, entry.kind) == (name, kind)]
    if not there:
        raise UserError(f"No removed {kind} named '{shortened(name)}' is in {trash_folder(runs_dir)}.")
    return put_back(runs_dir, there[-1])


def put_back(runs_dir: Path, entry: Entry, new_name: str | None = None) -> Path:
    """Bring back a group, a cut, scans, or a test on other data to its group, perhaps under another name. Raises
    UserError where the name is taken, the entry has gone from the trash meanwhile, the test's group has, or what a
    retry replaced is asked for."""
    check_there(entry)
    check("put-back", runs_dir, entry.path.name, remover(runs_dir, entry))
    if entry.kind not in COMES_BACK:
        raise UserError(
            f"Only whole groups, cuts, tests and scans are put back, not {entry.title}: it lies in {entry.path}."
        )
    name = new_name or entry.own_name
    if entry.kind == "external":
        external_name(f"{EXTERNAL}{name}")
    check_file_name(name, f"a {COMES_BACK[entry.kind]}")
    target = _place(runs_dir, entry, name)
    with _making(runs_dir, entry, target):
        target = _place(runs_dir, entry, name)  # again, as a test's group may be another one by now
        if os.path.lexists(target):
            raise UserError(
                f"{target} exists: it has taken the name of the removed {COMES_BACK[entry.kind]}. Remove it first, or "
                "put this one back under another name.",
                field="name",
            )
        renamed = entry.kind == "cut" and name != entry.own_name
        if renamed and entry.path.is_symlink():
            raise UserError(f"{entry.title} is a link to a file elsewhere: it comes back under its own name only.")
        document = read_json(entry.path) | {"name": name} if renamed else None
        with disk_errors(target, "put it back under another name"):
            target.parent.mkdir(exist_ok=True)
            _move(entry, target)
            if document:  # a cut says its name itself
                write_json(target, document)
    action, group, about = {
        "group": ("undo", name, {}),
        "cut": ("cut-undo", "", {"cut": name}),
        "external": ("test-undo", target.parent.parent.name, {"external": name}),
        "upload": ("upload-undo", "", {"upload": name}),
    }[entry.kind]
    record(runs_dir, action, group, [], trash=entry.path.name, **about)
    return target


def _making(runs_dir: Path, entry: Entry, target: Path) -> AbstractContextManager[None]:
    """The lock of whoever makes one of this name."""
    if entry.kind == "upload":
        return locked(uploads_folder(runs_dir))
    return locked(target) if entry.kind == "cut" else editing(runs_dir)


def _tested(runs_dir: Path, entry: Entry) -> Path:
    """The folder of the group that a test in the trash is of, whatever that is called now. Raises UserError where it is
    not there, or another one has its name."""
    own, identity = Path(runs_dir) / entry.group, _identity(entry)
    if exists(own / "group.json") and identity in ("", Group(own).identity):
        return own
    for path in sorted(Path(runs_dir).iterdir()) if identity else ():
        if exists(path / "group.json") and Group(path).identity == identity:
            return path
    if exists(own / "group.json"):
        raise UserError(f"{entry.title} cannot come back: another group is named {entry.group} now.")
    raise UserError(f"{entry.title} cannot come back: there is no group {entry.group}. Put that one back first.")


def _identity(entry: Entry) -> str:
    """Of the group that was tested; "" of a link, which is not followed, and of a damaged test, which comes back to the
    group of its name and says there what it is."""
    with suppress(UserError, OSError, ValueError):
        told = {} if entry.path.is_symlink() else read_json(entry.path / "external.json")
        return str(told.get("identity", "")) if isinstance(told, dict) else ""
    return ""


def free_name(runs_dir: Path, entry: Entry) -> str:
    """The name under which an entry can come back: its own, or with a number where that is taken."""
    names = (entry.own_name if n == 1 else f"{entry.own_name}-{n}" for n in count(1))
    return next(name for name in names if not os.path.lexists(_place(runs_dir, entry, name)))


def _place(runs_dir: Path, entry: Entry, name: str) -> Path:
    """Where a group, a cut, a test or scans of this name lie. Raises UserError as `_tested`."""
    if entry.kind == "cut":
        return cuts_folder(runs_dir) / f"{name}.json"
    if entry.kind == "upload":
        return uploads_folder(runs_dir) / name
    if entry.kind == "external":
        return _tested(runs_dir, entry) / "external" / name
    return Path(runs_dir) / name


def _move(entry: Entry, target: Path) -> None:
    try:
        entry.path.rename(target)
    except FileNotFoundError as error:  # somebody was faster
        raise _gone(entry) from error
    sync_folder(target.parent)
    sync_folder(entry.path.parent)


def check_there(entry: Entry) -> None:
    """Raises UserError where an entry is not in the trash any more."""
    if not os.path.lexists(entry.path):
        raise _gone(entry)


def _gone(entry: Entry) -> UserError:
    return UserError(f"{entry.title} is not in the trash any more: somebody has put it back or deleted it.")


def listed(runs_dir: Path) -> list[Entry]:
    """What is in the trash, the oldest first."""
    trash = trash_folder(runs_dir)
    there = [Entry(path) for path in trash.iterdir() if not path.name.startswith(".")] if trash.is_dir() else []
    return sorted(there, key=lambda entry: entry.stamp)


def found(runs_dir: Path, text: str) -> Entry:
    """The entry of this name in the trash (`first.20260131T120000000000Z`), or what was removed last under a name
    (`first`, `hard10.cut`). Raises UserError where there is none."""
    entries = listed(runs_dir)
    there = [e for e in entries if e.path.name == text] or [e for e in entries if e.name == text]
    if not there:
        raise UserError(f"There is no '{shortened(text)}' in {trash_folder(runs_dir)}: colora trash lists what is.")
    return there[-1]


def removers(runs_dir: Path) -> dict[str, str]:
    """{name in the trash: who put it there}, as far as the audit log can be read and tells."""
    known: dict[str, str] = {}
    with suppress(UserError):
        for line in recorded(runs_dir):
            places = line["detail"].get("trash")
            if line["action"] in ("rm", "cut-rm", "test-rm", "upload-rm", "retry"):
                known |= {str(place): line["user"] for place in (places if isinstance(places, list) else [places])}
    return known


def remover(runs_dir: Path, entry: Entry) -> str:
    """Who put an entry there; "" where the audit log does not tell."""
    return removers(runs_dir).get(entry.path.name, "")


def size_of(entry: Entry) -> int:
    """Bytes on disk of the files in it; every one is looked at, and no link is followed."""
    inside = (os.path.join(at, name) for at, folders, files in os.walk(entry.path) for name in (*folders, *files))
    return sum(map(_own_size, [entry.path] if _is_file(entry.path) else inside))


def _is_file(path: Path) -> bool:
    return path.is_symlink() or not path.is_dir()


def _own_size(path: str | Path) -> int:
    with suppress(OSError):  # gone, or nobody may look
        about = os.lstat(path)
        return 0 if stat.S_ISDIR(about.st_mode) else about.st_size
    return 0


def delete(runs_dir: Path, entry: Entry) -> None:
    """Delete an entry for good. Raises UserError where that fails, or it has gone from the trash meanwhile."""
    delete_all(runs_dir, [entry])


def delete_all(runs_dir: Path, entries: list[Entry]) -> int:
    """Delete entries for good; returns how many. One that fails keeps none of the others: raises Incomplete at the end,
    which names each with its reason. The audit log has what is really gone."""
    for entry in entries:
        check("delete", runs_dir, entry.path.name)
    return _told(runs_dir, "delete", *_each(entries))


def empty(runs_dir: Path) -> int:
    """Delete for good what is in the trash, also what an earlier deletion has left; returns how many entries. Raises
    Incomplete as `delete_all` does."""
    check("empty-trash", runs_dir)
    left_over = {}
    for left in trash_folder(runs_dir).glob(f"{GOING}*"):
        try:
            _wipe(left)
        except FileNotFoundError:  # another process was faster
            continue
        except OSError as error:
            left_over[left.name.removeprefix(GOING)] = f"in part only, {_why(error)}"
    gone, failed = _each(listed(runs_dir))
    return _told(runs_dir, "empty-trash", gone, left_over | failed)


def _each(entries: list[Entry]) -> tuple[list[str], dict[str, str]]:
    """Delete them; which are gone, and why the others are not, by their names in the trash."""
    gone, failed = [], {}
    for entry in entries:
        going = entry.path.with_name(GOING + entry.path.name)  # from now on nobody puts back what is half there
        try:
            _move(entry, going)
            _wipe(going)
            gone.append(entry.path.name)
        except UserError as error:
            failed[entry.path.name] = str(error).rstrip(".")
        except OSError as error:
            failed[entry.path.name] = _why(error)
    return gone, failed


def _wipe(path: Path) -> None:
    path.unlink() if _is_file(path) else shutil.rmtree(path)


def _why(error: OSError) -> str:
    """`Permission denied: log.txt`, of the file in an entry that could not be deleted."""
    where = f": {Path(os.fsdecode(error.filename)).name.removeprefix(GOING)}" if error.filename else ""
    return f"{error.strerror or error}{where}"


def _told(runs_dir: Path, action: str, gone: list[str], failed: dict[str, str]) -> int:
    """Into the audit log; how many are gone. Raises Incomplete where something has failed."""
    if gone or failed:
        record(runs_dir, action, "", [], removed=gone, **({"failed": sorted(failed)} if failed else {}))
    if failed:
        each = "; ".join(f"{name} ({why})" for name, why in failed.items())
        raise Incomplete(f"{f'{len(gone)} deleted for good; n' if gone else 'N'}ot deleted for good: {each}.")
    return len(gone)
