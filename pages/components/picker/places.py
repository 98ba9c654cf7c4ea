"""Where a picker begins, and where its places are: the folders that may be named, where a file of rules bounds them;
else this account's home and where earlier groups have their data."""

from contextlib import suppress
from pathlib import Path

from colora.runs.access import data_roots, may_be_named
from colora.runs.audit import uploads_folder
from colora.runs.folder import Group
from colora.runs.listing import list_groups
from colora.settings.config import KNOWN_WEIGHTS, WITH_PATH
from colora.system.errors import UserError
from colora.system.typed import at_home, is_dir, is_file, typed_path
from pages.components.runs import runs_dir

EARLIER_GROUPS, EARLIER_PLACES = 40, 4  # groups that are looked at, the newest; places of theirs that are offered
PICKS_FOLDERS = ("folder", "images")  # kinds; the others pick files


def places(kind: str) -> list[Path]:
    """To begin at; of the roots also those that are not there."""
    found = data_roots()
    if found is None:
        found = []
        with suppress(UserError):  # an account without a home
            found.append(at_home("~"))
    others = [uploads_folder(runs_dir()), *earlier(kind)]
    found += [place for place in others if may_be_named(place) and is_dir(place)]
    return list(dict.fromkeys(found))


def title_of(place: Path) -> str:
    """What a place to begin at is called."""
    if place == uploads_folder(runs_dir()):
        return "Brought in"
    with suppress(UserError):  # an account without a home
        if data_roots() is None and place == at_home("~"):
            return "Home"
    return place.name or str(place)


def earlier(kind: str) -> list[Path]:
    """The folders in which earlier groups had their data, or their file of weights; the newest first."""
    found: dict[Path, None] = {}
    for group in list_groups(runs_dir())[:EARLIER_GROUPS]:
        with suppress(UserError):  # a damaged group, which Overview tells of
            if place := _of(group, kind):
                found[place.parent] = None
        if len(found) == EARLIER_PLACES:
            break
    return list(found)


def _of(group: Group, kind: str) -> Path | None:
    config = group.config
    if kind == "weights":
        text = "" if config.weights in KNOWN_WEIGHTS else config.weights
    else:
        source, _, text = config.dataset.partition(":")
        text = text if source in WITH_PATH else ""
    return typed_path(text).absolute() if text else None


def beginning(kind: str, present: str) -> Path | None:
    """The folder of what the field holds now, or the nearest one above it that is there; else the first place, where
    there is only one. None: the places are shown."""
    try:
        path = typed_path(present).absolute() if present.strip() else None
    except UserError:  # which the field's own mark says
        path = None
    if path is not None and may_be_named(path):
        inside = path if kind in PICKS_FOLDERS else path.parent
        for folder in (inside, *inside.parents):
            if not may_be_named(folder):
                break
            if not is_file(folder) and is_dir(folder):
                return folder
    there = [place for place in places(kind) if is_dir(place)]
    return there[0] if len(there) == 1 else None
