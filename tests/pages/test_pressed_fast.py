"""What is pressed faster than the page is drawn: nothing is lost, and nothing counts twice.

Streamlit keeps the last of what an element sends before a run, and may hand it over twice; so a browser repeats what
the server has not confirmed (`elements/events.js`).
"""

import pytest
from fabricate import fabricate
from image_pages import numbered, send, shown, told_by_browser
from predicting import component, drop

from colora.distillation import verdicts

SCANS = [(f"scan-{number}.png", b"scan %d" % number) for number in range(4)]


@pytest.fixture
def runs(tmp_path):
    fabricate(tmp_path / "runs", "g", ["done"])
    return tmp_path / "runs"


def opened(open_images):
    """The first image of the test split, large, and the ids in their order."""
    app = open_images("g", part="test")
    ids = [tile["id"] for tile in shown(app)["tiles"]]
    app = send(app, [{"event": "open", "value": [numbered(ids[0])]}], "grid")
    return told_by_browser(app, "anna"), ids


def pressed(app, verdict: str) -> dict:
    large = shown(app, "large")
    drawn = {name: large[name] for name in ("data", "reader", "note", "event")}
    return numbered({"verdict": verdict, "seen": large["id"]} | drawn)


def keys(*by: int) -> list[dict]:
    return [numbered(one) for one in by]


def test_a_verdict_and_the_key_right_after_it_both_count(open_images, runs):
    app, ids = opened(open_images)
    send(app, [{"event": "judge", "value": [pressed(app, "hard")]}, {"event": "step", "value": keys(1)}], "large")
    assert verdicts.current(runs)["image_id"].tolist() == [ids[0]] and not app.error
    assert shown(app, "large")["id"] == ids[1]


def test_what_is_repeated_counts_once(open_images, runs):
    app, ids = opened(open_images)
    first, second, judged = *keys(1, 1), pressed(app, "hard")
    send(app, [{"event": "judge", "value": [judged]}], "large")
    send(app, [{"event": "step", "value": [first]}, {"event": "judge", "value": [judged]}], "large")
    assert shown(app, "large")["id"] == ids[1]
    send(app, [{"event": "step", "value": [first, second]}, {"event": "judge", "value": [judged]}], "large")
    send(app, [{"event": "step", "value": [first, second]}], "large")
    assert shown(app, "large")["id"] == ids[2] and not app.error
    assert len(verdicts.current(runs)) == 1 and shown(app, "large")["heard"]["step"] == second["number"]


def test_keys_go_on_from_what_is_open_and_stop_at_the_ends(open_images):
    app, ids = opened(open_images)
    before = app._tree
    send(app, [{"event": "step", "value": keys(1, 1, 1, -1)}], "large")
    assert shown(app, "large")["id"] == ids[2]
    send(app, [{"event": "step", "value": keys(1)}], "large", among=before)
    assert shown(app, "large")["id"] == ids[3]
    send(app, [{"event": "step", "value": keys(*[-1] * 9)}], "large")
    assert shown(app, "large")["id"] == ids[0]


def test_pages_are_turned_as_often_as_asked(open_images):
    app = open_images("g")
    count = len(shown(app)["tiles"])
    first = shown(app)["tiles"][0]["rank"]
    send(app, [{"event": "turn", "value": keys(1, 1, -1)}], "grid")
    assert shown(app)["tiles"][0]["rank"] == str(int(first) + count)
    send(app, [{"event": "turn", "value": keys(*[1] * 99)}], "grid")
    last = shown(app)["tiles"]
    send(app, [{"event": "turn", "value": keys(1)}], "grid")
    assert shown(app)["tiles"] == last
    send(app, [{"event": "turn", "value": keys(*[-1] * 99)}], "grid")
    assert shown(app)["tiles"][0]["rank"] == first


def test_scans_are_gone_through_as_fast(open_page, runs):
    app = drop(open_page("predict", "g"), *SCANS)
    send(app, [{"event": "step", "value": keys(1, 1)}], "scan")
    assert component(app, "scan")["name"]["about"].startswith("scan-2.png")
    send(app, [{"event": "step", "value": keys(1, 1, 1)}], "scan")
    assert component(app, "scan")["name"]["about"].startswith("scan-3.png")


def test_from_a_volume_one_key_goes_to_the_next_scan_and_the_other_on_from_there(open_page, runs):
    app = drop(open_page("predict", "g"), ("two-pages.tif", b"volume"), *SCANS[:3])
    send(app, [{"event": "step", "value": keys(1, 1, 1)}], "scan")
    assert component(app, "scan")["name"]["about"].startswith("scan-1.png")
    send(app, [{"event": "step", "value": keys(-1, -1)}], "scan")
    assert component(app, "scan")["name"]["about"].startswith("two-pages.tif, page 2")


def test_a_key_after_escape_opens_nothing(open_images):
    app, _ = opened(open_images)
    send(app, [{"event": "back", "value": [numbered(True)]}, {"event": "step", "value": keys(1)}], "large")
    assert shown(app)["tiles"] and not shown(app, "large")
