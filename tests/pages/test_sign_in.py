"""The door of a shared app: who is let in, as what, and what becomes of a button that a person may not press."""

import time
from concurrent.futures import wait
from pathlib import Path

import pytest
from fabricate import fabricate
from image_pages import shown
from opened import opener, ran, texts
from signing_in import ADMIN, AUTH, READER, RESEARCHER, RULES
from streamlit.testing.v1 import app_test
from ticking import tick
from zips import class_files, zip_of

from colora.data.cuts import list_cuts
from colora.data.uploads.kept import list_uploads
from colora.runs import access, audit, trash
from colora.runs.folder import Group
from colora.settings.access import ACTIONS
from pages.components import doors
from pages.components.command import run_colora as really
from pages.components.doors import Served

pytestmark = pytest.mark.usefixtures("installed")

# ---- who is let in


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    """`mine` is Eve's, `yours` somebody else's."""
    for name, who in (("mine", RESEARCHER), ("yours", "dan@lab.example")):
        monkeypatch.setattr(audit, "signed_in", lambda who=who: who)
        fabricate(tmp_path / "runs", name, ["stopped", "queued"])
    return tmp_path / "runs"


@pytest.fixture
def enter(monkeypatch, rules, runs):
    """A function that opens a page as somebody, or as nobody, in an app where people sign in."""
    rules(RULES)
    monkeypatch.setattr(audit, "signed_in", audit.signed_in)
    monkeypatch.setattr(doors, "auth_settings", lambda: AUTH)
    opened = opener(monkeypatch, runs)
    now: dict = {}
    seeded = app_test._user_info_for_run
    monkeypatch.setattr(app_test, "_user_info_for_run", lambda user: seeded(dict(now)))

    def open_as(page: str, email: str | None, group: str | None = None, **query: str):
        now.clear()
        now.update({"is_logged_in": email is not None, "iat": time.time()})
        now.update({"email": email, "email_verified": True} if email else {})
        return opened(page, group, **query)

    open_as.now = now
    return open_as


def refusals(runs: Path) -> list[tuple[str, str]]:
    return [(line["user"], line["detail"]["refused"]) for line in audit.recorded(runs) if line["action"] == "refused"]


PAGES = ("overview", "launch", "data", "monitor", "compare", "evaluate", "images", "predict", "distil")


@pytest.mark.parametrize("page", PAGES)
def test_nobody_sees_a_page_before_signing_in(enter, runs, page):
    app = enter(page, None)
    assert "Sign in to see this app." in texts(app) and not app.header and not app.dataframe and not app.selectbox
    assert [button.key for button in app.button] == ["sign-in-None"]
    assert "mine" not in texts(app) and str(runs) not in texts(app) and refusals(runs) == []


def test_a_stranger_is_turned_away_with_whom_to_ask_and_once_in_the_audit_log(enter, runs):
    app = ran(enter("overview", "x@evil.example"))
    assert "x@evil.example may not use this app: no list has this address. Ask prof@clinic.example." in texts(app)
    assert [button.key for button in app.button] == ["sign-in-None", "sign-out"] and not app.header
    assert refusals(runs.parent / "none") == [("x@evil.example", "sign-in")]  # where the session began


def test_who_is_let_in_stands_at_the_top_and_can_sign_out(enter):
    app = enter("overview", "PROF@clinic.example")
    assert "prof@clinic.example · admin" in texts(app) and app.button(key="sign-out").label == "Sign out"
    assert app.header[0].value == "Groups of runs"


def test_rules_that_change_and_a_sign_in_that_grows_old_hold_at_the_next_look(enter, rules):
    app = enter("overview", READER)
    assert "ann@clinic.example · reader" in texts(app)
    rules('admins = ["ann@clinic.example"]\nsession_hours = 1')
    assert "ann@clinic.example · admin" in texts(ran(app))
    enter.now["iat"] -= 3700
    assert "is older than 1 hours: sign in again" in texts(ran(app)) and not app.header
    enter.now["iat"] = time.time()
    assert app.header == [] and ran(app).header[0].value == "Groups of runs"
    rules("admins = [")
    assert "This app is closed until its rules can be read" in texts(ran(app)) and not app.header


def test_where_others_reach_an_app_without_sign_in_no_page_is_drawn(monkeypatch, runs, rules, capfd):
    monkeypatch.setattr(audit, "signed_in", audit.signed_in)
    monkeypatch.setattr(doors, "served", lambda: Served("0.0.0.0", []))
    app = opener(monkeypatch, runs)("overview")
    assert "This app listens on 0.0.0.0" in texts(app) and not app.header and not app.button
    assert "Not served: This app listens on 0.0.0.0" in capfd.readouterr().err
    monkeypatch.setenv("COLORA_ALLOW_ANONYMOUS", "1")
    app = ran(app)
    assert app.header[0].value == "Groups of runs" and "sign-out" not in [button.key for button in app.button]


# ---- what a person may press


def disabled(app) -> dict[str, bool]:
    return {button.key: button.disabled for button in app.button}


def test_monitor_offers_what_a_role_may_do(enter):
    own = {"resume": False, "retry": False, "stop": False, "queue": False}
    for email, group, may, copy in (
        (READER, "yours", False, False),
        (RESEARCHER, "yours", False, True),
        (RESEARCHER, "mine", True, True),
        (ADMIN, "yours", True, True),
    ):
        found = disabled(enter("monitor", email, group))
        assert {key: found[key] for key in own} == dict.fromkeys(own, not may), (email, group)
        assert found["clone"] is not copy


def test_a_button_that_may_not_be_pressed_says_who_may(enter):
    app = enter("monitor", RESEARCHER, "yours")
    why = "eve@lab.example, here as a researcher, may not stop runs that are not their own: that is for an admin."
    assert why in app.button(key="stop").help.replace("\\", "")


def test_pages_for_those_who_launch_are_closed_to_readers(enter, runs):
    app = enter("launch", READER)
    assert "may not launch runs: that is for a researcher. Ask prof@clinic.example." in texts(app)
    assert not app.text_input
    assert enter("launch", RESEARCHER).text_input
    app = enter("data", READER, set="A folder of your own", images="/nowhere/oct/x")
    assert "may not name data of their own choice: that is for a researcher" in texts(app)
    assert refusals(runs) == [(READER, "name")]


def test_readers_predict_scans_of_their_own_and_name_no_folder(enter, runs, stand_ins, tmp_path):
    group = fabricate(runs, "done", ["done"]).name
    app = enter("predict", READER, group)
    app.file_uploader[0].set_value([("left.png", b"left eye", "image/png")])
    assert "predicted with probability 0." in shown(ran(app), "-scan")["name"]["says"]
    assert app.button(key="features").disabled
    folder = {"from": "A folder of this computer"}
    app = enter("predict", READER, group, **folder)
    app.text_input(key="folder").set_value(str(tmp_path))
    ran(app)
    assert "may not name data of their own choice: that is for a researcher" in texts(app)
    assert "predict-folder" not in disabled(app) and refusals(runs) == [(READER, "name")]
    app = enter("predict", RESEARCHER, group, **folder)
    app.text_input(key="folder").set_value(str(tmp_path))
    ran(app)
    assert "This place may not be named: data, weights and cut files have to lie below /nowhere/oct." in texts(app)
    assert "predict-folder" not in disabled(app)


def test_researchers_bring_scans_in_and_readers_do_not(enter, runs):
    app = enter("data", READER, set="A folder of your own")
    assert app.file_uploader[0].disabled
    assert "may not bring in images of their own: that is for a researcher" in app.file_uploader[0].help
    app = enter("data", RESEARCHER, set="A folder of your own")
    app.file_uploader[0].set_value(("eyes.zip", zip_of(class_files()).getvalue(), "application/zip"))
    wait([ran(app).session_state["data-upload-incoming"].answer])
    assert "12 images in 3 folders" in texts(ran(app))  # though the data roots are elsewhere
    assert app.table[0].value.index.tolist() == ["AMD", "DME", "NORMAL", "All"]
    (upload,) = list_uploads(runs)
    assert upload.by == RESEARCHER == audit.recorded(runs)[-1]["user"]
    assert not app.button(key="remove-upload-eyes").disabled
    place = str(upload.place)
    app = enter("data", ADMIN, set="A folder of your own", images=place)
    assert app.table[0].value.index.tolist() == ["AMD", "DME", "NORMAL", "All"]
    assert enter("data", READER, set="A folder of your own").button(key="remove-upload-eyes").disabled


def test_a_place_outside_the_roots_is_not_looked_at(enter, runs, tmp_path):
    for place in (tmp_path, tmp_path / "none"):
        app = enter("data", ADMIN, set="A folder of your own", images=str(place))
        assert "This place may not be named: data, weights and cut files have to lie below /nowhere/oct." in texts(app)
        assert str(place) not in "".join(error.value for error in app.error)
    assert refusals(runs) == [(ADMIN, "name")] * 2
    app = enter("data", ADMIN, set="A folder of your own", images="/nowhere/oct/x")
    assert "There is no folder /nowhere/oct/x" in texts(app)


# ---- what is pressed without the right to: Streamlit takes no press of a button that is drawn as not to be pressed, so
# the page is drawn while its reader had the role, and pressed when they have it no more


ALL_ADMINS = 'admins = ["*@clinic.example", "*@lab.example"]'


def press(app, *keys: str):
    """In one run: AppTest runs the whole page, so a dialog is opened in the same run."""
    for key in keys:
        app.button(key=key).click()
    return ran(app)


@pytest.mark.parametrize(
    ("keys", "email", "action"),
    [
        (("stop", "confirm-stop"), READER, "stop"),
        (("resume", "confirm-resume"), RESEARCHER, "resume"),
        (("retry", "confirm-retry"), RESEARCHER, "retry"),
        (("queue", "move-first"), READER, "move"),
        (("remove", "confirm-remove"), RESEARCHER, "rm"),
    ],
)
def test_a_press_on_monitor_is_refused_where_it_is_done_and_written_down(
    monkeypatch, enter, rules, runs, keys, email, action
):
    group = "yours"
    if action == "rm":
        group = fabricate(runs, "ended", ["stopped"]).name
    rules(ALL_ADMINS)
    app = press(enter("monitor", email, group), keys[0])
    before = [run.state for run in Group(runs / group).runs]
    monkeypatch.setattr("pages.components.command.run_colora", really)
    rules(RULES)
    press(app, *keys)
    assert refusals(runs) == [(email, action)] and f"may not {ACTIONS[action].words}" in texts(app)
    assert [run.state for run in Group(runs / group).runs] == before and not trash.listed(runs)
    assert not (runs / group / "seed-01" / "stop").exists()


def test_a_press_that_the_app_itself_carries_out_is_refused_and_written_down(enter, rules, runs):
    fabricate(runs, "done", ["done"])
    rules(ALL_ADMINS)
    app = enter("distil", READER, "done")
    rules(RULES)
    assert "may not save cuts: that is for a researcher" in texts(press(app, "save-cut")) and list_cuts(runs) == []
    trash.remove(Group(runs / "done"))
    rules(ALL_ADMINS)
    app = press(enter("overview", RESEARCHER, trash="true"), "empty-trash")
    rules(RULES)
    assert "may not delete for good: that is for an admin" in texts(press(app, "empty-trash", "confirm-delete"))
    assert refusals(runs) == [(READER, "cut"), (RESEARCHER, "delete")] and len(trash.listed(runs)) == 1


def test_who_has_signed_out_or_lost_their_role_does_nothing_any_more(enter, rules, runs):
    fabricate(runs, "done", ["done"])
    app = enter("distil", RESEARCHER, "done")
    app.button(key="save-cut").click()
    rules('admins = ["prof@clinic.example"]')
    assert "may not use this app" in texts(ran(app)) and list_cuts(runs) == [] and not app.header


def test_a_removal_takes_an_admin_and_the_audit_log_names_them(monkeypatch, enter, runs):
    fabricate(runs, "ended", ["stopped"])
    app = tick(enter("overview", ADMIN), "ended")
    monkeypatch.setattr("pages.components.command.run_colora", really)
    press(press(app, "remove"), "remove", "confirm-remove")
    line = audit.recorded(runs)[-1]
    assert (line["action"], line["group"], line["user"]) == ("rm", "ended", ADMIN)


def test_a_thread_of_the_server_acts_for_everybody_and_a_session_never_does(enter):
    enter("overview", READER)
    assert access.in_app and access.acting() is None and audit.signed_in() is None  # here is no session
