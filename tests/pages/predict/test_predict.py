"""The page Predict: scans dropped into a tab or lying in a folder, and what a group says of each."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from elsewhere import ANEW, make_anew
from fabricate import damage, fabricate
from hostile import NAME, markup_on
from opened import opener, ran, read, texts
from pdf_text import text as text_of
from predicting import LEFT, RIGHT, component, drop, facts, keys, make_known, pixels, shows, step, tiles
from stand_in_worker import mark, probabilities, probability
from workers_of_tests import living_workers

from colora.metrics.calibration import tempered
from colora.prediction.answer import DO_NOT_RELY
from colora.prediction.known import Known
from colora.runs.folder import Group
from colora.system.installation import ROOT

# ---- which group


def test_a_group_answers_once_a_seed_of_it_is_done(monkeypatch, tmp_path, stand_ins):
    fabricate(tmp_path / "runs", "young", ["running", "queued"])
    app = opener(monkeypatch, tmp_path / "runs")("predict", "young")
    assert "A group can predict as soon as one of its seeds is done; this one is running." in texts(app)
    assert not app.file_uploader
    assert [link.proto.query_string for link in app.get("page_link") if link.proto.label == "Watch it"] == [
        "group=young"
    ]


def test_the_sentence_of_a_damaged_group_stands_on_its_page_alone(open_page, runs):
    damage(fabricate(runs, "damaged", ["done"]))
    app = open_page("predict", "damaged")
    assert "status.json cannot be read" in app.error[0].value and not app.file_uploader
    app.selectbox(key="group").set_value("g")
    assert not ran(app).error and app.file_uploader


def test_a_group_that_its_worker_refuses_says_why_and_answers_when_it_is_mended(open_page, runs):
    (runs / "g" / "refuse").touch()
    app = drop(open_page("predict", "g"), ("left.png", LEFT))
    assert [error.value for error in app.error] == ["The models of this group are gone."] and not app.table
    (runs / "g" / "refuse").unlink()
    (runs / "g" / "seed-00" / "model.safetensors").touch()
    shows(ran(app), "left.png", LEFT)


def test_what_a_group_has_not_kept_is_made_by_a_click(open_page, monkeypatch):
    asked = []
    monkeypatch.setattr("pages.components.beside.command_of", recording(asked, '{"made": true}'))
    app = open_page("predict", "g")
    assert "so far nothing is known of what a scan is near" in texts(app)
    app.button(key="features").click()
    ran(app)
    ((command, group, identity),) = asked
    assert (command, Path(group).name, identity[:11]) == ("features", "g", "--identity=")


def test_nothing_is_made_for_a_group_that_has_gone(open_page, runs, monkeypatch):
    asked: list = []
    monkeypatch.setattr("pages.components.beside.command_of", recording(asked, '{"made": true}'))
    app = open_page("predict", "g")
    make_anew(Group(runs / "g"))
    app.button(key="features").click()
    assert ANEW in ran(app).warning[0].value and asked == []


def recording(asked: list, printed: str, code: int = 0):
    """In place of `command_of`: keeps what is asked for; the process prints a document."""

    def command_of(arguments, flags=()):
        asked.append(list(arguments))
        script = f"import sys; print({printed!r}); sys.exit({code})"
        return [sys.executable, "-c", script], {"cwd": ROOT, "env": {}}

    return command_of


# ---- files


def test_each_scan_is_shown_with_its_own_answer_wherever_one_goes(open_page):
    app = drop(open_page("predict", "g"), ("left.png", LEFT), ("right.png", RIGHT))
    shows(app, "left.png", LEFT)
    drawn = [element.proto for kind in ("plotly_chart", "table") for element in app.get(kind)]
    assert len(drawn) == 3 and all(element.alt for element in drawn)
    found = tiles(app)
    for name, data in (("left.png", LEFT), ("right.png", RIGHT)):
        assert found[name]["score"] == f"{probability(data):.2f}"
        assert pixels(found[name]["image"])[0, 0] == mark(data) % 256
    shows(step(app, 1), "right.png", RIGHT)
    shows(step(app, 1), "right.png", RIGHT)  # the last one
    shows(step(app, -1), "left.png", LEFT)
    assert "**Scan 1** of 2" in texts(app)
    drop(app, ("left.png", LEFT))  # the same once more
    assert len(tiles(app)) == 2
    drop(app, ("left.png", b"another"))  # another file of that name
    shows(app, "left.png", b"another")
    assert len(component(app, "scan-tiles")["tiles"]) == 3


def test_calibrated_is_another_answer_and_said_so(open_page, runs):
    app = drop(open_page("predict", "g"), ("left.png", LEFT))
    app.toggle(key="calibrated").set_value(True)
    ran(app)
    p = np.mean(probabilities(2, 4, LEFT), axis=0)
    (calibrated,) = tempered(p[None], Known.of(Group(runs / "g")).temperatures[1])
    assert abs(calibrated[0] - p[0]) > 0.02
    assert f"probability {calibrated[0]:.2f}" in component(app, "scan")["name"]["says"]
    assert app.query_params["calibrated"] == "true"
    app.toggle(key="calibrated").set_value(False)
    shows(ran(app), "left.png", LEFT)


DOUBTS = {
    "foreign.png": "It lies further from what the models were trained on than all of the validation images.",
    "disputed.png": "Of the seeds 50 % vote otherwise than most.",
    "blank.png": "It is blank, or nearly.",
}


def test_a_doubtful_answer_says_why_above_its_figures_and_on_its_tile(open_page, runs):
    make_known(Group(runs / "g"))
    names = [*DOUBTS, "right.png", "foreign and blank.png"]
    app = drop(open_page("predict", "g"), *((name, name.encode()) for name in names))
    marks = [["do not rely"]] * 3 + [[], ["do not rely"]]
    assert [tiles(app)[name]["marks"] for name in names] == marks
    for name in names:
        said = " ".join(why for doubt, why in DOUBTS.items() if doubt.removesuffix(".png") in name)
        assert [error.value for error in app.error] == ([f"**{DO_NOT_RELY}** {said}"] if said else []), name
        far = "This picture is near none of them: these are the least far ones." in texts(app)
        assert far == ("foreign" in name) and len(component(app, "nearest")["tiles"]) == 5
        step(app, 1)


def test_a_picture_that_the_models_have_met_is_said_so(open_page, runs):
    path = runs / "g" / "seed-00" / "predictions" / "val.parquet"  # of the best seed
    table = pd.read_parquet(path)
    table.loc[7, "checksum"] = np.uint64(mark(LEFT))
    table.to_parquet(path)
    assert Known.of(Group(runs / "g")).best.seed == 0
    app = drop(open_page("predict", "g"), ("left.png", LEFT), ("right.png", RIGHT))
    (warning,) = app.warning
    assert read(warning.value).startswith("This very picture is among the validation images, as val-0007: how well")
    assert not step(app, 1).warning


def test_a_file_that_is_no_image_is_refused_among_the_others(open_page, files):
    app = drop(open_page("predict", "g"), ("left.png", LEFT), ("refused.png", b"x"), ("right.png", RIGHT))
    assert tiles(app)["refused.png"]["problem"] == "refused.png is no image." and tiles(app)["right.png"]["image"]
    app = step(app, 1)
    assert [error.value for error in app.error] == ["refused.png is no image."]
    assert component(app, "scan")["name"] == {
        "true": "No answer", "colour": "transparent", "right": None, "says": "", "about": "refused.png"
    }  # fmt: skip
    assert component(app, "scan")["layers"] == [] and "again" not in keys(app)
    shows(step(app, 1), "right.png", RIGHT)
    rows = {row["image"]: row for row in csv.DictReader(io.StringIO(files["g-predictions.csv"]().decode("utf-8-sig")))}
    assert list(rows) == ["left.png", "right.png", "refused.png"]
    assert rows["refused.png"]["note"] == "refused.png is no image." and rows["refused.png"]["prediction"] == ""
    assert float(rows["right.png"]["p_CNV"]) == pytest.approx(probability(RIGHT), abs=1e-7)


def test_a_file_that_ends_the_process_is_asked_once_and_again_by_a_click(open_page):
    app = drop(open_page("predict", "g"), ("left.png", LEFT), ("dies.png", b"x"), ("right.png", RIGHT))
    assert tiles(app)["dies.png"]["problem"] == "colora worker was killed by signal 9: it said nothing"
    assert tiles(app)["right.png"]["score"] == f"{probability(RIGHT):.2f}"
    shows(ran(app), "left.png", LEFT)
    app = step(app, 1)
    before = [process.pid for process in living_workers()]
    assert ran(app).error and [process.pid for process in living_workers()] == before != []
    app.button(key="again").click()
    assert ran(app).error[0].value.startswith("colora worker was killed")
    assert before[0] not in [process.pid for process in living_workers()]


def test_so_many_files_and_no_more(open_page, monkeypatch):
    monkeypatch.setattr("pages.components.predict.scans.MOST", 4)
    app = drop(open_page("predict", "g"), *((f"{n}.png", b"%d" % n) for n in range(7)))
    assert app.warning[0].value == (
        "3 more were chosen than one tab takes (4 files, 419.4 MB together): name the folder they lie in instead."
    )
    assert list(tiles(app)) == ["0.png", "1.png", "2.png", "3.png"]
    monkeypatch.setattr("pages.components.predict.scans.MOST", 200)
    monkeypatch.setattr("pages.components.predict.scans.MOST_BYTES", 2**20 + 10)  # of which 4 are taken
    drop(app, ("a.png", b"a" * 2**20), ("b.png", b"1234567"), ("c.png", b"1234567"))
    assert "2 more were chosen" in texts(app)
    assert list(tiles(app))[4:] == ["a.png"]
    app.button(key="remove").click()
    assert "more were chosen" not in texts(ran(app)) and len(tiles(app)) == 4


def test_what_is_removed_can_be_put_back_until_others_are_chosen(open_page):
    app = drop(open_page("predict", "g"), ("left.png", LEFT), ("right.png", RIGHT), ("third.png", b"3"))
    app.button(key="remove").click()
    shows(ran(app), "right.png", RIGHT)  # its neighbour
    assert list(tiles(app)) == ["right.png", "third.png"]
    assert {key[2] for key in app.session_state["answers"]} == {tile["id"] for tile in tiles(app).values()}
    app.button(key="remove-all").click()
    assert "Drop one scan or several above." in texts(ran(app)) and not component(app, "scan")
    app.button(key="scans-back").click()
    shows(ran(app), "right.png", RIGHT)
    assert list(tiles(app)) == ["right.png", "third.png"]
    app.button(key="remove-all").click()
    drop(ran(app), ("left.png", LEFT))
    app.button(key="remove").click()
    assert "scans-back" not in keys(ran(app)) and "scans-removed" not in app.session_state
    assert not app.session_state["answers"]


def test_another_group_gives_answers_of_its_own_to_the_same_scans(open_page, runs):
    fabricate(runs, "other", ["done"])
    app = drop(open_page("predict", "g"), ("left.png", LEFT))
    assert texts(app).count("g: the ensemble (mean probability) of 2 seeds") == 1
    assert facts(app)["Votes of seeds"] == "CNV 2"
    app.selectbox(key="group").set_value("other")
    shows(ran(app), "left.png", LEFT)
    assert "other: 1 seed," in texts(app) and "g: the ensemble" not in texts(app)
    assert facts(app)["Votes of seeds"] == "CNV 1" and "Dissent" not in facts(app)


def test_two_tabs_do_not_see_each_others_scans(open_page):
    first = drop(open_page("predict", "g"), ("left.png", LEFT))
    second = open_page("predict", "g")
    assert "Drop one scan or several above." in texts(second)
    shows(drop(second, ("right.png", RIGHT)), "right.png", RIGHT)
    shows(ran(first), "left.png", LEFT)


@pytest.mark.parametrize(
    "name", [f"{NAME[:150]}.png", '"><script>alert(1)</script>.png', "=1+1.png", "\u202egnp.x.png"]
)
def test_the_name_of_a_file_is_a_text(open_page, files, name):
    app = drop(open_page("predict", "g"), (name, LEFT), (f"refused {name}", b"x"))
    assert not markup_on(app)
    assert component(app, "scan")["name"]["about"] == f"{name} · 8 × 8 px"
    assert not markup_on(step(app, 1)) and len(app.error) == 1
    cells = [row[0] for row in csv.reader(io.StringIO(files["g-predictions.csv"]().decode("utf-8-sig")))]
    assert cells[1] == ("'" if name[0] == "=" else "") + name


# ---- volumes


def test_among_other_scans_a_volumes_first_page_is_called_that(open_page, files):
    app = drop(open_page("predict", "g"), ("two-pages.tif", LEFT), ("right.png", RIGHT))
    assert [tile["notes"] for tile in component(app, "scan-tiles")["tiles"]] == [
        ["two-pages.tif", "page 1 of 2"],
        ["right.png"],
    ]
    rows = list(csv.DictReader(io.StringIO(files["g-predictions.csv"]().decode("utf-8-sig"))))
    assert [(row["image"], row["page"]) for row in rows] == [("two-pages.tif", "1"), ("right.png", "")]


def test_a_file_of_several_pages_has_a_strip_and_an_answer_by_a_rule_that_is_said(open_page):
    app = drop(open_page("predict", "g"), ("twenty-pages.tif", LEFT))
    shows(app, "twenty-pages.tif, page 1 of 20", LEFT)
    strip = tiles(app, "pages")
    assert len(strip) == 20 and component(app, "pages")["chosen"] == "0"
    p = np.array([probability(LEFT, page) for page in range(20)])
    assert [tile["score"] for tile in strip.values()] == [f"{x:.2f}" for x in p]
    said = texts(app)
    assert "**The volume, 20 pages**: called 20 CNV" in said
    assert "Rule: of each class the mean of its 3 largest probabilities. So they do not add up to 1" in said
    (whole,) = [table.value for table in app.table if table.value.index.name == "Answer to"]
    assert whole.loc["the volume", "CNV"] == f"{np.sort(p)[-3:].mean():.3f}"
    shows(step(app, 1), "twenty-pages.tif, page 2 of 20", LEFT, page=1)
    app.session_state["open-pages"] = {component(app, "scan")["id"].rpartition("-")[0]: 17}  # as a click on the strip
    shows(ran(app), "twenty-pages.tif, page 18 of 20", LEFT, page=17)
    assert component(app, "pages")["chosen"] == "17"
    app.session_state["open-pages"] = {component(app, "scan")["id"].rpartition("-")[0]: 19}
    drop(ran(app), ("right.png", RIGHT))
    app.session_state["open-scan"] = component(app, "scan-tiles")["tiles"][0]["id"]
    shows(ran(app), "twenty-pages.tif, page 20 of 20", LEFT, page=19)
    shows(step(app, 1), "right.png", RIGHT)  # beyond the last page
    shows(step(app, -1), "twenty-pages.tif, page 20 of 20", LEFT, page=19)


# ---- what is taken away from the page


def test_the_page_on_paper_says_the_same(open_page, files):
    drop(open_page("predict", "g"), ("left eye.png", LEFT), ("two-pages.tif", RIGHT))
    paper = files["left eye.pdf"]()
    assert paper.startswith(b"%PDF")
    said = text_of(paper)
    assert "left eye.png" in said and f"{probability(LEFT):.3f}" in said and "Not a medical device" in said
