"""The data change on disk while readers look at them: two browsers and a terminal over one group, on a real folder."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browsing import PATIENCE_SECONDS, STORY, idle, served, watched
from fabricate import CLASS_NAMES, fabricate, labels_of
from PIL import Image

from colora.data.prepare import image_checksum
from colora.data.thumbnails import Files, Place
from colora.distillation.verdicts import current
from colora.runs.folder import Group

pytestmark = STORY
SIZE = 64
OTHER = "is not the picture that was predicted"


def write_version(root: Path, seed: int) -> None:
    """One file an image of the fabricated train split, each with greys of its own."""
    rng = np.random.default_rng(seed)
    for index, label in enumerate(labels_of("train")):
        file = root / CLASS_NAMES[label] / f"{index:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        blocks = Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8))
        blocks.resize((100, 80), Image.Resampling.NEAREST).save(file)


@pytest.fixture
def site(tmp_path):
    """A link `scans` to the version v1 that a group was trained on, another version v2, and a server."""
    for version in (1, 2):
        write_version(tmp_path / f"v{version}", seed=version)
    (tmp_path / "scans").symlink_to("v1")
    spec = {"dataset": f"folder:{tmp_path / 'scans'}", "image_size": SIZE}
    group = fabricate(tmp_path / "runs", "own", ["done"], spec)
    names = sorted((str(file.relative_to(tmp_path / "v1")) for file in (tmp_path / "v1").glob("*/*.png")), key=number)
    images = Files(tmp_path / "v1", SIZE).read([Place("train", index, name) for index, name in enumerate(names)])
    path = group.runs[0].path / "predictions" / "train.parquet"
    checksums = np.array([image_checksum(image) for image in images], dtype=np.uint64)
    pd.read_parquet(path).assign(image_id=names, checksum=checksums).to_parquet(path)
    with served(tmp_path / "runs") as address:
        yield tmp_path, address


def number(name: str) -> str:
    return name.partition("/")[2]


def point_to(root: Path, version: str) -> None:
    """In one step, as a terminal's `ln -sfn` and `mv` do it."""
    (root / "next").symlink_to(version)
    os.replace(root / "next", root / "scans")


def tiles(page) -> list[str]:
    """Of each tile of the grid "picture", or the sentence in its place."""
    return page.locator(".tile").evaluate_all(
        "all => all.map(tile => tile.querySelector('img') ? 'picture' : tile.querySelector('.problem').textContent)"
    )


def settled(page, ask: str) -> None:
    page.wait_for_function(ask, timeout=1000 * PATIENCE_SECONDS)
    idle(page)


SHADOW = "[...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')].map(host => host.shadowRoot)"
PAINTED = f"() => {SHADOW}.some(root => root?.querySelector('canvas')?.dataset.ready)"
REFUSED = f"() => {SHADOW}.some(root => root?.querySelector('.stage .problem')?.textContent.includes('{OTHER}'))"
BUTTONS = f"""() => {SHADOW}.flatMap(root => [...root?.querySelectorAll('.verdicts button') ?? []])
  .map(button => button.disabled || button.getAttribute('aria-disabled') === 'true')"""

ALL_OPEN = f"() => !({BUTTONS})().some(Boolean)"


def test_a_link_is_pointed_elsewhere_under_two_readers(browser, site):
    root, address = site
    with watched(browser) as first, watched(browser) as second:
        anna, ben = first.new_page(), second.new_page()
        anna.goto(f"{address}/images?group=own")
        ben.goto(f"{address}/evaluate?group=own&split=Train")
        for page in (anna, ben):
            page.locator(".tile").first.wait_for()
            idle(page)
            assert set(tiles(page)) == {"picture"}
        anna.locator(".tile").first.click()
        settled(anna, PAINTED)
        settled(anna, ALL_OPEN)  # once the browser has said who reads

        point_to(root, "v2")
        anna.get_by_role("button", name="Next image").click()
        settled(anna, REFUSED)
        assert all(anna.evaluate(BUTTONS)) and not anna.evaluate(PAINTED)
        assert "Nothing can be judged here" in anna.get_by_test_id("stMain").inner_text()
        ben.reload()
        ben.locator(".tile").first.wait_for()
        idle(ben)
        assert all(OTHER in tile for tile in tiles(ben))

        point_to(root, "v1")
        anna.get_by_role("button", name="Previous image").click()
        settled(anna, PAINTED)
        shown = anna.evaluate(f"() => {SHADOW}.map(root => root?.querySelector('canvas')?.dataset.ready).find(Boolean)")
        anna.locator(".verdicts button").last.click()
        anna.locator(".standing").get_by_text("Fine").wait_for()
        ben.locator(".tile").first.click()  # opens it large
        settled(ben, PAINTED)
    judged = current(root / "runs", Group(root / "runs" / "own").runs[0].resolved.data_checksum)
    assert judged[["image_id", "seen"]].values.tolist() == [[shown, shown]]
