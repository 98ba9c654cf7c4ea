"""A cut: which training images to train on, as a file: runs/.colora/cuts/NAME.json; runs/GROUP/cut.json once used.

It holds ids of images of the train split and nothing else, so that no test image can be in one: the ids are looked up
in the train split when a run starts. `hash` is the SHA-256 of the canonical JSON (RFC 8785) of
{"data_checksum", "image_ids" sorted}, with "labels" where some were corrected: the same on every machine, whatever the
name and the scores.
"""

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from colora.data.rules import Rule
from colora.runs.access import check, named_place
from colora.runs.audit import cuts_folder, own_folder, record
from colora.runs.names import ELSEWHERE, check_file_name
from colora.runs.trash import CUT, restore, to_trash
from colora.settings.config import names_file
from colora.settings.resolved import Count
from colora.system.errors import UserError
from colora.system.files import read_file, remembered, why, write_json
from colora.system.storage import disk_errors, locked
from colora.system.typed import clean_path, is_file, shortened

SCHEMA_VERSION = 1
PINNED = "cut.json"
ALONE = {"train_set": "complete", "per_class": None, "folds": None}  # beside a cut, all of whose images are trained on
REMEMBERED_CUTS = 64


class Source(BaseModel):
    """Where the scores come from; of a cut by a check of the data, which needs none, which data that was."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group: str = Field(description="Empty: a check of the data, of no group.")
    seeds: list[int] = Field(description="Whose predictions were read.")
    whose: str = Field(description="'best', 'mean' or a seed.")
    whose_says: str
    selection: str = Field(description="The group's rule for the epoch: validation or paper.")
    settings: dict[str, Any] = Field({}, description="Of a check: RunConfig's settings of its data, but for defaults.")


class Cut(BaseModel):
    """A complete cut. Frozen, and in agreement with its `hash`: nothing else can be constructed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str
    created: str = Field(description="ISO 8601, UTC.")
    user: str
    rule: Rule
    pool: Literal["run", "train"] = Field(description="'run': images the group trained on; 'train': the whole split.")
    source: Source
    data_source: str
    data_checksum: str
    image_size: int
    synthetic: bool
    class_names: list[str]
    image_ids: list[str] = Field(description="Sorted.")
    labels: dict[str, int] = Field(description="Corrected labels by image id; the source data stay as they are.")
    counts: dict[str, list[Count]] = Field(
        description="Images of each class: pool, excluded (by verdicts or a check), dropped (harder), kept, rest "
        "(easier or not drawn); after correction of labels."
    )
    notes: list[str] = Field([], description="What a reader has to know, such as verdicts that contradict each other.")
    hash: str

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Cut":
        if not self.image_ids or self.image_ids != sorted(set(self.image_ids)):
            raise ValueError("its image ids are not sorted and distinct")
        if not set(self.labels) <= set(self.image_ids):
            raise ValueError("it corrects labels of images that it does not keep")
        if not all(0 <= label < len(self.class_names) for label in self.labels.values()):
            raise ValueError(f"a corrected label is none of its {len(self.class_names)} classes")
        if not self.source.group and self.rule.kind != "leaks":
            raise ValueError("it names no group whose predictions it was made from")
        if not {"pool", "excluded", "dropped", "kept", "rest"} <= self.counts.keys():
            raise ValueError("its counts lack a part")
        if any(len(counts) != len(self.class_names) for counts in self.counts.values()):
            raise ValueError(f"its counts are not of its {len(self.class_names)} classes")
        if sum(self.counts["kept"]) != len(self.image_ids):
            raise ValueError("its counts are not those of its images")
        if self.hash != cut_hash(self.data_checksum, self.image_ids, self.labels):
            raise ValueError("its images do not agree with its hash, so it was changed after it was made")
        return self

    @property
    def identity(self) -> str:
        """Of this very cut, whatever it is called: another one where a cut is saved anew under its name."""
        return f"{self.created}.{self.user}.{self.hash}"

    @property
    def short_hash(self) -> str:
        """The first 12 digits."""
        return self.hash[:12]

    @property
    def made_from(self) -> str:
        """The group whose predictions were read, or what else it was made from."""
        return self.source.group or "a check of the data"

    @property
    def source_says(self) -> str:
        """Whose scores sorted the images, without a full stop."""
        if self.rule.uses_score:
            return f"Sorted by {self.source.whose_says} of {self.source.group}"
        return f"From the images of {self.source.group}" if self.source.group else "From a check of the data"

    def summary(self) -> dict[str, Any]:
        """Everything but the image ids, for results and lists."""
        return self.model_dump(exclude={"image_ids", "labels"}) | {
            "says": self.rule.says(),
            "made_from": self.made_from,
            "images": len(self.image_ids),
            "corrected_labels": len(self.labels),
        }


def cut_hash(data_checksum: str, image_ids: list[str], labels: dict[str, int] | None = None) -> str:
    """64 hex digits; the order of `image_ids` does not matter."""
    content: dict[str, Any] = {"data_checksum": data_checksum, "image_ids": sorted(image_ids)}
    if labels:
        content["labels"] = labels
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def save_cut(runs_dir: Path, cut: Cut, replace: bool = False, instead_of: str | None = None) -> Path:
    """Atomic. Raises UserError for a bad name, or where another cut (another hash) has it and `replace` is False, or it
    is not the one that is to be replaced: `instead_of` is its `identity_of`, None for whichever it is."""
    check("cut", runs_dir, cut.name)
    path = _file(runs_dir, cut.name)
    with disk_errors(path, ELSEWHERE):
        own_folder(runs_dir)
        path.parent.mkdir(exist_ok=True)
        with locked(path):
            known = _hash_of(path)
            if known not in (None, cut.hash) and not replace:
                raise UserError(
                    f"Another cut is named '{cut.name}' in {path.parent}: choose another name, or replace it.",
                    field="name",
                )
            if known not in (None, cut.hash) and instead_of not in (None, identity_of(runs_dir, cut.name)):
                raise UserError(
                    f"Another cut was saved as '{cut.name}' elsewhere meanwhile; nothing was done.", field="name"
                )
            if known is not None:
                check("replace-cut", runs_dir, cut.name, _owner_of(path))
            write_json(path, cut.model_dump())
    record(runs_dir, "cut", cut.source.group, [], cut=cut.name, hash=cut.hash)
    return path


def _file(runs_dir: Path, name: str) -> Path:
    check_file_name(name, "a cut")
    if names_file(name):
        raise UserError(f"'{name}' cannot name a cut: leave out the .json.", field="name")
    return cuts_folder(runs_dir) / f"{name}.json"


def _owner_of(path: Path) -> str:
    """Who saved the cut of a file; "" of a damaged one."""
    try:
        return _read(path).user
    except UserError:
        return ""


def _hash_of(path: Path) -> str | None:
    """Of the cut that a file holds; "" of a damaged file, None of no file."""
    if not path.exists():
        return None
    try:
        return _read(path).hash
    except UserError:
        return ""


def identity_of(runs_dir: Path, name: str) -> str:
    """Of the cut that is saved under a name; empty where there is none, or it cannot be used."""
    try:
        path = _file(runs_dir, name)
        return _read(path).identity if path.exists() else ""
    except UserError:
        return ""


def same_cut(runs_dir: Path, name: str, identity: str) -> Cut:
    """The saved cut of this name. Raises UserError where it is not the one of this identity any more."""
    if not _file(runs_dir, name).exists():
        raise UserError(f"The cut {name} was removed elsewhere meanwhile; nothing was done.")
    cut = read_cut(runs_dir, name)
    if cut.identity != identity:
        raise UserError(f"The cut {name} was replaced elsewhere meanwhile; nothing was done.")
    return cut


def read_cut(runs_dir: Path, name: str) -> Cut:
    """The cut of this name, or of this file (a path, or ending in .json).

    Raises UserError where there is none, it is no cut, or its images do not agree with its hash.
    """
    name = clean_path(name, "cut")
    path = named_place(name, "cut") if names_file(name) else _file(runs_dir, name)
    if not is_file(path):
        there = [row["name"] for row in list_cuts(runs_dir)]
        known = f"there are {', '.join(there)}" if there else "make one with colora distil runs/GROUP --name NAME"
        raise UserError(f"There is no cut {shortened(name)} ({path} does not exist): {known}.", field="cut")
    return _read(path)


def pinned_cut(group: Path) -> Cut | None:
    """The cut that a group was launched with, as it was then; None where it has none. Raises UserError if damaged."""
    path = Path(group) / PINNED
    return _read(path) if os.path.lexists(path) else None


def _read(path: Path) -> Cut:
    if not is_file(path):  # to open a pipe would be to wait for ever
        raise UserError(f"{path} is no file: move what lies there away.", field="cut")
    try:
        return remembered(_parsed, path)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{path} is not a usable cut: {f'{where}: ' if where else ''}{said}.", field="cut") from error
    except Exception as error:  # a pipe, no permission, nesting without end ...: it is this file's alone
        raise UserError(f"{path} cannot be read as a cut ({why(error)}).", field="cut") from error


@lru_cache(maxsize=REMEMBERED_CUTS)
def _parsed(path: str, stamp: Any) -> Cut:
    return Cut.model_validate_json(read_file(path))


def list_cuts(runs_dir: Path) -> list[dict[str, Any]]:
    """One row a saved cut, newest first: `Cut.summary`, with name, created and reason (None, or why the file cannot be
    used: then the row has only these three)."""
    folder = cuts_folder(runs_dir)
    rows = []
    for path in folder.glob("*.json") if folder.is_dir() else []:
        if path.name.startswith("."):
            continue
        try:
            rows.append(_read(path).summary() | {"name": path.stem, "reason": None})
        except UserError as error:
            rows.append({"name": path.stem, "created": "", "reason": str(error)})
    return sorted(rows, key=lambda row: (row["created"], row["name"]), reverse=True)


def remove_cut(runs_dir: Path, name: str, identity: str | None = None) -> Path:
    """Move a cut to the trash; groups trained on it keep their own copy. Raises UserError where there is none, or, with
    an `identity`, another one."""
    path = _file(runs_dir, name)
    check("cut-rm", runs_dir, name)
    with locked(path):
        if identity is not None:
            same_cut(runs_dir, name, identity)
        if not path.exists():
            raise UserError(f"There is no cut {name} in {path.parent}.")
        place = to_trash(runs_dir, path, f"{name}{CUT}")
    record(runs_dir, "cut-rm", "", [], cut=name, trash=place.name)
    return place


def restore_cut(runs_dir: Path, name: str) -> Path:
    """Bring back the cut of this name that was removed last. Raises UserError where there is none, or it is taken."""
    _file(runs_dir, name)  # which checks the name
    return restore(runs_dir, name, "cut")
