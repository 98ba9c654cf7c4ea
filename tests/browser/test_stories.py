"""What people do with groups of runs, in a real browser: find, compare, annotate, remove; launch, leave, come back."""

import json
from pathlib import Path

import pytest
from browsing import NAME, PATIENCE_SECONDS, ROW, STORY, TICK, at_row, button, idle, served, tab_to, type_in, watched
from fabricate import fabricate, metrics_row
from queueing import Lab, wait_for

from colora.queue.actions import stop
from colora.runs.audit import recorded
from colora.runs.folder import Group, Run, append_json, read_json, write_json
from colora.runs.notes import read_notes

pytestmark = STORY
TRAINING_SECONDS = 600


def cells(page) -> list[str]:
    """What the table says to a screen reader, cell by cell."""
    return page.get_by_test_id("stDataFrame").first.locator("td").all_text_contents()


@pytest.fixture
def groups(tmp_path) -> Path:
    runs_dir = tmp_path / "runs"
    for name, state in (("older", "done"), ("failing", "failed"), ("newest", "done")):
        fabricate(runs_dir, name, [state])
    return runs_dir


def test_groups_are_found_annotated_compared_removed_and_brought_back(page, groups):
    from playwright.sync_api import expect

    with served(groups) as address:
        page.goto(address)
        idle(page)
        page.get_by_label("Search", exact=True).fill("fail")
        page.get_by_label("Search", exact=True).press("Enter")
        page.wait_for_url("**/?search=fail")
        page.reload()  # keeps the view
        expect(page.get_by_label("Search", exact=True)).to_have_value("fail", timeout=1000 * PATIENCE_SECONDS)
        page.wait_for_function("() => document.querySelector('td')")
        idle(page)
        assert "failing" in cells(page) and "older" not in cells(page)

        at_row(page, 0, TICK)
        button(page, "Note …").click()
        page.get_by_label("failing", exact=True).fill("Out of memory; try a smaller batch.")
        button(page, "Save the note").click()
        page.get_by_test_id("stDialog").wait_for(state="detached")
        assert read_notes(Group(groups / "failing")) == "Out of memory; try a smaller batch.\n"

        page.get_by_label("Search", exact=True).fill("")
        page.get_by_label("Search", exact=True).press("Enter")
        page.wait_for_function("() => [...document.querySelectorAll('td')].some(cell => cell.textContent === 'older')")
        idle(page)
        at_row(page, 0, TICK)
        at_row(page, 2, TICK)
        button(page, "Compare").click()
        page.wait_for_url("**/compare?groups=newest%2Colder")
        page.get_by_role("heading", name="Compare").wait_for()

        page.get_by_role("link", name="Overview").click()
        page.get_by_role("heading", name="Groups of runs").wait_for()
        idle(page)
        at_row(page, 1, TICK)
        button(page, "Remove …").click()
        page.get_by_test_id("stDialog").get_by_role("button", name="Remove").click()
        page.get_by_text("failing is in the trash.").wait_for()
        assert not (groups / "failing").exists()
        button(page, "Undo").click()
        page.get_by_text("failing is in the trash.").wait_for(state="detached")
        assert (groups / "failing" / "notes.txt").exists()

        idle(page)
        at_row(page, 0, NAME)  # pressing a name opens the group
        page.wait_for_url("**/evaluate?group=newest*")
        page.get_by_role("heading", name="Evaluate").wait_for()
        idle(page)


def test_what_was_removed_is_in_the_trash_after_a_reload_and_for_every_tab(page, groups):
    with served(groups) as address:
        page.goto(address)
        page.wait_for_function("() => [...document.querySelectorAll('td')].some(cell => cell.textContent === 'older')")
        idle(page)
        at_row(page, 1, TICK)
        button(page, "Remove …").click()
        page.get_by_test_id("stDialog").get_by_role("button", name="Remove").click()
        page.get_by_text("failing is in the trash.").wait_for()
        page.reload()
        page.get_by_text("Trash", exact=True).wait_for()
        idle(page)  # a click before the page has its server is lost
        page.get_by_text("Trash", exact=True).click()
        page.wait_for_url("**/?trash=true")
        tick_in_trash(page)

        other = page.context.new_page()
        other.goto(f"{address}/?trash=true")
        tick_in_trash(other)
        button(other, "Put back").click()
        other.get_by_text("Back again: failing.").wait_for()
        assert Group(groups / "failing").state == "failed"

        button(page, "Put back").click()
        page.get_by_text("failing is not in the trash any more: somebody has put it back or deleted it.").wait_for()
        page.get_by_text("The trash is empty.").wait_for()
        assert [line["action"] for line in recorded(groups)] == ["rm", "undo"]
        idle(page)
        idle(other)


def tick_in_trash(page) -> None:
    """Tick the first row of the table in the trash."""
    button(page, "Empty the trash …").wait_for()
    idle(page)
    page.get_by_test_id("stDataFrame").last.click(position={"x": TICK, "y": ROW + ROW / 2})
    page.wait_for_function("() => !document.querySelector('.st-key-put-back button').disabled")


def test_a_table_of_groups_follows_what_runs_while_someone_types(page, tmp_path):
    group = fabricate(tmp_path / "runs", "going-on", ["running"], epochs_done=6)
    with served(tmp_path / "runs") as address:
        page.goto(address)
        page.get_by_text("This computer").wait_for()
        page.wait_for_function(
            "() => [...document.querySelectorAll('td')].some(cell => cell.textContent === 'running')"
        )
        search = page.get_by_label("Search", exact=True)
        search.click()
        search.press_sequentially("goi")
        status = group.runs[0].path / "status.json"
        write_json(status, read_json(status) | {"state": "done", "process": None, "epoch": 6})
        page.wait_for_function("() => [...document.querySelectorAll('td')].some(cell => cell.textContent === 'done')")
        assert search.input_value() == "goi" and search.evaluate("field => field === document.activeElement")
        search.press("Enter")
        page.wait_for_url("**/?search=goi")
        idle(page)


def test_monitor_follows_what_runs_and_leaves_focus_and_scroll_where_they_are(page, tmp_path):
    run = fabricate(tmp_path / "runs", "going-on", ["done", "running"], {"epochs": 8}, epochs_done=4).runs[1]
    with served(tmp_path / "runs") as address:
        page.set_viewport_size({"width": 1280, "height": 500})
        page.goto(f"{address}/monitor?group=going-on")
        page.locator(".stPlotlyChart").nth(2).wait_for()
        page.get_by_text("Log", exact=True).click()
        field = page.get_by_role("combobox", name="Seed")
        field.focus()
        idle(page)
        main = page.get_by_test_id("stMain")
        main.evaluate("main => main.scrollBy(0, -40)")
        before = main.evaluate("main => main.scrollTop")
        assert before > 200
        page.wait_for_function("() => [...document.querySelectorAll('td')].some(cell => cell.textContent === '4 of 8')")
        append_json(run.path / "metrics.jsonl", metrics_row(1, 5) | {"merges": 5})
        status = run.path / "status.json"
        write_json(status, read_json(status) | {"epoch": 5})
        page.wait_for_function("() => [...document.querySelectorAll('td')].some(cell => cell.textContent === '5 of 8')")
        page.wait_for_timeout(2500)  # and once more without news
        assert main.evaluate("main => main.scrollTop") == before
        assert field.evaluate("field => field === document.activeElement")


def test_a_group_is_opened_and_a_cells_images_are_reached_by_keyboard_alone(page, groups):
    with served(groups) as address:
        page.goto(address)
        page.wait_for_function("() => [...document.querySelectorAll('td')].some(cell => cell.textContent === 'older')")
        idle(page)
        tab_to(page, page.locator("canvas"))
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Shift+Space")  # ticks the third row
        page.wait_for_function("() => !document.querySelector('.st-key-open-one button').disabled")
        tab_to(page, page.locator(".st-key-open-one button"), "Shift+Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**/evaluate?group=older*")
        page.get_by_text("Click a cell to see its images.").wait_for()
        idle(page)
        tab_to(page, page.locator(".st-key-show input"))
        page.keyboard.type("DME called NORMAL")
        page.keyboard.press("Enter")
        page.get_by_role("img", name="true DME, called NORMAL").first.wait_for()
        idle(page)
        assert "show=DME+called+NORMAL" in page.url


@pytest.mark.parametrize("trains", [False, pytest.param(True, marks=[pytest.mark.kill, pytest.mark.slow])])
def test_launch_leave_come_back_kill_the_server_stop_and_resume(page, browser, lab, trains):
    """`make test-browser` has a stand-in that trains nothing, already launched; `make test-kill` launches the quick
    look from the form."""
    runs_dir = lab.runs_dir
    with served(runs_dir, killed=True) as address:
        launched(page, address, lab, trains)
        page.locator(".stPlotlyChart").first.wait_for(timeout=1000 * TRAINING_SECONDS)  # an epoch is finished
        page.goto("about:blank")  # leave

        with watched(browser, viewport={"width": 390, "height": 844}) as context:  # come back from another browser
            other = context.new_page()
            other.goto(f"{address}/monitor?group=quick-look")
            other.get_by_text("0 of 1 seeds done").wait_for()
            other.locator(".stPlotlyChart").first.wait_for()
        run = Group(runs_dir / "quick-look").runs[0].path
        before = read_json(run / "status.json")

    after = wait_for_epoch(run, before["epoch"] + 1)  # the server is gone, the run is not
    assert after["process"] == before["process"]
    with served(runs_dir) as address:
        page.goto(f"{address}/monitor?group=quick-look")
        button(page, "Stop …").click()
        button(page, "Stop the seeds").click()
        button(page, "Resume …").wait_for()
        stopped = read_json(run / "status.json")
        assert stopped["state"] == "stopped" and stopped["epoch"] >= after["epoch"]
        page.reload()
        button(page, "Resume …").click()
        says = f"Seed {Run(run).seed} (stopped) goes on after epoch {stopped['epoch']} of {stopped['epochs']}."
        page.get_by_text(says).wait_for()
        page.get_by_test_id("stDialog").get_by_role("button", name="Resume").click()
        button(page, "Stop …").wait_for()
        wait_for_epoch(run, stopped["epoch"] + 1)
    assert stop(Group(run.parent)) == {Run(run).seed: "stopped"}
    epochs = [json.loads(line)["epoch"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert epochs == list(range(1, len(epochs) + 1))  # none twice, none left out


def launched(page, address: str, lab: Lab, trains: bool) -> None:
    """A group of one seed that does not end by itself, and the Monitor page that shows it."""
    if not trains:
        lab.group("quick-look", epochs=10_000, seconds=0.3)
        lab.supervise(linger=600)  # else Resume may start one of real runs
        page.goto(f"{address}/monitor?group=quick-look")
        return
    page.goto(f"{address}/launch?start=quick-look")
    page.get_by_text("python -m colora launch --name quick-look").wait_for()
    type_in(page, "Random seeds", "4", "--seeds 4")
    type_in(page, "Image size", "32", "--image-size 32")
    type_in(page, "Epochs", "400", "--epochs 400")
    page.get_by_role("button", name="Launch", exact=True).click()
    page.wait_for_url("**/monitor?group=quick-look", timeout=1000 * TRAINING_SECONDS)


def wait_for_epoch(run: Path, epoch: int) -> dict:
    wait_for(lambda: read_json(run / "status.json")["epoch"] >= epoch, TRAINING_SECONDS, lambda: Run(run).status)
    return read_json(run / "status.json")
