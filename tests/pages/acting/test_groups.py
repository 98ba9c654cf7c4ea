"""A group or its entry in the trash goes away between the drawing of a page and the press: nothing is touched, and the
page says so."""

import json
from pathlib import Path

import pytest
from elsewhere import GONE, take_away
from fabricate import fabricate
from opened import ran, texts
from pressing import ON_MONITOR, ON_OVERVIEW, nothing_done, press
from ticking import tick, tick_in_trash

from colora.runs import trash
from colora.runs.folder import Group


@pytest.mark.parametrize("keys", ON_MONITOR, ids=lambda keys: keys[-1])
def test_monitor_acts_on_the_group_that_it_showed_or_on_none(open_page, runs, commands, keys):
    state, goes, says = ON_MONITOR[keys]
    group = fabricate(runs, "first", [state])
    app = open_page("monitor", "first")
    if len(keys) > 1:
        press(app, keys[0])
    goes(group)
    fabricate(runs, "newest", ["stopped", "queued"])
    with nothing_done(runs, commands):
        press(app, *keys)
    assert f"first {says}" in texts(app) and app.header[0].value == "Monitor"
    if says == GONE:  # and no other group is shown in its place
        assert not app.button and app.selectbox(key="group").value is None
        assert "**first** was removed elsewhere meanwhile. Choose another group." in texts(app)
        app.selectbox(key="group").set_value("other")
        assert "resume" in [button.key for button in ran(app).button] and "meanwhile" not in texts(app)
    else:
        assert "**first** was made anew elsewhere: this is the new one." in texts(app)
        assert "anew elsewhere" not in texts(ran(app))


@pytest.mark.parametrize("keys", ON_OVERVIEW, ids=lambda keys: keys[-1])
def test_overview_acts_on_the_ticked_groups_or_on_none(open_page, runs, commands, keys):
    goes, says = ON_OVERVIEW[keys]
    group = fabricate(runs, "first", ["stopped"])
    app = tick(open_page("overview"), *(["first", "other"] if keys == ("compare",) else ["first"]))
    if len(keys) > 1:
        press(app, keys[0])
    goes(group)
    fabricate(runs, "newest", ["stopped"])
    with nothing_done(runs, commands):
        press(app, *keys)
    assert f"first {says}" in texts(app) and app.header[0].value == "Groups of runs"


def press_name(app, row: int):
    """As pressing a name in the table does."""
    widget = app.dataframe[0].proto.button_click_widgets["Group"]
    tree, states = app._tree, app._tree.get_widget_states

    def with_it():
        found = states()
        found.widgets.add(id=widget).string_trigger_value.data = json.dumps({"row": row, "label": "x"})
        return found

    tree.get_widget_states = with_it
    return ran(app)


def test_a_name_in_the_table_opens_the_group_that_stood_there(open_page, runs):
    group = fabricate(runs, "first", ["stopped"])
    app = open_page("overview")
    assert list(app.dataframe[0].value["Group"]) == ["first", "other"]
    fabricate(runs, "newest", ["stopped"])  # each stands one row lower now
    assert press_name(app, 0).query_params["group"] == "first"
    app = open_page("overview")
    take_away(group)
    app = press_name(app, 1)
    assert f"first {GONE}" in texts(app) and app.header[0].value == "Groups of runs"


def test_a_group_that_was_ticked_is_still_meant_when_others_come(open_page, runs, commands):
    fabricate(runs, "first", ["stopped"])
    app = press(tick(open_page("overview"), "first"), "remove")
    fabricate(runs, "newest", ["stopped"])
    app.button(key="remove").click()
    assert "**first** will go to the trash" in texts(ran(app)) and not commands


def test_each_page_without_its_group_shows_no_other(open_page, runs):
    group = fabricate(runs, "first", ["done"])
    pages = {page: open_page(page, "first") for page in ("monitor", "evaluate", "images", "distil")}
    take_away(group)
    for page, app in pages.items():
        assert "**first** was removed elsewhere meanwhile. Choose another group." in texts(ran(app)), page
        assert app.selectbox(key="group").value is None and not app.button and app.query_params["group"] == "first"
    trash.restore(runs, "first")
    assert ran(app).selectbox(key="group").value == "first" and "meanwhile" not in texts(app)


def removed_on_overview(app, runs: Path, monkeypatch):
    def really(arguments, timeout=0):
        return {"trash": str(trash.remove(Group(Path(arguments[1]))))}

    monkeypatch.setattr("pages.components.command.run_colora", really)
    return press(press(tick(app, "first"), "remove"), "remove", "confirm-remove")


def test_undo_brings_back_what_was_removed_here_and_nothing_of_its_name(open_page, runs, commands, monkeypatch):
    fabricate(runs, "first", ["stopped"])
    app = removed_on_overview(open_page("overview"), runs, monkeypatch)
    monkeypatch.setattr("pages.components.command.run_colora", lambda arguments, timeout=0: commands.append(arguments))
    trash.put_back(runs, trash.listed(runs)[0], "back")
    take_away(fabricate(runs, "first", ["done"]))  # another one of its name
    with nothing_done(runs, commands):
        press(app, "undo")
    assert "first is not in the trash any more" in texts(app)


@pytest.mark.parametrize("keys", [("put-back",), ("delete", "confirm-delete"), ("empty-trash", "confirm-delete")])
def test_the_trash_acts_on_its_entries_as_they_were_drawn(open_page, runs, commands, keys):
    take_away(fabricate(runs, "first", ["done"]))
    (entry,) = trash.listed(runs)
    app = tick_in_trash(open_page("overview", trash="true"), runs, 0)
    if len(keys) > 1:
        press(app, keys[0])
    trash.put_back(runs, entry)
    take_away(fabricate(runs, "second", ["done"]))
    with nothing_done(runs, commands):
        press(app, *keys)
    assert "first is not in the trash any more" in texts(app)
