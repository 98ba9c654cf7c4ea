"""What else is known of a group's images, brought in a table after the training: age, sex, device, site ...

A row is of an image, by its id or the end of its path, or of a patient. It goes to metadata.parquet (runs.metadata),
where `subgroups` and the pages find it. What is known already is added to, and changed only where that is asked for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from colora.runs.access import check_group
from colora.runs.audit import record
from colora.runs.documents import contained
from colora.runs.external import counting
from colora.runs.folder import Group, same_group
from colora.runs.lock import editing
from colora.runs.metadata import MOST_CELLS, MOST_COLUMNS, read_metadata, write_metadata
from colora.runs.names import ELSEWHERE, is_external
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
    """Adds what a table (a file, or its content and name) tells to what is known of the images of `split`; the group's
    own splits share one table. Returns {"columns", "images" that got something, "of" how many, "rows" of the table,
    "unused" of these}.

    Raises UserError where no column names images or patients, where two rows say different things of one, where nothing
    is of these images, and where something else is known of one already and `replace` is False.
    """
    check_group("metadata", group)
    table = read_table(source, "file", most=MOST_BYTES) if isinstance(source, Path) else table_of(*source, "file")
    with contained(group.path):
        images = _images(group, split)
        found, used = _matched(table, images)
    identity = group.identity
    with editing(group.path.parent), disk_errors(group.path, ELSEWHERE):
        same_group(group.path, identity)
        before = read_metadata(group, split)
        known = pd.DataFrame(index=images.index) if before is None else before
        kept, changed = _together(known, found)
        if changed and not replace:
            raise UserError(
                f"{table.name} says otherwise than is known already, of {changed[0]}: correct one of the two, or let "
                "what is known be replaced (on the command line with --replace).",
                field="file",
            )
        if len(kept.columns) > MOST_COLUMNS or kept.size > MOST_CELLS:
            raise UserError(
                f"With {table.name} there would be {len(kept.columns):,} columns of {len(kept):,} images; at most "
                f"{MOST_COLUMNS} columns and {MOST_CELLS:,} cells are kept: leave some out.",
                field="file",
            )
        write_metadata(group, split, kept.rename_axis("image_id"))
    columns = list(found.columns)
    record(group.path.parent, "metadata", group.name, [], split=split, columns=columns, replaced=len(changed))
    rows, given = len(table), int((found != "").any(axis=1).sum())
    return {"columns": columns, "images": given, "of": len(images), "rows": rows, "unused": rows - int(used.sum())}


def _together(known: pd.DataFrame, found: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """(what is known with what was found, what was known otherwise: `Device of test-0003`). An empty cell says
    nothing."""
    index = known.index.union(found.index, sort=False)
    kept, changed = {name: known[name].reindex(index).fillna("") for name in known.columns}, []
    for name in found.columns:
        new = found[name].reindex(index).fillna("")
        old = kept.get(name, pd.Series("", index))
        other = (new != "") & (old != "") & (new != old)
        changed += [f"{shortened(str(name))} of {shortened(image)}" for image in index[other.to_numpy()]]
        kept[name] = new.where(new != "", old)
    return pd.DataFrame(kept, index=index), changed


def _images(group: Group, split: str) -> pd.DataFrame:
    """patient_id by image id, of the split, or of the group's own that are there. Raises UserError where none is."""
    splits = [split] if is_external(split) else ["train", "val", "test"]
    there = [(run, each) for each in splits for run in counting(group, each)[:1] if run.has_predictions(each)]
    if not there:
        raise UserError(f"{group.name} has no predictions yet, by which its images are known: it is {group.state}.")
    tables = [run.predictions(each)[["image_id", "patient_id"]] for run, each in there]
    return pd.concat(tables).set_index("image_id")


def _matched(table: Table, images: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """(texts by image id, of images that a row is of; which rows (N,) are of some). Raises UserError where none is, or
    two say different things."""
    key, by_patient = _key(table)
    cells = table.cells.apply(lambda column: column.str.strip())
    patients = images["patient_id"].dropna().astype(str)
    of = cells[key] if by_patient else pd.Series(_ids_of(cells[key].tolist(), images.index), cells.index)
    used = of.isin(set(patients) if by_patient else set(images.index)).to_numpy()
    if not used.any():
        such = patients.iloc[0] if by_patient and len(patients) else images.index[0]
        whom = "patients" if by_patient else "images"
        said = f"such as {shortened(such)}" if len(patients) or not by_patient else "not known"
        raise UserError(f"No row of {table.name} is of one of these {whom}; their names are {said}.", field="file")
    values = cells.drop(columns=key)[used].replace("", None)
    rows = values.groupby(of[used].to_numpy(), sort=False)
    if (differ := (rows.nunique() > 1).any(axis=1)).any():
        name = str(differ.index[differ.to_numpy()][0])
        raise UserError(f"{table.name} says different things of {shortened(name)}, in several rows.", field="file")
    one = rows.first()
    if by_patient:
        one = one.reindex(patients.to_numpy()).set_axis(patients.index)
    return one.dropna(how="all").fillna(""), used


def _key(table: Table) -> tuple[str, bool]:
    """(the column that names images, or else patients; whether it is patients)."""
    written: dict[str, str] = {}
    for name in table.cells.columns:
        written.setdefault(name.strip().casefold().replace(" ", "_"), name)
    for known, by_patient in ((OF_IMAGE, False), (OF_PATIENT, True)):
        found = next((written[name] for name in known if name in written), None)
        if found is not None and len(table.cells.columns) > 1:
            return found, by_patient
    raise UserError(
        f"{table.name} needs a column that names the image ({', '.join(OF_IMAGE[:3])}) or the patient "
        f"({', '.join(OF_PATIENT)}), and another one that tells something.",
        field="file",
    )


def _ids_of(names: Sequence[str], ids: pd.Index) -> list[str | None]:
    """The image that each name means: by its id, else the only one of which one of the two paths is the other's end."""
    known = set(ids)
    ends: dict[str, list[str]] = {}
    for image_id in ids:
        ends.setdefault(image_id.rpartition("/")[2], []).append(image_id)
    return [name if name in known else _by_end(name, ends) for name in names]


def _by_end(name: str, ends: dict[str, list[str]]) -> str | None:
    parts = name.replace("\\", "/").split("/")
    found = [image_id for image_id in ends.get(parts[-1], ()) if _is_end(parts, image_id.split("/"))]
    return found[0] if len(found) == 1 else None


def _is_end(a: list[str], b: list[str]) -> bool:
    shared = min(len(a), len(b))
    return a[-shared:] == b[-shared:]
