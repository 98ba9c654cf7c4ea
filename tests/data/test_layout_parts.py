"""Which folders are splits, classes and patients, by their names alone: no image is opened."""

import re
import shutil
from pathlib import Path

import pytest

from colora.data.layout import folder_catalogue
from colora.data.patients import by_pattern
from colora.data.splits import splits_named
from colora.system.errors import UserError


def put(root: Path, *folders: str, images: int = 3) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(images):
            (root / folder / f"{i}.png").touch()
    return root


def refused(root: Path, sentence: str, field: str = "layout", **more) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)) as error:
        folder_catalogue(root, **more)
    assert error.value.field == field


@pytest.mark.parametrize(
    "names",
    [
        ("1_train", "2_val", "3_test"),
        ("OCT_train", "OCT_val", "OCT_test"),
        ("train images", "valid images", "test images"),
        ("Trainingsdaten", "Validierung", "Testdaten"),
    ],
)
def test_splits_are_known_by_the_word_in_which_their_names_differ(tmp_path, names):
    put(tmp_path, *(f"{name}/{c}" for name in names for c in ("CNV", "DME")))
    found = folder_catalogue(tmp_path)
    assert found.class_names == ("CNV", "DME")
    assert [path.partition("/")[0] for path in found.paths] == [names[split] for split in found.given]
    assert found.given_by == f"the folders {', '.join(names)}"


@pytest.mark.parametrize("names", [("late test", "early train"), ("x train",), ("train test", "a")])
def test_names_that_differ_in_more_are_no_splits(names):
    assert splits_named(names) == [None] * len(names)


@pytest.mark.parametrize("name", ["test", "val"])
def test_a_test_or_validation_folder_alone_is_not_trained_on_unasked(tmp_path, name):
    put(tmp_path, f"oct/{name}/CNV", f"oct/{name}/DME")
    refused(tmp_path, f"has the folder {name} and no training images: add a folder train, or split", "ignore_splits")
    assert folder_catalogue(tmp_path, ignore_splits=True).given is None
    assert len(folder_catalogue(tmp_path, to_train=False).paths) == 6


def test_splits_below_some_classes_only_are_not_pooled_unasked(tmp_path):
    root = put(tmp_path / "none", "CNV/train", "CNV/test", "DME")
    refused(root, "CNV has the folders test, train, and DME has images that lie in no split: put them")
    assert folder_catalogue(root, layout="classes").given is None
    root = put(tmp_path / "beside", "CNV/train", "CNV/test", "CNV", "DME/train", "DME/test")
    refused(root, "and CNV has images beside these that lie in no split")
    root = put(tmp_path / "fewer", "CNV/train", "CNV/test", "DME/train")
    refused(root, "its test split lacks DME", "ignore_splits")
    root = put(tmp_path / "twice", "CNV/train", "CNV/test", "CNV/Testing", "DME/train", "DME/test")
    refused(root, "has the folders Testing, test, which both mean its test split", "dataset")


def test_classes_that_differ_in_case_between_splits(tmp_path):
    put(tmp_path, "train/CNV", "train/Normal", "test/CNV", "test/NORMAL")
    refused(tmp_path, "has NORMAL, not in train. Capitals and blanks count. Name the", "ignore_splits")


def test_classes_named_as_splits(tmp_path):
    put(tmp_path, "test", "train")
    refused(tmp_path, "If these are classes and no splits, say so with --layout classes.", "dataset")
    assert folder_catalogue(tmp_path, layout="classes").class_names == ("test", "train")


def test_one_odd_folder_does_not_make_patients_classes(tmp_path):
    put(tmp_path, *(f"{c}{p}/TIFFs" for c in ("AMD", "DME") for p in (1, 2, 3)), "sample")
    refused(tmp_path, "6 folders named as AMD1 ... DME3 beside the folder sample: 2 classes (AMD, DME) of 6 patients? "
            "Then take sample out and say --layout class-number; if they are 7 classes, --layout classes.")  # fmt: skip
    root = put(tmp_path / "x", "AMD1", "AMD2", "DME1", "DME2", "NORMAL1")
    refused(root, "3 classes (AMD, DME, NORMAL) of 5 patients?")


def test_numbers_in_brackets_as_windows_counts(tmp_path):
    put(tmp_path, *(f"{c} ({p})" for c in ("AMD", "DME") for p in (1, 2, 3)))
    refused(tmp_path, "2 classes (AMD, DME) of 6 patients?")
    found = folder_catalogue(tmp_path, layout="class-number")
    assert found.class_names == ("AMD", "DME") and len(set(found.patients.ids)) == 6


def test_a_class_without_images_is_told_of_in_splits_too(tmp_path):
    put(tmp_path, "train/CNV", "train/DME", "test/CNV", "test/DME")
    (tmp_path / "train" / "NORMAL").mkdir()
    (tmp_path / "train" / "NORMAL" / "a.e2e").touch()
    (tmp_path / "val").mkdir()
    found = folder_catalogue(tmp_path)
    assert any("are no class and no split: val, train/NORMAL." in said for said in found.warnings)
    assert found.not_read.counts == {".e2e": {"NORMAL": 1}}


def test_two_hundred_classes_are_not_each_called_small(tmp_path):
    put(tmp_path, *(f"class {a}{b}" for a in "abcdefghijklmnopqrst" for b in "abcdefghij"), images=3)
    put(tmp_path, "big", images=2000)
    said = folder_catalogue(tmp_path).warnings
    assert said == ()
    put(tmp_path, *(f"tiny {a}" for a in "abcdefg"), images=1)
    put(tmp_path, "big", images=3000)
    said = folder_catalogue(tmp_path).warnings
    assert len([one for one in said if "is it one?" in one]) == 5 and "202 more classes have as few images." in said


def test_what_is_there_is_told_where_there_is_no_class(tmp_path):
    for i in range(3):
        put(tmp_path / "dicom", "CNV", images=0)
        (tmp_path / "dicom" / "CNV" / f"{i}.dcm").touch()
    (tmp_path / "dicom" / "CNV" / "IM0001").touch()
    refused(tmp_path / "dicom", "What is there is not read: 3 .dcm, 1 without an ending. Export the images", "dataset")
    refused(put(tmp_path / "flat", ""), "3 images lie in no sub-folder: put them into one a class, or name a table",
            "dataset")  # fmt: skip
    put(tmp_path / "cache", "blobs", "cache/CNV", "cache/DME", images=3)
    shutil.rmtree(tmp_path / "cache" / "cache")
    for c in ("CNV", "DME"):
        (tmp_path / "cache" / "snapshot" / c).mkdir(parents=True)
        (tmp_path / "cache" / "snapshot" / c / "a.png").symlink_to(f"../../blobs/{c == 'CNV':d}.png")
    refused(tmp_path / "cache", "Its 2 links, such as snapshot/CNV/a.png, were not followed, since what they lead to",
            "dataset")  # fmt: skip


def test_sub_folders_that_tell_nothing_may_be_patients(tmp_path):
    put(tmp_path, *(f"{c}/{name}" for c in ("CNV", "DME") for name in ("Anna", "Berta")))
    said = next(one for one in folder_catalogue(tmp_path).warnings if "CNV lie in its sub-folders" in one)
    pattern = re.search("--patient-pattern '(.*)'", said)[1]
    assert by_pattern(["CNV/Anna/0.png", "train/DME/Berta/1.png"], pattern).ids.tolist() == ["Anna", "Berta"]


def test_two_sets_with_splits_are_not_two_classes(tmp_path):
    def arranged(name, outer, inner):
        return put(tmp_path / name, *(f"{a}/{split}/{c}" for a in outer for split in ("train", "test") for c in inner))

    root = arranged("sets", ("OCT2017", "OCT2017 (1)"), ("CNV", "DME"))
    refused(root, f"CNV, DME: if those are the classes, choose one of the sets, as folder:{root / 'OCT2017'};")
    eyes = arranged("eyes", ("CNV", "DME"), ("OD", "OS"))
    found = folder_catalogue(eyes)
    assert found.class_names == ("CNV", "DME") and found.given_by == "the folders train, test"
    assert sum("lie in its sub-folders (OD, OS), which" in said for said in found.warnings) == 2  # one a class


def test_splits_further_below_are_not_pooled_unasked(tmp_path):
    inner = [f"data/oct/{split}/{c}" for split in ("train", "test") for c in ("CNV", "DME")]
    root = put(tmp_path / "x", *inner, "figures")
    refused(root, f"data/oct has the folders test, train. If these are the splits, choose folder:{root / 'data/oct'};")
    assert folder_catalogue(root, layout="classes").class_names == ("data", "figures")


def test_masks_without_scans_are_told(tmp_path):
    put(tmp_path, "CNV", "DME")
    for i in range(3):
        put(tmp_path, "Masks", images=0)
        (tmp_path / "Masks" / f"other{i}.png").touch()
    (said,) = folder_catalogue(tmp_path).warnings
    assert said == "The class 'Masks' is named as a folder of masks, and no scans lie beside them: is it a class?"


@pytest.mark.parametrize("copy", ["CNV - Copy", "CNV (1)", "Copy of CNV", "CNV - Kopie (2)", "CNV copy 2"])
def test_a_copy_of_a_class_is_told(tmp_path, copy):
    said = folder_catalogue(put(tmp_path, "CNV", "DME", copy, "DME late copy")).warnings
    assert [one for one in said if "copy of" in one] == [
        f"The class {copy!r} is named as a copy of 'CNV': if it is one, take it out."
    ]


def test_folders_of_patients_above_the_classes_are_asked_about(tmp_path):
    root = put(tmp_path / "oct", *(f"P{p:03}/{c}" for p in range(4) for c in ("CNV", "NORMAL")))
    refused(root, "has 4 folders named as P000 ... P003, with the folders CNV, NORMAL below them. If those below are")
    assert len(folder_catalogue(root, layout="classes").class_names) == 4
    eyes = put(tmp_path / "eyes", *(f"{grade}/{eye}" for grade in range(4) for eye in ("OD", "OS")))
    assert folder_catalogue(eyes).class_names == ("0", "1", "2", "3")
