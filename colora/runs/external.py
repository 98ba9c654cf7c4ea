"""GROUP/external/NAME: what a group's models said of other data, kept as if it were one more split of theirs.

    external.json       which data, how their classes were met, which seeds (`documents.ExternalFile`)
    seed-03.parquet     as predictions/test.parquet, with source_split and distance (`folder.Run.predictions`)
    metadata.parquet    exists: what else a table told of the images, one row an image id

The seeds of such a test count as long as they are what they were: one that was trained anew, or was finished later, has
to be tested again. No torch.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colora.runs.access import check, check_group
from colora.runs.audit import acting_user, record, this_moment
from colora.runs.documents import EXTERNAL as FILE
from colora.runs.documents import external_file
from colora.runs.finished import finished
from colora.runs.folder import Group, Run, run_folder, same_group
from colora.runs.lock import editing
from colora.runs.metadata import FILE as METADATA
from colora.runs.names import ELSEWHERE, EXTERNAL, external_folder, external_name, is_external
from colora.runs.selection import selected_epoch
from colora.runs.trash import name_in_trash, to_trash
from colora.settings.config import RunConfig, make_config
from colora.system.beside import FOLDER, beside, sweep
from colora.system.errors import UserError
from colora.system.files import sync_folder, write_bytes, write_json
from colora.system.storage import disk_errors
from colora.system.typed import exists


@dataclass(frozen=True)
class SplitData:
    """The data that the images of a split stand in: `config` names them; `checksum` is that of the data set as it was
    predicted (`Dataset.checksum`), `source` what results call it.

    verdicts: under what readers' verdicts on these images are kept: the checksum, since a right class is a number in
    the data's own order; or, of other data whose classes have other numbers in this group, something of their own.
    """

    config: RunConfig
    checksum: str
    source: str
    synthetic: bool
    verdicts: str


def external_splits(group: Group) -> list[str]:
    """The names, "external/NAME", of the other data that a group was tested on; none where nothing was."""
    try:
        there = sorted(path.name for path in (group.path / "external").iterdir() if exists(path / FILE))
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for name in there:
        with suppress(UserError):  # somebody else's, under a name that no test has
            found.append(f"{EXTERNAL}{external_name(f'{EXTERNAL}{name}')}")
    return found


def is_taken(group: Group, name: str) -> bool:
    """Whether something lies where a test of this name would. Raises UserError for what is no such name."""
    return exists(external_folder(group.path, f"{EXTERNAL}{name}"))


def about_external(group: Group, split: str) -> dict[str, Any]:
    """What is known of other data, to read and not to change. Raises UserError where there are none of this name, or
    the file is damaged."""
    folder = external_folder(group.path, split)
    if not exists(folder / FILE):
        raise UserError(f"{group.name} was not tested on data named {external_name(split)}.", field="split")
    return external_file(folder)


def data_of(run: Run, split: str) -> SplitData:
    """Of a run that has started. Raises UserError as `about_external`, and for settings of another version."""
    if is_external(split):
        about = about_external(Group(run.path.parent), split)
        config = make_config(about["settings"] | {"image_size": run.config.image_size})
        met, own = [row["model"] for row in about["classes"]], about["checksum"]
        names = run.resolved.class_names if run.resolved else []
        verdicts = own if met == names else hashlib.sha256(f"{own}\n{names}\n{met}".encode()).hexdigest()
        return SplitData(config, own, about["source"], about["synthetic"], verdicts)
    assert run.resolved is not None
    own = run.resolved.data_checksum
    return SplitData(run.config, own, run.resolved.data_source, run.resolved.synthetic, own)


def counting(group: Group, split: str) -> list[Run]:
    """The seeds that count in figures on a split: the finished ones, and of other data those that were tested as they
    are now."""
    if not is_external(split):
        return finished(group)
    tested = {row["seed"]: row["finished"] for row in about_external(group, split)["seeds"]}
    return [
        run
        for run in finished(group)
        if run.has_predictions(split) and run.seed in tested and tested[run.seed] == run.status.get("finished")
    ]


def says_untested(group: Group, split: str) -> str | None:
    """A sentence on finished seeds that do not count, since other data have not met them as they are; None where all
    do."""
    known = counting(group, split)
    lacking = [run.seed for run in finished(group) if run not in known]
    if not lacking or not is_external(split):
        return None
    seeds = f"seed{'s' * (len(lacking) > 1)} {', '.join(map(str, lacking))}"
    were = "were" if len(lacking) > 1 else "was"
    return (
        f"{seeds.capitalize()} {were} finished, or trained anew, after the test on {external_name(split)}, and "
        f"{'count' if len(lacking) > 1 else 'counts'} in no figure here: test again, under another name."
    )


def check_new(group: Group, name: str) -> None:
    """Raises UserError where a test of this name cannot be kept: the name is bad or taken, or whoever acts may not."""
    check_group("test", group)
    if is_taken(group, name):
        raise UserError(
            f"{group.name} has a test named '{name}' already: choose another name, or remove that one.", field="name"
        )
    if not os.access(group.path, os.W_OK):
        raise UserError(f"There is no permission to write {group.path}, so that nothing can be kept there.")


def seed_tested(run: Run) -> dict[str, Any]:
    """A seed as it is now (`documents.SeedTested`)."""
    return {"seed": run.seed, "epoch": selected_epoch(run), "finished": run.status.get("finished")}


def keep_external(
    group: Group,
    name: str,
    about: Mapping[str, Any],
    tables: Mapping[int, bytes],
    seeds: list[dict[str, Any]],
    metadata: bytes | None = None,
) -> str:
    """Keeps a test under `name`, whole or not at all, and returns the split's name. `about` is the rest of the
    document; `tables` the parquet file of each seed, `seeds` what `seed_tested` said of each before it was asked.

    Raises UserError as `check_new`, and where another group has this one's name meanwhile.
    """
    check_new(group, name)
    identity, runs_dir, split = group.identity, group.path.parent, f"{EXTERNAL}{name}"
    target = external_folder(group.path, split)
    document = {
        "group": group.name,
        "identity": identity,
        **about,
        "seeds": seeds,
        "tested": this_moment(),
        "tested_by": acting_user(),
    }
    with editing(runs_dir), disk_errors(target, ELSEWHERE):
        check_new(same_group(group.path, identity), name)
        target.parent.mkdir(exist_ok=True)
        sweep(target.parent, unmarked=True)
        staging = beside(target, FOLDER)
        try:
            staging.mkdir()
            for seed, table in tables.items():
                write_bytes(staging / f"{run_folder(seed)}.parquet", table)
            if metadata is not None:
                write_bytes(staging / METADATA, metadata)
            write_json(staging / FILE, document)
            external_file(staging)  # what would be damaged from the first is not kept
            staging.rename(target)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        sync_folder(target.parent)
    record(runs_dir, "test", group.name, [row["seed"] for row in seeds], external=name, source=about["source"])
    return split


@dataclass(frozen=True)
class ExternalTest:
    """One test as it was seen: who tested, "" where that cannot be read, and when, by which it is told from another one
    that has its name since."""

    group: Group
    split: str
    tested: str
    by: str


def external_test(group: Group, split: str) -> ExternalTest:
    """Also one whose file is damaged. Raises UserError where there is none of this name."""
    try:
        about = about_external(group, split)
    except UserError:
        if not exists(external_folder(group.path, split) / FILE):
            raise
        about = {"tested": "", "tested_by": ""}
    return ExternalTest(group, split, about["tested"], about["tested_by"])


def same_test(test: ExternalTest) -> ExternalTest:
    """The same, read anew. Raises UserError where it has gone, or another one has its name."""
    fresh = external_test(same_group(test.group.path, test.group.identity), test.split)
    if fresh.tested != test.tested:
        raise UserError(f"{external_name(test.split)} was tested anew elsewhere meanwhile; nothing was done.")
    return fresh


def remove_external(test: ExternalTest) -> Path:
    """Moves a test to the trash, and returns its place there. Raises UserError as `same_test`, and where whoever acts
    may not: it belongs to whoever tested."""
    group, name = test.group, external_name(test.split)
    runs_dir = group.path.parent
    check("test-rm", runs_dir, group.name, test.by)
    with editing(runs_dir):
        same_test(test)
        place = to_trash(runs_dir, external_folder(group.path, test.split), name_in_trash(group.name, name))
    record(runs_dir, "test-rm", group.name, [], external=name, trash=place.name)
    return place
