"""One look at data before training: what is in them, how they are split, whose they are, what leaks, what is left out.

`look` knows names and labels alone, in seconds; `check` has read every image, so it also knows which do not open and
which stand in several splits. Both are the document `runs/documents.py:DataCheck`, which a group keeps as data.json: a
look when it is launched, a check once its first seed has read the images.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from colora.data.dataset import SPLITS, Dataset
from colora.data.leaks import Leaks
from colora.data.leaks_kept import leaks_of
from colora.data.listing import shown
from colora.data.prepare import Progress, quiet
from colora.data.sources import load_dataset, outline
from colora.runs.data_said import NO_CLASS
from colora.runs.documents import DATA, Duplicates, data_file
from colora.runs.metadata import FILE as METADATA
from colora.runs.metadata import some_columns
from colora.settings.config import RunConfig
from colora.system.files import write_bytes, write_json
from colora.system.typed import exists


def look(config: RunConfig, on_progress: Progress = quiet) -> dict[str, Any]:
    """Without reading an image; `duplicates` is None. Raises UserError with what has to be put right or answered."""
    return document(outline(config, on_progress), config)


def check(config: RunConfig, on_progress: Progress = quiet) -> dict[str, Any]:
    """After every image was read, with the `pairs` of images that leak. Raises UserError as `look`, and where too many
    do not open."""
    return check_document(*read(config, on_progress), config)


def read(config: RunConfig, on_progress: Progress = quiet) -> tuple[Dataset, Leaks]:
    """Every image, and what leaks. Raises UserError as `check`."""
    data = load_dataset(config, on_progress)
    data = replace(data, known_checksum=data.checksum())  # asked for more than once, and gigabytes may stand behind it
    return data, leaks_of(data, on_progress)


def check_document(data: Dataset, leaks: Leaks, config: RunConfig) -> dict[str, Any]:
    """Of what `read` returned."""
    return document(data, config, leaks) | {"pairs": [*leaks.pairs], "pairs_left_out": leaks.pairs_left_out}


def keep_check(group: Path, data: Dataset, config: RunConfig, on_progress: Progress = quiet) -> None:
    """Writes into the group's folder what was found in `data`, which its seeds are trained on, and what else a table
    tells of the images; at once where that stands there."""
    place = group / DATA
    if place.exists() and data_file(group).get("checksum") == data.checksum():
        return
    write_json(place, document(data, config, leaks_of(data, on_progress)))
    if data.metadata is not None and not exists(group / METADATA):  # to which somebody may have added
        write_bytes(group / METADATA, some_columns(data.metadata).to_parquet())


def document(data: Dataset, config: RunConfig, leaks: Leaks | None = None) -> dict[str, Any]:
    """Of a data set with or without its pixels, as JSON has it; without them there are no `leaks`, nor a checksum."""
    names = data.class_names
    found = data.not_read
    return {
        "source": config.dataset,
        "classes": list(names),
        "renamed": dict(zip(data.names_there, names, strict=True)) if data.names_there else {},
        "counts": {split: dict(zip(names, data.counts(split), strict=True)) for split in SPLITS},
        "split_rule": data.split_rule,
        "patients": _patients(data),
        "duplicates": None if leaks is None else {kind: getattr(leaks, kind) for kind in Duplicates.__annotations__},
        "not_read": {
            "n": found.total,
            "by_reason": found.by_reason,
            "by_class": {
                reason: {name or NO_CLASS: n for name, n in own.items()} for reason, own in found.counts.items()
            },
            "examples": {reason: [shown(path) for path in some] for reason, some in found.examples.items()},
        },
        "warnings": list(data.warnings),
        "doubts": [doubt._asdict() for doubt in data.doubts],
        "checksum": None if leaks is None else data.checksum(),
    }


def _patients(data: Dataset) -> dict[str, Any]:
    ids = [data.splits[split].patient_ids for split in SPLITS]
    if any(own is None for own in ids):
        return {"known": False, "n": None, "from": None, "in_several_splits": 0}
    everyone, times = np.unique(np.concatenate([np.unique(own) for own in ids]), return_counts=True)
    shared = int((times > 1).sum())
    return {"known": True, "n": len(everyone), "from": data.patients_from or None, "in_several_splits": shared}
