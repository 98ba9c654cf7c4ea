"""Scans from a person's own computer: a zip is dropped into the Data page, its classes are seen, it goes to the trash
and comes back; a folder keeps its sub-folders on the way."""

from browsing import STORY, button, choose, idle, served
from zips import class_files, zip_of

pytestmark = STORY


def test_a_zip_and_a_folder_come_in_by_the_data_page(page, tmp_path):
    (tmp_path / "eyes.zip").write_bytes(zip_of(class_files() | {"notes.dcm": b"x"}).getvalue())
    for name, content in class_files(5).items():
        (tmp_path / "clinic" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "clinic" / name).write_bytes(content)
    with served(tmp_path / "runs") as address:
        page.goto(f"{address}/data")
        page.get_by_role("heading", name="ImageNet weights").wait_for()
        choose(page, "Set", "A folder of your own")
        page.get_by_text("With one sub-folder of images for each class, below train").wait_for()
        page.locator("input[type=file]").set_input_files(tmp_path / "eyes.zip")
        page.get_by_text("12 images in 3 folders (AMD, DME, NORMAL)").first.wait_for()
        page.get_by_text("Left out: 1 .dcm (notes.dcm).").wait_for()
        page.get_by_text("Classes").first.wait_for()
        idle(page)
        place = tmp_path / "runs" / ".colora" / "uploads" / "eyes"
        assert page.get_by_label("Folder of images", exact=True).input_value() == str(place)
        assert "images=" in page.url and (place / "AMD" / "AMD-0-1.png").exists()

        button(page, "Remove …").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        page.get_by_role("dialog").wait_for(state="detached")
        button(page, "Remove …").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
        page.get_by_text("are in the trash.").wait_for()
        idle(page)
        assert not place.exists() and page.get_by_label("Folder of images", exact=True).input_value() == ""
        button(page, "Undo").click()
        page.get_by_role("link", name="Look at it").wait_for()
        idle(page)
        assert page.get_by_label("Folder of images", exact=True).input_value() == str(place) and place.is_dir()

        page.get_by_text("A folder", exact=True).click()
        page.get_by_text("Choose it with the button").first.wait_for()
        idle(page)
        page.locator("input[type=file][webkitdirectory]").set_input_files(tmp_path / "clinic")
        page.get_by_text("15 images in 3 folders (AMD, DME, NORMAL)").first.wait_for()
        idle(page)
        there = {str(path.relative_to(place.parent)) for path in place.parent.rglob("*.png")}
        assert {f"clinic/{name}" for name in class_files(5)} <= there
        page.get_by_role("link", name="Launch: train on it").click()
        page.get_by_text("Trains on").first.wait_for()
        idle(page)
