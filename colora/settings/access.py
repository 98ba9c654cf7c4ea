"""colora-access.toml: who may use a shared app and as what, and which folders hold data. Pure: of files and texts only.

Looked for in this order: the file that COLORA_ACCESS names, beside app.py, ~/.config/colora/, /etc/colora/.

    admins      = ["prof@clinic.example"]                      an address
    researchers = ["*@lab.example", "eve@clinic.example"]      or all of one domain, its sub-domains not
    readers     = ["*@clinic.example"]
    data_roots  = ["/data/oct", "~/scans"]

Who stands in several lists has the highest of their roles. Addresses are compared in ASCII, whatever the case, so that
no letter passes for another that looks like it.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from colora.settings.catalog import nearest
from colora.system.errors import UserError
from colora.system.files import read_file, remembered, why
from colora.system.installation import settings_places
from colora.system.typed import shortened, typed_path

FILE, VARIABLE = "colora-access.toml", "COLORA_ACCESS"
READER, RESEARCHER, ADMIN = ROLES = ("reader", "researcher", "admin")  # each may do what those before it may
LONGEST = 254  # letters of an address, by the rules of e-mail
DOMAIN = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
ADDRESS = re.compile(rf"[a-z0-9.!#$%&'+/=?^_`{{|}}~-]+@{DOMAIN}")
ENTRY = re.compile(rf"(?:\*|[a-z0-9.!#$%&'+/=?^_`{{|}}~-]+)@{DOMAIN}")


class Rule(NamedTuple):
    """`may not ...` in words, and from which role on it may be done: with what is one's own, and with others'."""

    words: str
    own: str
    others: str


ACTIONS = {
    "judge": Rule("give or take back verdicts", READER, ADMIN),
    "name": Rule("name data of their own choice", RESEARCHER, RESEARCHER),
    "features": Rule("have models look at their images again", RESEARCHER, RESEARCHER),
    "launch": Rule("launch runs", RESEARCHER, RESEARCHER),
    "note": Rule("write notes", RESEARCHER, RESEARCHER),  # a note takes the place of the one before
    "freeze": Rule("freeze the question that a group answers", RESEARCHER, RESEARCHER),  # the log keeps the one before
    "metadata": Rule("add to what is known of images", RESEARCHER, RESEARCHER),
    "test": Rule("test models on other data", RESEARCHER, RESEARCHER),
    "test-rm": Rule("remove tests on other data", RESEARCHER, ADMIN),
    "stop": Rule("stop runs", RESEARCHER, ADMIN),
    "resume": Rule("resume runs", RESEARCHER, ADMIN),
    "retry": Rule("begin runs anew", RESEARCHER, ADMIN),
    "move": Rule("move runs in the queue", RESEARCHER, ADMIN),
    "cut": Rule("save cuts", RESEARCHER, RESEARCHER),
    "replace-cut": Rule("replace cuts", RESEARCHER, ADMIN),
    "download": Rule("start or cancel downloads", RESEARCHER, RESEARCHER),
    "upload": Rule("bring in images of their own", RESEARCHER, RESEARCHER),
    "upload-rm": Rule("remove images that were brought in", RESEARCHER, ADMIN),
    "rm": Rule("remove groups", ADMIN, ADMIN),
    "cut-rm": Rule("remove cuts", ADMIN, ADMIN),
    "put-back": Rule("put back what was removed", READER, ADMIN),  # one's own removal
    "delete": Rule("delete for good", ADMIN, ADMIN),
    "empty-trash": Rule("empty the trash", ADMIN, ADMIN),
}
"""What is checked, an action a line. To look takes no line: whoever has a role may."""


def _entry(text: str) -> str:
    lowered = text.strip().lower()
    if not text.isascii() or not ENTRY.fullmatch(lowered):
        raise ValueError(f"'{shortened(text)}' is neither an address, such as eve@lab.example, nor *@lab.example")
    return lowered


def _root(text: str) -> str:
    try:
        path = typed_path(text)
    except UserError as error:
        raise ValueError(str(error)) from error
    if not path.is_absolute():
        raise ValueError(f"'{shortened(text)}' must be an absolute path, or begin with ~/")
    return str(path)


Entry = Annotated[str, AfterValidator(_entry)]
Root = Annotated[str, AfterValidator(_root)]


class Access(BaseModel):
    """The file's settings, each checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    admins: list[Entry] = []
    researchers: list[Entry] = []
    readers: list[Entry] = []
    data_roots: list[Root] | None = Field(None, description="None: any folder may be named; []: none.")
    trusted_issuers: list[str] = Field([], description="`iss` of providers that never say whether they verified.")
    session_hours: float = Field(12.0, description="After which a person signs in anew.", gt=0, le=720, strict=False)

    @property
    def names_people(self) -> bool:
        return bool(self.admins or self.researchers or self.readers)

    def role_of(self, address: str) -> str | None:
        """The highest role of an e-mail address; None where it is in no list, or is no address at all."""
        lowered = address.lower() if address.isascii() and len(address) <= LONGEST else ""
        if not ADDRESS.fullmatch(lowered):
            return None
        meant = {lowered, f"*@{lowered.partition('@')[2]}"}
        lists = ((ADMIN, self.admins), (RESEARCHER, self.researchers), (READER, self.readers))
        return next((role for role, entries in lists if meant & set(entries)), None)

    @property
    def whom_to_ask(self) -> str:
        """The admins that are known by an address, or what there is to say instead."""
        known = [entry for entry in self.admins if not entry.startswith("*")]
        return f"Ask {' or '.join(known[:3])}." if known else "Ask whoever runs this server."

    def admit(self, claims: Mapping[str, Any], now: float) -> tuple[str, str]:
        """(address, role) of whoever an identity provider says has signed in; `now` in seconds since 1970.

        Raises UserError where that is nobody who may come in, with whom to ask.
        """
        address, verified = claims.get("email"), claims.get("email_verified")
        if not isinstance(address, str) or not address:
            raise UserError(f"The sign-in told no e-mail address, by which people are known here. {self.whom_to_ask}")
        said, issuer = show(address), claims.get("iss")
        unsaid = verified is None and issuer in self.trusted_issuers
        if verified is not True and verified != "true" and not unsaid:
            raise UserError(f"Nobody has verified the address {said}, so it does not count here. {self.whom_to_ask}")
        began = claims.get("iat")
        if not isinstance(began, int | float) or isinstance(began, bool):
            raise UserError(f"The sign-in of {said} does not say when it was, so it does not count: sign in again.")
        if now > began + 3600 * self.session_hours:
            hours = f"{self.session_hours:g} hours"
            raise UserError(f"The sign-in of {said} is older than {hours}: sign in again.")
        if (role := self.role_of(address)) is None:
            raise UserError(f"{said} may not use this app: no list has this address. {self.whom_to_ask}")
        return address.lower(), role

    def allows(self, path: Path, *more: Path) -> bool:
        """Whether a path, its links followed, lies in one of the data roots, or of `more` folders, links followed
        too."""
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(os.path.realpath(root)) for root in (*(self.data_roots or ()), *more))


def show(address: str) -> str:
    """An address in a sentence: letters that are not what they look like are written as codes."""
    return shortened(address.encode("ascii", "backslashreplace").decode())


def access_file() -> Path | None:
    """The file that counts; one that COLORA_ACCESS names need not exist. Raises UserError where it cannot be seen."""
    places = settings_places(FILE, VARIABLE)
    if os.environ.get(VARIABLE):
        return places[0]
    try:
        return next((path for path in places if path.is_file()), None)
    except OSError as error:  # what cannot be looked into may hold the rules
        raise UserError(f"{error.filename} cannot be read: {error.strerror}.") from error


def load_access() -> Access | None:
    """As the file stands now; None where there is none. Raises UserError that names the file and its setting."""
    path = access_file()
    if path is None:
        return None
    try:
        return remembered(_read, path)
    except (OSError, ValueError) as error:  # also what is no TOML, or no text
        raise UserError(f"{path} cannot be read: {why(error)}.") from error


@lru_cache(maxsize=8)
def _read(path: str, stamp: Any) -> Access:
    values = tomllib.loads(read_file(path).decode())
    try:
        return Access(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            said = f"there is no setting '{shortened(field)}': {nearest(field, Access.model_fields)}"
        else:
            message = first["msg"].removeprefix("Value error, ")
            found = "" if first["type"] == "value_error" else f", but is {shortened(repr(first['input']))}"
            said = f"{field}: {message}{found}."
        raise UserError(f"{path}: {said}") from error
