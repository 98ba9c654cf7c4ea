"""Reading results in a real browser: compare two groups, click a confusion cell, come back to the same view."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from browsing import STORY, choose, idle, served, watched
from fabricate import fabricate, labels_of, probabilities

from colora.results.predictions import mistakes
from colora.settings.catalog import NOTICE

pytestmark = STORY
NAMES = ["CNV", "DME", "DRUSEN", "NORMAL"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "runs"
    fabricate(path, "small", ["done"] * 3, {"lr": 0.003})
    fabricate(path, "large", ["done"] * 3, {"rank": 2})
    return path


@pytest.fixture(scope="module")
def address(runs) -> Iterator[str]:
    with served(runs) as address:
        yield address


def cell_centre(page, true: str, predicted: str) -> tuple[float, float]:
    """Of the confusion matrix, on the screen."""
    texts = page.locator(".stPlotlyChart .annotation-text")  # no other figure has any
    texts.nth(15).wait_for()
    cell = texts.nth(4 * NAMES.index(true) + NAMES.index(predicted))
    cell.scroll_into_view_if_needed()
    box = cell.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def said_of_cell(cell: tuple[int, int], epoch: int) -> str:
    seeds = [probabilities("test", seed, epoch) for seed in range(3)]
    return f"{len(mistakes(labels_of('test'), seeds, cell))} of 200 images, as the ensemble of 3 seeds calls them"


def test_a_click_on_a_confusion_cell_shows_its_images_and_a_reload_keeps_them(page, address):
    page.goto(f"{address}/evaluate?group=small&epoch=1")
    page.get_by_text("Click a cell to see its images.").wait_for()
    idle(page)
    x, y = cell_centre(page, "DME", "NORMAL")
    page.mouse.click(x + 25, y - 20)  # beside the centre: the whole cell counts
    page.get_by_text(said_of_cell((1, 3), epoch=1)).wait_for()
    idle(page)
    images = page.get_by_role("img", name="true DME, called NORMAL")
    images.first.wait_for()
    assert "show=DME+called+NORMAL" in page.url
    shown = images.count()

    page.mouse.click(*cell_centre(page, "CNV", "CNV"))  # another one, of right images
    page.get_by_text("the least sure first").wait_for()
    page.go_back()
    images.first.wait_for()

    page.reload()
    images.first.wait_for()
    page.locator(".stPlotlyChart .shapelayer path").first.wait_for(state="attached")  # the mark of the cell
    idle(page)
    assert images.count() == shown


def test_seed_epoch_and_cells_are_in_the_address_and_survive_a_reload(page, address):
    page.goto(f"{address}/evaluate?group=small")
    choose(page, "Models", "Seed 2")
    page.get_by_text("seed 2, epoch").first.wait_for()
    slider = page.get_by_role("slider")
    slider.focus()
    slider.press("ArrowRight")
    page.get_by_text("seed 2 at epoch 1, chosen by hand").first.wait_for()
    page.wait_for_url("**epoch=1**")
    page.reload()
    page.get_by_text("seed 2 at epoch 1, chosen by hand").first.wait_for()
    for part in ("group=small", "seed=Seed+2", "epoch=1"):
        assert part in page.url
    page.get_by_text("per cent", exact=True).click()
    page.wait_for_url("**cells=per+cent**")
    page.reload()
    shares = page.locator(".stPlotlyChart .annotation-text tspan.line:first-child", has_text="%")
    shares.nth(15).wait_for()
    page.get_by_text("seed 2 at epoch 1, chosen by hand").first.wait_for()
    idle(page)


PAUSES = (0.0, 0.2, 0.6, 1.0)  # seconds between two choices


def test_choices_in_quick_succession_all_come_into_the_address(page, address):
    """Each second one falls into the run that the first has set off, in which everything below takes another place."""
    page.goto(f"{address}/evaluate?group=small")
    page.get_by_text("Click a cell to see its images.").wait_for()
    idle(page)
    buttons = page.get_by_test_id("stButtonGroup")
    for turn in range(8):
        seed, cells = ("Seed 2", "per cent") if turn % 2 == 0 else ("All finished seeds", "images")
        split = "Validation" if turn % 4 < 2 else "Test"
        choose(page, "Models", seed)
        page.wait_for_timeout(1000 * PAUSES[turn % 4])
        buttons.get_by_text(cells, exact=True).last.dispatch_event("click")
        page.wait_for_timeout(1000 * PAUSES[(turn + 1) % 4])
        buttons.get_by_text(split, exact=True).first.click()
        expected = {"group": ["small"]}
        if seed == "Seed 2":
            expected |= {"seed": [seed], "cells": [cells]}
        if split == "Validation":
            expected["split"] = [split]
        page.wait_for_url(lambda url: parse_qs(urlsplit(url).query) == expected)  # noqa: B023
        idle(page)
        assert parse_qs(urlsplit(page.url).query) == expected
    choose(page, "Models", "Seed 1")
    buttons.get_by_text("per cent", exact=True).last.dispatch_event("click")
    page.wait_for_url("**cells=per+cent**")
    page.reload()
    shares = page.locator(".stPlotlyChart .annotation-text tspan.line:first-child", has_text="%")
    shares.nth(15).wait_for()
    idle(page)
    assert buttons.locator('[aria-checked="true"]').all_text_contents()[:2] == ["Test", "per cent"]


def test_two_groups_are_compared_and_the_address_shows_the_same_elsewhere(page, address, browser):
    page.goto(f"{address}/compare?groups=small")
    page.get_by_text("Choose 2 to 8 groups").wait_for()
    idle(page)
    choose(page, "Groups of runs", "large")
    page.get_by_text("Side by side").wait_for()
    page.get_by_text("AUC", exact=True).first.click()
    page.get_by_text("AUC over the epochs").wait_for()
    idle(page)
    legends = page.locator(".stPlotlyChart .legendtext")
    legends.nth(5).wait_for()  # two in each of three figures
    assert legends.all_text_contents() == ["A · small", "B · large"] * 3

    with watched(browser) as context:
        elsewhere = context.new_page()
        elsewhere.goto(page.url)
        elsewhere.get_by_text("AUC over the epochs").wait_for()
        elsewhere.locator(".stPlotlyChart .legendtext").nth(5).wait_for()


def test_a_figure_is_saved_under_its_name_as_a_picture_or_as_vectors(page, address):
    page.goto(f"{address}/evaluate?group=small")
    for kind, first in (("png", b"\x89PNG"), ("svg", b"<svg")):
        if kind == "svg":
            page.get_by_text("SVG", exact=True).click()
        title = "Download plot as a PNG" if kind == "png" else "Download plot"
        # Its title follows the choice; the figure of the last choice stays, hidden, until the page has run to its end.
        chart = page.locator(f'.stPlotlyChart:has(.annotation-text):has([data-title="{title}"])')
        camera = chart.locator(f'[data-title="{title}"]')
        camera.wait_for(state="attached")
        idle(page)
        chart.hover()
        with page.expect_download() as download:
            camera.click()
        assert download.value.suggested_filename == f"small-3-seeds-selected-test-confusion.{kind}"
        picture = download.value.path().read_bytes()
        assert picture.startswith(first)
    said = re.sub("<[^>]*>", " ", picture.decode())
    for part in ("Test split of phantom (SYNTHETIC), 200 images", "chosen on validation", NOTICE):
        assert part in " ".join(said.split())
