"""The map of the images in a real browser: drawn around with the mouse, opened, left, shared, and without a mouse."""

import re

import numpy as np
import pytest
from browsing import STORY, idle, served, watched
from image_pages import group_with_features

from colora.distillation.scores import group_scores, read_predictions
from colora.metrics.image_map import inside
from colora.results.image_map import image_map

pytestmark = STORY


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    runs_dir = tmp_path_factory.mktemp("mapped") / "runs"
    group = group_with_features(runs_dir)
    with served(runs_dir) as address:
        yield f"{address}/images?group=mapped&view=Map", group


def to_screen(tab) -> tuple[float, float, float, float]:
    """(left, per unit, top, per unit) of the axes on the screen."""
    tab.locator(".js-plotly-plot .nsewdrag").first.wait_for()
    return tab.evaluate(
        """() => {
            const plot = document.querySelector(".js-plotly-plot"), { xaxis, yaxis } = plot._fullLayout
            const box = plot.getBoundingClientRect()
            const x = (v) => box.left + xaxis._offset + xaxis.c2p(v), y = (v) => box.top + yaxis._offset + yaxis.c2p(v)
            return [x(0), x(1) - x(0), y(0), y(1) - y(0)]
        }"""
    )


def ready(tab) -> None:
    tab.wait_for_timeout(300)  # a gesture reaches the server a moment later
    idle(tab)


def draw_around(tab, corners: np.ndarray) -> None:
    """With the mouse, along a polygon in units of the map."""
    tab.locator(".js-plotly-plot").scroll_into_view_if_needed()
    left, x, top, y = to_screen(tab)
    ends = [(left + a * x, top + b * y) for a, b in (*corners, corners[0])]
    tab.mouse.move(*ends[0])
    tab.mouse.down()
    for end in ends[1:]:
        tab.mouse.move(*end, steps=12)
    tab.mouse.up()


def pale(tab) -> int:
    """Points of the figure that it shows as not selected."""
    return tab.locator(".js-plotly-plot .scatterlayer .point").evaluate_all(
        "(all) => all.filter((one) => Number(getComputedStyle(one).opacity) < 0.5).length"
    )


def shown(tab) -> list[str]:
    return tab.locator(".tile").evaluate_all("(all) => all.map((one) => one.dataset.id)")


def test_draw_around_images_open_one_go_back_and_share(page, browser, mapped):
    address, group = mapped
    found = read_predictions(group, "test")
    used = read_predictions(group, "train").images["used"].to_numpy()
    run = next(run for run in group.runs if run.seed == found.best_seed)
    places = image_map(run, used, "test", 200).places
    middle = np.median(places, axis=0)
    corners = middle + 0.45 * np.array([(-1, -1), (1, -0.6), (0.7, 1), (-0.8, 0.9)])
    page.goto(f"{address}&part=Test")
    page.get_by_text("Draw around points").wait_for()
    ready(page)
    draw_around(page, corners)
    page.locator(".tile").first.wait_for()
    ready(page)
    asked = re.search(r"outline=\d\.([-\d_~]+)", page.url).group(1)
    written = np.array([[int(n) / 1000 for n in corner.split("_")] for corner in asked.split("~")])
    within = inside(places, written)
    drawn = inside(places, corners)
    assert np.count_nonzero(within != drawn) <= 2 and 5 < within.sum() < 100  # a mouse moves by whole pixels
    table = group_scores(group, "test")[within].sort_values(["entropy", "image_id"], ascending=[False, True])
    expected = table["image_id"].tolist()
    assert shown(page) == expected[:25]
    assert page.get_by_text(f"{len(expected)} images inside the outline").count() == 1
    assert pale(page) == 200 - len(expected)

    page.locator(".tile").nth(1).click()
    page.locator(f'canvas[data-ready="{expected[1]}"]').wait_for()
    ready(page)
    assert page.get_by_text(f"Rank 2 of {len(expected)}").count() == 1
    page.get_by_role("button", name="Back to the grid").click()
    page.locator(".viewer").wait_for(state="detached")
    page.locator(".js-plotly-plot .selectionlayer path").first.wait_for()
    ready(page)
    assert shown(page) == expected[:25] and pale(page) == 200 - len(expected) and asked in page.url

    with watched(browser, viewport={"width": 390, "height": 844}, color_scheme="dark") as context:
        other = context.new_page()
        other.goto(page.url)
        other.locator(".js-plotly-plot .selectionlayer path").first.wait_for()
        ready(other)
        assert shown(other) == expected[:25] and pale(other) == 200 - len(expected)
        assert other.locator('[data-testid="stMain"]').evaluate("(e) => e.scrollWidth <= e.clientWidth")

    draw_around(page, middle + 0.5 * (corners - middle))  # within the first, which it takes the place of
    page.wait_for_function(f"() => !location.search.includes('{asked}')")
    ready(page)
    narrower = int(re.search(r"(\d+) images? inside the outline", page.locator("body").inner_text()).group(1))
    assert 0 < narrower < len(expected) and pale(page) == 200 - narrower

    page.get_by_role("button", name="Clear the selection").click()
    page.get_by_text("Draw around points").wait_for()
    ready(page)
    assert page.locator(".tile").count() == 0 and pale(page) == 0 and "outline" not in page.url


def test_a_click_selects_an_image_and_the_keyboard_those_like_it(page, mapped):
    address, _ = mapped
    page.goto(f"{address}&part=Validation")
    page.get_by_text("Draw around points").wait_for()
    ready(page)
    page.locator(".js-plotly-plot").hover()
    page.locator('.modebar-btn[data-title="Pan"]').click()
    page.locator(".js-plotly-plot .scatterlayer .point").nth(3).click(force=True)
    page.get_by_text("1 image chosen").wait_for()
    ready(page)
    (clicked,) = shown(page)
    assert pale(page) == 99
    many = page.get_by_label("How many")
    many.fill("7")
    many.press("Enter")
    page.get_by_text(f"7 images most like {clicked}").wait_for()
    ready(page)
    assert len(shown(page)) == 7 and clicked in shown(page) and pale(page) == 93
    page.get_by_text("A box by numbers").click()
    page.get_by_label("Left", exact=True).wait_for()
    ready(page)
    page.get_by_label("Left", exact=True).fill("0.2")
    page.get_by_label("Left", exact=True).press("Enter")
    page.get_by_text("between the bounds").wait_for()
    ready(page)
    assert page.get_by_label("Images like", exact=True).input_value() == "" and "left=0.2" in page.url
