"""A runs folder for what comes in, and who brings it."""

from pathlib import Path

import pytest


@pytest.fixture
def runs(tmp_path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def left(runs):
    """A function: what an attempt has left on the disk, the folder and its lock aside."""

    def found() -> list[str]:
        folder = runs / ".colora" / "uploads"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    return found
