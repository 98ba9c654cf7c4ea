"""`colora explain`: the map over the image as a picture, and what it is worth."""

import numpy as np
import pytest
from commands import document, mistake
from PIL import Image

from colora.cli.main import main
from colora.data.sources import load_dataset
from colora.explanation.methods import METHODS, NO_FINDING, USUAL
from colora.settings.catalog import NOTICE


@pytest.fixture
def scan(pair, tmp_path):
    """Twice as wide as it is high: the network sees the square in its middle."""
    image = load_dataset(pair.config).splits["test"].images[0]
    wide = np.zeros((len(image), 2 * len(image)), np.uint8)
    wide[:, len(image) // 2 :][:, : len(image)] = image
    Image.fromarray(wide).save(tmp_path / "scan.png")
    return tmp_path / "scan.png"


def test_the_picture_is_the_image_under_its_map_and_its_worth_is_told(pair, scan, tmp_path, capsys):
    out = tmp_path / "map.png"
    found = document(capsys, "explain", pair.path, scan, "-o", out)
    picture, plain = np.asarray(Image.open(out)), np.asarray(Image.open(scan).convert("RGB"))
    assert picture.shape == plain.shape and picture.dtype == np.uint8
    side = plain.shape[0]
    beyond = np.r_[0 : side // 2 - 1, side // 2 + side + 1 : 2 * side]  # the line is drawn on the edge
    assert np.array_equal(picture[:, beyond], plain[:, beyond]) and not np.array_equal(picture, plain)
    assert found["seeds"] == [0, 1] and found["method"] == USUAL and found["notice"] == NOTICE
    assert len(found["random_maps"]) == 19
    beaten = all(found["insertion"] - found["deletion"] > other for other in found["random_maps"])
    assert found["says_nothing"] is not beaten
    assert main(["explain", str(pair.path), str(scan), "-o", str(out)]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == (
        f"{out}: {METHODS[USUAL].title} ({found['source']}) of seeds 0-1, for {found['class']} "
        f"(mean probability of all seeds {found['probability']:.3f})."
    )
    told = len(found["warnings"]) + 2
    assert rest[:told] == [METHODS[USUAL].about, found["verdict"], *found["warnings"]]
    assert rest[-2:] == [NO_FINDING, NOTICE]
    covering, shuffled, seeds = rest[told:-2]
    assert covering.startswith(f"Covering what it marks: insertion {found['insertion']:.3f} less deletion ")
    correlation = found["rank_correlation"]
    assert f"rank correlation {correlation['shuffled_weights']:.2f} " in shuffled
    assert f"rank correlation {correlation['seeds']:.2f} " in seeds and f"up to {found['spread']:.2f} " in seeds


def test_one_seed_another_class_and_another_method(pair, scan, tmp_path, capsys):
    name = pair.runs[0].resolved.class_names[2]
    asked = ["--seed", "1", "--class", name, "--method", "occlusion"]
    found = document(capsys, "explain", pair.path, scan, "-o", tmp_path / "a.png", *asked)
    assert (found["seeds"], found["class"], found["method"]) == ([1], name, "occlusion")
    assert found["rank_correlation"]["seeds"] is None and found["source"] == METHODS["occlusion"].source


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["-o", "a.jpg"], "the picture is a PNG"),
        (["-o", "gone/a.png"], "There is no folder gone"),
        (["-o", "scan.png"], "scan.png is the image itself, which is not written over."),
        (["-o", "a.png", "--page", "0"], "--page counts from 1"),
        (["-o", "a.png", "--page", "2"], "has no page 2"),
        (["-o", "a.png", "--seed", "7"], "Seed 7 is none of those that answer: 0, 1."),
        (["-o", "a.png", "--class", "NOSUCH"], "There is no class 'NOSUCH': there are "),
    ],
)
def test_what_cannot_be_explained_is_a_sentence(pair, scan, tmp_path, capsys, monkeypatch, more, said):
    monkeypatch.chdir(tmp_path)
    assert said in mistake(capsys, "explain", pair.path, scan, *more)
    assert not list(tmp_path.rglob("a.*"))
