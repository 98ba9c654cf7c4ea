"""Three tabs with a finished group, and a terminal that trains one more seed of it."""

from browsing import STORY, idle, served
from fabricate import fabricate

from colora.queue import order
from colora.queue.actions import begin_anew

pytestmark = STORY


def test_open_pages_of_a_finished_group_notice_a_retry_in_a_terminal(page, tmp_path, monkeypatch):
    place = order.last_place  # on another host, or this server would see to it that the seed is trained
    monkeypatch.setattr(order, "last_place", lambda *given: place(*given) | {"host": "elsewhere"})
    group = fabricate(tmp_path / "runs", "g", ["done"] * 3)
    tabs = {name: page.context.new_page() for name in ("evaluate", "images", "monitor")}
    with served(group.path.parent) as address:
        for name, tab in tabs.items():
            tab.goto(f"{address}/{name}?group=g")
            idle(tab)
        tabs["monitor"].get_by_text("3 of 3 seeds done").wait_for()
        places = {}
        for name in ("evaluate", "images"):
            assert not tabs[name].locator(".st-key-elsewhere").count()
            places[name] = tabs[name].get_by_test_id("stSelectbox").first.bounding_box()
        begin_anew(group, [3])
        tabs["monitor"].get_by_text("3 of 4 seeds done").wait_for()
        for name in ("evaluate", "images"):
            tab = tabs[name]
            tab.get_by_text("g has changed since this page was drawn: seed 3 is queued.").wait_for()
            assert tab.get_by_test_id("stSelectbox").first.bounding_box() == places[name], "nothing has moved"
            tab.get_by_role("button", name="Show it anew").click()
            tab.get_by_text("3 of 4 seeds are finished, and only they count in figures over seeds.").wait_for()
            tab.locator(".st-key-elsewhere").wait_for(state="detached")
            idle(tab)
