"""metadata.parquet of a group, and of its tests on other data: what else is known of the images, by image id.

    GROUP/metadata.parquet, GROUP/external/NAME/metadata.parquet    index image_id, a column of text for each thing

A table that the images were named in tells it (data.check), or one that was brought later (results.metadata). Anybody
can have written the file: it is held to that. What is not known is "". No torch.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from colora.runs.folder import Group, write_bytes
from colora.runs.names import external_folder, is_external
from colora.system.errors import UserError
from colora.system.files import why
from colora.system.typed import exists, is_file

if TYPE_CHECKING:
    import pandas as pd

FILE = "metadata.parquet"
MOST_COLUMNS = 200
MOST_CELLS = 50_000_000  # of 200 columns a quarter of a million images
MISSING = {"", "na", "n/a", "nan", "none", "null", "<na>", "#n/a", "-", "?", "unknown"}  # in whatever capitals


def metadata_path(group: Group, split: str) -> Path:
    """Of a split; the group's own splits share one file."""
    return (external_folder(group.path, split) if is_external(split) else group.path) / FILE


def read_metadata(group: Group, split: str) -> "pd.DataFrame | None":
    """Text by image id and column; None where nothing is known. Raises UserError where the file is damaged."""
    path = metadata_path(group, split)
    if not exists(path):
        return None
    import pandas as pd
    from pyarrow.parquet import read_metadata as about

    if not is_file(path):
        raise damaged(path, "it is no file")
    try:
        facts = about(path)
        if facts.num_columns > MOST_COLUMNS + 1 or facts.num_rows * facts.num_columns > MOST_CELLS:
            raise ValueError(f"it claims {facts.num_rows:,} images and {facts.num_columns:,} columns")
        found = pd.read_parquet(path)
        if found.index.name != "image_id" or not found.index.is_unique or not _texts(found.index):
            raise ValueError("its rows are not named by image ids, each once")
        if not _texts(found.columns) or not found.columns.is_unique:
            raise ValueError("its columns are not named")
        found = found.astype(object).where(found.notna(), "")
        if not all(_texts(found[name]) for name in found.columns):
            raise ValueError("it holds what is no text")
    except Exception as error:  # of damaged bytes pyarrow raises errors of very many kinds
        raise damaged(path, why(error)) from error
    return found


def some_columns(table: "pd.DataFrame") -> "pd.DataFrame":
    """As many as are kept: of a table with more the first ones."""
    return table.iloc[:, :MOST_COLUMNS]


def write_metadata(group: Group, split: str, table: "pd.DataFrame") -> None:
    write_bytes(metadata_path(group, split), table.to_parquet())


def _texts(values: "pd.Series | pd.Index") -> bool:
    return all(isinstance(value, str) for value in values)


def damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} cannot be read ({reason}): restore it, or delete it and bring the table again.")
