"""Images and Distil in a real browser: look, decide, cut, train on the cut, compare."""

import json
import re

import pytest
from browsing import STORY, idle, served
from commands import colora
from fabricate import fabricate

from colora.data.cuts import read_cut
from colora.distillation.verdicts import current
from colora.runs.folder import Group
from pages.components.images.in_address import code

pytestmark = STORY
LONG = 300_000  # milliseconds: training on a busy machine


@pytest.fixture(scope="module")
def fabricated(tmp_path_factory):
    runs_dir = tmp_path_factory.mktemp("fabricated") / "runs"
    fabricate(runs_dir, "fabricated", ["done", "done"])
    tagged = fabricate(runs_dir, "tagged", ["done"]).runs[0].path / "config.json"
    tagged.write_text(tagged.read_text().replace('"CNV"', '"<img src=x onerror=alert(1)>"'))
    with served(runs_dir) as address:
        yield address, runs_dir


def ready(tab) -> None:
    tab.wait_for_timeout(200)  # a click reaches the server a moment later
    idle(tab)


def opened_image(tab) -> str:
    """The id of the image that is drawn large."""
    canvas = tab.locator("canvas[data-ready]")
    canvas.wait_for()
    return canvas.get_attribute("data-ready")


def painted(tab) -> tuple[float, float]:
    """Mean grey of the large image as it is drawn now, and the share of it that is black or white."""
    mean, extreme = tab.locator("canvas[data-ready]").evaluate(
        """canvas => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const greys = Array.from({ length: data.length / 4 }, (_, i) => data[4 * i]);
            const ends = greys.filter((grey) => grey === 0 || grey === 255).length;
            done([greys.reduce((sum, grey) => sum + grey, 0) / greys.length, ends / greys.length]);
        })))"""
    )
    return mean, extreme


def turn_pages_by_key(tab) -> None:
    """The arrows where nothing has the focus, and Page Up and Page Down in the grid, which keeps the focus."""
    in_grid = "() => !!document.activeElement.shadowRoot?.activeElement?.classList.contains('tile')"
    for key, says in (("ArrowRight", "26 to 50 of 400"), ("ArrowLeft", "1 to 25 of 400")):
        tab.keyboard.press(key)
        tab.get_by_text(says).wait_for()
        ready(tab)
    tab.locator(".tile").nth(3).focus()
    for key, says in 3 * (("PageDown", "26 to 50 of 400"), ("PageUp", "1 to 25 of 400")):
        tab.keyboard.press(key)
        tab.get_by_text(says).wait_for()
        ready(tab)
        tab.wait_for_function(in_grid)


def window_and_level(tab) -> None:
    """Both sliders change what is drawn, at once, and Reset brings it back."""
    tab.locator(".viewer .reset").click()
    mean, extreme = painted(tab)
    tab.locator(".viewer .level").fill("200")
    assert painted(tab)[0] > mean + 20  # brighter
    tab.locator(".viewer .reset").click()
    tab.locator(".viewer .window").fill("510")
    assert painted(tab)[1] > extreme + 0.3  # more contrast: little between black and white
    tab.locator(".viewer .reset").click()
    assert painted(tab) == (mean, extreme)


def judge_one_that_leaves_the_grid(tab) -> None:
    """Of images without a verdict: judged, it keeps its neighbours while it is open, and is gone from the grid."""
    tab.get_by_text("Filters · 1 set").click()
    tab.get_by_text("No verdict", exact=True).click()
    tab.get_by_text("Filters · 2 set").wait_for()
    ready(tab)
    judged = tab.locator(".tile").nth(0).get_attribute("data-id")
    tab.locator(".tile").nth(0).click()
    assert opened_image(tab) == judged
    tab.locator(".verdicts").get_by_role("button", name="Fine").click()
    tab.get_by_text("Your verdict: Fine").wait_for()
    ready(tab)
    assert tab.get_by_role("button", name="Next image").is_enabled()
    back_to_the_grid(tab)
    tab.locator(f'.tile[data-id="{judged}"]').wait_for(state="detached")
    assert tab.locator(".tile").count() > 3


def back_to_the_grid(tab) -> None:
    tab.get_by_role("button", name="Back to the grid").click()
    tab.wait_for_function("() => !location.search.includes('image=')")
    tab.locator(".viewer").wait_for(state="detached")
    tab.locator(".tile").nth(0).wait_for()


def test_look_filter_decide_and_cut(page, fabricated):
    address, runs_dir = fabricated
    page.goto(f"{address}/images?group=fabricated")
    page.locator(".tile").nth(24).wait_for()
    assert page.get_by_text("1 to 25 of 400").count() == 1
    ready(page)
    turn_pages_by_key(page)

    page.get_by_text("Filters", exact=True).click()
    page.get_by_text("Wrong", exact=True).click()
    page.get_by_text("Filters · 1 set").wait_for()
    ready(page)
    assert page.get_by_text("No verdict", exact=True).is_visible()  # what was unfolded stays so
    page.locator(".tile", has_not=page.locator(".wrong")).first.wait_for(state="detached")
    assert page.locator(".tile").count() > 3

    page.locator(".tile").nth(0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    second = opened_image(page)
    named = code("0" * 64, second)
    assert f"image={named}" in page.url and "answer=Wrong" in page.url
    page.locator("canvas").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"() => !location.search.includes('{named}')")
    ready(page)
    page.locator(f'canvas[data-ready]:not([data-ready="{second}"])').wait_for()
    first = opened_image(page)
    assert first != second

    page.get_by_role("button", name="Invert").click()
    assert page.get_by_role("button", name="Invert").get_attribute("aria-pressed") == "true"
    page.locator(".viewer .in").click()
    page.get_by_text("150 %").wait_for()
    window_and_level(page)

    page.locator(".verdicts").get_by_role("button", name="Truly hard").click()
    page.get_by_text("Your verdict: Truly hard").wait_for()
    assert current(runs_dir)["verdict"].tolist() == ["hard"]
    page.reload()
    page.get_by_text("Your verdict: Truly hard").wait_for()
    assert opened_image(page) == first
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Your verdict: Truly hard").wait_for(state="detached")
    assert current(runs_dir).empty

    ready(page)
    back_to_the_grid(page)
    judge_one_that_leaves_the_grid(page)

    page.get_by_role("link", name="Distil").click()
    page.get_by_text("Of each class, discard the 1 of highest entropy and keep the next 29.").wait_for()
    ready(page)
    page.get_by_label("Name of the cut").fill("mine")
    page.get_by_label("Name of the cut").press("Tab")
    ready(page)
    page.get_by_role("button", name="Save the cut").click()
    page.get_by_role("button", name="Train on it").click()
    page.wait_for_url("**/launch**")
    page.get_by_text(re.compile("--cut mine")).wait_for()
    says_what_the_form_was_filled_from(page)
    page.get_by_text("Trainable:").wait_for(timeout=LONG)  # the server would wait for the count at its end
    assert len(read_cut(runs_dir, "mine").image_ids) == 4 * 29


def says_what_the_form_was_filled_from(tab) -> None:
    """The cut and its group, also after a reload, a change, and a visit to another page; and no preset."""

    def shown() -> str:
        return tab.get_by_role("combobox", name="Start from", exact=True).input_value()

    named = "Cut mine of group fabricated"
    for again in (lambda: None, tab.reload):
        again()
        tab.get_by_text("The settings of fabricated, on the cut mine.").wait_for()
        assert shown() == named
    rate = tab.get_by_label("Learning rate of the head", exact=True)
    rate.fill("0,01")
    rate.press("Tab")
    tab.get_by_text("Changed since: Learning rate of the head.").wait_for()
    tab.get_by_text(re.compile("--lr-head 0.01 ")).wait_for()
    tab.get_by_role("link", name="Overview").click()
    tab.get_by_role("heading", name="Groups of runs").wait_for()
    tab.go_back()
    tab.get_by_text("Changed since: Learning rate of the head.").wait_for()
    assert shown() == named
    assert tab.get_by_text("Quick look").count() == 0 and "cut=mine" in tab.url


def test_no_page_is_wider_than_the_screen(page, fabricated):
    address, _ = fabricated
    main = 'document.querySelector("[data-testid=stMain]")'
    for path in ("images?", "images?image=train-0003&", "images?view=Figures+11+and+12&", "distil?"):
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(f"{address}/{path}group=fabricated")
        page.get_by_role("heading").first.wait_for()
        ready(page)
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            page.wait_for_function(f"() => innerWidth === {width} && {main}.scrollWidth === {main}.clientWidth")


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.timeout(1500)  # on a busy machine
def test_real_images_from_training_to_the_comparison(page, shared, tmp_path):
    """Drop 2, keep 90 a class of the real sample, train on the cut by the form, and compare."""
    runs_dir, data = tmp_path / "runs", shared / "data" / "oct2017-sample_224.npz"
    launch = ["launch", "--name", "real", "--dataset", f"npz:{data}", "--seeds", "0", "--train-set", "balanced"]
    launch += [
        "--image-size",
        "32",
        "--backbone",
        "texturenet",
        "--weights",
        "shipped",
        "--epochs",
        "1",
        "--lr",
        "0.01",
    ]
    colora(*launch, "--runs-dir", str(runs_dir), "--wait")
    with served(runs_dir) as address:
        page.goto(f"{address}/images?group=real")
        page.locator(".tile img").nth(24).wait_for()
        page.locator(".tile").first.click()
        opened_image(page)
        page.get_by_text("224 × 224 px").wait_for()  # the original, larger than what the network reads

        page.goto(f"{address}/distil?group=real&drop=2&keep=90")
        page.get_by_text("discard the 2 of highest entropy and keep the next 90").wait_for()
        ready(page)
        page.get_by_label("Name of the cut").fill("sharp")
        page.get_by_label("Name of the cut").press("Tab")
        ready(page)
        page.get_by_role("button", name="Save the cut").click()
        page.get_by_role("button", name="Train on this cut").click()
        page.wait_for_url("**/launch**", timeout=LONG)
        page.get_by_text(re.compile("--cut sharp")).wait_for()
        page.get_by_text("Trainable:").wait_for(timeout=LONG)
        page.get_by_role("button", name="Launch", exact=True).click()
        page.wait_for_url("**/monitor?group=sharp", timeout=LONG)
        page.get_by_text("1 of 1 seeds done").wait_for(timeout=LONG)
        trained = Group(runs_dir / "sharp").runs[0].resolved
        assert trained.class_counts["used"] == [90] * 4 and trained.cut_hash == read_cut(runs_dir, "sharp").hash

        page.goto(f"{address}/distil?group=real&cut=sharp")
        page.get_by_text("Does the cut help? Compare it").wait_for()
        ready(page)
        page.get_by_text("Does the cut help? Compare it").click()
        page.get_by_role("button", name=re.compile("^Launch . groups")).click()
        page.wait_for_url("**/monitor**", timeout=LONG)
        for role in ("distilled", "random", "full"):
            page.goto(f"{address}/monitor?group=sharp-{role}")
            page.get_by_text("1 of 1 seeds done").wait_for(timeout=LONG)
        page.goto(f"{address}/distil?group=real&cut=sharp")
        page.get_by_text("Does the cut help? Compare it").wait_for()
        ready(page)
        page.get_by_text("Does the cut help? Compare it").click()
        row = page.get_by_role("row").filter(has_text="sharp-distilled")
        row.get_by_text(re.compile(r"0\.\d{3} \(1 seed\)")).first.wait_for()
    cut = json.loads(colora("cut", "show", "sharp", "--runs-dir", str(runs_dir), "--json"))
    assert cut["counts"]["kept"] == [90] * 4 and cut["counts"]["dropped"] == [2] * 4
    again = colora("distil", str(runs_dir / "real"), "--drop", "2", "--keep", "90", "--name", "again", "--json")
    assert json.loads(again)["hash"] == cut["hash"]


def test_the_tile_texts_are_never_read_as_html(page, fabricated):
    """A class named like a tag is shown as it is."""
    address, _ = fabricated
    page.goto(f"{address}/images?group=tagged")
    page.locator(".tile").nth(24).wait_for()
    assert page.locator(".tile .name").filter(has_text="<img src=x onerror=alert(1)>").count() > 0
    assert page.locator(".tile img[src=x]").count() == 0
