"""Data with their settings in an address: from the Data page to the Launch form, from a result to the Data page."""

from collections.abc import Callable
from typing import Any

from colora.settings.config import DATA_FIELDS, WITH_PATH, RunConfig
from colora.settings.medmnist_info import info
from colora.settings.relevance import unused

CARRIED = tuple(field for field in DATA_FIELDS if field != "image_size")
PHANTOM = "phantom"
TITLES = {
    PHANTOM: "Generated images (SYNTHETIC)",
    "folder": "A folder of your own",
    "table": "A table of your own (CSV, Excel ...)",
    "npz": "A file of your own (.npz)",
}
PATHS = {"folder": "images", "table": "table", "npz": "file"}  # the Data page's field of the path


def set_title(name: str) -> str:
    """What the Data page calls a source, on its list and in its address."""
    return TITLES.get(name) or info(name).title


def for_launch(config: RunConfig) -> dict[str, str]:
    """What the Launch page is opened with, for these data."""
    return {"dataset": config.dataset} | _settings(config)


def from_address(get: Callable[[str], str | None]) -> tuple[tuple[str, str], ...] | None:
    """The data that the Launch page was asked for, as their texts; None where it was not."""
    if not get("dataset"):
        return None
    return tuple((field, text) for field in CARRIED if (text := get(field)))


def for_data_page(config: RunConfig) -> dict[str, str]:
    """What the Data page is opened with, to show these data."""
    kind, _, place = config.dataset.partition(":")
    query = {"set": set_title(kind)}
    if kind in WITH_PATH:
        return query | {PATHS[kind]: place} | _settings(config)
    return query | ({"folder": config.data_dir} if config.data_dir else {})


def _settings(config: RunConfig) -> dict[str, str]:
    values, idle = config.model_dump(exclude_defaults=True, include=set(CARRIED)), unused(config.model_dump())
    return {f: _text(v) for f, v in values.items() if f != "dataset" and f not in idle and v is not None}


def _text(value: Any) -> str:
    """As the setting's widget, and RunConfig, read it again."""
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, list) else str(value)
