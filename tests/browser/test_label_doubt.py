"""Wrong labels in a real browser: the models doubt them, a reader judges one, the others go, and training goes on."""

import pytest
from browsing import STORY, choose, idle, served
from fabricate import COUNTS, fabricate, mislabel

from colora.data.cuts import read_cut
from colora.distillation.scores import read_predictions
from colora.distillation.verdicts import current
from colora.runs.folder import Group

pytestmark = STORY


@pytest.fixture(scope="module")
def mislabelled(tmp_path_factory):
    runs_dir = tmp_path_factory.mktemp("doubts") / "runs"
    mislabel(fabricate(runs_dir, "doubts", ["done"] * 3, {"folds": 3}), every=10)
    with served(runs_dir) as address:
        yield address, runs_dir


def ready(tab) -> None:
    tab.wait_for_timeout(200)  # a click reaches the server a moment later
    idle(tab)


def test_doubted_labels_are_looked_at_judged_and_left_out(page, mislabelled):
    address, runs_dir = mislabelled
    told = read_predictions(Group(runs_dir / "doubts"), "train").label_doubt
    page.goto(f"{address}/images?group=doubts")
    page.locator(".tile").nth(24).wait_for()
    ready(page)
    choose(page, "Sort by", "Label doubt")
    page.get_by_text(f"{told.doubted.sum()} of 400 labels are doubted").wait_for()
    page.get_by_text("Filters", exact=True).click()
    page.get_by_text("Doubted", exact=True).click()
    page.get_by_text(f"1 to 25 of {told.doubted.sum()}").wait_for()
    ready(page)

    first = page.locator(".tile").nth(0).get_attribute("data-id")
    page.locator(".tile").nth(0).click()
    page.locator(f'canvas[data-ready="{first}"]').wait_for()
    page.get_by_text("the others have learned its label").wait_for()
    ready(page)
    found = read_predictions(Group(runs_dir / "doubts"), "train")
    label = int(found.images.set_index("image_id")["label"][first]) - 1  # as it was before it was planted
    right = found.class_names[label]
    choose(page, "The right class, of a wrong label", right)
    ready(page)
    page.locator(".verdicts").get_by_role("button", name="Wrong label").click()
    page.locator(".standing", has_text=f"Your verdict: Wrong label, rather {right}").wait_for()
    ready(page)
    judged = current(runs_dir, "0" * 64)
    assert judged[["image_id", "label"]].values.tolist() == [[first, label % 4]]

    page.goto(f"{address}/distil?group=doubts")
    page.get_by_text("By label doubt").click()
    page.get_by_text("Discard the images whose labels confident learning doubts").wait_for()
    page.get_by_text("Use corrected labels").click()
    page.get_by_text("holds for right, with corrected labels").wait_for()
    ready(page)
    page.get_by_role("button", name="Save the cut").click()
    page.get_by_text("Saved as doubts-labels.").wait_for()
    cut = read_cut(runs_dir, "doubts-labels")
    assert sum(cut.counts["dropped"]) == told.doubted.sum() - 1
    assert cut.labels == {first: label % 4} and len(cut.image_ids) == sum(COUNTS["train"]) - told.doubted.sum() + 1

    page.get_by_role("button", name="Train on it").click()
    page.get_by_text("The settings of doubts, on the cut doubts-labels.").wait_for()
    ready(page)
    command = page.get_by_test_id("stCode").first.inner_text()
    assert "--cut doubts-labels" in command and "--folds" not in command
