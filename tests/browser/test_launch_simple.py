"""A clinician's first launch: a zip of scans, three questions, Launch; a reload, the other form and Back between."""

import re

import pytest
from browsing import PATIENCE_SECONDS, STORY, button, idle, served
from zips import class_files, zip_of

from colora.queue.actions import stop
from colora.runs.folder import Group

pytestmark = STORY


def way(page, name: str):
    return page.get_by_role("radio", name=name)


@pytest.fixture
def scans(tmp_path):
    """A zip with the folder of the classes, and beside it one that is none."""
    found = {f"clinic/{name}": content for name, content in class_files(60).items()}
    (tmp_path / "clinic.zip").write_bytes(zip_of(found).getvalue())
    more = {f"other/{name.rpartition('/')[2]}": content for name, content in class_files(1).items()}
    (tmp_path / "too high.zip").write_bytes(zip_of(found | more).getvalue())
    return tmp_path


def test_from_a_zip_by_three_questions_to_monitor(page, scans):
    runs_dir = scans / "runs"
    with served(runs_dir) as address:
        page.goto(address)
        button(page, "Train on your own scans").click()
        page.get_by_text("Still to be said: Which scans.").wait_for()
        idle(page)
        assert page.locator(".stAlert").count() == 0 and button(page, "Launch").is_disabled()

        page.locator("input[type=file]").set_input_files(scans / "too high.zip")
        page.get_by_text("The class other has 3 of 183 images").wait_for()
        page.get_by_text("To be answered: Which scans.").wait_for()
        button(page, "Take the folder clinic").click()
        page.get_by_text("Trains on 126 images: 42 of each class").wait_for()
        page.locator(".st-key-launch-bar").get_by_text("clinic · 3 trainings").wait_for()
        idle(page)

        page.get_by_label("What is it called?", exact=True).fill("my first try")
        page.get_by_label("What is it called?", exact=True).press("Enter")
        page.locator(".st-key-launch-bar").get_by_text("my first try · 3 trainings").wait_for()
        page.get_by_text("A look", exact=True).click()
        page.locator(".st-key-launch-bar").get_by_text("my first try · 1 training ").wait_for()
        idle(page)
        page.reload()
        page.locator(".st-key-launch-bar").get_by_text("my first try · 1 training ").wait_for()
        idle(page)

        way(page, "All settings").click(force=True)
        page.get_by_text(re.compile("--name 'my first try' --seeds 0 ")).wait_for()
        page.get_by_test_id("stMetric").filter(has_text="Disk").wait_for()
        idle(page)
        way(page, "Simple").click(force=True)
        page.get_by_text("Which scans?").first.wait_for()
        page.get_by_test_id("stMetric").filter(has_text="Disk").wait_for()
        idle(page)
        button(page, "Launch").click()
        page.wait_for_url("**/monitor?group=my+first+try", timeout=1000 * PATIENCE_SECONDS)
        try:
            page.get_by_text(re.compile("0 of 1 seeds done|1 of 1 seeds done")).first.wait_for()
            idle(page)
            page.go_back()
            page.locator(".st-key-launch-bar").get_by_text("my first try-2 · 1 training ").wait_for()
            idle(page)
            page.go_back()
            page.get_by_role("heading", name="Groups of runs").wait_for()
        finally:
            stop(Group(runs_dir / "my first try"), PATIENCE_SECONDS)
