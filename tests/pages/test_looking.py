"""Where the models look: the map over a scan on Predict and over an image on Images, and what it is worth."""

import shutil
from concurrent.futures import wait
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from fabricate import CLASS_NAMES, fabricate
from image_pages import act, shown
from opened import ran, texts
from predicting import PATIENCE_SECONDS, at_rest, component, drop, pixels, step

from colora.explanation.methods import METHODS, NO_FINDING, USUAL
from colora.runs.folder import Group
from colora.system.errors import UserError
from pages.components.explain.explainer import explainers_of
from pages.components.explain.inquiries import Inquiry
from pages.components.explain.looking import Looking

USUAL_TITLE = METHODS[USUAL].title
LEFT, RIGHT = b"left eye", b"right eye"


@pytest.fixture
def runs(tmp_path) -> Path:
    fabricate(tmp_path / "runs", "g", ["done", "done"])
    return tmp_path / "runs"


def turned_on(app):
    app.toggle(key="look").set_value(True)
    return settled(ran(app))


def settled(app):
    """When everything that was asked is answered."""
    at_rest(app.session_state["inquiries"])
    return ran(app)


def marked(app, key: str = "scan") -> int:
    """The quarter of the picture that the map marks."""
    alpha = pixels(component(app, key)["overlay"]["image"])[..., 3]
    half = len(alpha) // 2
    parts = [alpha[r : r + half, c : c + half].max() for r in (0, half) for c in (0, half)]
    assert sum(part > 0 for part in parts) == 1
    return int(np.argmax(parts))


def test_nobody_is_asked_where_they_look_until_somebody_wants_to_know(open_page, asked_of_workers):
    app = drop(open_page("predict", "g"), ("left.png", LEFT))
    assert component(app, "scan")["overlay"] is None
    assert not [request for request in asked_of_workers if "explain" in request]
    app = turned_on(app)
    overlay = component(app, "scan")["overlay"]
    assert overlay["title"] == USUAL_TITLE and overlay["lines"]
    assert {request["explain"]["seed"] for request in asked_of_workers if "explain" in request} == {0, 1}


def test_the_map_is_of_the_class_the_method_and_the_seeds_that_are_chosen(open_page, asked_of_workers):
    app = turned_on(drop(open_page("predict", "g"), ("left.png", LEFT)))
    assert marked(app) == 0  # of the first class, which is the predicted one
    assert f"{USUAL_TITLE} ({METHODS[USUAL].source}), mean of 2 seeds, for {CLASS_NAMES[0]}" in texts(app)
    app.selectbox(key="look-for").set_value(2)
    app.selectbox(key="look-of").set_value(1)
    app.button_group(key="look-by").set_value("occlusion")
    app = settled(ran(app))
    assert marked(app) == 2 and component(app, "scan")["overlay"]["title"] == "Occlusion"
    assert f"), seed 1, for {CLASS_NAMES[2]}" in texts(app) and NO_FINDING in texts(app)
    last = [request["explain"] for request in asked_of_workers if "explain" in request][-2:]
    assert [(r["seed"], r["method"], r["class"], r["shuffled"]) for r in last] == [
        (1, "occlusion", 2, False),
        (1, "occlusion", 2, True),
    ]


def test_a_map_stands_with_its_worth(open_page):
    app = turned_on(drop(open_page("predict", "g"), ("left.png", LEFT)))
    assert "What this map marks matters more to the answer than what 19 random maps mark." in texts(app)
    assert "These models read 4 px: below 128 px a map has too few places" in texts(app)
    (table,) = [t.value for t in app.table if "Covering what it marks" in t.value.index]
    assert "19 of 19 beaten" in table.loc["Covering what it marks", "Found"]
    assert table.loc["Seeds", "Found"].startswith("rank correlation 1.00 between their maps, on average")


def test_a_map_of_what_does_not_matter_says_that_it_says_nothing(open_page):
    app = turned_on(drop(open_page("predict", "g"), ("astray.png", LEFT)))
    assert [warning for warning in app.warning if warning.value.startswith("This map says nothing: ")]


def test_each_scan_has_its_own_map_and_is_asked_for_it_once(open_page, asked_of_workers):
    app = turned_on(drop(open_page("predict", "g"), ("left.png", LEFT), ("astray.png", RIGHT)))
    assert marked(app) == 0
    app = settled(step(app, 1))
    assert component(app, "scan")["id"].startswith(component(app, "scan-tiles")["tiles"][1]["id"])
    assert marked(app) == 1
    count = len(asked_of_workers)
    assert marked(settled(step(app, -1))) == 0 and len(asked_of_workers) == count


def test_what_was_refused_is_asked_again_when_somebody_wants_it(open_page, asked_of_workers):
    app = turned_on(drop(open_page("predict", "g"), ("replaced.png", LEFT)))
    refusal = "Where the models look was answered for another image than this one. Try again."
    assert refusal in [e.value for e in app.error] and component(app, "scan")["overlay"] is None
    count = len(asked_of_workers)
    app = settled(ran(app))
    assert len(asked_of_workers) == count  # which ends one process would end the next
    app.button(key="look-again").click()
    assert refusal in [e.value for e in settled(ran(app)).error] and len(asked_of_workers) > count


def test_another_method_that_is_refused_is_said(open_page, asked_of_workers):
    app = turned_on(drop(open_page("predict", "g"), ("no-occlusion.png", LEFT)))
    app.toggle(key="look-compare").set_value(True)
    app = settled(ran(app))
    assert "Nobody looks at it so." in [e.value for e in app.error] and marked(app) == 0
    assert "What this map marks matters more to the answer" in texts(app)
    count = len(asked_of_workers)
    app.button(key="look-again").click()
    app = settled(ran(app))
    assert len(asked_of_workers) > count and "Nobody looks at it so." in [e.value for e in app.error]


def test_an_answer_that_comes_while_the_page_is_drawn_is_shown(open_page, monkeypatch):
    """Between the viewer, which has no map yet, and what stands below it."""
    drawn_without, drawn = [], Event()

    def overlay(looking, of=Looking.overlay):
        drawn_without.append(of(looking) is None)
        drawn.set()
        wait([one.answer for one in looking.asked], PATIENCE_SECONDS)
        return None if drawn_without[-1] else of(looking)

    def late(inquiry, *told, of=Inquiry.run):
        assert drawn.wait(PATIENCE_SECONDS)
        of(inquiry, *told)

    monkeypatch.setattr(Inquiry, "run", late)
    app = drop(open_page("predict", "g"), ("left.png", LEFT))
    monkeypatch.setattr(Looking, "overlay", overlay)
    monkeypatch.setattr("pages.components.explain.inquiries.SOON_SECONDS", 0)
    app.toggle(key="look").set_value(True)
    app = ran(app)
    assert drawn_without == [True, False] and component(app, "scan")["overlay"]
    assert "What this map marks matters more to the answer" in texts(app)


def test_the_models_of_a_namesake_are_not_asked_from_a_part_that_knew_the_group_before(open_page, runs):
    known = Group(runs / "g")
    explainers_of(Group(runs / "g"))
    assert known.identity
    shutil.rmtree(runs / "g")
    fabricate(runs, "g", ["done"])
    with pytest.raises(UserError, match="made anew meanwhile"):
        explainers_of(known)


def test_the_other_methods_stand_beside_it_where_one_asks(open_page, asked_of_workers):
    app = turned_on(drop(open_page("predict", "g"), ("left.png", LEFT)))
    assert {r["explain"]["method"] for r in asked_of_workers if "explain" in r} == {USUAL}
    app.toggle(key="look-compare").set_value(True)
    app = settled(ran(app))
    assert {r["explain"]["method"] for r in asked_of_workers if "explain" in r} == set(METHODS)
    assert f"The other methods, beside {USUAL_TITLE}" in texts(app)
    app.button_group(key="look-by").set_value("occlusion")  # whose map is there, and what it is worth is not
    app = settled(ran(app))
    assert component(app, "scan")["overlay"]["title"] == "Occlusion"
    assert "What this map marks matters more to the answer" in texts(app)


def test_an_image_of_the_data_has_its_map_and_the_next_one_its_own(open_images, stand_ins, asked_of_workers):
    app = open_images("g", part="test")
    first, second = [tile["id"] for tile in shown(app)["tiles"][:2]]
    act(app, "open", first, "grid")
    assert shown(app, "large")["overlay"] is None and not asked_of_workers
    app = turned_on(app)
    assert marked(app, "large") == predicted(app)
    assert "What this map marks matters more to the answer" in texts(app)
    act(app, "step", 1)
    app = settled(app)
    assert shown(app, "large")["id"] == second and marked(app, "large") == predicted(app)
    assert [r["name"] for r in asked_of_workers if "explain" in r and not r["explain"]["shuffled"]] == [
        first, first, second, second
    ]  # fmt: skip


def predicted(app) -> int:
    """The class of the image that is shown large."""
    return CLASS_NAMES.index(shown(app, "large")["name"]["says"].split()[1])


def test_the_hardest_images_have_their_maps_side_by_side_and_open_with_them(open_images, stand_ins, asked_of_workers):
    app = open_images("g", part="test", view="Figures 11 and 12")
    app.toggle(key="look-hardest").set_value(True)
    app = settled(ran(app))
    captions = [each.captions[0] for each in app.get("image") if "predicted" in each.captions[0]]
    assert len(captions) == len(CLASS_NAMES) == len({r["name"] for r in asked_of_workers})
    assert all(caption.endswith(" · better than 19 random maps") for caption in captions)
    app.button(key="look-open-0").click()
    app = settled(ran(app))
    assert shown(app, "large")["id"] == asked_of_workers[0]["name"] and shown(app, "large")["overlay"]
