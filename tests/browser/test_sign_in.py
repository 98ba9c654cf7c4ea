"""A shared app in a real browser, with an identity provider on this machine: who comes in, sees what, may do what."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from browsing import STORY, button, free_port, idle, served, watched
from fabricate import fabricate
from provider import Provider
from queueing import Lab, wait_for

from colora.data.cuts import list_cuts
from colora.distillation.verdicts import current
from colora.queue import order
from colora.runs import audit
from colora.runs.folder import Group, write_json
from colora.runs.trash import listed

pytestmark = [*STORY, pytest.mark.skipif(find_spec("authlib") is None, reason="no Authlib: the extra `auth` has it")]
RULES = """
admins = ["prof@clinic.example"]
researchers = ["*@lab.example"]
readers = ["*@clinic.example"]
"""
READER, RESEARCHER, ADMIN = "ann@clinic.example", "eve@lab.example", "prof@clinic.example"


class Shared(NamedTuple):
    """The app, its identity provider, the file of rules and the runs."""

    address: str
    provider: Provider
    rules: Path
    runs: Path


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    """`hers` is the researcher's, the others somebody else's; `hers` and `theirs` wait."""
    for name, who, states in (
        ("done", "dan@lab.example", ["done"]),
        ("theirs", "dan@lab.example", ["queued"]),
        ("ended", "dan@lab.example", ["stopped"]),
        ("hers", RESEARCHER, ["queued"]),
    ):
        monkeypatch.setattr(audit, "signed_in", lambda who=who: who)
        group = fabricate(tmp_path / "runs", name, states)
        if name == "theirs":  # on another host, or the server would see to it that it is trained
            place = order.last_place(tmp_path / "runs") | {"host": "elsewhere"}
            write_json(group.runs[0].path / "queue.json", place)
    monkeypatch.undo()
    return tmp_path / "runs"


@pytest.fixture
def shared(runs, own_folders, tmp_path, monkeypatch) -> Iterator[Shared]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("no_proxy", "localhost")
    provider, port = Provider(), free_port()
    (tmp_path / "secrets.toml").write_text(provider.secrets_file(f"http://localhost:{port}"))
    (rules := tmp_path / "access.toml").write_text(RULES)
    options = (f"--secrets.files={tmp_path / 'secrets.toml'}",)
    try:
        with served(runs, port=port, options=options, environment={"COLORA_ACCESS": str(rules)}) as address:
            yield Shared(address, provider, rules, runs)
    finally:
        provider.close()
        Lab(runs).close()


@contextmanager
def tab_of(browser, shared: Shared, email: str, **claims: Any) -> Iterator:
    """A browser of their own, in which somebody has just signed in."""
    shared.provider.claims = {"sub": email, "email": email, "email_verified": True, "name": "Somebody"} | claims
    with watched(browser) as context:
        tab = context.new_page()
        tab.goto(f"{shared.address}/monitor?group=theirs")
        button(tab, "Sign in").wait_for()
        assert tab.get_by_text("theirs").count() == 0 and tab.get_by_role("link", name="Launch").count() == 0
        button(tab, "Sign in").click()
        button(tab, "Sign out").wait_for()  # Overview, which goes on looking
        yield tab


def see(tab, shared: Shared, place: str) -> None:
    tab.goto(f"{shared.address}/{place}")
    button(tab, "Sign out").wait_for()
    idle(tab)


def refused(runs: Path) -> list[tuple[str, str]]:
    return [(line["user"], line["detail"]["refused"]) for line in audit.recorded(runs) if line["action"] == "refused"]


def test_who_is_not_known_or_not_verified_comes_nowhere(browser, shared):
    with tab_of(browser, shared, "x@evil.example") as tab:
        for place in ("", "launch", "monitor?group=theirs", "images?group=done"):
            see(tab, shared, place)
            tab.get_by_text("x@evil.example may not use this app: no list has this address. Ask prof@clin").wait_for()
            assert tab.get_by_test_id("stHeading").count() == 0 and tab.get_by_text("theirs").count() == 0
    with tab_of(browser, shared, ADMIN, email_verified=False) as tab:
        tab.get_by_text("Nobody has verified the address prof@clinic.example").wait_for()
    with tab_of(browser, shared, ADMIN, iat=shared.rules.stat().st_mtime - 13 * 3600) as tab:
        tab.get_by_text("The sign-in of prof@clinic.example is older than 12 hours: sign in again.").wait_for()
        shared.provider.claims.pop("iat")
        button(tab, "Sign in").click()
        tab.get_by_text("prof@clinic.example · admin").wait_for()
    assert set(refused(shared.runs)) == {("x@evil.example", "sign-in"), (ADMIN, "sign-in")}


def test_a_reader_looks_and_judges_and_does_nothing_else(browser, shared):
    with tab_of(browser, shared, READER) as tab:
        tab.get_by_text("ann@clinic.example · reader").wait_for()
        see(tab, shared, "launch")
        tab.get_by_text("may not launch runs: that is for a researcher").wait_for()
        see(tab, shared, "monitor?group=theirs")
        for name in ("Stop …", "Queue …", "Copy …"):
            assert button(tab, name).is_disabled()
        see(tab, shared, "distil?group=done")
        assert button(tab, "Save the cut").is_disabled()
        see(tab, shared, "images?group=done&image=train-0003")
        tab.locator(".verdicts button:enabled").first.wait_for()
        tab.locator(".verdicts").get_by_role("button", name="Artefact").click()
        tab.locator(".standing", has_text="Your verdict: Artefact").wait_for()
        told = current(shared.runs)[["reader", "image_id", "verdict", "user"]].values.tolist()
        assert told == [["ann-clinic.example", "train-0003", "artefact", READER]]
        button(tab, "Sign out").click()
        button(tab, "Sign in").wait_for()
        tab.goto(f"{shared.address}/images?group=done")
        button(tab, "Sign in").wait_for()
        assert tab.locator("canvas").count() == 0


def test_a_researcher_does_what_they_like_with_their_own(browser, shared):
    with tab_of(browser, shared, RESEARCHER) as tab:
        see(tab, shared, "monitor?group=theirs")
        assert button(tab, "Stop …").is_disabled() and button(tab, "Copy …").is_enabled()
        see(tab, shared, "monitor?group=hers")
        button(tab, "Stop …").click()
        tab.get_by_test_id("stDialog").get_by_role("button", name="Stop the seeds").click()
        wait_for(lambda: Group(shared.runs / "hers").state == "stopped")
        assert Group(shared.runs / "theirs").runs[0].stop_requested is False
        see(tab, shared, "distil?group=done")
        button(tab, "Save the cut").click()
        tab.get_by_text("Saved as").wait_for()
        assert [row["user"] for row in list_cuts(shared.runs)] == [RESEARCHER]
        shared.rules.write_text(RULES.replace("*@lab", "dan@lab"))  # their role is taken away, under the open page
        button(tab, "Save the cut").click()
        tab.get_by_text("eve@lab.example may not use this app").wait_for()
        shared.rules.write_text(RULES)
        see(tab, shared, "monitor?group=theirs")
        tab.get_by_text("0 of 1 seeds done").wait_for()
        shared.rules.write_text(RULES.replace("*@lab", "dan@lab"))  # a page that renews itself shows the door by itself
        tab.get_by_text("eve@lab.example may not use this app").wait_for()
        assert tab.get_by_text("0 of 1 seeds done").count() == 0
    done = [(line["action"], line["user"]) for line in audit.recorded(shared.runs)]
    assert ("stop", RESEARCHER) in done and ("cut", RESEARCHER) in done
    assert set(refused(shared.runs)) == {(RESEARCHER, "sign-in")}


def test_an_admin_does_all_and_a_press_after_they_are_none_is_refused(browser, shared):
    with tab_of(browser, shared, ADMIN) as tab:
        see(tab, shared, "monitor?group=ended")
        button(tab, "Remove …").click()
        dialog = tab.get_by_test_id("stDialog")
        dialog.get_by_role("button", name="Remove").wait_for()
        idle(tab)
        shared.rules.write_text(RULES.replace("prof@clinic", "other@clinic"))  # a reader from now on
        dialog.get_by_role("button", name="Remove").click()
        dialog.get_by_text("prof@clinic.example, here as a reader, may not remove groups: that is for an ad").wait_for()
        assert refused(shared.runs) == [(ADMIN, "rm")] and listed(shared.runs) == []
        shared.rules.write_text(RULES)
        see(tab, shared, "monitor?group=ended")
        button(tab, "Remove …").click()
        dialog.get_by_role("button", name="Remove").click()
        tab.get_by_text("is in the trash.").wait_for()
        assert [entry.name for entry in listed(shared.runs)] == ["ended"]
    line = next(line for line in audit.recorded(shared.runs) if line["action"] == "rm")
    assert (line["user"], line["group"]) == (ADMIN, "ended")
