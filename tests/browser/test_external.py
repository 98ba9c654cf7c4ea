"""A group is tested on another clinic's images in Chromium, as a person does it: by keyboard, with Back and reload,
left while it is under way, in two tabs, on a phone."""

import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from browsing import STORY, idle, served, tab_to, watched
from PIL import Image

from colora.runs.external import external_splits
from colora.runs.folder import Group

pytestmark = STORY
GROUP = "answers"
CHOSEN = '[data-testid="stButtonGroup"] button[aria-checked="true"]'


@pytest.fixture
def place(tmp_path, trained) -> Iterator[tuple[str, str]]:
    """(address of a server over a group that answers, a folder of another clinic)."""
    shutil.copytree(trained.path.parent, tmp_path / "runs" / GROUP)
    generator = np.random.default_rng(0)
    for name in ("ONE", "Two", "GLAUCOMA"):
        folder = tmp_path / "clinic b" / name
        folder.mkdir(parents=True)
        for i in range(6):
            pixels = generator.integers(0, 255, (40, 40), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{name}-{i}.png")
    with served(tmp_path / "runs") as address:
        yield address, str(tmp_path / "clinic b")


def write(page, label: str, text: str) -> None:
    page.get_by_label(label, exact=True).fill(text)
    page.keyboard.press("Enter")


def test_a_group_is_tested_on_another_clinics_images(browser, place, tmp_path):
    address, folder = place
    with watched(browser) as context:
        page = context.new_page()
        page.goto(f"{address}/evaluate?group={GROUP}")
        idle(page)
        tab_to(page, page.locator("summary", has_text="Test on other data"))
        page.keyboard.press("Enter")
        write(page, "Folder", folder)
        page.get_by_text("has the class GLAUCOMA").wait_for()
        idle(page)
        tab_to(page, page.get_by_role("button", name="Leave these images out"))
        page.keyboard.press("Enter")
        page.get_by_text("12 images").wait_for()
        write(page, "Name", "clinic-b")
        idle(page)
        page.get_by_role("button", name="Test", exact=True).click()
        page.get_by_text("The models are being tested on other data").wait_for()
        assert not page.locator('[data-stale="true"]').get_by_text("Leave out unknown classes").count()
        page.get_by_role("link", name="Overview").click()  # it goes on
        page.get_by_text("This computer").wait_for()
        page.get_by_role("link", name="Evaluate").click()
        page.get_by_text("No weight, epoch or threshold was chosen on them").wait_for()
        assert page.locator(CHOSEN).first.inner_text().strip().endswith("clinic-b")
        idle(page)
        assert "split=external%2Fclinic-b" in page.url
        page.get_by_role("tab", name="Shift").click()
        page.get_by_text("Whether the probabilities still mean what they say").wait_for()
        idle(page)
        page.reload()
        page.get_by_text("Whether the probabilities still mean what they say").wait_for()
        other = context.new_page()
        other.goto(page.url)
        other.get_by_text("Whether the probabilities still mean what they say").wait_for()
        idle(page)
        page.get_by_role("button", name="Remove this test").click()
        page.get_by_text("is in the trash").wait_for()
        idle(page)
        assert external_splits(Group(tmp_path / "runs" / GROUP)) == []
        idle(other)
        other.get_by_role("button", name="Remove this test").click()
        other.get_by_text("was not tested on data named clinic-b").wait_for()
        page.get_by_role("button", name="Undo").click()
        page.get_by_text("No weight, epoch or threshold was chosen on them").wait_for()
        idle(page)
        page.get_by_role("tab", name="Classes").click()
        page.get_by_text("The images behind the figures").wait_for()
        idle(page)
        page.locator(".tile").first.click()
        page.wait_for_url("**/images?*part=external%2Fclinic-b*")
        page.get_by_text("Neighbours in rank").wait_for()
        idle(page)
        page.go_back()
        page.get_by_text("The images behind the figures").wait_for()
        assert page.locator(CHOSEN).first.inner_text().strip().endswith("clinic-b")


def test_a_test_that_is_stopped_keeps_nothing_on_a_phone(browser, place, tmp_path):
    address, folder = place
    with watched(browser, viewport={"width": 390, "height": 800}, color_scheme="dark") as context:
        page = context.new_page()
        page.goto(f"{address}/evaluate?group={GROUP}&outside=true")
        write(page, "Folder", folder)
        page.get_by_role("button", name="Leave these images out").click()
        page.get_by_text("12 images").wait_for()
        idle(page)
        page.get_by_role("button", name="Test", exact=True).click()
        page.get_by_role("button", name="Stop").click()
        page.get_by_text("The test was stopped; nothing of it is kept").wait_for()
        idle(page)
        width = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert width <= 390
    assert external_splits(Group(tmp_path / "runs" / GROUP)) == []
