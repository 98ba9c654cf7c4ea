"""May whoever acts do this? Asked where it is done, by the functions that do it; each refusal is in the audit log.

Who acts is known in two ways. The app puts in who has signed in to the session that asks. A command that the app
starts for a person finds their role in COLORA_ROLE, beside COLORA_USER. Everybody else, in a terminal or in an app
where nobody signs in, has the rights that the operating system gives them.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from colora.runs import audit
from colora.runs.audit import uploads_folder
from colora.settings.access import ACTIONS, ADMIN, ROLES, VARIABLE, Access, access_file, load_access
from colora.system.errors import UserError
from colora.system.typed import typed_path

if TYPE_CHECKING:
    from colora.runs.folder import Group

ROLE = "COLORA_ROLE"
OF_A_PERSON = ("COLORA_USER", ROLE, VARIABLE)
AGAIN_SECONDS = 60  # a page that is drawn anew asks for the same place again


class Refused(UserError):
    """Something that whoever acts may not do."""


class Person(NamedTuple):
    """Who acts: their e-mail address, their role (None: they may do nothing), and where their refusals are written."""

    name: str
    role: str | None
    runs_dir: Path | None = None


def from_environment() -> Person | None:
    """Whom a command acts for, as the app that started it says; None of one that a person has started."""
    if (role := os.environ.get(ROLE)) is None:
        return None
    return Person(audit.acting_user(), role if role in ROLES else None, named_runs_dir())


def named_runs_dir() -> Path | None:
    """The runs folder that the environment names."""
    folder = os.environ.get("COLORA_RUNS_DIR")
    return Path(folder) if folder else None


acting: Callable[[], Person | None] = from_environment  # the app puts in who has signed in to the session that asks
runs_dir: Callable[[], Path | None] = named_runs_dir  # the app puts in the one that it shows
in_app = False  # where colora-access.toml counts without being named
_told: dict[tuple[str, str], float] = {}  # (name, what) -> when a look at a place was refused last


def passed_on(runs_dir: Path) -> dict[str, str]:
    """What a command is told in its environment, so that it is held to what this process is held to."""
    found, person = {}, acting()
    if path := access_file() if in_app else None:
        found |= {VARIABLE: str(path.absolute()), "COLORA_RUNS_DIR": str(runs_dir)}
    if person is not None:
        found |= {"COLORA_USER": person.name, ROLE: person.role or "", "COLORA_RUNS_DIR": str(runs_dir)}
    return found


def nobodys() -> None:
    """This process goes on for all, whoever has started it: a supervisor, a training."""
    for name in OF_A_PERSON:
        os.environ.pop(name, None)


def why_not(action: str, owner: str | None = None) -> str | None:
    """The sentence that refuses an action, None where it may be done; nothing is written.

    `owner` is whose the thing is that it is done to, "" where that is unknown, None where it is nobody's yet.
    """
    person = acting()
    if person is None:
        return None
    rule = ACTIONS[action]
    another = owner is not None and owner.lower() != person.name.lower()
    needed = rule.others if another else rule.own
    if person.role is not None and ROLES.index(person.role) >= ROLES.index(needed):
        return None
    who = f"{person.name}, here as a {person.role}," if person.role else f"{person.name or 'Whoever has not signed in'}"
    whose = " that are not their own" if another and rule.others != rule.own and person.role else ""
    article = "an" if needed == ADMIN else "a"
    return f"{who} may not {rule.words}{whose}: that is for {article} {needed}. {whom_to_ask()}"


def whom_to_ask() -> str:
    try:
        access = load_access()
    except UserError:
        access = None
    return access.whom_to_ask if access else "Ask whoever runs this server."


def check(action: str, runs_dir: Path, what: str = "", owner: str | None = None) -> None:
    """Raises Refused, with the refusal in the audit log of `runs_dir`, where whoever acts may not do this to `what`."""
    if said := why_not(action, owner):
        refuse(runs_dir, action, what, said)


def check_anywhere(action: str, what: str) -> None:
    """`check` of what is done to no runs folder: the refusal is written where that person's are."""
    if said := why_not(action):
        person = acting()
        if person and person.runs_dir:
            refuse(person.runs_dir, action, what, said)
        raise Refused(said)


def record_of_person(action: str, **detail: Any) -> None:
    """Writes down what a person does who has signed in, where it is no runs folder's own business."""
    if (person := acting()) and person.runs_dir:
        audit.record(person.runs_dir, action, "", [], **detail)


def check_group(action: str, group: "Group") -> None:
    """`check` of what is done to a group, which belongs to whoever launched it."""
    check(action, group.path.parent, group.name, owner_of(group))


def owner_of(group: "Group") -> str:
    """Who launched it; "" where its file does not tell."""
    try:
        return group.info["launched_by"]
    except UserError:
        return ""


def refuse(runs_dir: Path, action: str, what: str, said: str) -> None:
    """Writes the refusal down and raises it."""
    audit.record(runs_dir, "refused", what, [], refused=action, why=said)
    raise Refused(said)


def named_place(text: str | os.PathLike[str], field: str | None = None) -> Path:
    """`typed_path` of a file or folder that somebody names as data. Raises Refused where it is in none of the folders
    that may be named (`data_roots`); whether there is anything at that place is not told, and not looked at. What came
    in through the browser lies in the runs folder and may be named too, whoever brought it in.

    They hold in the app, in what it starts for people, and where COLORA_ACCESS names the file.
    """
    path = typed_path(text, field)
    if not os.fspath(text):  # none is named
        return path
    access = _rules_of_places()
    if _allowed(access, path):
        return path
    roots = " or ".join(access.data_roots)
    where = f"data, weights and cut files have to lie below {roots}" if roots else "none may, on this server"
    said = f"This place may not be named: {where}. {access.whom_to_ask}"
    _told_of_looking("name", str(path), said)
    raise Refused(said, field=field)


def may_be_named(path: Path) -> bool:
    """What `named_place` tells of an absolute path, for lists in which what may not be named does not stand: nobody has
    named it, so nothing is written down."""
    return _allowed(_rules_of_places(), path)


def _allowed(access: Access | None, path: Path) -> bool:
    runs = runs_dir()
    return access is None or access.allows(path, *((uploads_folder(runs),) if runs else ()))


def data_roots() -> list[Path] | None:
    """The folders below which data may be named, whether or not they are there; None where any place may be."""
    access = _rules_of_places()
    return None if access is None else [Path(root) for root in access.data_roots or ()]


def _rules_of_places() -> Access | None:
    """None where any place may be named."""
    access = load_access() if in_app or os.environ.get(VARIABLE) else None
    return None if access is None or access.data_roots is None else access


def check_looking(action: str, what: str) -> None:
    """`check` of what a page asks anew whenever it is drawn: the same refusal is written once a minute."""
    if said := why_not(action):
        _told_of_looking(action, what, said)
        raise Refused(said)


def _told_of_looking(action: str, what: str, said: str) -> None:
    person, now = acting(), time.monotonic()
    for known in [known for known, told in _told.items() if now - told >= AGAIN_SECONDS]:
        del _told[known]
    if person and person.runs_dir and (person.name, what) not in _told:
        _told[person.name, what] = now
        audit.record(person.runs_dir, "refused", "", [], refused=action, place=what, why=said)
