"""`colora predict` of images and folders, as text, table and pages on paper; `colora features`."""

import csv
import os

import numpy as np
import pandas as pd
import pytest
from commands import document, mistake
from pdf_text import pages, pictures, text
from PIL import Image

from colora.cli.main import main
from colora.data.sources import load_dataset
from colora.prediction import predict
from colora.runs.features import features_path
from colora.runs.folder import read_json


@pytest.fixture(scope="module")
def val(pair):
    return load_dataset(pair.config).splits["val"].images


@pytest.fixture
def scans(tmp_path, val):
    """Two folders with an image of the same name each, beside a volume of two pages and what is no image."""
    for place, image in (("l/scan.png", val[0]), ("r/scan.png", val[1])):
        (tmp_path / "scans" / place).parent.mkdir(parents=True)
        Image.fromarray(image).save(tmp_path / "scans" / place)
    first, second = map(Image.fromarray, val[2:4])
    first.save(tmp_path / "scans" / "v.tif", save_all=True, append_images=[second])
    (tmp_path / "scans" / "bad.png").write_text("x")
    return tmp_path / "scans"


def said(capsys, *arguments) -> list[str]:
    assert main([str(a) for a in arguments]) == 0
    written = capsys.readouterr()
    assert written.err == ""
    return written.out.splitlines()


def test_a_folder_is_told_line_by_line(pair, scans, capsys):
    found = document(capsys, "predict", pair.path, scans)
    lines = said(capsys, "predict", pair.path, scans)
    first = found["images"][0]
    shares = "  ".join(f"{name} {p:.3f}" for name, p in first["mean"]["probabilities"].items())
    assert lines[0] == f"{scans / 'l' / 'scan.png'}: {first['mean']['prediction']}  ({shares})"
    votes = ", ".join(f"{name} {n}" for name, n in first["agreement"].items())
    assert lines[1] == (
        f"  entropy {first['mean']['entropy']:.3f} nats, more unsure than {100 * first['unsure']['share']:.0f} % of "
        f"30 test images; votes of the seeds: {votes}"
    )
    point, asked = first["operating_point"], found["operating_point"]
    yes = "yes" if point["positive"] else "no"
    assert lines[2] == f"  ONE: {yes} ({point['score']:.3f}, from {asked['threshold']:.3f} on)"
    assert lines[3] == f"  nearest training images: {', '.join(row['label'] for row in first['nearest'])}"
    assert lines[4] == (
        f"  This very picture is among the validation images, as {first['met']['image_id']}: no test of the models."
    )
    assert sum(line.startswith(f"{scans / 'v.tif'}, page ") for line in lines) == 2
    volume = f"{scans / 'v.tif'}, 2 pages, of each class the mean of its 2 largest probabilities: ONE "
    refused = f"{scans / 'bad.png'}: not predicted: {scans / 'bad.png'} does not open as an image ("
    assert all(any(line.startswith(begin) for line in lines) for begin in (volume, refused))
    doubted = sum(image["doubt"]["high"] for image in found["images"])
    high = "  The models disagree or have seen nothing like it: do not rely on this. "  # and the reasons
    assert sum(line.startswith(high) and len(line) > len(high) for line in lines) == doubted
    assert lines[-2].startswith("By the ensemble (mean probability) of 2 seeds; selection: each seed's epoch is the")
    assert "does not open as an image" in mistake(capsys, "predict", pair.path, scans, scans / "bad.png")


def test_a_table_has_a_line_for_each_and_starts_no_program(pair, scans, tmp_path, monkeypatch, capsys):
    (scans / "l" / "scan.png").rename(scans / "=HYPERLINK(1).png")
    strange = os.fsdecode(os.fsencode(scans) + b"/\xff.png")
    os.rename(scans / "r" / "scan.png", strange)
    monkeypatch.chdir(scans)
    found = document(capsys, "predict", pair.path, ".", "--csv", tmp_path / "t.csv")
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [row["image"] for row in rows]
    assert names == ["'=HYPERLINK(1).png", "v.tif", "v.tif", names[3], "bad.png"]
    assert names[3] == r"\xff.png"
    assert [row["page"] for row in rows] == ["", "1", "2", "", ""]
    for row, image in zip(rows[:4], found["images"], strict=True):
        for name, p in image["mean"]["probabilities"].items():
            assert float(row[f"p_{name}"]) == pytest.approx(p, abs=1e-12)
        assert row["prediction"] == image["mean"]["prediction"]
        assert row["do_not_rely"] == str(image["doubt"]["high"])
    assert rows[4]["note"].startswith("bad.png does not open as an image") and rows[4]["prediction"] == ""
    assert len(pd.read_csv(tmp_path / "t.csv")) == 5
    assert "There is no folder" in mistake(capsys, "predict", pair.path, ".", "--csv", tmp_path / "no" / "t.csv")


def test_a_page_on_paper_for_each_and_no_two_of_one_name(pair, scans, tmp_path, val, capsys):
    lines = said(capsys, "predict", pair.path, scans, "--pdf", tmp_path / "paper")
    assert f"{tmp_path / 'paper'} has a page for each image." in lines
    names = ["scan-2.pdf", "scan.pdf", "v-page-1.pdf", "v-page-2.pdf"]
    assert sorted(path.name for path in (tmp_path / "paper").iterdir()) == names
    for name, image in zip(names, val[[1, 0, 2, 3]], strict=True):
        content = (tmp_path / "paper" / name).read_bytes()
        assert pages(content) == 1 and "Research use only" in text(content)
        ((size, pixels),) = pictures(content)
        assert size == (32, 32) and np.array_equal(np.frombuffer(pixels, np.uint8).reshape(32, 32, -1)[..., 0], image)


def test_a_name_that_is_no_text_or_long_or_differs_by_its_case_is_a_page_too(pair, tmp_path, val, capsys):
    names = [os.fsdecode(b"\xff\xfe.png"), "A" * 240 + ".png", "A.png", "a.png"]
    for name in names:
        Image.fromarray(val[0]).save(tmp_path / "x.png")
        os.rename(tmp_path / "x.png", tmp_path / name)
    paths = [tmp_path / name for name in names]
    said(capsys, "predict", pair.path, *paths, "--pdf", tmp_path / "paper")
    written = sorted(os.fsencode(path.name) for path in (tmp_path / "paper").iterdir())
    assert written == [b"A.pdf", b"A" * 240 + b".pdf", b"a-2.pdf", b"\xff\xfe.pdf"]


def test_a_page_shows_no_other_picture_than_was_predicted(pair, scans, tmp_path, val, monkeypatch, capsys):
    real = predict.predict_images

    def then_replaced(*asked):
        found = real(*asked)
        Image.fromarray(val[7]).save(scans / "l" / "scan.png")
        return found

    monkeypatch.setattr(predict, "predict_images", then_replaced)
    sentence = mistake(capsys, "predict", pair.path, scans, "--pdf", tmp_path / "paper")
    assert f"{scans / 'l' / 'scan.png'} was changed while it was predicted" in sentence


def test_features_are_made_once(own_pair, capsys):
    assert document(capsys, "features", own_pair.path) == {"name": "pair", "made": []}
    assert said(capsys, "features", own_pair.path) == ["pair: there already."]
    path = features_path(own_pair.runs[1])
    before = path.read_bytes()
    path.unlink()
    identity = read_json(own_pair.path / "group.json")["identity"]
    assert said(capsys, "features", own_pair.path, f"--identity={identity}") == ["pair: made of seed 1."]
    assert path.read_bytes() == before
    for run in own_pair.runs:
        features_path(run).unlink()
    assert document(capsys, "features", own_pair.path) == {"name": "pair", "made": [0, 1]}
    assert "pair" in mistake(capsys, "features", own_pair.path, "--identity=other")


def test_without_features_the_way_to_them_is_told(own_pair, scans, capsys):
    features_path(own_pair.runs[1]).unlink()  # one that lacks is enough
    lines = said(capsys, "predict", own_pair.path, scans / "l" / "scan.png")
    assert "Note: nearest images and distances are not known: colora features pair makes them." in lines
    assert not any("nearest training images" in line for line in lines)
    features_path(own_pair.runs[1]).mkdir()
    assert "features.safetensors cannot be read" in mistake(capsys, "predict", own_pair.path, scans)


@pytest.mark.parametrize("idle", ["nan", "inf", "-1"])
def test_a_worker_waits_for_a_while_that_there_can_be(pair, capsys, idle):
    sentence = f"colora worker: --idle takes seconds from 0 to 1,000,000, not {idle}.\n"
    assert mistake(capsys, "worker", pair.path, f"--idle={idle}") == sentence
