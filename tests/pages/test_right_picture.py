"""A picture is shown under a prediction only while it is the one that was predicted, whatever becomes of the data."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from image_pages import act, ids, judged, shown, told_by_browser
from opened import opener, ran, texts
from PIL import Image
from small_data import write_folder, write_npz
from training import SMALL

from colora.data.encoded import tile
from colora.data.prepare import image_checksum
from colora.data.sources import load_dataset
from colora.data.thumbnails import Place, open_pictures
from colora.distillation import verdicts
from colora.distillation.scores import read_predictions
from colora.runs.folder import Group, Run, create_group, read_json, write_json
from colora.settings.config import make_config
from colora.system.errors import UserError
from colora.training.run import train_run

OTHER = "is not the picture that was predicted"
CHANGED = "The data have changed since these models were trained"


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory) -> Path:
    """A folder `data` with a link `scans` to its first version, and one seed trained on the link."""
    root = tmp_path_factory.mktemp("right")
    write_folder(root / "v1", patients=6)
    (root / "scans").symlink_to(root / "v1")
    config = make_config(SMALL | {"dataset": f"folder:{root / 'scans'}", "epochs": 1})
    run = create_group(root / "runs", "own", config, [0]).runs[0]
    assert train_run(run.path) == 0
    return root


@pytest.fixture
def place(trained_once, tmp_path) -> Path:
    """A copy to change, at the same path as was trained on."""
    kept = tmp_path / "kept"
    shutil.copytree(trained_once, kept, symlinks=True)
    yield trained_once
    shutil.rmtree(trained_once)
    shutil.copytree(kept, trained_once, symlinks=True)


@pytest.fixture
def open_page(monkeypatch, place):
    return opener(monkeypatch, place / "runs")


def exchange(file: Path, grey: int) -> None:
    """Another image under the same name, of the same size and with the time of the old one."""
    times = os.stat(file).st_atime_ns, os.stat(file).st_mtime_ns
    Image.fromarray(np.full((32, 48), grey, np.uint8)).save(file)
    os.utime(file, ns=times)


def second_version(place: Path) -> None:
    """The link leads to other images under the same names."""
    shutil.copytree(place / "v1", place / "v2")
    for number, file in enumerate(sorted((place / "v2").glob("*/*.png"))):
        Image.fromarray(np.full((32, 48), 3 * number, np.uint8)).save(file)
    (place / "scans").unlink()
    (place / "scans").symlink_to(place / "v2")


def test_predictions_keep_a_checksum_of_each_image_that_was_predicted(trained_once):
    run = Run(trained_once / "runs" / "own" / "seed-00")
    dataset = load_dataset(run.config)
    for split in ("train", "val", "test"):
        table, images = run.predictions(split), dataset.splits[split].images
        assert table["checksum"].dtype == np.uint64
        assert table["checksum"].tolist() == [image_checksum(image) for image in images]
        assert len(set(table["checksum"])) == len(images)


def test_a_link_to_another_version_shows_none_of_its_pictures(open_page, place):
    app = open_page("images", "own")
    before = shown(app)["tiles"]
    assert before and all(t["image"] for t in before)
    second_version(place)
    ran(app)  # the same page, on the same server, which has the first version's pictures open
    after = shown(app)["tiles"]
    assert [t["id"] for t in after] == [t["id"] for t in before]
    assert all(t["image"] is None and OTHER in t["problem"] for t in after)
    large = open_page("images", "own", image=before[0]["id"])
    assert shown(large, "large")["layers"] == [] and OTHER in shown(large, "large")["problem"]
    assert "Nothing can be judged here" in texts(large)
    behind = shown(open_page("evaluate", "own"), "behind")["tiles"]
    assert behind and all(t["image"] is None and OTHER in t["problem"] for t in behind)
    assert "images cannot be shown." in texts(open_page("images", "own", view="Figures 11 and 12"))
    cut = open_page("distil", "own")
    assert not any(t["image"] for t in shown(cut, "cut-kept")["tiles"])


def test_one_exchanged_file_is_not_shown_nor_judged_and_the_others_are(open_page, place):
    app = open_page("images", "own")
    first, second = ids(app)[:2]
    config = Run(place / "runs" / "own" / "seed-00").config
    source = open_pictures(config)
    exchange(place / "v1" / first, 77)
    now = {t["id"]: t for t in shown(ran(app))["tiles"]}
    assert now[first]["image"] is None and OTHER in now[first]["problem"] and first in now[first]["problem"]
    assert all(
        t["image"] == tile(source.read([Place("train", 0, name)])[0]) for name, t in now.items() if name != first
    )
    large = open_page("images", "own", image=first)
    assert shown(large, "large")["layers"] == []
    with_picture = open_page("images", "own", image=second)
    assert [layer["title"] for layer in shown(with_picture, "large")["layers"]] == [
        "Original, 48 × 32", "As the network sees it, 32 px"
    ]  # fmt: skip


def test_a_verdict_from_a_page_whose_picture_was_exchanged_since_is_of_the_picture_that_was_seen(open_page, place):
    """The reader saw the right one; afterwards the page shows it no more, and takes no verdict without a picture."""
    app = told_by_browser(open_page("images", "own", image=(first := ids(open_page("images", "own"))[0])))
    exchange(place / "v1" / first, 50)
    checksum = Run(place / "runs" / "own" / "seed-00").resolved.data_checksum
    judged(app, "hard")
    assert verdicts.current(place / "runs", checksum)["image_id"].tolist() == [first]
    assert shown(app, "large")["layers"] == [] and "Nothing can be judged here" in texts(app)


def test_evaluate_shows_a_file_as_it_is_now_and_back_again(open_page, place):
    app = open_page("evaluate", "own")
    tiles = shown(app, "behind")["tiles"]
    file = place / "v1" / tiles[0]["id"]
    content = file.read_bytes()
    exchange(file, 120)
    assert OTHER in shown(ran(app), "behind")["tiles"][0]["problem"]
    file.write_bytes(content)
    assert shown(ran(app), "behind")["tiles"][0]["image"] == tiles[0]["image"]


@pytest.mark.parametrize("compressed", [False, True])
def test_an_npz_with_other_pixels_under_the_same_labels(monkeypatch, tmp_path, own_folders, compressed):
    file = write_npz(tmp_path / "set.npz", size=32)
    with np.load(file) as found:
        content = dict(found)
    config = make_config(SMALL | {"dataset": f"npz:{file}", "epochs": 1})
    run = create_group(tmp_path / "runs", "own", config, [0]).runs[0]
    assert train_run(run.path) == 0
    app = opener(monkeypatch, tmp_path / "runs")("images", "own", part="Test", per="50")
    assert all(t["image"] for t in shown(app)["tiles"])
    content["test_images"][3] = 255 - content["test_images"][3]
    (np.savez_compressed if compressed else np.savez)(file, **content)
    now = {t["id"]: t for t in shown(ran(app))["tiles"]}
    assert {name for name, t in now.items() if not t["image"]} == {"test/000003"}
    assert OTHER in now["test/000003"]["problem"]


def without_checksums(run: Run) -> None:
    """As versions before the checksums wrote them."""
    for split in ("train", "val", "test"):
        table = run.predictions(split).drop(columns="checksum")
        table.to_parquet(run.path / "predictions" / f"{split}.parquet")


def test_older_predictions_are_shown_while_all_the_data_are_the_same(open_page, place):
    without_checksums(Run(place / "runs" / "own" / "seed-00"))
    app = open_page("images", "own")
    tiles = shown(app)["tiles"]
    assert tiles and all(t["image"] for t in tiles)
    exchange(place / "v1" / tiles[0]["id"], 9)  # after they were compared
    now = shown(ran(app))["tiles"]
    assert OTHER in now[0]["problem"] and all(t["image"] for t in now[1:])


def test_older_predictions_of_data_that_have_changed_show_no_picture(open_page, place):
    without_checksums(Run(place / "runs" / "own" / "seed-00"))
    second_version(place)
    app = open_page("images", "own")
    assert CHANGED in texts(app) and not any(t["image"] for t in shown(app)["tiles"])
    assert CHANGED in texts(open_page("evaluate", "own"))


def test_a_refresh_reads_only_the_images_on_show(open_page, place, monkeypatch):
    """Whatever the number of images: an image is read and compared when it is shown."""
    app = open_page("images", "own", part="Test")
    count = len(shown(app)["tiles"])
    compared = []

    def noted(image: np.ndarray) -> int:
        compared.append(image.shape)
        return image_checksum(image)

    monkeypatch.setattr("colora.data.thumbnails.image_checksum", noted)
    ran(app)
    assert len(compared) == count
    compared.clear()
    act(app, "open", ids(app)[0], "grid")
    neighbours = len(shown(app, "neighbours")["tiles"])
    assert len(compared) <= 1 + neighbours


def test_seeds_that_predicted_different_pixels_are_not_put_into_one_table(place):
    group = Group(place / "runs" / "own")
    info = read_json(group.path / "group.json")
    write_json(group.path / "group.json", info | {"seeds": [0, 1]})
    shutil.copytree(group.path / "seed-00", group.path / "seed-01")
    assert len(read_predictions(Group(group.path), "test").seeds) == 2
    table = group.runs[0].predictions("test")
    table.loc[4, "checksum"] += np.uint64(1)
    table.to_parquet(group.path / "seed-01" / "predictions" / "test.parquet")
    with pytest.raises(UserError, match="Seeds 0 and 1 of own disagree on the images of test"):
        read_predictions(Group(group.path), "test")
