"""No widget has both a default and a value of the session: Streamlit warns of it, and only one of the two is shown."""

import logging
from pathlib import Path

import pytest
from fabricate import fabricate
from opened import every_kind, ran
from streamlit.elements.lib import policies

from colora.runs import trash

BARE = "missing ScriptRunContext"  # of AppTest, which runs a script without a server
VISITS = {  # what stands in each page's address is not the default
    "overview": {"search": "e", "order": "by name", "page": "2", "trash": "true", "trash-page": "2"},
    "launch": {"clone": "three-done"},
    "data": {"set": "A folder of your own", "images": "/nowhere"},
    "monitor": {"group": "three-done", "single": "1"},
    "compare": {"groups": "three-done,failed", "split": "Validation", "metric": "AUC"},
    "evaluate": {"group": "three-done", "epoch": "1", "cells": "per cent", "tiles": "2"},
    "images": {"group": "three-done", "per": "50", "rank": "3", "from": "0.1"},
    "predict": {"group": "three-done", "from": "A folder of this computer", "folder": "/nowhere"},
    "distil": {"group": "three-done", "rule": "By share", "keep-share": "80"},
}
KINDS = ("selectbox", "multiselect", "button_group", "radio", "number_input", "slider", "text_input", "toggle")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """More groups than Overview shows at once, and more in the trash."""
    path = every_kind(tmp_path_factory.mktemp("runs"))
    for number in range(21):
        fabricate(path, f"later-{number:02d}", ["queued"])
        trash.remove(fabricate(path, f"gone-{number:02d}", ["stopped"], epochs_done=0))
    return path


def last_option(widget) -> object:
    """As the page has it: AppTest tells only what is shown of it."""
    owner = getattr(widget.format_func, "__self__", None)  # of `titles.get`
    raw = {shown: value for value, shown in owner.items()} if isinstance(owner, dict) else {}
    return raw.get(widget.options[-1], widget.options[-1])


def change(widget, kind: str) -> None:
    """Another value than it usually has."""
    if kind in ("number_input", "slider"):
        widget.set_value(2)
    elif kind == "text_input":
        widget.set_value("5")
    elif kind == "toggle":
        widget.set_value(not widget.value)
    elif widget.options:
        many = isinstance(widget.value, list)
        widget.set_value([last_option(widget)] if many else last_option(widget))


@pytest.mark.parametrize("page", VISITS)
def test_no_widget_has_a_default_and_a_value_beside_it(open_page, monkeypatch, caplog, page):
    app = open_page(page)
    monkeypatch.setattr(policies, "_shown_default_value_warning", False)  # else only the first one of all is told
    for name, value in VISITS[page].items():
        app.query_params[name] = value
    ran(app)
    for pages in app.pagination:
        pages.set_value(1)
    for kind in KINDS:
        for widget in app.get(kind):
            if not widget.disabled:
                change(widget, kind)
        ran(app)
    here = app._page_hash
    app.query_params.clear()
    app.switch_page(f"pages/{'data' if page == 'monitor' else 'monitor'}.py")
    ran(app)
    app._page_hash = here
    ran(app)
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING and BARE not in r.getMessage()]
    assert not said, said
