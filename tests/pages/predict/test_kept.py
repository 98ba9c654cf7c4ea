"""What a tab of Predict keeps of answers: no more than it should, and asked for anew when what the group knows has
changed."""

import numpy as np
from fabricate import fabricate
from opened import ran, texts
from predicting import LEFT, RIGHT, component, drop, facts, keys, make_known, pixels, shows, step, tiles
from stand_in_worker import SMALL, WIDTH, look, mark, probabilities
from workers_of_tests import living_workers

from colora.metrics.operating_point import Choice
from colora.results.operating_point import Question
from colora.results.question import freeze
from colora.runs.folder import Group

# ---- what is kept of the group changes


def test_what_is_made_known_meanwhile_is_in_the_next_answer(open_page, runs, asked):
    app = drop(open_page("predict", "g"), ("left.png", LEFT))
    assert "Not known of this group: see above." in texts(app) and "Distance" not in facts(app)
    rows = make_known(Group(runs / "g"))
    shows(ran(app), "left.png", LEFT)
    assert "features" not in keys(app) and "further off than" in facts(app)["Distance"]
    own = np.array(look(LEFT, WIDTH))
    cosines = rows @ own / np.linalg.norm(rows, axis=1) / np.linalg.norm(own)
    nearest = np.argsort(-cosines)[:5]
    found = component(app, "nearest")["tiles"]
    assert [tile["id"] for tile in found] == [f"train-{row:04d}" for row in nearest]
    assert [tile["score"] for tile in found] == [f"{cosines[row]:.3f}" for row in nearest]
    assert asked == [("left.png", 0)] * 2
    ran(app)
    assert len(asked) == 2


def test_a_question_that_is_frozen_meanwhile_is_the_next_answer_of_the_same_process(open_page, runs):
    app = drop(open_page("predict", "g"), ("left.png", LEFT))
    p = np.mean(probabilities(2, 4, LEFT), axis=0)
    assert f"**CNV or DME? Yes** (score {p[0] + p[1]:.3f})" in texts(app) and "which nobody has frozen" in texts(app)
    before = [process.pid for process in living_workers()]
    kept = freeze(Group(runs / "g"), Question(("DRUSEN",), Choice("sensitivity", 0.9)))
    said = texts(ran(app))
    assert f"**DRUSEN? {'Yes' if p[2] >= kept['threshold'] else 'No'}** (score {p[2]:.3f})" in said
    assert f"from {kept['threshold']:.3f} on; by {kept['frozen_by']}" in said and "nobody has frozen" not in said
    assert [process.pid for process in living_workers()] == before != []


def test_a_damaged_table_is_a_sentence_until_it_is_mended(open_page, runs):
    path = runs / "g" / "seed-00" / "predictions" / "test.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    app = drop(open_page("predict", "g"), ("left.png", LEFT))
    assert str(path) in app.error[0].value and not component(app, "scan")
    path.write_bytes(whole)
    shows(ran(app), "left.png", LEFT)


# ---- what stays in memory


def test_only_the_last_originals_stay_and_another_one_is_asked_for_again(open_page, monkeypatch, asked):
    monkeypatch.setattr("pages.components.predict.scans.ORIGINALS", 2)
    scans = [(f"{n}.png", b"scan %d" % n) for n in range(5)]
    app = drop(open_page("predict", "g"), *scans)
    assert [name for name, _ in asked] == ["0.png", "1.png", "2.png", "3.png", "4.png", "0.png"]  # trimmed meanwhile
    for place, scan in enumerate(scans):
        shows(step(app, 1) if place else app, *scan)
        for name, data in scans:  # each tile as the network sees it
            assert pixels(tiles(app)[name]["image"]).tolist() == np.full((SMALL, SMALL), mark(data) % 256).tolist()
        answers = [found[0] for found in app.session_state["answers"].values()]
        assert sum(len(told["layers"]) == 2 for told in answers) == 2 and len(asked) == 6 + place
    shows(step(app, -1), *scans[3])  # which is still kept
    assert len(asked) == 10


def test_what_the_page_draws_is_never_asked_for_without_end_however_few_answers_are_kept(open_page, monkeypatch, asked):
    monkeypatch.setattr("pages.components.predict.scans.KEPT", 1)
    monkeypatch.setattr("pages.components.predict.scans.ORIGINALS", 1)
    scans = [("twenty-pages.tif", LEFT), ("right.png", RIGHT), ("two-pages.tif", b"2")]
    app = drop(open_page("predict", "g"), *scans)
    firsts, blocks = [(name, 0) for name, _ in scans], [("twenty-pages.tif", 0), ("twenty-pages.tif", 16)]
    assert asked == [*firsts, firsts[0], *blocks]  # the first one's original was trimmed meanwhile
    ran(app)
    assert len(asked) == 6 and len(tiles(app)) == 3 and len(tiles(app, "pages")) == 20
    for page in range(1, 4):
        shows(step(app, 1), f"twenty-pages.tif, page {page + 1} of 20", LEFT, page)
    assert asked[6:] == [("twenty-pages.tif", page) for page in range(1, 4)]
    assert pages_kept(app) == [0, 0, 0, 0, 3, 16]  # of the pages that were turned to the last one


def pages_kept(app) -> list[int]:
    return sorted(key[3] for key in app.session_state["answers"])


def test_only_one_volumes_pages_are_kept_and_other_groups_answers_go_first(open_page, runs, monkeypatch, asked):
    fabricate(runs, "other", ["done"])
    monkeypatch.setattr("pages.components.predict.scans.KEPT", 5)
    app = drop(open_page("predict", "g"), ("two-pages.tif", LEFT), ("twenty-pages.tif", RIGHT))
    strip = [key for key in app.session_state["answers"] if len(key) == 5]
    step(step(app, 1), 1)
    shows(app, "twenty-pages.tif, page 1 of 20", RIGHT)
    now = [key for key in app.session_state["answers"] if len(key) == 5]
    assert len(strip) == 1 and [key[3:] for key in now] == [(0, 16), (16, 16)] and not set(strip) & set(now)
    app.selectbox(key="group").set_value("other")
    shows(ran(app), "twenty-pages.tif, page 1 of 20", RIGHT)
    groups = [key[0] for key in app.session_state["answers"]]
    assert groups.count(str(runs / "other")) == 4 and len(groups) == 5
    before = len(asked)
    app.selectbox(key="group").set_value("g")
    shows(ran(app), "twenty-pages.tif, page 1 of 20", RIGHT)
    assert len(asked) <= before + 6
