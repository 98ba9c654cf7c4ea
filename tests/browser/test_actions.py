"""Two people and a terminal at once, in a real browser: a group goes away under one person's open page and dialog."""

from pathlib import Path

import pytest
from browsing import STORY, idle, served, watched
from fabricate import fabricate
from queueing import wait_for

from colora.cli.main import main
from colora.runs.audit import recorded
from colora.runs.folder import Group
from colora.runs.listing import list_groups

pytestmark = STORY
GONE = "first was removed elsewhere meanwhile; nothing was done."


@pytest.fixture
def runs(tmp_path) -> Path:
    fabricate(tmp_path / "runs", "other", ["stopped"])
    fabricate(tmp_path / "runs", "first", ["stopped"])
    fabricate(tmp_path / "runs", "newest", ["stopped"])
    return tmp_path / "runs"


def button(page, name: str):
    return page.get_by_role("button", name=name)


def test_a_group_that_is_removed_elsewhere_is_not_exchanged_for_another(browser, page, runs, tmp_path, capsys):
    """In a terminal and in the other browser, under the buttons of Monitor, a dialog, and a name on Overview."""
    (aside := tmp_path / "aside").mkdir()
    with served(runs) as address, watched(browser) as context:
        other = context.new_page()
        page.goto(f"{address}/monitor?group=first")
        button(page, "Resume …").wait_for()
        idle(page)
        assert main(["rm", "first", "--runs-dir", str(runs)]) == 0  # in a terminal
        button(page, "Resume …").click()
        page.get_by_text(GONE).wait_for()
        page.get_by_text("first was removed elsewhere meanwhile. Choose another group.").wait_for()
        assert button(page, "Resume …").count() == 0 and page.get_by_test_id("stDialog").count() == 0

        assert main(["rm", "--undo", "first", "--runs-dir", str(runs)]) == 0
        page.reload()
        button(page, "Begin anew …").click()
        page.get_by_test_id("stDialog").get_by_text("first", exact=True).wait_for()
        other.goto(f"{address}/monitor?group=first")
        button(other, "Remove …").click()
        anew = fabricate(aside, "first", ["stopped"])  # another one of this name
        other.get_by_test_id("stDialog").get_by_role("button", name="Remove").click()
        wait_for(lambda: not (runs / "first").exists())
        anew.path.rename(runs / "first")  # at once, since the page looks every ten seconds whether its group is there
        page.get_by_test_id("stDialog").get_by_role("button", name="Begin anew").click()
        says = "first was removed elsewhere meanwhile, and another group has its name now; nothing was done."
        page.get_by_test_id("stDialog").get_by_text(says).wait_for()
        page.keyboard.press("Escape")
        page.get_by_text("first was made anew elsewhere: this is the new one.").wait_for()
        other.get_by_text("first is in the trash.").wait_for()

        other.goto(address)
        other.wait_for_function("() => [...document.querySelectorAll('td')].some(cell => cell.textContent === 'other')")
        idle(other)
        place = [group.name for group in list_groups(runs)].index("first")
        assert main(["rm", "first", "--runs-dir", str(runs)]) == 0
        other.get_by_test_id("stDataFrame").first.click(position={"x": 60, "y": 35 * (place + 1) + 17})
        other.get_by_text(GONE).wait_for()
        other.get_by_role("heading", name="Groups of runs").wait_for()
        idle(page)
        idle(other)
    capsys.readouterr()
    done = [(line["action"], line["group"]) for line in recorded(runs)]
    assert done == [("rm", "first"), ("undo", "first"), ("rm", "first"), ("rm", "first")]
    assert {name: Group(runs / name).state for name in ("other", "newest")} == {"other": "stopped", "newest": "stopped"}
