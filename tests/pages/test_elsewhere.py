"""An open page notices what a terminal or another browser does to its group."""

import pytest
from fabricate import damage, fabricate
from opened import opener, ran, texts
from streamlit.testing.v1 import AppTest

from colora.queue.actions import begin_anew
from colora.runs.folder import Group, read_json, write_json
from pages.components.elsewhere import changes, states


@pytest.fixture
def group(tmp_path) -> Group:
    return fabricate(tmp_path / "runs", "g", ["done"] * 3)


def change(run, **values) -> None:
    path = run.path / "status.json"
    write_json(path, read_json(path) | values)


def test_what_has_changed_is_told_by_seed(group):
    drawn = states(group)
    assert states(Group(group.path)) == drawn
    begin_anew(group, [3, 4])
    assert changes(drawn, states(Group(group.path))) == "seeds 3-4 are queued"
    change(group.runs[1], state="stopped")
    change(group.runs[2], started=1.0)
    assert changes(drawn, states(Group(group.path))) == "seed 1 is stopped; seed 2 is done; seeds 3-4 are queued"
    (group.path / "group.json").write_text("{")
    assert states(Group(group.path)) is None and changes(drawn, None) == "it is damaged"


def test_steps_and_heartbeats_are_no_change(tmp_path):
    group = fabricate(tmp_path, "g", ["running"])
    drawn = states(group)
    change(group.runs[0], step=6, heartbeat=2e9)
    assert states(Group(group.path)) == drawn


def looking() -> None:
    """A page of nothing else, whose group is in the session."""
    import streamlit as st

    from pages.components.elsewhere import _look

    _look(st.session_state["group"], st.session_state["drawn"], False)


def test_a_change_is_said_with_a_way_to_see_it(group):
    app = AppTest.from_function(looking)
    app.session_state["group"], app.session_state["drawn"] = group, states(group)
    assert not ran(app).button and texts(app) == ""
    begin_anew(group, [3])
    assert texts(ran(app)) == "**g** has changed since this page was drawn: seed 3 is queued."
    assert [button.label for button in app.button] == ["Show it anew"]
    damage(group)
    assert "seed 0 is damaged; seed 3 is queued." in texts(ran(app))


@pytest.mark.parametrize("page", ["evaluate", "images", "monitor"])
def test_these_pages_look_out_for_it(monkeypatch, group, page):
    asked = []

    def noted(looked_at: Group, drawn: object, renew: bool) -> None:
        asked.append((looked_at.path, renew))

    monkeypatch.setattr("pages.components.elsewhere._look", noted)
    opener(monkeypatch, group.path.parent)(page, "g")
    assert asked == [(group.path, page == "monitor")]
