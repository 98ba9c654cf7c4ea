"""Rows of the tables on Overview, ticked as a person does."""

import hashlib
import os
from pathlib import Path

from opened import ran

from colora.runs.folder import Group
from colora.runs.trash import listed


def table(app):
    """The groups as the page lists them, by name."""
    return app.dataframe[0].value.set_index("Group")


def tick(app, *groups: str):
    """As ticking these groups' rows does."""
    shown, folder = list(table(app).index), Path(os.environ["COLORA_RUNS_DIR"])
    rows = "/".join(f"{name} {Group(folder / name).identity}" for name in shown)
    key = "groups-" + hashlib.sha256(rows.encode()).hexdigest()[:12]
    app.session_state[key] = {"selection": {"rows": [shown.index(name) for name in groups]}}
    return ran(app)


def tick_in_trash(app, folder: Path, *rows: int):
    """As ticking these rows does."""
    names = "/".join(entry.path.name for entry in listed(folder)[::-1])
    key = "trash-" + hashlib.sha256(names.encode()).hexdigest()[:12]
    app.session_state[key] = {"selection": {"rows": list(rows)}}
    return ran(app)
