"""RUNS_DIR/.colora/uploads/NAME: the images that came in as one zip or folder, and upload.json, which tells of them.

The file lies with the images, so that a rename moves both: they come, go to the trash and come back as one. The data
code reads no .json, and a folder's classes are its sub-folders.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Len
from typing_extensions import TypedDict

from colora.runs.access import check
from colora.runs.audit import record, uploads_folder
from colora.runs.documents import STRICT, Moment, Text, document
from colora.runs.external import about_external, external_splits
from colora.runs.folder import Group
from colora.runs.listing import list_groups
from colora.runs.names import NAME
from colora.runs.trash import UPLOAD, to_trash
from colora.settings.config import WITH_PATH
from colora.settings.resolved import Count
from colora.system.errors import UserError
from colora.system.storage import locked
from colora.system.typed import is_dir, shortened

FILE = "upload.json"
NAMED_FOLDERS = 8  # whose names are told


class UploadFile(TypedDict):
    """upload.json: what came (`called`: the zip's or the folder's own name), which images and tables of it are here and
    their bytes; in how many folders images lie, and the names of the first; what was left out, by reason, with the
    first of each; SHA-256 over the sorted paths and their contents; when and by whom."""

    __pydantic_config__ = STRICT
    called: Text
    came_as: Literal["zip", "folder"]
    images: Count
    tables: Count
    bytes: Count
    folders: Count
    first_folders: Annotated[list[Text], Len(0, NAMED_FOLDERS)]
    left_out: dict[Text, Count]
    examples: dict[Text, list[Text]]
    checksum: Text
    created: Moment
    by: Text


@dataclass(frozen=True)
class Upload:
    """One folder of images as it was seen; of a damaged one `about` is empty and `problem` says why."""

    place: Path
    about: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def dataset(self) -> str:
        """As `RunConfig.dataset` has it."""
        return f"folder:{self.place}"

    @property
    def by(self) -> str:
        """Whose it is; "" where that cannot be read."""
        return self.about.get("by", "")

    @property
    def identity(self) -> str:
        """Of this very upload: another one where other images have its name since."""
        return f"{self.about['created']}.{self.about['checksum']}" if self.about else ""

    def says(self) -> str:
        """`24 images in 3 folders (AMD, DME, NORMAL)`, `and 1 table` where there is one."""
        images, folders, tables = (self.about[kind] for kind in ("images", "folders", "tables"))
        names = ", ".join(map(shortened, self.about["first_folders"])) + (", ..." if folders > NAMED_FOLDERS else "")
        inside = f" in {_many(folders, 'folder')} ({names})" if names else ""
        return f"{_many(images, 'image')}{inside}" + (f" and {_many(tables, 'table')}" if tables else "")

    def says_left_out(self) -> str:
        """`Left out: 2 hidden (AMD/.1.png), 1 .dcm (2.dcm).`; "" where nothing was."""
        told = [
            f"{n:,} {reason} ({', '.join(map(shortened, self.about['examples'].get(reason, [])[:1]))})"
            for reason, n in self.about["left_out"].items()
        ]
        return f"Left out: {', '.join(told)}." if told else ""


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def read_upload(place: Path) -> Upload:
    """Raises UserError where its file is missing or damaged."""
    return Upload(place, document(UploadFile, place / FILE))


def list_uploads(runs_dir: Path) -> list[Upload]:
    """All that are here, the newest first, damaged ones last."""
    folder, found = uploads_folder(runs_dir), []
    for place in folder.iterdir() if is_dir(folder) else ():
        if NAME.fullmatch(place.name) and is_dir(place):
            try:
                found.append(read_upload(place))
            except UserError as error:
                found.append(Upload(place, problem=str(error)))
    return sorted(found, key=lambda upload: (upload.about.get("created", ""), upload.name), reverse=True)


def same_upload(upload: Upload) -> Upload:
    """The same, read anew. Raises UserError where it has gone, or other images have its name."""
    if not os.path.lexists(upload.place):
        raise UserError(f"The scans {upload.name} were removed elsewhere meanwhile; nothing was done.")
    try:
        fresh = read_upload(upload.place)
    except UserError as error:
        fresh = Upload(upload.place, problem=str(error))
    if fresh.identity != upload.identity:
        raise UserError(f"Other scans are named {upload.name} since; nothing was done.")
    return fresh


def remove_upload(runs_dir: Path, upload: Upload) -> Path:
    """Moves it to the trash, and returns its place there. Raises UserError as `same_upload`, and where whoever acts may
    not: it belongs to whoever brought it in."""
    check("upload-rm", runs_dir, upload.name, upload.by)
    with locked(uploads_folder(runs_dir)):
        same_upload(upload)
        place = to_trash(runs_dir, upload.place, f"{upload.name}{UPLOAD}")
    record(runs_dir, "upload-rm", "", [], upload=upload.name, trash=place.name)
    return place


def groups_on(runs_dir: Path, upload: Upload) -> list[str]:
    """The names of the groups that were trained on its images, or tested on them: these would not be shown any more."""
    real = os.path.realpath(upload.place)
    return sorted(group.name for group in list_groups(runs_dir) if _rests_on(group, real))


def _rests_on(group: Group, real: str) -> bool:
    with suppress(UserError):  # a damaged group, which its own pages tell about
        tests = (about_external(group, split)["settings"] for split in external_splits(group))
        for settings in (group.info["config"], *tests):
            kind, _, place = str(settings.get("dataset", "")).partition(":")
            if kind in WITH_PATH and Path(os.path.realpath(os.path.expanduser(place))).is_relative_to(real):
                return True
    return False
