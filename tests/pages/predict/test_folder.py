"""A folder of the server's own computer on Predict, and a group that was really trained."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from opened import opener, ran, texts
from PIL import Image
from predicting import component, drop, keys, pixels, step, tiles
from small_data import striped_images

from colora.data.prepare import read_pages
from colora.runs.folder import Group
from colora.system.errors import UserError
from colora.system.installation import ROOT


def test_a_trained_group_answers_as_on_the_command_line(trained, monkeypatch, no_worker_left, tmp_path, files):
    """Its own process with its models, a picture of its own training data, a folder, and a file of two pages."""
    from colora.prediction.predict import Predictor

    group = Group(trained.path.parent)
    drawn = [striped_images(np.array([c]), 40, seed=c)[0][:32] for c in range(2)]  # (32, 40): wider than high
    (tmp_path / "scans").mkdir()
    Image.fromarray(drawn[0]).save(tmp_path / "scans" / "one.png")
    both = [Image.fromarray(image) for image in drawn]
    both[0].save(tmp_path / "scans" / "two.tif", save_all=True, append_images=both[1:])
    (tmp_path / "scans" / "broken.png").write_bytes(b"no picture")
    prepared = [image.prepared for image in read_pages(tmp_path / "scans" / "two.tif", 32, 0, 2)]
    expected = [told["mean"]["probabilities"] for told in Predictor.of(group, "cpu").answers(prepared)]
    app = opener(monkeypatch, group.path.parent)("predict", "g")
    assert "features" not in keys(app)
    drop(app, ("one.png", (tmp_path / "scans" / "one.png").read_bytes()))
    classes = next(table.value for table in app.table if table.value.index.name == "Class")
    assert dict(classes["Probability"]) == {n: f"{p:.3f}" for n, p in expected[0].items()}
    large, near = component(app, "scan"), component(app, "nearest")["tiles"]
    assert large["name"]["about"] == "one.png · 40 × 32 px"
    assert [layer["title"] for layer in large["layers"]] == ["Original, 40 × 32", "As the network sees it, 32 px"]
    assert pixels(large["layers"][0]["image"]).tolist() == drawn[0].tolist()
    assert pixels(large["layers"][1]["image"]).tolist() == prepared[0].tolist()
    assert len(near) == 5 and all(tile["image"] and tile["true"]["name"] in expected[0] for tile in near)

    app.segmented_control(key="from").set_value("folder")
    ran(app)
    app.text_input(key="folder").set_value(str(tmp_path / "scans"))
    ran(app).button(key="predict-folder").click()
    said = texts(ran(app))
    assert "**3 images**" in said and "1 file did not open; the CSV names each. The first: " in said
    rows = list(csv.DictReader(io.StringIO(files["g-predictions.csv"]().decode("utf-8-sig"))))
    assert [(Path(row["image"]).name, row["page"]) for row in rows] == [
        ("one.png", ""), ("two.tif", "1"), ("two.tif", "2"), ("broken.png", "")
    ]  # fmt: skip
    assert [float(row["p_TWO"]) for row in rows[1:3]] == pytest.approx([p["TWO"] for p in expected], abs=1e-6)
    app = step(step(app, 1), 1)
    assert component(app, "scan")["name"]["about"].startswith("two.tif, page 2 of 2") and len(tiles(app, "pages")) == 2
    app.session_state["folder-row"] = tmp_path / "scans", 3  # a click on the last row
    assert "broken.png does not open as an image" in ran(app).info[-1].value and not component(app, "scan")
    app.session_state["folder-row"] = tmp_path / "elsewhere", 2
    assert component(ran(app), "scan")["name"]["about"].startswith("one.png")
    app = step(step(app, 1), 1)
    Image.fromarray(255 - drawn[0]).save(tmp_path / "scans" / "one.png")
    app = step(step(app, -1), -1)
    assert "This file has changed since the folder was predicted." in texts(app)
    assert pixels(component(app, "scan")["layers"][0]["image"]).tolist() == (255 - drawn[0]).tolist()
    app.button(key="predict-folder").click()
    said = texts(ran(app))
    assert "**3 images**" in said and "This file has changed" not in said


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "scans").mkdir()
    for n in range(3):
        Image.fromarray(striped_images(np.array([n]), 24, seed=n)[0]).save(tmp_path / "scans" / f"{n}.png")
    return tmp_path / "scans"


def test_a_folder_that_is_not_there_or_no_folder_is_a_sentence(open_page, folder):
    for place, says in ((folder / "none", "There is no folder"), (folder / "0.png", "There is no folder")):
        app = open_page("predict", "g", **{"from": "A folder of this computer"})
        app.text_input(key="folder").set_value(str(place))
        assert says in ran(app).error[0].value and "predict-folder" not in keys(app)
    app.text_input(key="folder").set_value("a\0b")
    assert "NUL" in ran(app).error[0].value


def test_a_folder_under_way_can_be_stopped_and_begun_again(open_page, folder, monkeypatch):
    asked: list = []

    def command_of(arguments, flags=()):
        asked.append(list(arguments))
        return [sys.executable, "-c", "import time; time.sleep(600)"], {"cwd": ROOT, "env": {}}

    monkeypatch.setattr("pages.components.beside.command_of", command_of)
    monkeypatch.setattr("pages.components.beside.follow", lambda *_, **__: None)
    app = named(open_page, folder)
    app.button(key="predict-folder").click()
    assert "stop-folder" in keys(ran(app)) and asked[0][0] == "predict" and asked[0][-1] == str(folder)
    assert "stop-folder" in keys(named(open_page, folder))  # in another tab too: one job for all
    from pages.components.beside import jobs

    (job,) = [job for key, job in jobs().known.items() if key[0] == "predict" and job.under_way]
    app.button(key="stop-folder").click()
    ran(app)
    with pytest.raises(UserError, match="Stopped"):
        job.answer.result(20)
    app = ran(app)
    assert [info.value for info in app.info][-1] == "Stopped." and not app.error
    assert "predict-folder" in keys(app) and job.process.wait(20) != 0 and len(asked) == 1


def named(open_page, folder: Path):
    app = open_page("predict", "g", **{"from": "A folder of this computer"})
    app.text_input(key="folder").set_value(str(folder))
    return ran(app)
