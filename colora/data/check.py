"""One look at data before training: what is in them, how they are split, whose they are, what leaks, what is left out.

`look` knows names and labels alone, in seconds; `check` has read every image, so it also knows which do not open and
which stand in several splits. Both are the document `runs/documents.py:DataCheck`, which a group keeps as data.json.
"""

from typing import Any

import numpy as np

from colora.data.dataset import SPLITS, Dataset
from colora.data.listing import shown
from colora.data.prepare import Progress, quiet
from colora.data.sources import load_dataset, outline
from colora.settings.config import RunConfig


def look(config: RunConfig, on_progress: Progress = quiet) -> dict[str, Any]:
    """Without reading an image; `duplicates` is None. Raises UserError with what has to be put right or answered."""
    return document(outline(config, on_progress), config)


def check(config: RunConfig, on_progress: Progress = quiet) -> dict[str, Any]:
    """After every image was read. Raises UserError as `look`, and where too many do not open."""
    return document(load_dataset(config, on_progress), config)


def document(data: Dataset, config: RunConfig) -> dict[str, Any]:
    """Of a data set with or without its pixels, as JSON has it."""
    names = data.class_names
    found = data.not_read
    return {
        "source": config.dataset,
        "classes": list(names),
        "renamed": dict(zip(data.names_there, names, strict=True)) if data.names_there else {},
        "counts": {split: dict(zip(names, data.counts(split), strict=True)) for split in SPLITS},
        "split_rule": data.split_rule,
        "patients": _patients(data),
        "duplicates": None,
        "not_read": {
            "n": found.total,
            "by_reason": found.by_reason,
            "by_class": {
                reason: {name or "in no class": n for name, n in own.items()} for reason, own in found.counts.items()
            },
            "examples": {reason: [shown(path) for path in some] for reason, some in found.examples.items()},
        },
        "warnings": list(data.warnings),
    }


def _patients(data: Dataset) -> dict[str, Any]:
    ids = [data.splits[split].patient_ids for split in SPLITS]
    if any(own is None for own in ids):
        return {"known": False, "n": None, "from": None, "in_several_splits": 0}
    everyone, times = np.unique(np.concatenate([np.unique(own) for own in ids]), return_counts=True)
    shared = int((times > 1).sum())
    return {"known": True, "n": len(everyone), "from": data.patients_from or None, "in_several_splits": shared}
