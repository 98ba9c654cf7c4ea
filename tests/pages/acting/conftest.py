"""Pages over a folder with `other`, a group that is not the newest, and no command that they ask for is run."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fabricate import fabricate
from opened import opener


@pytest.fixture
def commands(monkeypatch) -> list:
    """What pages ask the command line for, and it does not do."""
    asked: list = []
    monkeypatch.setattr("pages.components.command.run_colora", lambda arguments, timeout=0: asked.append(arguments))
    return asked


@pytest.fixture
def open_page(monkeypatch, tmp_path, commands) -> Callable:
    """Pages over `runs`: the group that a page shows, `first`, and another one that is not the newest."""
    page_of = opener(monkeypatch, tmp_path / "runs")
    monkeypatch.setattr("pages.components.command.run_colora", lambda arguments, timeout=0: commands.append(arguments))
    return page_of


@pytest.fixture
def runs(tmp_path) -> Path:
    fabricate(tmp_path / "runs", "other", ["stopped", "queued"])
    return tmp_path / "runs"
