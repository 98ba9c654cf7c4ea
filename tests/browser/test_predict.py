"""Predict in a real browser: files of every format dropped, looked through, removed, taken away as table and page; a
second tab on another group; by keyboard alone on a phone."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browsing import STORY, choose, idle, served, tab_to, watched
from pdf_text import text
from PIL import Image
from small_data import striped_images
from training import SMALL

from colora.data.prepare import read_pages
from colora.runs.folder import Group, create_group
from colora.settings.config import make_config

pytestmark = STORY
WIDTH, HEIGHT = 56, 48
FORMATS = ("grey.png", "deep.png", "rgb.png", "rgba.png", "grey.jpg", "colour.jpeg", "one.tif", "deep.tiff",
           "pages.tif", "old.bmp", "frames.gif", "web.webp")  # fmt: skip
BROKEN = "broken.png"


def written(folder: Path) -> list[Path]:
    """One image of its own a format, 56 x 48; and one that is none, third in the row."""
    folder.mkdir()
    for number, name in enumerate(FORMATS):
        grey = striped_images(np.array([number % 3]), WIDTH, seed=number)[0][:HEIGHT]
        grey = (grey * (0.4 + 0.05 * number)).astype(np.uint8)  # no two are as bright as each other
        picture = Image.fromarray(grey)
        if name.startswith("deep"):
            picture = Image.fromarray(grey.astype(np.uint16) * 200)
        elif name in ("rgb.png", "colour.jpeg"):
            picture = picture.convert("RGB")
        elif name == "rgba.png":
            picture = picture.convert("RGBA")
        more = {"save_all": True, "append_images": [Image.fromarray(255 - grey)]} if name == "pages.tif" else {}
        picture.save(folder / name, **more)
    (folder / BROKEN).write_bytes(b"no picture")
    names = list(FORMATS)
    return [folder / name for name in (*names[:2], BROKEN, *names[2:])]


@pytest.fixture(scope="module")
def site(tmp_path_factory, tiny_npz) -> Iterator[tuple[str, list[Path], dict[str, dict[str, dict[str, float]]]]]:
    """The address of a server over two small groups that were trained, the files, and what each group says of each:
    {group: {file: {class: probability}}}, and calibrated of the last one."""
    from colora.prediction.predict import Predictor
    from colora.training.run import train_run

    root = tmp_path_factory.mktemp("predict")
    files = written(root / "scans")
    known = {}
    for name, rate in (("first", 0.01), ("second", 0.002)):
        config = make_config({"dataset": f"npz:{tiny_npz}", **SMALL, "lr": rate})
        group = create_group(root / "runs", name, config, [0, 1])
        assert [train_run(run.path) for run in group.runs] == [0, 0]
        predictor, opens = Predictor.of(Group(group.path), "cpu"), [file for file in files if file.name != BROKEN]
        told = predictor.answers([read_pages(file, 32, 0, 1)[0].prepared for file in opens])
        known[name] = {file.name: one["mean"]["probabilities"] for file, one in zip(opens, told, strict=True)}
        known[f"{name}, calibrated"] = told[-1]["calibrated"]["probabilities"]  # of the last file
    with served(root / "runs") as address:
        yield address, files, known


SHADOW = "[...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')].map(host => host.shadowRoot)"
LARGE = f"""() => {{
  const root = {SHADOW}.find(root => root?.querySelector('.viewer'));
  const text = (selector) => root?.querySelector(selector)?.textContent ?? '';
  const canvas = root?.querySelector('canvas');
  if (!canvas?.dataset.ready) return null;
  const scale = Math.min(canvas.width / {WIDTH}, canvas.height / {HEIGHT});
  const [width, height] = [{WIDTH} * scale, {HEIGHT} * scale];  // of the picture, between black bars
  const {{ data }} = canvas.getContext('2d')
    .getImageData((canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) sum += data[i];
  return {{ about: text('.about'), called: text('.true'), says: text('.says'), mean: 4 * sum / data.length }};
}}"""


def large(page, name: str, says: str = "") -> dict:
    """The large picture once it is that of a file: title, answer, and mean grey as it is painted."""
    page.wait_for_function(
        f"([name, says]) => {{ const now = ({LARGE})(); "
        "return now?.about.startsWith(name) && now.says.startsWith(says); }",
        arg=[name, says],
    )
    idle(page)
    return page.evaluate(LARGE)


def is_right(page, file: Path, answers: dict[str, dict[str, float]]) -> None:
    """Picture, name, called class and table are all this file's."""
    said = answers[file.name]
    called = max(said, key=said.get)
    found = large(page, file.name, f"predicted with probability {said[called]:.2f}")
    assert found["called"] == called
    pixels = np.asarray(Image.open(file).convert("L") if "deep" not in file.name else stretched(file))
    assert abs(found["mean"] - pixels.mean()) < 2, file.name
    page.get_by_role("table").filter(has_text="Class").filter(has_text=f"{said[called]:.3f}").first.wait_for()


def stretched(file: Path) -> Image.Image:
    """Grey over the image's own range, as is said beside it."""
    pixels = np.asarray(Image.open(file)).astype(float)
    return Image.fromarray(np.round((pixels - pixels.min()) / np.ptp(pixels) * 255).astype(np.uint8))


def drop(page, files: list[Path]) -> None:
    page.locator('input[type="file"]').set_input_files(list(map(str, files)))


def test_files_of_every_format_from_the_first_answer_to_the_table(page, site):
    address, files, known = site
    answers = known["first"]
    page.goto(f"{address}/predict?group=first")
    page.get_by_text("Drop one scan or several above.").wait_for()
    drop(page, files)
    is_right(page, files[0], answers)  # the first answer is there before the last one
    scans = page.get_by_role("group", name="The scans and what they are called")
    scans.locator(".tile").nth(len(files) - 1).wait_for()
    page.get_by_role("button", name="Table as CSV").last.wait_for()
    idle(page)
    assert scans.locator(".tile img").count() == len(FORMATS)
    assert "broken.png" in scans.locator(".tile", has=page.locator(".problem")).inner_text()

    for number, file in enumerate(files[1:], start=2):  # by key, from where nothing has the focus
        page.keyboard.press("ArrowRight")
        page.get_by_text(f"Scan {number} of {len(files)}").wait_for()
        if file.name == BROKEN:
            page.get_by_test_id("stAlert").get_by_text("broken.png").wait_for()
            idle(page)
            page.locator(".viewer .problem").get_by_text("There is no picture of it.").wait_for()
        else:
            is_right(page, file, answers)
        if file.name == "pages.tif":  # whose second page comes before the next file
            page.keyboard.press("ArrowRight")
            large(page, "pages.tif, page 2 of 2")

    page.get_by_text("Calibrated probabilities").click()
    page.wait_for_url("**calibrated=true**")
    is_right(page, files[-1], {files[-1].name: known["first, calibrated"]})
    page.get_by_text("Calibrated probabilities").click()
    page.wait_for_function("() => !location.search.includes('calibrated')")
    is_right(page, files[-1], answers)

    taken_away(page, files, answers)

    page.get_by_role("button", name="Remove this scan").click()
    page.get_by_text(f"Scan {len(files) - 1} of {len(files) - 1}").wait_for()
    is_right(page, files[-2], answers)
    page.get_by_role("link", name="Overview", exact=True).click()
    page.get_by_role("heading", name="Groups of runs").wait_for()
    page.go_back()
    is_right(page, files[-2], answers)  # the tab has kept them
    page.get_by_role("button", name="Remove all").click()
    page.get_by_role("button", name="Put the removed scans back").click()
    is_right(page, files[0], answers)
    page.reload()  # another session: they are gone with the one before
    page.get_by_text("Drop one scan or several above.").wait_for()
    assert page.locator(".tile").count() == 0


def taken_away(page, files: list[Path], answers: dict[str, dict[str, float]]) -> None:
    """The table of all scans and the page on paper of the last one."""
    with page.expect_download() as told:
        page.get_by_role("button", name="Table as CSV").last.click()
    rows = list(csv.DictReader(io.StringIO(Path(told.value.path()).read_text("utf-8-sig"))))
    assert {row["image"] for row in rows} == {file.name for file in files}
    for row in rows:
        for name, p in answers.get(row["image"], {}).items():
            assert float(row[f"p_{name}"]) == pytest.approx(p, abs=1e-4), row["image"]
    with page.expect_download() as told:
        page.get_by_role("button", name="One page as PDF").click()
    assert told.value.suggested_filename == f"{files[-1].stem}.pdf"
    paper = Path(told.value.path()).read_bytes()
    said = answers[files[-1].name]
    assert paper.startswith(b"%PDF") and files[-1].name in text(paper) and f"{max(said.values()):.3f}" in text(paper)


def test_two_tabs_on_two_groups_and_a_volume(page, site):
    address, files, known = site
    volume = next(file for file in files if file.name == "pages.tif")
    other = page.context.new_page()
    for tab, group in ((page, "first"), (other, "second")):
        tab.goto(f"{address}/predict?group={group}")
        tab.get_by_text("Drop one scan or several above.").wait_for()
    for tab in (page, other):  # both ask at once
        drop(tab, [volume, files[0]])
    for tab, group in ((page, "first"), (other, "second")):
        is_right(tab, volume, known[group])
        tab.get_by_text("The volume, 2 pages").wait_for()
        tab.get_by_text(f"{group}: the ensemble (mean probability) of 2 seeds").wait_for()
        idle(tab)
    strip = page.get_by_role("group", name="The pages of this volume")
    strip.locator(".tile").nth(1).click()
    page.wait_for_function(f"() => ({LARGE})()?.about.startsWith('pages.tif, page 2 of 2')")
    second = page.evaluate(LARGE)["mean"]
    assert abs(second + np.asarray(Image.open(volume)).mean() - 255) < 2  # its pages are each other's negatives
    choose(page, "Group of runs", "second")
    page.wait_for_url("**group=second**")
    page.get_by_text("second: the ensemble (mean probability) of 2 seeds").wait_for()
    assert page.evaluate(LARGE)["about"].startswith("pages.tif, page 2 of 2")


def test_by_keyboard_alone_on_a_phone(browser, site):
    address, files, known = site
    main = 'document.querySelector("[data-testid=stMain]")'
    with watched(browser, viewport={"width": 390, "height": 844}, has_touch=True) as context:
        page = context.new_page()
        page.goto(f"{address}/predict?group=first")
        page.get_by_text("Drop one scan or several above.").wait_for()
        idle(page)  # a page that is drawn anew meanwhile takes the focus away
        drop_zone = page.get_by_test_id("stFileUploaderDropzone").get_by_test_id("stBaseButton-secondary")
        tab_to(page, drop_zone)
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files([str(files[0]), str(files[1])])
        is_right(page, files[0], known["first"])
        page.locator(".tile").nth(1).wait_for()
        idle(page)
        tab_to(page, page.get_by_role("button", name="Remove this scan"))
        page.keyboard.press("Enter")
        is_right(page, files[1], known["first"])
        page.wait_for_function(f"() => {main}.scrollWidth === {main}.clientWidth")
