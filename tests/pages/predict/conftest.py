"""Predict over a folder with `g`, whose two seeds are done."""

from pathlib import Path

import pytest
from fabricate import fabricate


@pytest.fixture
def runs(tmp_path) -> Path:
    fabricate(tmp_path / "runs", "g", ["done", "done"])
    return tmp_path / "runs"
