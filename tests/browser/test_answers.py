"""What two browsers share and what not: a question in the background that was killed, one run that both watch."""

from pathlib import Path

import psutil
import pytest
from browsing import STORY, idle, served, watched
from fabricate import fabricate, metrics_row
from queueing import wait_for
from serving import Site

from colora.runs.folder import append_json, read_json, write_json

pytestmark = STORY
PAPER = "document.querySelector('.stPlotlyChart .main-svg')?.style.background"
PAPERS = ("rgb(255, 255, 255)", "rgb(2, 4, 6)")  # a light page's and a dark one's
RANGE = "JSON.stringify(document.querySelector('.js-plotly-plot').layout.xaxis.range)"
CELLS = "[...document.querySelectorAll('td')].map(cell => cell.textContent)"
EPOCHS = "document.querySelector('.js-plotly-plot')?._fullData?.find(trace => trace.name === 'Test')?.x.length"


@pytest.fixture
def site(tmp_path):
    (tmp_path / "runs").mkdir()
    site = Site(tmp_path / "runs")
    site.start()
    yield site
    site.kill()


def killed(server: int, command: str) -> None:
    """The process that answers `colora COMMAND` for a server, as soon as there is one."""

    def asked() -> list[psutil.Process]:
        below = psutil.Process(server).children(recursive=True)
        return [process for process in below if process.is_running() and command in process.cmdline()]

    wait_for(asked)
    for process in asked():
        process.kill()


def test_a_killed_question_is_told_in_one_browser_and_kept_for_no_other(browser, site):
    with watched(browser) as first, watched(browser) as second:
        page, other = first.new_page(), second.new_page()
        page.goto(f"{site.address}/launch?start=quick-look")
        killed(site.server.pid, "params")
        page.get_by_text("colora params was killed by signal 9").wait_for()
        again = page.get_by_role("button", name="Try again")
        again.wait_for()
        assert not page.get_by_text("This model cannot be built").count()
        other.goto(f"{site.address}/launch?start=quick-look")
        other.get_by_text("Finished network").first.wait_for()
        again.click()
        page.get_by_text("Finished network").first.wait_for()
        again.wait_for(state="detached")
    assert "missing ScriptRunContext" not in Path(site.log).read_text()


def test_two_browsers_watch_one_run_each_on_its_own_page(browser, tmp_path):
    runs_dir = tmp_path / "runs"
    run = fabricate(runs_dir, "watched", ["running", "starting"], {"epochs": 8}).runs[0]
    status = run.path / "status.json"
    with (
        served(runs_dir) as address,
        watched(browser) as first,
        watched(browser, color_scheme="dark", viewport={"width": 390, "height": 800}) as second,
    ):
        pages = [first.new_page(), second.new_page()]
        for page in pages:
            page.goto(f"{address}/monitor?group=watched")
            page.wait_for_selector(".js-plotly-plot .main-svg")
            idle(page)
        for page, paper in zip(pages, PAPERS, strict=True):
            page.wait_for_function(f"() => {PAPER} === '{paper}'")
        whole = pages[0].evaluate(RANGE)
        area = pages[0].locator(".js-plotly-plot .nsewdrag").first
        area.scroll_into_view_if_needed()
        box = area.bounding_box()
        middle = box["y"] + box["height"] / 2
        pages[0].mouse.move(box["x"] + 0.2 * box["width"], middle)
        pages[0].mouse.down()
        pages[0].mouse.move(box["x"] + 0.6 * box["width"], middle, steps=5)
        pages[0].mouse.up()
        pages[0].wait_for_function(f"before => {RANGE} !== before", arg=whole)
        zoomed = pages[0].evaluate(RANGE)
        write_json(status, read_json(status) | {"step": 9})
        pages[0].wait_for_function(f"() => {CELLS}.some(text => text.startsWith('61.25'))")
        assert pages[0].evaluate(RANGE) == zoomed  # a refresh leaves a figure alone that has not changed
        write_json(status, read_json(status) | {"epoch": 5, "step": 0})
        append_json(run.path / "metrics.jsonl", metrics_row(0, 5) | {"merges": 5})
        for page in pages:
            page.wait_for_function(f"() => {EPOCHS} === 5")
        for page, paper in zip(pages, PAPERS, strict=True):
            page.wait_for_function(f"() => {PAPER} === '{paper}'")
