"""The classes of other data against those that models know."""

from types import SimpleNamespace

import numpy as np
import pytest

from colora.data.dataset import Dataset, Split
from colora.data.matching import match_classes
from colora.data.sources import Outside
from colora.system.errors import UserError

FOUR = ["CNV", "DME", "DRUSEN", "NORMAL"]


def models(names=FOUR, given=True):
    return SimpleNamespace(class_names=list(names), class_names_given=given)


def data(names, labels, given=True, own=None):
    """Outside data with these labels; each image is its own number."""
    n = len(labels)
    images = np.arange(n, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    ids, patients = (np.array([f"{letter}{i}" for i in range(n)]) for letter in "ip")
    split = Split(images, np.array(labels), ids, patients)
    dataset = Dataset({"all": split}, tuple(names), given, "folder:x", "every image")
    return Outside(dataset, "all", split, tuple(own or names))


def test_fewer_classes_are_matched_by_name_and_the_absent_ones_are_told():
    found = match_classes(models(), data(["NORMAL", "CNV", "DME"], [0, 0, 1, 2]))
    assert found.images.labels.tolist() == [3, 3, 0, 1]
    assert found.absent == ("DRUSEN",) and found.left_out == {} and found.warnings == ()
    assert found.classes[0] == {"own": "NORMAL", "given": None, "model": "NORMAL", "images": 2}


def test_a_class_that_has_no_image_is_absent_though_it_is_named():
    found = match_classes(models(), data(FOUR, [0, 1, 1]))
    assert found.absent == ("DRUSEN", "NORMAL")
    assert [row["images"] for row in found.classes] == [1, 2, 0, 0]


def test_names_may_differ_in_capitals_spaces_and_the_way_that_letters_are_stored():
    found = match_classes(models(["AMD", "drüsen", "07"]), data(["amd ", "DRU\u0308SEN", "7"], [0, 1, 2]))
    assert found.images.labels.tolist() == [0, 1, 2]
    assert [row["model"] for row in found.classes] == ["AMD", "drüsen", "07"]


def test_the_same_spelling_comes_before_another():
    known = models(["cnv", "CNV", "DME"])
    assert match_classes(known, data(["CNV", "DME", "cnv"], [0, 1, 2])).images.labels.tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("known", "names", "sentence"),
    [
        (["cnv", "CNV", "DME"], ["Cnv", "DME"], "has the class Cnv, and the models know cnv and CNV: which is which"),
        (["CNV", "DME"], ["CNV", "cnv", "DME"], "has the classes CNV and cnv, and the models know CNV: which is which"),
    ],
)
@pytest.mark.parametrize("leave_out", [False, True])
def test_a_name_that_fits_twice_is_refused(known, names, sentence, leave_out):
    with pytest.raises(UserError, match=sentence):
        match_classes(models(known), data(names, range(len(names))), leave_out)


def test_what_has_no_image_fits_nothing_twice():
    found = match_classes(models(["CNV", "DME"]), data(["CNV", "cnv", "DME", "EYE"], [1, 2, 2]))
    assert found.images.labels.tolist() == [0, 1, 1]


def test_unknown_classes_are_refused_by_name_or_left_out_and_counted():
    outside = data(["CNV", "ERM", "MH", "NORMAL"], [0, 1, 1, 2, 3])
    with pytest.raises(UserError) as error:
        match_classes(models(), outside)
    assert error.value.field == "class_names"
    assert str(error.value) == (
        "folder:x has the classes ERM (2 images), MH (1 image), unknown to the models; they know CNV, DME, DRUSEN, "
        "NORMAL. Name the data's classes in label order with --class-names, or leave their images out with "
        "--leave-out-unknown."
    )
    found = match_classes(models(), outside, leave_out_unknown=True)
    assert found.left_out == {"ERM": 2, "MH": 1}
    assert found.images.image_ids.tolist() == ["i0", "i4"] and found.images.labels.tolist() == [0, 3]
    assert found.images.images[:, 0, 0].tolist() == [0, 4] and found.images.patient_ids.tolist() == ["p0", "p4"]
    assert "Left out, since the models do not know the class: ERM (2 images), MH (1 image)." in found.warnings[0]
    assert [row["model"] for row in found.classes] == ["CNV", None, None, "NORMAL"]


@pytest.mark.parametrize("leave_out", [False, True])
def test_where_no_class_is_known_nothing_is_left(leave_out):
    with pytest.raises(UserError, match="no image of a class that the models know: it has A, B, and they know CNV"):
        match_classes(models(), data(["A", "B"], [0, 1]), leave_out)


def test_many_unknown_classes_are_one_short_sentence():
    names = ["CNV", *(f"patient {i:03d}" for i in range(400))]
    with pytest.raises(UserError) as error:
        match_classes(models(), data(names, range(200)))
    assert "patient 011 (1 image) and 187 more, unknown" in str(error.value) and len(str(error.value)) < 600
    with pytest.raises(UserError) as error:
        match_classes(models(), data(["CNV", "x" * 10_000], [0, 1, 1]))
    assert "x… (2 images), unknown" in str(error.value) and len(str(error.value)) < 600


def test_one_side_without_names_is_matched_in_order_where_the_numbers_agree():
    numbers = ["0", "1", "2", "3"]
    found = match_classes(models(), data(numbers, [3, 0], given=False))
    assert found.images.labels.tolist() == [3, 0]
    assert found.warnings == (
        "Only one side names its classes, so they were matched by sorted order: 0 as CNV, 1 as DME, 2 as DRUSEN, 3 as "
        "NORMAL.",
    )
    found = match_classes(models(numbers, given=False), data(numbers, [3, 0], given=False))
    assert "Neither the models nor the data name their classes, so they were matched by number: 0" in found.warnings[0]
    for known in (models(), models(numbers, given=False)):
        with pytest.raises(UserError, match=r"know 4 classes .* has 3 \(0, 1, 2\).* which is which is not known"):
            match_classes(known, data(numbers[:3], [0, 1, 2], given=False))
    with pytest.raises(UserError, match="has the class 5"):
        match_classes(models(numbers), data(["0", "5"], [0, 1]))


@pytest.mark.parametrize("given", [(True, True), (True, False), (False, True)])
def test_numbers_are_names_on_both_sides(given):
    known = models(["0", "1", "10", "2"], given[0])  # as text they are sorted otherwise than as numbers
    found = match_classes(known, data(["1", "2", "10"], [0, 1, 2], given[1]))
    assert found.images.labels.tolist() == [1, 3, 2] and found.absent == ("0",) and found.warnings == ()


def test_given_names_are_told_beside_the_datas_own():
    found = match_classes(models(), data(["cnv", "DRUSEN"], [0, 1, 1], own=["0", "1"]))
    assert found.classes == [
        {"own": "0", "given": "cnv", "model": "CNV", "images": 1},
        {"own": "1", "given": "DRUSEN", "model": "DRUSEN", "images": 2},
    ]
