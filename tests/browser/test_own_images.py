"""Images of one's own from the Data page to a result: what may be meant in two ways is answered by a click, the
settings go along to the launch, and the result says how the data were split and what was found in them."""

import re

import numpy as np
from browsing import STORY, choose, idle, served, type_in
from PIL import Image
from small_data import striped_images

pytestmark = STORY
TRAINING_SECONDS = 600


def write_eyes(root) -> None:
    """AMD1/TIFFs/001.tif ... NORMAL5: three classes of five patients."""
    for number, name in enumerate(("AMD", "DME", "NORMAL")):
        for patient in range(1, 6):
            folder = root / f"{name}{patient}" / "TIFFs"
            folder.mkdir(parents=True)
            for scan in range(4):
                image = striped_images(np.array([number]), 32, seed=100 * number + 10 * patient + scan)[0]
                Image.fromarray(image).save(folder / f"{scan + 1:03d}.tif")


def test_folders_of_patients_from_the_data_page_to_a_result(page, tmp_path):
    write_eyes(tmp_path / "eyes")
    with served(tmp_path / "runs") as address:
        page.goto(f"{address}/launch?start=quick-look")
        type_in(page, "Random seeds", "0", "--seeds 0 ")  # from here on the form is not as it is at first
        type_in(page, "Image size", "32", "--image-size 32")
        type_in(page, "Epochs", "1", re.compile(r"--epochs 1(?!\d)"))
        page.get_by_role("link", name="Data", exact=True).click()
        page.get_by_role("heading", name="ImageNet weights").wait_for()
        choose(page, "Set", "A folder of your own")
        type_in(page, "Folder of images", str(tmp_path / "eyes"), "3 classes (AMD, DME, NORMAL) of 15 patients?")
        page.get_by_role("button", name="Patients: the word is their class").click()
        page.get_by_text("15, by folder CLASSNUMBER; none of them in several splits.").wait_for()
        idle(page)
        assert "layout=class-number" in page.url
        page.get_by_role("button", name="Look for duplicates").click()
        page.get_by_text("Duplicates: none across splits or classes.").wait_for()

        page.get_by_role("link", name="Launch: train on it").click()
        page.get_by_text("Trains on 36 images: 12 of each class").wait_for()
        page.get_by_text("Duplicates: none across splits or classes.").wait_for()
        page.get_by_text(re.compile("--layout class-number")).wait_for()
        page.get_by_role("button", name="Launch", exact=True).press("Enter")
        page.wait_for_url(re.compile("/monitor"), timeout=1000 * TRAINING_SECONDS)
        page.get_by_text("1 of 1 seeds done").wait_for(timeout=1000 * TRAINING_SECONDS)
        page.get_by_text(
            "Split by patient, 70 / 15 / 15 % of the images, split seed 0. Patients: 15, by folder CLASSNUMBER; none "
            "of them in several splits. Duplicates: none across splits or classes."
        ).wait_for()
        idle(page)
