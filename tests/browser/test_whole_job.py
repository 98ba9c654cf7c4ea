"""The whole job in a real browser: launch the quick look, watch it train, evaluate it.

With COLORA_SCREENSHOT=docs/screenshot.png, pytest -m story -k quick_look tests/browser/test_whole_job.py keeps a
picture of the Evaluate page, for the preset as it is.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import STORY, choose, idle, served, type_in, watched
from fabricate import damage, fabricate
from queueing import wait_for

from colora.settings.catalog import NOTICE

SCREENSHOT = os.environ.get("COLORA_SCREENSHOT")
TEST_IMAGES = 240  # of the generated data set
TRAINING_SECONDS = 600

pytestmark = STORY


@pytest.fixture(scope="module")
def fabricated_runs(tmp_path_factory) -> Iterator[str]:
    runs_dir = tmp_path_factory.mktemp("fabricated") / "runs"
    fabricate(runs_dir, "fabricated", ["done", "failed"])
    damage(fabricate(runs_dir, "half-written", ["done"]))
    with served(runs_dir) as address:
        yield address


@pytest.mark.parametrize(
    ("script", "event"),
    [
        (
            "document.body.innerHTML = '<p data-testid=stException>boom</p>'; setTimeout(() => document.body.remove())",
            "console",
        ),
        ("setTimeout(() => { throw Error('boom') })", "pageerror"),
        ("console.error('boom')", "console"),
        ("new Image().src = 'http://boom.invalid/'", "request"),
    ],
)
def test_a_watched_browser_tells_what_went_wrong_for_a_moment(browser, script, event):
    with pytest.raises(AssertionError, match="boom"), watched(browser) as context:
        tab = context.new_page()
        tab.goto("data:text/html,<body>")
        with tab.expect_event(event):
            tab.evaluate(script)
        tab.wait_for_timeout(200)  # until the watch has been told too


def counts_of_confusion_matrix(page) -> list[int]:
    """The annotated counts, row by row."""
    texts = page.locator(".stPlotlyChart .annotation-text")  # no other figure has any
    texts.first.wait_for()
    return [int(count) for count in texts.locator("tspan.line:first-child").all_text_contents()]


def test_quick_look_from_launch_to_evaluation(page, browser, tmp_path):
    """And on the way: leave, look from another browser, come back."""
    with served(tmp_path / "runs") as address:
        quick_look(page, browser, address)


def quick_look(page, browser, address: str) -> None:
    page.goto(address)
    page.get_by_role("paragraph").filter(has_text=NOTICE).wait_for()
    page.get_by_role("button", name="Set up the quick look").click()
    page.get_by_text("python -m colora launch --name quick-look").wait_for()
    if not SCREENSHOT:  # two seeds of one epoch on small images show the same path in less time
        type_in(page, "Random seeds", "0-1", "--seeds 0-1")
        type_in(page, "Image size", "32", "--image-size 32")
        type_in(page, "Epochs", "1", re.compile(r"--epochs 1(?!\d)"))  # and not the preset's 12
    page.get_by_role("button", name="Launch", exact=True).press("Enter")  # wherever the fields above move it

    page.wait_for_url("**/monitor?group=quick-look", timeout=1000 * TRAINING_SECONDS)
    page.get_by_role("heading", name="Monitor").wait_for()
    seeds = 3 if SCREENSHOT else 2
    page.goto("about:blank")
    elsewhere(browser, address, seeds)
    page.goto(f"{address}/monitor?group=quick-look")
    page.get_by_text(f"{seeds} of {seeds} seeds done").wait_for(timeout=1000 * TRAINING_SECONDS)
    page.get_by_text("Stop …").wait_for(state="detached")
    page.locator(".stPlotlyChart").nth(2).wait_for()
    idle(page)
    assert page.locator(".stPlotlyChart").count() == 3

    page.get_by_test_id("stMain").get_by_role("link", name="Evaluate").click()
    page.get_by_text(f"Confusion matrix of the ensemble of {seeds} seeds").wait_for()
    idle(page)
    choose(page, "Models", "Seed 0")
    page.get_by_text("One seed: nothing can be said about the spread").wait_for()
    idle(page)
    assert sum(counts_of_confusion_matrix(page)) == TEST_IMAGES
    assert page.get_by_text("phantom (SYNTHETIC), 240 images").count() >= 3

    page.get_by_text("Validation", exact=True).first.click()
    page.get_by_text("Validation split of phantom (SYNTHETIC)").first.wait_for()
    page.reload()
    page.get_by_text("Validation split of phantom (SYNTHETIC)").first.wait_for()
    assert "group=quick-look" in page.url and "split=Validation" in page.url

    if SCREENSHOT:
        page.goto(f"{address}/evaluate?group=quick-look")
        page.get_by_text("Test split of phantom (SYNTHETIC)").first.wait_for()
        keep_screenshot(page, Path(SCREENSHOT))


def elsewhere(browser, address: str, seeds: int) -> None:
    """A telephone that has never seen the app shows the same group."""
    with watched(browser, viewport={"width": 390, "height": 844}) as context:
        other = context.new_page()
        other.goto(f"{address}/monitor?group=quick-look")
        other.get_by_text(f" of {seeds} seeds done").wait_for()


def keep_screenshot(page, path: Path) -> None:
    """The Evaluate page from its top to the end of the confusion matrix and the images beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page.set_viewport_size({"width": 1280, "height": 3000})
    idle(page)
    page.locator(".stPlotlyChart .annotation-text").first.wait_for()
    page.wait_for_timeout(1000)  # the figures are drawn once more at the new size
    end = page.get_by_text("Each class against the rest").bounding_box()["y"]
    page.screenshot(path=path, clip={"x": 0, "y": 0, "width": 1280, "height": end - 12})


def card(page, title: str):
    """A file's frame on the Data page."""
    return page.locator('[class*="st-key-card-"]').filter(has=page.get_by_text(title, exact=True))


def test_download_is_followed_left_cancelled_and_continued(page, medmnist, monkeypatch, tmp_path):
    """Monitor refreshes itself meanwhile, for one of its groups runs; neither page disturbs the other."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    fabricate(tmp_path / "runs", "running", ["running"])
    medmnist.piece, medmnist.pause = 1024, 2.0
    part = medmnist.root / "octmnist.npz.part"
    with served(tmp_path / "runs") as address:
        page.goto(f"{address}/data")
        small = card(page, "28 px")
        small.get_by_role("button", name="Download").click()
        small.get_by_text(re.compile(r"Downloading: \d+ of \d+ kB")).wait_for()
        before = part.stat().st_size

        page.get_by_role("link", name="Monitor").click()
        page.get_by_text("0 of 1 seeds done").wait_for()
        page.wait_for_timeout(2100)  # Monitor has refreshed itself
        page.get_by_role("link", name="Data").click()
        small.get_by_text("/s · ").wait_for()
        wait_for(lambda: part.stat().st_size > before)

        card(page, "VGG16").get_by_role("button", name="Verify").wait_for()
        folder = page.get_by_label("Folder of MedMNIST's files", exact=True)
        folder.fill(str(tmp_path / "elsewhere"))  # fields work meanwhile
        folder.press("Enter")
        page.get_by_text(f"OCTMNIST at 28 px, to {medmnist.root}").wait_for()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_text("OCTMNIST at 28 px, to").wait_for(state="detached")
        folder.fill("")
        folder.press("Enter")
        small.get_by_text("Cancelled. What has arrived is kept").wait_for()
        small.get_by_text("partly downloaded").wait_for()

        medmnist.pause = 0.01
        small.get_by_role("button", name="Continue").click()
        small.get_by_text(re.compile("ready$")).wait_for()
        page.get_by_role("paragraph").filter(
            has_text=f"Counted from the labels in {medmnist.root / 'octmnist'}"
        ).wait_for()
        idle(page)
        assert small.get_by_role("button").all_text_contents() == ["fact_checkVerify"]
    assert len(medmnist.asked) == 2 and medmnist.asked[1].startswith("bytes=")


@pytest.mark.parametrize("name", ["overview", "launch", "data", "monitor", "compare", "evaluate", "images", "distil"])
def test_no_page_is_wider_than_the_screen_in_either_theme(page, fabricated_runs, name):
    page.goto(f"{fabricated_runs}/{'' if name == 'overview' else name}?group=fabricated")
    page.get_by_role("heading").first.wait_for()
    if name != "launch":  # which goes on counting parameters
        idle(page)
    for width, scheme, background in ((390, "light", "rgb(255, 255, 255)"), (1280, "dark", "rgb(2, 4, 6)")):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme)  # the page follows
        page.get_by_role("paragraph").filter(has_text=NOTICE).wait_for()
        page.wait_for_function(
            f"() => getComputedStyle(document.querySelector('.stApp')).backgroundColor === '{background}'"
        )
        if name == "evaluate":  # numbers on pale cells have the page's colour of text, from its next run on
            page.reload()
            text = {"light": "rgb(19, 38, 44)", "dark": "rgb(219, 230, 233)"}[scheme]
            page.wait_for_function(
                f"() => [...document.querySelectorAll('.stPlotlyChart .annotation-text')]"
                f".some(number => getComputedStyle(number).fill === '{text}')"
            )
        # the layout follows a change of width a little later; a page that stays too wide times out here
        main = 'document.querySelector("[data-testid=stMain]")'
        page.wait_for_function(f"() => {main}.scrollWidth === {main}.clientWidth")
