"""axe-core finds nothing on any page, in the light and in the dark theme: contrast, names, roles, headings, tables."""

import re
import shutil
from collections.abc import Iterator
from urllib.parse import urlencode

import numpy as np
import pytest
from browsing import STORY, idle, served
from fabricate import fabricate, fabricate_external, write_seen
from PIL import Image
from small_data import striped_images

from pages.components.images.in_address import code

pytestmark = STORY
SMALL, CHECKSUM = {"group": "small"}, "0" * 64  # of fabricated data
PAGES = [
    ("", {"trash": "true"}, "This computer"),
    ("launch", {}, "Still to be said"),
    ("launch", {"clone": "small"}, "Rough: from a few training steps|The time is a range because|Not known"),
    ("data", {"set": "Generated images (SYNTHETIC)"}, "Samples of each class"),
    ("data", {"set": "A folder of your own"}, "Up to 500 MB"),
    ("monitor", SMALL, "Triangles"),
    ("compare", {"groups": "small,optimistic"}, "Every figure, test and p"),
    ("evaluate", SMALL, "Each class against the rest"),
    ("evaluate", {"group": "optimistic"}, "Each class against the rest"),
    ("evaluate", SMALL | {"over": "over images"}, "In brackets: 95 % interval over images"),
    ("evaluate", SMALL | {"part": "Calibration"}, "Seed by seed"),
    ("evaluate", SMALL | {"part": "Operating point"}, "Decision curve"),
    ("evaluate", SMALL | {"part": "Every figure"}, "for a table that needs one number"),
    ("evaluate", SMALL | {"split": "external/clinic-b", "part": "Shift"}, "Whether the probabilities still mean"),
    ("images", SMALL, "From rank"),
    ("images", SMALL | {"image": code(CHECKSUM, "train-0001")}, "Neighbours in rank"),
    ("images", SMALL | {"view": "Map", "like": code(CHECKSUM, "train-0001")}, "most like train-0001"),
    ("images", SMALL | {"view": "Figures 11 and 12"}, "figure 11"),
    ("images", SMALL | {"view": "Verdicts"}, "They hold for these data"),
    ("predict", SMALL, "Drop one scan or several"),
    ("predict", SMALL | {"from": "A folder of this computer", "folder": "/nowhere"}, "There is no folder /nowhere"),
    ("distil", SMALL, "Saved cuts"),
]
UNFOLD = "() => document.querySelectorAll('details:not([open]) > summary').forEach(one => one.click())"
LOADED = """() => ![...document.querySelectorAll('[data-testid="stSkeleton"], [data-testid="stSpinner"]')]
    .some(one => one.checkVisibility())"""
STALE, LOOKS = '[data-stale="true"]', 5
THEMES = {"light": "rgb(255, 255, 255)", "dark": "rgb(2, 4, 6)"}  # by the page's colour
THEMED = "(colour) => getComputedStyle(document.querySelector('.stApp')).backgroundColor === colour"
EXCEPTED = {  # {rule: where}: Streamlit's own, which cannot be mended from outside
    # The label of a choice that is disabled: WCAG asks for no contrast there, and axe sees no tie between the two.
    "color-contrast": '[data-testid="stButtonGroup"]:has(button:disabled) *',
    # The place where a file is dropped has a name, and the role of none; the button in it has name and role.
    "presentation-role-conflict": '[data-testid="stFileUploaderDropzone"]',
}


@pytest.fixture(scope="module")
def address(tmp_path_factory, trained) -> Iterator[str]:
    path = tmp_path_factory.mktemp("axe") / "runs"
    small = fabricate(path, "small", ["done"] * 3, {"merge_every": 2}, with_patients=True)
    for run in small.runs:
        write_seen(run)
    fabricate_external(small, warnings=["40 of 200 images were trained on."])
    fabricate(path, "optimistic", ["done"] * 2 + ["failed"], {"selection": "paper"})
    shutil.copytree(trained.path.parent, path / "answers")
    with served(path) as address:
        yield address


def told(page) -> list[str]:
    """What axe finds on the page as it stands. Another theme lets Streamlit draw the page anew, and what is pale until
    then is looked at again."""
    from axe_playwright_python.sync_playwright import Axe

    for _ in range(LOOKS):
        idle(page)
        page.wait_for_function(LOADED)
        found = [(rule["id"], node) for rule in Axe().run(page).response["violations"] for node in rule["nodes"]]
        elements = [page.locator(node["target"][-1]).first for _, node in found]
        if not page.locator(STALE).count() and all(element.count() for element in elements):
            break
    own = "(one, own) => own && one.matches(own)"
    return [
        f"{rule}: {node['html']}\n{node['failureSummary']}"
        for (rule, node), element in zip(found, elements, strict=True)
        if not element.evaluate(own, EXCEPTED.get(rule, ""))
    ]


def test_axe_finds_nothing_on_any_page_in_both_themes(page, address):
    found = []
    for name, query, there in PAGES:
        page.goto(f"{address}/{name}?{urlencode(query)}")
        page.get_by_text(re.compile(there)).first.wait_for()
        idle(page)
        page.evaluate(UNFOLD)
        found += [f"{name or 'overview'} {query}, {one}" for one in told_in_both_themes(page)]
    assert not found, "\n".join(found)


def told_in_both_themes(page) -> list[str]:
    found = []
    for theme, colour in THEMES.items():
        page.emulate_media(color_scheme=theme)
        page.wait_for_function(THEMED, arg=colour)
        found += [f"{theme}: {one}" for one in told(page)]
    page.emulate_media(color_scheme="light")
    return found


def test_axe_finds_nothing_beside_the_answer_to_a_scan_and_to_a_volume(page, address, tmp_path):
    drawn = [Image.fromarray(striped_images(np.array([c]), 40, seed=c)[0]) for c in range(2)]
    drawn[0].save(tmp_path / "one.png")
    drawn[0].save(tmp_path / "two.tif", save_all=True, append_images=drawn[1:])
    (tmp_path / "broken.png").write_bytes(b"no picture")
    page.goto(f"{address}/predict?group=answers")
    page.get_by_text("Drop one scan or several").wait_for()
    names = ("two.tif", "one.png", "broken.png")
    looks = re.compile("This map says nothing|What this map marks matters more")
    page.locator('input[type="file"]').set_input_files([str(tmp_path / name) for name in names])
    page.get_by_text("The volume, 2 pages").wait_for()
    page.get_by_text("Where the models look").click()
    page.get_by_text(looks).wait_for()
    page.get_by_text("Beside the other methods").click()
    page.get_by_text("The other methods, beside").wait_for()
    for there in ("The nearest training images", "Scan 2 of 3", "Scan 3 of 3"):
        page.get_by_text(there).first.wait_for()
        idle(page)
        assert not (found := told_in_both_themes(page)), "\n".join(found)
        tiles = page.get_by_role("group", name="The scans and what they are called").locator(".tile")
        tiles.nth(1 if there.startswith("The") else 2).click()
