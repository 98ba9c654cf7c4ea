"""Folders as people have them, and what each is taken for: classes, splits, patients, what is no image of the set."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colora.data import not_images
from colora.data.check import check, look
from colora.data.layout import folder_catalogue
from colora.data.sources import SPLITS, load_dataset
from colora.settings.config import make_config
from colora.system.errors import UserError

FOUR = ("CNV", "DME", "DRUSEN", "NORMAL")


def scan(path: Path, seed: int = 0, side: int = 24) -> None:
    """One small grey noise image, another for each path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, *os.fsencode(str(path.name)), *os.fsencode(path.parent.name)])
    Image.fromarray(rng.integers(0, 255, (side, side), dtype=np.uint8)).save(path)


def kermany(root: Path, patients: int = 6, first: int = 100, names: tuple[str, ...] = FOUR) -> Path:
    """CLASS/CLASS-PATIENT-N.jpeg, two scans a patient."""
    for c, name in enumerate(names):
        for patient in range(first + 1000 * c, first + 1000 * c + patients):
            for n in (1, 2):
                scan(root / name / f"{name}-{patient}-{n}.jpeg")
    return root


def settings(root: Path, **more):
    return make_config({"dataset": f"folder:{root}", "image_size": 16, **more})


def found(root: Path, **more):
    return look(settings(root, **more))


def totals(document) -> tuple[int, ...]:
    return tuple(sum(document["counts"][split].values()) for split in SPLITS)


def refused(root: Path, sentence: str, field: str, **more) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        found(root, **more)
    assert error.value.field == field


def all_splits(root: Path, names: tuple[str, str, str] = ("train", "val", "test")) -> Path:
    for name, patients, first in zip(names, (6, 2, 2), (100, 300, 500), strict=True):
        kermany(root / name, patients, first)
    return root


@pytest.mark.parametrize(
    "names", ["train val test", "Training Valid TESTING", "TRAIN dev Test", "train validation test"]
)
@pytest.mark.parametrize("above", ["", "OCT2017", "a/b c"])
def test_given_splits_count_whatever_their_case_and_whatever_lies_above(tmp_path, names, above):
    names = tuple(names.split())
    all_splits(tmp_path / "zip" / above, names)
    document = found(tmp_path / "zip")
    assert document["classes"] == list(FOUR)
    assert document["counts"] == {s: dict.fromkeys(FOUR, n) for s, n in zip(SPLITS, (12, 4, 4), strict=True)}
    assert document["split_rule"] == f"as given by the folders {', '.join(names)}"
    assert document["patients"] == {
        "known": True, "n": 40, "from": "file name CLASS-PATIENT-N", "in_several_splits": 0,
    }  # fmt: skip
    assert document["warnings"] == []
    data = load_dataset(settings(tmp_path / "zip"))
    for split, name in zip(SPLITS, names, strict=True):
        prefix = f"{above}/{name}/" if above else f"{name}/"
        assert all(image.startswith(prefix) for image in data.splits[split].image_ids)


def test_validation_is_cut_from_train_by_patient_and_test_stays(tmp_path):
    kermany(tmp_path / "train", 8, 100)
    kermany(tmp_path / "test", 2, 500)
    document = found(tmp_path)
    assert totals(document) == (48, 16, 16)  # 8 patients a class: one and a part of a second are 15 %
    assert document["split_rule"] == (
        "as given by the folders train, test; validation cut from train by patient, 15 % of its images, split seed 0"
    )
    data = load_dataset(settings(tmp_path))
    train, val, test = (data.splits[s] for s in SPLITS)
    assert not set(train.patient_ids) & set(val.patient_ids)
    assert all(image.startswith("train/") for image in [*train.image_ids, *val.image_ids])
    assert all(image.startswith("test/") for image in test.image_ids)
    others = load_dataset(settings(tmp_path, split_seed=1))
    assert set(others.splits["val"].image_ids) != set(val.image_ids)
    assert np.array_equal(others.splits["test"].images, test.images)


def test_train_alone_with_validation_has_its_test_cut(tmp_path):
    kermany(tmp_path / "train", 10, 100)
    kermany(tmp_path / "val", 2, 500)
    document = found(tmp_path)
    assert document["split_rule"].startswith("as given by the folders train, val; test cut from train by patient")
    assert sum(document["counts"]["val"].values()) == 16 and sum(document["counts"]["test"].values()) > 0


def test_only_a_train_folder_is_split_like_any_other(tmp_path):
    kermany(tmp_path / "train", 6)
    assert found(tmp_path)["split_rule"] == "by patient, 70 / 15 / 15 % of the images, split seed 0"


def test_splits_below_the_classes_count_too(tmp_path):
    for name in ("CNV", "DME"):
        for split, n in (("train", 6), ("val", 2), ("test", 2)):
            for i in range(n):
                scan(tmp_path / name / split / f"{split}{i}.png")
    document = found(tmp_path)
    assert document["classes"] == ["CNV", "DME"] and totals(document) == (12, 4, 4)


def test_the_given_splits_can_be_pooled(tmp_path):
    all_splits(tmp_path)
    document = found(tmp_path, ignore_splits=True)
    assert document["split_rule"].endswith("split seed 0; the folders train, val, test were pooled")
    assert sum(totals(document)) == 80 and document["patients"]["in_several_splits"] == 0


def test_a_patient_in_two_given_splits_is_counted_and_said(tmp_path):
    all_splits(tmp_path)
    scan(tmp_path / "test" / "CNV" / "CNV-100-3.jpeg")
    document = found(tmp_path)
    assert document["patients"]["in_several_splits"] == 1
    assert document["warnings"][0].startswith("1 of 17 test images are of patients who are in training too")


def test_a_lone_class_among_splits_other_classes_and_no_training_are_sentences(tmp_path):
    all_splits(tmp_path / "lone")
    scan(tmp_path / "lone" / "DRUSEN" / "a.png")
    refused(tmp_path / "lone", "has the folder DRUSEN beside the folders test, train, val: put classes into", "layout")
    assert len(found(tmp_path / "lone", layout="classes")["classes"]) == 4
    all_splits(tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / "test" / "DME")
    (tmp_path / "other" / "val" / "CNV").rename(tmp_path / "other" / "val" / "cnv")
    refused(tmp_path / "other", "in its val split than in train: its val split lacks CNV and its val split has cnv,",
            "ignore_splits")  # fmt: skip
    assert found(tmp_path / "other", ignore_splits=True)["classes"] == [*FOUR, "cnv"]
    all_splits(tmp_path / "untrained")
    shutil.rmtree(tmp_path / "untrained" / "train")
    refused(tmp_path / "untrained", "has the folders val, test and no training images", "ignore_splits")
    all_splits(tmp_path / "two")
    kermany(tmp_path / "two" / "validation", 1, 900)
    refused(tmp_path / "two", "has the folders val, validation, which both mean its val split", "dataset")


def test_images_of_a_split_in_no_class(tmp_path):
    for split in ("train", "test"):
        scan(tmp_path / split / "a.png")
    refused(tmp_path, "the images of train lie in no class folder: put them into one sub-folder a class", "dataset")


def test_folders_of_patients(tmp_path):
    """Counted anew in each class they are others in each; with numbers of their own one number is one person."""
    for name in ("AMD", "DRUSEN", "NORMAL"):
        for patient in range(1, 7):
            for n in range(4):
                scan(tmp_path / "counted" / name / str(patient) / f"{n}.jpg")
                scan(tmp_path / "own" / name / f"P{patient * 37}" / f"{n}.jpg")
    counted, own = found(tmp_path / "counted"), found(tmp_path / "own")
    assert counted["patients"]["n"] == 18
    assert counted["patients"]["from"] == "folder CLASS/PATIENT, counted anew in each class"
    assert totals(counted) == (48, 12, 12) and counted["classes"] == ["AMD", "DRUSEN", "NORMAL"]
    assert (own["patients"]["n"], own["patients"]["from"]) == (6, "folder CLASS/PATIENT")
    data = load_dataset(settings(tmp_path / "counted"))
    by_split = [{image.rpartition("/")[0] for image in data.splits[s].image_ids} for s in SPLITS]
    assert sum(map(len, by_split)) == 18  # no folder in two splits


def test_patients_counted_through_the_splits_of_a_class(tmp_path):
    """1 to 5 in training and 6 to 8 in test, in each class: 16 patients, of whom none is in both."""
    for name in ("DRUSEN", "NORMAL"):
        for patient in range(1, 9):
            scan(tmp_path / ("train" if patient < 6 else "test") / name / str(patient) / "0.png")
    ids = folder_catalogue(tmp_path).patients.ids
    assert len(set(ids)) == 16 and "DRUSEN/6" in ids


def test_sub_folders_that_are_no_patients_are_told(tmp_path):
    for name in ("AMD", "NORMAL"):
        for kind in ("dry", "wet"):
            for n in range(4):
                scan(tmp_path / name / kind / f"{n}.png")
    document = found(tmp_path)
    assert not document["patients"]["known"]
    assert any("The images of AMD lie in its sub-folders (dry, wet)" in said for said in document["warnings"])


def test_numbered_class_folders_are_asked_about(tmp_path):
    for name in ("AMD", "DME", "NORMAL"):
        for patient in range(1, 6):
            for n in range(1, 5):
                scan(tmp_path / f"{name}{patient}" / "TIFFs" / "8bitTIFFs" / f"{n:03d}.tif")
    refused(tmp_path, r"15 folders .* AMD1 ... NORMAL5: 3 classes \(AMD, DME, NORMAL\) of 15 patients\?", "layout")
    document = found(tmp_path, layout="class-number")
    assert document["classes"] == ["AMD", "DME", "NORMAL"] and sum(totals(document)) == 60
    assert document["patients"] == {"known": True, "n": 15, "from": "folder CLASSNUMBER", "in_several_splits": 0}
    assert len(found(tmp_path, layout="classes")["classes"]) == 15
    scan(tmp_path / "OTHER" / "a.tif")
    refused(tmp_path, "the folder OTHER is not named as CLASS and a number", "layout", layout="class-number")


def test_grades_are_classes_and_not_asked_about(tmp_path):
    for grade in ("stage1", "stage2", "stage3"):
        for n in range(6):
            scan(tmp_path / grade / f"{n}.png")
    assert found(tmp_path)["classes"] == ["stage1", "stage2", "stage3"]


def test_a_viewers_names_tell_no_patient(tmp_path):
    for name in ("CNV", "NORMAL"):
        for n in range(8):
            scan(tmp_path / name / f"IM-0001-{n:04d}.jpg")
    document = found(tmp_path)
    assert document["patients"]["known"] is False and "by image" in document["split_rule"]


def test_one_odd_name_costs_the_others_nothing(tmp_path):
    kermany(tmp_path)
    scan(tmp_path / "CNV" / "CNV-100-1 (1).jpeg")
    document = found(tmp_path)
    assert document["patients"]["n"] == 25
    assert document["warnings"] == [
        "1 of 49 images tells no patient (file name CLASS-PATIENT-N); it counts as a patient of its own: "
        "CNV/CNV-100-1 (1).jpeg."
    ]


def test_a_pattern_reaches_into_the_path(tmp_path):
    for name in ("A", "B"):
        for patient in ("x1", "x2", "x3", "x4"):
            for n in range(2):
                scan(tmp_path / name / "scans" / patient / f"{n}.png")
    assert not found(tmp_path)["patients"]["known"]
    for pattern in (r"scans/(?P<patient>\w+)/", r"(?P<patient>x\d)"):  # a / asks for the path; no name has an x
        document = found(tmp_path, patient_pattern=pattern)
        assert (document["patients"]["n"], document["patients"]["from"]) == (4, f"patient_pattern {pattern}")
    scan(tmp_path / "A" / "odd.png")
    document = found(tmp_path, patient_pattern=r"scans/(?P<patient>\w+)/")
    assert document["patients"]["n"] == 5 and "A/odd.png" in document["warnings"][0]


def test_what_is_not_data_is_left_out_and_counted(tmp_path):
    kermany(tmp_path)
    for image in sorted((tmp_path / "CNV").iterdir()):
        scan(tmp_path / "CNV" / "@eaDir" / image.name / "SYNOPHOTO_THUMB_M.jpg")
        scan(tmp_path / "CNV" / f"{image.stem}_mask.png")
    scan(tmp_path / "DME" / "thumb_DME-1100-1.jpeg")
    for image in sorted((tmp_path / "DRUSEN").iterdir()):
        scan(tmp_path / "DRUSEN" / "masks" / f"{image.stem}.png")
    scan(tmp_path / "__MACOSX" / "CNV" / "._CNV-100-1.jpeg")
    (tmp_path / "DME" / "Thumbs.db").touch()
    (tmp_path / "DME" / ".DS_Store").touch()
    (tmp_path / "README.txt").touch()
    (tmp_path / "NORMAL" / "a.dcm").touch()
    (tmp_path / "NORMAL" / "notes").touch()
    document = found(tmp_path)
    assert sum(totals(document)) == 48 and document["classes"] == list(FOUR)
    assert document["not_read"]["by_reason"] == {
        ".dcm": 1, "@eaDir": 12, "Thumbs.db": 1, "__MACOSX": 1, "hidden": 1, "mask": 24, "no ending": 1, "thumbnail": 1,
    }  # fmt: skip
    assert document["not_read"]["n"] == 42
    assert document["not_read"]["by_class"]["mask"] == {"CNV": 12, "DRUSEN": 12}
    assert document["not_read"]["examples"][".dcm"] == ["NORMAL/a.dcm"]


def test_what_only_looks_like_a_mask_is_an_image(tmp_path):
    """A name that is taken for a mask has its scan beside it."""
    for name in ("mask_like", "normal"):
        for n in range(6):
            scan(tmp_path / name / f"{n}_mask.png")
    document = found(tmp_path)
    assert document["classes"] == ["mask_like", "normal"] and document["not_read"]["n"] == 0
    assert not_images.paired(["a.jpg", "a_mask.png", "b-seg.png", "mask_a.png", "a.jpg.thumb.jpg"]) == {
        "a_mask.png": "mask", "mask_a.png": "mask", "a.jpg.thumb.jpg": "thumbnail",
    }  # fmt: skip


def test_masks_without_a_pair_are_found_by_their_two_values(tmp_path):
    kermany(tmp_path)
    for n in range(3):
        two = np.zeros((24, 24), np.uint8)
        two[: n + 4] = 255
        Image.fromarray(two).save(tmp_path / "DME" / f"DME-77{n}-1.png")
    Image.fromarray(np.full((24, 24), 9, np.uint8)).save(tmp_path / "DME" / "DME-999-1.png")  # blank is no mask
    data = load_dataset(settings(tmp_path))
    assert sum(map(len, data.splits.values())) == 49
    assert "3 of 52 images have two grey values only, as masks have, and were left out: DME/DME-770-1.png, " in (
        " ".join(data.warnings)
    )
    assert len(data.left_out) == 3
    assert check(settings(tmp_path))["not_read"]["by_reason"] == {"mask": 3}


def test_jfif_and_jpe_are_jpegs(tmp_path):
    kermany(tmp_path)
    for image in sorted((tmp_path / "CNV").iterdir())[:4]:
        image.rename(image.with_suffix(".jfif"))
    for image in sorted((tmp_path / "DME").iterdir())[:4]:
        image.rename(image.with_suffix(".JPE"))
    assert sum(map(len, load_dataset(settings(tmp_path)).splits.values())) == 48


def test_numbers_have_their_own_order_and_names_go_to_folders(tmp_path):
    for name in ("10", "2", "0", "1"):
        for n in range(6):
            scan(tmp_path / name / f"{n}.png")
    assert found(tmp_path)["classes"] == ["0", "1", "2", "10"]
    named = found(tmp_path, class_names=["zero", "one", "two", "ten"])
    assert named["classes"] == ["zero", "one", "two", "ten"]
    assert named["renamed"] == {"0": "zero", "1": "one", "2": "two", "10": "ten"}
    for name in ("10.", "2.", "1."):
        scan(tmp_path / "listed" / name / "0.png")
    assert folder_catalogue(tmp_path / "listed").class_names == ("1.", "2.", "10.")
    shutil.rmtree(tmp_path / "listed")
    refused(tmp_path, r"3 class names were given \(a, b, c\), but .* has 4 classes \(0, 1, 2, 10\)", "class_names",
            class_names=["a", "b", "c"])  # fmt: skip


def test_two_names_that_differ_in_case_are_two_classes_and_said(tmp_path):
    kermany(tmp_path, names=("DME", "Drusen", "drusen"))
    document = found(tmp_path)
    assert document["classes"] == ["DME", "Drusen", "drusen"]
    assert document["warnings"] == [
        "The classes 'Drusen' and 'drusen' differ only in case or blanks; they are trained as two classes."
    ]


def test_a_folder_one_level_too_high_is_told(tmp_path):
    kermany(tmp_path / "oct2017", 20)
    scan(tmp_path / "volumes" / "xml" / "a.png")
    scan(tmp_path / "volumes" / "xml2" / "b.png")
    said = found(tmp_path)["warnings"]
    assert "The class volumes has 2 of 162 images, under 2%: is it one?" in said
    assert any("The images of oct2017 lie in its sub-folders (CNV, DME, DRUSEN, NORMAL)" in one for one in said)


def test_links_are_followed_once_where_they_may_lead(tmp_path):
    """As in a cache of Hugging Face or DVC: the images lie in a store, the links arrange them."""
    for name in ("CNV", "NORMAL"):
        (tmp_path / "set" / "snapshot" / name).mkdir(parents=True)
        for n in range(8):
            scan(tmp_path / "set" / "blobs" / f"{name}{n}.png")
            link = tmp_path / "set" / "snapshot" / name / f"{name}-{100 + n}-1.png"
            link.symlink_to(f"../../blobs/{name}{n}.png")
    refused(tmp_path / "set" / "snapshot", "leads out of the folder, to .*blobs.*--data-roots", "dataset")
    whole = found(tmp_path / "set")
    assert whole["classes"] == ["CNV", "NORMAL"] and sum(totals(whole)) == 16 and whole["not_read"]["n"] == 0
    below = settings(tmp_path / "set" / "snapshot", data_roots=[str(tmp_path / "set")])
    assert look(below)["counts"] == whole["counts"]
    assert load_dataset(below).checksum() == load_dataset(settings(tmp_path / "set")).checksum()
    (tmp_path / "set" / "snapshot" / "CNV" / "again.png").symlink_to("CNV-100-1.png")
    again = look(below)
    assert again["not_read"]["by_reason"] == {not_images.TWICE: 1} and again["counts"] == whole["counts"]
    (tmp_path / "set" / "snapshot" / "CNV" / "gone.png").symlink_to("../../blobs/none.png")
    assert look(below)["not_read"]["by_reason"][not_images.BROKEN] == 1


def test_a_linked_folder_is_walked_once_and_loops_end(tmp_path):
    kermany(tmp_path / "set", names=("CNV", "DME"))
    kermany(tmp_path / "more", names=("DRUSEN", "NORMAL"))
    for name in ("DRUSEN", "NORMAL"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "more" / name)
    (tmp_path / "set" / "CNV" / "loop").symlink_to(tmp_path)
    (tmp_path / "more" / "NORMAL" / "back").symlink_to(tmp_path / "more" / "DRUSEN")
    document = found(tmp_path / "set", data_roots=[str(tmp_path)])
    assert document["classes"] == list(FOUR) and sum(totals(document)) == 48
    assert document["not_read"]["by_reason"] == {not_images.TWICE: 2}


def test_a_bottomless_folder_ends_in_a_sentence(tmp_path):
    kermany(tmp_path)
    deep = tmp_path / "CNV" / "/".join("d" * 150)
    deep.mkdir(parents=True)
    refused(tmp_path, "lies more than 100 folders deep: take it out", "dataset")


def test_patients_of_a_lone_class_are_not_taken_for_classes(tmp_path):
    for patient in ("1", "2", "3"):
        scan(tmp_path / "AMD" / patient / "a.png")
    refused(tmp_path, r"one class only \(AMD\).* If its sub-folders \(1, 2, 3\) are the classes, choose folder:.*AMD",
            "dataset")  # fmt: skip
    for name in ("AMD1", "AMD2", "DME1", "DME2"):
        scan(tmp_path / "above" / "set" / name / "a.png")
    refused(tmp_path / "above", r"2 classes \(AMD, DME\) of 4 patients", "layout")
