"""Single images, folders of them and volumes: what is answered, what is refused, and what may not be looked at."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from colora.data.prepare import CONVERSIONS
from colora.data.sources import load_dataset
from colora.prediction import predict as module
from colora.prediction.models import GroupModels
from colora.prediction.predict import predict_images
from colora.prediction.volume import volume_answer
from colora.runs.access import Refused
from colora.system.errors import UserError


@pytest.fixture(scope="module")
def val(pair):
    return load_dataset(pair.config).splits["val"].images


@pytest.fixture
def scans(tmp_path, val):
    """A folder of three validation images, one of them further below, and of what is no image."""
    folder = tmp_path / "scans"
    (folder / "left").mkdir(parents=True)
    for name, image in (("b.png", val[1]), ("a.bmp", val[0]), ("left/c.tif", val[2])):
        Image.fromarray(image).save(folder / name)
    (folder / "notes.txt").write_text("of no interest")
    return folder


def mean(pair, run_images) -> np.ndarray:
    """(N, C) of the two seeds."""
    return np.mean([p for _, p in GroupModels.of(pair).each(run_images)], axis=0, dtype=np.float64)


def told(images) -> np.ndarray:
    return np.array([list(found["mean"]["probabilities"].values()) for found in images])


def test_of_a_folder_each_image_is_answered_and_a_bad_one_is_told(pair, scans, val):
    (scans / "bad.png").write_text("x")
    said = []
    found = predict_images(pair, [scans / "b.png", scans], lambda *step: said.append(step))
    names = [str(scans / name) for name in ("b.png", "a.bmp", "left/c.tif")]  # each once
    assert [image["path"] for image in found["images"]] == names
    assert np.abs(told(found["images"]) - mean(pair, val[[1, 0, 2]])).max() < 1e-6
    ((path, reason),) = [row.values() for row in found["refused"]]
    assert path == str(scans / "bad.png") and "bad.png does not open as an image (it is no PNG" in reason
    assert found["volumes"] == found["image_warnings"] == []
    assert said == [("predicting", n, 4) for n in range(5)]


@pytest.mark.parametrize("as_pages", [False, True])
def test_a_split_predicted_from_its_files_in_order_has_the_bits_that_training_kept(pair, val, tmp_path, as_pages):
    """They come together in batches as there, also where each is a file of its own."""
    pictures = [Image.fromarray(image) for image in val]
    if as_pages:
        pictures[0].save(tmp_path / "v.tif", save_all=True, append_images=pictures[1:20])
        pictures = [None] * 20 + pictures[20:]
    for i, picture in enumerate(pictures):
        if picture:
            picture.save(tmp_path / f"w{i:02}.png")
    threads = torch.get_num_threads()
    torch.set_num_threads(pair.runs[0].resolved.threads)
    try:
        found = predict_images(pair, [tmp_path])["images"]
    finally:
        torch.set_num_threads(threads)
    stored = np.stack([run.predictions("val")[["p_0", "p_1", "p_2"]].to_numpy() for run in pair.runs], axis=1)
    again = [[list(seed["probabilities"].values()) for seed in image["seeds"]] for image in found]
    assert np.array_equal(np.array(again), stored)


def test_images_of_several_files_are_predicted_together_and_no_more_than_so_many(pair, val, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 4)
    first, *others = map(Image.fromarray, val[:6])
    first.save(tmp_path / "b.tif", save_all=True, append_images=others)
    for name, image in (("a.png", val[6]), ("c.png", val[7]), ("e.png", val[8])):
        Image.fromarray(image).save(tmp_path / name)
    (tmp_path / "d.png").write_text("x")
    batches, seen = [], GroupModels.seen
    monkeypatch.setattr(GroupModels, "seen", lambda self, x, seed: batches.append(len(x)) or seen(self, x, seed))
    found = predict_images(pair, [tmp_path])
    assert batches == [4, 4, 1] and len(found["refused"]) == 1
    assert [image["met"]["image_id"] for image in found["images"]] == [
        pair.runs[0].predictions("val")["image_id"][i] for i in (6, 0, 1, 2, 3, 4, 5, 7, 8)
    ]


def test_what_holds_for_every_answer_is_told_once(pair, scans):
    found = predict_images(pair, [scans])
    assert found["name"] == "pair" and found["class_names"] == ["ONE", "TWO", "THREE"] and found["finished"] == 2
    assert (found["model"], found["has_features"], found["under_way"], found["apart"]) == ("ensemble", True, [], [])
    asked = found["operating_point"]
    assert asked["positives"] == ["ONE"] and asked["n"] == 30 and asked["frozen"] is False
    test = mean(pair, load_dataset(pair.config).splits["test"].images)[:, 0]
    one = load_dataset(pair.config).splits["test"].labels == 0
    assert asked["sensitivity"]["value"] == pytest.approx(np.mean(test[one] >= asked["threshold"]))
    assert asked["specificity"]["value"] == pytest.approx(np.mean(test[~one] < asked["threshold"]))
    assert found["no_operating_point"] is None


def test_a_file_that_is_named_has_to_open(pair, scans):
    (scans / "bad.png").write_text("x")
    for bad, why in (("bad.png", "does not open"), ("none.png", "There is no image"), ("notes.txt", "does not open")):
        with pytest.raises(UserError, match=rf"(?s)(?=.*{re.escape(bad)}).*{why}"):
            predict_images(pair, [scans, scans / bad])  # also where it lies in a folder that is named


def test_a_folder_without_an_image_is_a_mistake(pair, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"There is no image in .*empty\.") as error:
        predict_images(pair, [tmp_path / "empty"])
    assert error.value.field == "images"


@pytest.mark.parametrize("deep", [False, True])
def test_each_page_is_answered_and_the_volume_too(pair, tmp_path, val, deep, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 2)
    pages = val[:5].astype(np.uint16) * 100 if deep else val[:5]
    first, *others = map(Image.fromarray, pages)
    first.save(tmp_path / "v.tif", save_all=True, append_images=others)
    Image.fromarray(val[9]).save(tmp_path / "one.png")
    found = predict_images(pair, [tmp_path / "v.tif", tmp_path / "one.png"])
    *answers, single = found["images"]
    assert [image["page"] for image in answers] == [0, 1, 2, 3, 4] and "page" not in single
    expected = val[:5]
    if deep:  # over each page's own range
        low, high = (f(val[:5], axis=(1, 2), keepdims=True) for f in (np.min, np.max))
        expected = ((val[:5] - low) / (high - low) * 255.0).round().astype(np.uint8)
    assert np.abs(told(answers) - mean(pair, expected)).max() < 1e-6
    assert {tuple(image["conversions"]) for image in answers} == {(CONVERSIONS["deep"],) if deep else ()}
    assert found["volumes"] == [{"path": str(tmp_path / "v.tif"), **volume_answer(answers)}]
    said = [f"{CONVERSIONS['deep']}: 5 of 6 images; the first: {tmp_path / 'v.tif'}."]
    assert found["image_warnings"] == (said if deep else [])


def test_of_a_volume_with_a_damaged_page_nothing_counts(pair, scans, val, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 1)
    first, *others = (Image.fromarray(np.stack([page, page, 255 - page], -1)) for page in val[:3])
    first.save(scans / "v.tif", save_all=True, append_images=others, compression="tiff_lzw")
    with Image.open(scans / "v.tif") as file:
        file.seek(2)
        at = file.tag_v2[273][0]
    content = (scans / "v.tif").read_bytes()
    (scans / "v.tif").write_bytes(content[:at] + b"\xff" * 99 + content[at + 99 :])
    found = predict_images(pair, [scans])
    assert len(found["images"]) == 3 and [row["path"] for row in found["refused"]] == [str(scans / "v.tif")]
    assert found["image_warnings"] == found["volumes"] == []
    with pytest.raises(UserError, match=r"v\.tif does not open"):
        predict_images(pair, [scans / "v.tif"])


def test_only_what_lies_in_the_data_roots_is_read(pair, scans, tmp_path, monkeypatch):
    (tmp_path / "roots").mkdir()
    rules = f'data_roots = ["{tmp_path / "roots"}"]\nadmins = ["a@lab.example"]\n'
    (tmp_path / "colora-access.toml").write_text(rules)
    monkeypatch.setenv("COLORA_ACCESS", str(tmp_path / "colora-access.toml"))
    (tmp_path / "roots" / "link").symlink_to(scans)
    for place in (scans, scans / "a.bmp", scans / "none.png", tmp_path / "roots" / "link", "/etc/passwd"):
        with pytest.raises(Refused, match="This place may not be named: data, weights and cut files have to lie below"):
            predict_images(pair, [place])
    scans.rename(tmp_path / "roots" / "scans")
    assert len(predict_images(pair, [tmp_path / "roots" / "scans"])["images"]) == 3
    (tmp_path / "outside.png").write_bytes((tmp_path / "roots" / "scans" / "b.png").read_bytes())
    (tmp_path / "roots" / "scans" / "out.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(UserError, match=r"out\.png is a link that leads out of the folder"):
        predict_images(pair, [tmp_path / "roots" / "scans"])
