"""What else is known of a group's images, brought in a table after the training: age, sex, device, site ...

A row is of an image, by its id or the end of its path that no other image has, or of a patient. It goes to
metadata.parquet (runs.metadata), where `subgroups` and the pages find it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from colora.results.judged import judged
from colora.runs.access import check_group
from colora.runs.audit import record
from colora.runs.documents import contained
from colora.runs.folder import Group, same_group
from colora.runs.lock import editing
from colora.runs.metadata import MOST_COLUMNS, read_metadata, write_metadata
from colora.runs.names import is_external
from colora.system.errors import UserError
from colora.system.storage import disk_errors
from colora.system.table_file import Table, read_table, table_of
from colora.system.typed import shortened

OF_IMAGE = ("image_id", "image", "file", "filename", "file_name", "path")
OF_PATIENT = ("patient_id", "patient")
MOST_BYTES = 20_000_000


def bring_metadata(
    group: Group, split: str, source: Path | tuple[bytes, str], replace: bool = False
) -> dict[str, Any]:
    """Adds the columns of a table (a file, or its content and name) to what is known of the images of `split`; the
    group's own splits share one table. Returns {"columns", "images" that got something, "of" how many, "rows" of the
    table, "unused" of these}.

    Raises UserError where no column names images or patients, where two rows say different things of one, where nothing
    is of these images, and where a column is there already and `replace` is False.
    """
    check_group("metadata", group)
    table = read_table(source, "file", most=MOST_BYTES) if isinstance(source, Path) else table_of(*source, "file")
    with contained(group.path):
        images = _images(group, split)
        found, used = _matched(table, images)
    if not len(found):
        raise UserError(
            f"No row of {table.name} is of one of these images: their ids are such as {images.index[0]}.", field="file"
        )
    if len(found.columns) > MOST_COLUMNS:
        raise UserError(
            f"{table.name} has {len(found.columns)} columns; at most {MOST_COLUMNS} are kept.", field="file"
        )
    identity = group.identity
    with editing(group.path.parent), disk_errors(group.path, "free some space"):
        same_group(group.path, identity)
        before = read_metadata(group, split)
        known = pd.DataFrame(index=images.index) if before is None else before
        twice = [name for name in found.columns if name in known]
        if twice and not replace:
            raise UserError(
                f"{', '.join(map(shortened, twice))} is known of these images already: leave the column out, or let it "
                "be replaced (on the command line with --replace).",
                field="file",
            )
        kept = known.drop(columns=twice).reindex(known.index.union(found.index, sort=False)).join(found).fillna("")
        write_metadata(group, split, kept.rename_axis("image_id"))
    columns = list(found.columns)
    record(group.path.parent, "metadata", group.name, [], split=split, columns=columns, replaced=twice)
    rows, given = len(table), int((found != "").any(axis=1).sum())
    return {"columns": columns, "images": given, "of": len(images), "rows": rows, "unused": rows - int(used.sum())}


def _images(group: Group, split: str) -> pd.DataFrame:
    """patient_id by image id, of the split, or of all of the group's own."""
    splits = [split] if is_external(split) else ["train", "val", "test"]
    tables = [run.predictions(each) for each in splits for run in judged(group, each).runs[:1]]
    return pd.concat(tables)[["image_id", "patient_id"]].set_index("image_id")


def _matched(table: Table, images: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """(texts by image id, of images that a row is of; which rows (N,) are of some)."""
    key, by_patient = _key(table)
    cells = table.cells.assign(**{key: table.cells[key].str.strip()})
    values = cells.drop(columns=key)
    names = cells[key].to_numpy()
    ids = images["patient_id"].astype(str) if by_patient else _ids_of(names, images.index)
    wanted = set(ids) if by_patient else set(ids[ids != ""])
    of = pd.Series(names if by_patient else ids, index=cells.index)
    used = of.isin(wanted - {""}).to_numpy()
    rows = values[used].set_axis(pd.Index(of[used], name=key)).groupby(level=0, sort=False)
    if (differ := rows.nunique().gt(1).any(axis=1)).any():
        name = differ.index[differ.to_numpy()][0]
        raise UserError(f"{table.name} says different things of {shortened(name)}, in several rows.", field="file")
    one = rows.first()
    if by_patient:
        found = one.reindex(ids.to_numpy()).set_axis(images.index)
        return found.dropna(how="all").fillna(""), used
    return one.rename_axis("image_id"), used


def _key(table: Table) -> tuple[str, bool]:
    """(the column that names images, or else patients; whether it is patients)."""
    plain = {name.strip().casefold().replace(" ", "_"): name for name in table.cells.columns}
    for known, by_patient in ((OF_IMAGE, False), (OF_PATIENT, True)):
        if found := next((plain[name] for name in known if name in plain), None):
            if len(table.cells.columns) < 2:
                break
            return found, by_patient
    raise UserError(
        f"{table.name} needs a column that names the image ({', '.join(OF_IMAGE[:3])}) or the patient "
        f"({', '.join(OF_PATIENT)}), and another one that tells something.",
        field="file",
    )


def _ids_of(names: Sequence[str], ids: pd.Index) -> np.ndarray:
    """(N,) the image that each name means: by its id, else by the end of a path that one image alone has; or ""."""
    ends: dict[str, str] = {}
    for image_id in ids:
        end = image_id.rpartition("/")[2]
        ends[end] = "" if end in ends else image_id
    known = set(ids)
    return np.array([name if name in known else ends.get(_end(name), "") for name in names], dtype=str)


def _end(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]
