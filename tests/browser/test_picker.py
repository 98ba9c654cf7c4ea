"""A folder and a file of weights picked on the Launch form, by mouse and by keyboard; a wrong file is told before the
launch, and the network that it fits is a click away."""

import shutil

from browsing import PATIENCE_SECONDS, STORY, choose, idle, served, tab_to, type_in
from small_data import write_folder

from colora.networks.texturenet import WEIGHTS

pytestmark = STORY
COUNTS = "72 images: ONE 24, THREE 24, TWO 24"


def browse(page, field: str):
    return page.locator(f".st-key-browse-launch-{field}-path").get_by_role("button", name="Browse")


def dialog_with(page, text: str):
    """The open picker, once it says that."""
    found = page.get_by_test_id("stDialog")
    found.get_by_text(text, exact=True).first.wait_for()
    idle(page)
    return found


def closed(page) -> None:
    page.get_by_test_id("stDialog").wait_for(state="detached")


def test_a_folder_and_weights_are_picked_by_mouse_and_keyboard(page, tmp_path):
    from playwright.sync_api import expect

    home = tmp_path / "home"
    write_folder(home / "scans" / "oct")
    (home / "weights").mkdir()
    shutil.copy(WEIGHTS, home / "weights" / "some.safetensors")
    expect.set_options(timeout=1000 * PATIENCE_SECONDS)
    with served(tmp_path / "runs", environment={"HOME": str(home)}) as address:
        page.goto(f"{address}/launch?start=quick-look")
        type_in(page, "Random seeds", "3-1", "To be put right: Random seeds.")  # else each step waits for figures
        choose(page, "Images", "A folder of images")
        field = page.get_by_label("Folder", exact=True)
        field.wait_for()
        idle(page)

        browse(page, "dataset").click()
        picker = dialog_with(page, COUNTS)  # of `scans` in the home, which has one folder and below it the classes
        picker.get_by_role("button", name="scans").click()
        dialog_with(page, "oct")
        picker.get_by_role("button", name="oct", exact=True).click()
        picker = dialog_with(page, "24 images, in no sub-folder")
        picker.get_by_role("button", name="Up").click()
        picker = dialog_with(page, "scans")
        picker.locator(".st-key-picker-row-0").get_by_role("button", name="Take").click()
        closed(page)
        expect(field).to_have_value(str(home / "scans" / "oct"))
        page.get_by_text(f"Counted from the file names in {home / 'scans' / 'oct'}.").wait_for()
        idle(page)

        browse(page, "dataset").focus()
        page.keyboard.press("Enter")
        picker = dialog_with(page, "24 images, in no sub-folder")
        page.keyboard.press("Escape")
        closed(page)
        expect(field).to_have_value(str(home / "scans" / "oct"))
        idle(page)
        browse(page, "dataset").focus()
        page.keyboard.press("Enter")
        picker = dialog_with(page, "24 images, in no sub-folder")
        tab_to(page, picker.get_by_role("button", name="Up"))
        page.keyboard.press("Enter")
        picker = dialog_with(page, "scans")
        tab_to(page, picker.get_by_role("button", name="Take this folder"))
        page.keyboard.press("Enter")
        closed(page)
        expect(field).to_have_value(str(home / "scans"))
        idle(page)

        choose(page, "Backbone", "ResNet-18")
        choose(page, "Weights to start from", "A weights file")
        browse(page, "weights").wait_for()
        idle(page)
        browse(page, "weights").click()
        picker = dialog_with(page, "weights")
        picker.get_by_role("button", name="weights", exact=True).click()
        picker.get_by_text("fits TextureNet (small, shipped)").wait_for()
        idle(page)
        picker.get_by_role("button", name="Take", exact=True).click()
        closed(page)
        page.get_by_text("is not for resnet18").or_(page.get_by_text("has no weight of resnet18")).first.wait_for()
        idle(page)
        page.get_by_text("To be put right: Random seeds, Weights file.").wait_for()
        page.get_by_role("button", name="Take TextureNet").click()
        page.get_by_text("It fits TextureNet (small, shipped).").wait_for()
        page.get_by_text("To be put right: Random seeds.").wait_for()
        idle(page)
