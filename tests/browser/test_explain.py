"""Where the models look, in a real browser: the map that lies over a picture is that picture's own, whatever is pressed
meanwhile; by keyboard, on a phone, and side by side for the hardest images."""

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browsing import STORY, idle, served, tab_to, watched
from PIL import Image
from small_data import striped_images

from colora.data.prepare import image_checksum, read_pages, square_of
from colora.data.sources import load_dataset
from colora.explanation.maps import attribution_map
from colora.explanation.methods import METHODS, USUAL
from colora.explanation.overlay import heat
from colora.prediction.explained import ModelExplainer
from colora.prediction.models import GroupModels
from colora.runs.folder import Group

pytestmark = STORY
WIDTH, HEIGHT = 56, 48
STRENGTH = 0.6  # of the colours, as the viewer begins
NEAR = 3  # greys, of 255
WORTH = re.compile("This map says nothing|What this map marks matters more")
CANVAS = """[...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]
  .map((host) => host.shadowRoot?.querySelector('.viewer canvas')).find(Boolean)"""


Covered = dict[tuple[int, int], np.ndarray]


@pytest.fixture(scope="module")
def site(tmp_path_factory, trained) -> Iterator[tuple[str, list[Path], Covered, dict[str, int]]]:
    """The address of a server over a small group; three scans; {(scan, map): (HEIGHT, WIDTH, 3)} each under the map of
    each, as this process has it, of the class that the map's own scan is called; {test image: checksum}."""
    root = tmp_path_factory.mktemp("explain")
    shutil.copytree(trained.path.parent, root / "runs" / "g")
    models = GroupModels.of(Group(root / "runs" / "g"), "cpu", keep=True)
    files, greys, maps = [], [], []
    for number in range(3):
        greys.append(striped_images(np.array([number]), WIDTH, seed=number)[0][:HEIGHT])
        files.append(root / f"scan-{number}.png")
        Image.fromarray(greys[-1]).save(files[-1])
        seen = read_pages(files[-1], 32, 0, 1)[0].prepared
        called = int(np.mean([p[0] for _, p in models.each(seen[None])], axis=0).argmax())
        maps.append(heat(attribution_map(ModelExplainer(models, seen), [0], USUAL, called).mean))
    covered = {(i, j): under(grey, colours) for i, grey in enumerate(greys) for j, colours in enumerate(maps)}
    for (i, j), picture in covered.items():  # else a map over another scan would not be noticed
        assert i == j or np.abs(picture - covered[i, i]).mean() > NEAR
    test = load_dataset(models.runs[0].config).splits["test"]
    checksums = dict(zip(test.image_ids, map(image_checksum, test.images), strict=True))
    with served(root / "runs") as address:
        yield address, files, covered, checksums


def under(grey: np.ndarray, colours: np.ndarray) -> np.ndarray:
    picture = np.repeat(grey[..., None], 3, axis=2).astype(float)
    left, top, side = square_of(WIDTH, HEIGHT)
    large = np.asarray(Image.fromarray(colours, "RGBA").resize((side, side), Image.Resampling.BILINEAR), float)
    share = STRENGTH * large[..., 3:] / 255
    there = picture[top : top + side, left : left + side]
    picture[top : top + side, left : left + side] = (1 - share) * there + share * large[..., :3]
    return picture


def painted(page) -> np.ndarray:
    """(HEIGHT, WIDTH, 3) as it stands on the canvas."""
    raw = page.evaluate(f"async () => {{ const blob = await new Promise((done) => {CANVAS}.toBlob(done));"
                        " return [...new Uint8Array(await blob.arrayBuffer())]; }")  # fmt: skip
    canvas = Image.open(io.BytesIO(bytes(raw))).convert("RGB")
    scale = min(canvas.width / WIDTH, canvas.height / HEIGHT)
    left, top = (canvas.width - WIDTH * scale) / 2, (canvas.height - HEIGHT * scale) / 2
    box = (left, top, canvas.width - left, canvas.height - top)
    return np.asarray(canvas.resize((WIDTH, HEIGHT), Image.Resampling.BOX, box=box), float)


def is_under_its_own_map(page, number: int, covered: Covered) -> None:
    """The picture of scan `number`, and no other scan's map over it."""
    page.wait_for_function(
        f"(name) => {{ const canvas = {CANVAS}; return canvas?.dataset.covered && canvas.dataset.ready && "
        "canvas.closest('.viewer').querySelector('.about').textContent.startsWith(name); }",
        arg=f"scan-{number}.png",
    )
    idle(page)
    now = painted(page)
    apart = {at: float(np.abs(now - wanted).mean()) for at, wanted in covered.items()}
    assert min(apart, key=apart.get) == (number, number) and apart[number, number] < NEAR, apart


def drop(page, address: str, files: list[Path]) -> None:
    page.goto(f"{address}/predict?group=g")
    page.get_by_text("Drop one scan or several above.").wait_for()
    page.locator('input[type="file"]').set_input_files(list(map(str, files)))
    page.locator(".tile").nth(len(files) - 1).wait_for()
    idle(page)


def test_each_scan_is_under_its_own_map_however_fast_one_goes_on(page, site):
    address, files, covered, _ = site
    drop(page, address, files)
    page.get_by_text("Where the models look").click()
    page.locator(".viewer .in").focus()  # the keys are the viewer's
    for number in (2, 3):  # before the map of any is there
        page.keyboard.press("ArrowRight")
        page.get_by_text(f"Scan {number} of 3").wait_for()
    page.locator(".viewer .line").click()  # the outline is measured elsewhere
    is_under_its_own_map(page, 2, covered)
    page.get_by_text(WORTH).wait_for()
    page.get_by_text("below 128 px a map has too few places").wait_for()
    for key, number in (("ArrowLeft", 1), ("ArrowLeft", 0), ("ArrowRight", 1)):
        page.keyboard.press(key)
        page.get_by_text(f"Scan {number + 1} of 3").wait_for()
        is_under_its_own_map(page, number, covered)
    page.get_by_text(WORTH).wait_for()
    idle(page)
    under = painted(page)
    page.keyboard.press("m")
    page.wait_for_timeout(200)
    assert np.abs(painted(page) - under).mean() > NEAR / 2
    page.locator(".viewer .of").click()
    is_under_its_own_map(page, 1, covered)
    page.get_by_text("Beside the other methods").click()
    page.get_by_text(f"The other methods, beside {METHODS[USUAL].title}").wait_for()
    page.get_by_role("button", name="Remove this scan").click()
    page.get_by_text("Scan 2 of 2").wait_for()
    is_under_its_own_map(page, 2, covered)


def test_by_keyboard_on_a_phone(browser, site):
    address, files, _, _ = site
    main = 'document.querySelector("[data-testid=stMain]")'
    with watched(browser, viewport={"width": 390, "height": 844}, has_touch=True) as context:
        page = context.new_page()
        drop(page, address, files[:2])
        tab_to(page, page.get_by_role("switch", name="Where the models look"))
        page.keyboard.press("Space")
        page.get_by_text(WORTH).wait_for()
        idle(page)
        page.wait_for_function(f"() => {main}.scrollWidth === {main}.clientWidth")
        strong = painted(page)
        strength = page.locator(".viewer .strength")
        strength.focus()
        for _ in range(12):
            page.keyboard.press("ArrowLeft")
        assert strength.input_value() == "5"
        page.wait_for_timeout(200)
        assert np.abs(painted(page) - strong).mean() > 1
        page.get_by_text("Scan 1 of 2").wait_for()  # the arrows were the slider's


def test_the_hardest_side_by_side_and_from_there_large_back_and_anew(page, site):
    address, _, _, checksums = site
    page.goto(f"{address}/images?group=g&part=Test&view=Figures+11+and+12")
    page.get_by_text("Where the models look on the hardest images").click()
    page.get_by_text(re.compile("says nothing|better than 19 random maps")).nth(2).wait_for()
    idle(page)
    page.get_by_role("button", name="Open large").first.click()
    page.get_by_text("Neighbours in rank").wait_for()
    first = covered_by_its_own(page, checksums)
    page.get_by_text(WORTH).wait_for()
    page.keyboard.press("ArrowRight")
    second = covered_by_its_own(page, checksums, other_than=first)
    page.go_back()
    assert covered_by_its_own(page, checksums, other_than=second) == first
    page.go_forward()
    assert covered_by_its_own(page, checksums, other_than=first) == second
    page.reload()
    page.get_by_text("Neighbours in rank").wait_for()
    assert covered_by_its_own(page, checksums) == second
    page.get_by_text(WORTH).wait_for()


def covered_by_its_own(page, checksums: dict[str, int], other_than: str = "") -> str:
    """The image that stands there large, once a map lies over it; which is that image's."""
    there = f"(id) => {{ const at = {CANVAS}?.dataset; return at?.covered && at.ready && at.ready !== id; }}"
    page.wait_for_function(there, arg=other_than)
    at = page.evaluate(f"() => ({{ ...{CANVAS}.dataset }})")
    assert at["covered"].startswith(f"{checksums[at['ready']]}-")
    return at["ready"]


def test_verdicts_and_keys_are_served_while_a_map_is_awaited(page, site):
    """Occlusion of the first image takes longest: what is pressed meanwhile is neither lost nor late."""
    address, _, _, checksums = site
    page.goto(f"{address}/images?group=g&part=Test")
    page.locator(".tile").first.click()
    page.get_by_text("Neighbours in rank").wait_for()
    page.get_by_text("Where the models look").click()
    page.get_by_text("Occlusion", exact=True).click()
    verdicts = page.get_by_role("group", name="Your verdict").get_by_role("button")
    page.wait_for_function(f"() => {CANVAS}?.closest('.viewer').querySelector('.verdicts button:not(:disabled)')")
    verdicts.first.click()
    judged = page.evaluate(f"() => {CANVAS}.dataset.ready")
    page.keyboard.press("ArrowRight")
    other = f"(id) => {{ const at = {CANVAS}?.dataset; return at?.ready && at.ready !== id; }}"
    page.wait_for_function(other, arg=judged)
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        f"(id) => {CANVAS}?.dataset.ready === id && "
        f"{CANVAS}.closest('.viewer').querySelector('.verdicts button[aria-pressed=true]')",
        arg=judged,
    )
    assert covered_by_its_own(page, checksums) == judged
