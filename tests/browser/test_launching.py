"""From the form to Monitor with a quick hand: what was pressed twice is launched once, and its seeds stand there."""

from browsing import PATIENCE_SECONDS, STORY, idle, served, type_in
from queueing import wait_for

from colora.queue.actions import stop
from colora.queue.supervisor import supervising
from colora.runs.audit import recorded
from colora.runs.folder import Group

pytestmark = STORY
STATES = "queued|starting|running|done"
SEEDS = f"() => [...document.querySelectorAll('td')].filter(td => /^({STATES})$/.test(td.textContent))"


def test_a_double_click_on_launch_makes_one_group_whose_seeds_monitor_shows(page, tmp_path):
    runs_dir = tmp_path / "runs"
    with served(runs_dir) as address:
        page.goto(f"{address}/launch?start=quick-look")
        page.get_by_text("python -m colora launch --name quick-look").wait_for()
        type_in(page, "Random seeds", "0-1", "--seeds 0-1")
        type_in(page, "Image size", "32", "--image-size 32")
        page.get_by_test_id("stMetric").filter(has_text="Disk").wait_for()  # all is known that a launch needs
        idle(page)
        page.get_by_role("button", name="Launch", exact=True).dblclick()
        page.wait_for_url("**/monitor?group=quick-look")
        try:
            page.wait_for_function(f"({SEEDS})().length === 2", timeout=1000 * PATIENCE_SECONDS)
            idle(page)
            lines = [line for line in recorded(runs_dir) if line["action"] == "launch"]
            assert [(line["group"], line["seeds"]) for line in lines] == [("quick-look", [0, 1])]
            assert [path.parent.name for path in runs_dir.glob("*/group.json")] == ["quick-look"]
            wait_for(lambda: supervising(runs_dir))  # what was begun beside the page
        finally:
            stop(Group(runs_dir / "quick-look"), PATIENCE_SECONDS)
