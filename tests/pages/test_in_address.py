"""No address names an image or a patient; every address opens what it means, also one of an older version."""

from pathlib import Path

import pytest
from fabricate import fabricate, patients
from image_pages import CHECKSUM, act, groups_of_each_kind, ids, shown, sorted_ids
from opened import ran, texts

from colora.plots import SPLIT_NAMES
from pages.components.images import in_address
from pages.components.images.in_address import code, meant

IDS = ["Müller^Anna-1.jpeg", "train-0001", "train-0002"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    path = groups_of_each_kind(tmp_path_factory.mktemp("runs"))
    fabricate(path, "with-patients", ["done"], with_patients=True)
    return path


def address(app) -> str:
    return str(dict(app.query_params.items()))


def test_a_code_is_the_same_for_the_same_data_and_another_one_for_others():
    assert code(CHECKSUM, IDS[0]) == "5e683bbe571c837b" == code(CHECKSUM, IDS[0])
    assert code("1" * 64, IDS[0]) != code(CHECKSUM, IDS[0])
    assert code(CHECKSUM, "a\udcff") != code(CHECKSUM, "a")


def test_what_an_address_means():
    assert [meant(CHECKSUM, IDS, code(CHECKSUM, name)) for name in IDS] == IDS
    assert [meant(CHECKSUM, IDS, name) for name in IDS] == IDS  # of an older version
    assert meant("1" * 64, IDS, code(CHECKSUM, IDS[0])) is None
    assert meant(CHECKSUM, IDS, "0" * 16) is None
    assert meant(CHECKSUM, [IDS[0], IDS[0]], code(CHECKSUM, IDS[0])) == IDS[0]


def test_of_two_images_with_the_same_code_neither_is_taken_for_the_other(monkeypatch):
    monkeypatch.setattr(in_address, "DIGITS", 0)
    assert meant(CHECKSUM, IDS, "") is None
    assert meant(CHECKSUM, IDS[:1], "") == IDS[0]


def test_an_image_that_is_opened_stands_in_the_address_by_its_code(open_images, runs):
    order = sorted_ids(runs, "three-done", "train")
    app = act(open_images("three-done"), "open", order[2], "grid")
    assert shown(app, "large")["id"] == order[2]
    assert code(CHECKSUM, order[2]) in address(app) and order[2] not in address(app)
    app.button(key="step-on").click()
    assert shown(ran(app), "large")["id"] == order[3]
    assert code(CHECKSUM, order[3]) in address(app)
    colleague = open_images("three-done", image=code(CHECKSUM, order[3]))
    assert shown(colleague, "large")["id"] == order[3]
    assert ids(colleague, "neighbours") == ids(app, "neighbours")


def test_a_link_of_an_older_version_opens_and_loses_the_name(open_images, runs):
    image = sorted_ids(runs, "three-done", "train")[0]
    app = open_images("three-done", image=image)
    assert shown(app, "large")["id"] == image
    assert code(CHECKSUM, image) in address(app) and image not in address(app)


def test_a_link_to_an_image_of_other_data_says_that_it_is_not_here(open_images):
    asked = code("1" * 64, "train-0001")
    assert f"There is no image '{asked}'" in texts(open_images("three-done", image=asked))


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("part", [None, "Train", "Validation", "Test"])
def test_a_link_opens_its_image_in_whichever_split_it_is(open_images, split, part):
    image, named = f"{split}-0007", {"part": part} if part else {}
    for asked in (code(CHECKSUM, image), image):
        app = open_images("three-done", image=asked, **named)
        assert shown(app, "large")["id"] == image and not app.warning
        assert app.segmented_control(key="part").value == split and app.segmented_control(key="view").value == "browse"
        assert app.query_params.get("part", "Train") == SPLIT_NAMES[split]
        assert code(CHECKSUM, image) in address(app) and image not in address(app)


def test_another_split_that_is_chosen_while_an_image_is_open_shows_its_own_grid(open_images):
    app = open_images("three-done", image=code(CHECKSUM, "val-0007"))
    app.segmented_control(key="part").set_value("test")
    assert len(ids(ran(app))) == 25 and not shown(app, "large")
    assert app.segmented_control(key="part").value == "test" and "image" not in address(app)


def test_a_damaged_split_is_not_looked_through_and_the_next_is(open_images, runs):
    app = open_images("torn", image=code(CHECKSUM, "test-0007"), part="Validation")
    assert shown(app, "large")["id"] == "test-0007"


@pytest.mark.parametrize(("page", "key"), [("evaluate", "behind"), ("distil", "cut-kept")])
def test_an_image_of_another_page_is_opened_by_its_code(open_images, page, key):
    app = open_images("three-done", page=page)
    image = ids(app, key)[0]
    act(app, "open", image, key)
    assert code(CHECKSUM, image) in address(app) and image not in address(app)


def test_the_same_image_of_another_group_is_linked_by_its_code(open_images, runs):
    image = sorted_ids(runs, "three-done", "train")[4]
    app = open_images("three-done", image=image)
    app.session_state["other"] = True
    links = [link.proto.query_string for link in ran(app).get("page_link")]
    assert any(f"image={code(CHECKSUM, image)}" in link for link in links) and image not in str(links)


def test_a_patient_stands_in_the_address_by_a_code(open_images):
    whose = patients("train")[0]
    app = open_images("with-patients")
    app.text_input(key="patient").set_value(whose)
    assert len(ids(ran(app))) == 2
    assert code(CHECKSUM, whose) in address(app) and whose not in address(app)
    for asked in (code(CHECKSUM, whose), whose):
        again = open_images("with-patients", patient=asked)
        assert ids(again) == ids(app) and again.text_input(key="patient").value == whose
        assert whose not in address(again)
    app.text_input(key="patient").set_value("somebody else")
    assert "No image passes all the filters." in texts(ran(app)) and "somebody else" not in address(app)
    assert len(ids(open_images("with-patients", patient=code(CHECKSUM, "somebody else")))) == 25
