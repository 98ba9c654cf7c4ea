"""Whether other images were trained on: by their pixels and by their patients."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from colora.data.dataset import Split
from colora.data.overlap import Overlap, near_copies, overlap, overlap_warnings
from colora.data.phantom import draw
from colora.data.sources import load_outside
from colora.runs.folder import Run, read_json, write_json


@pytest.fixture
def own(tiny_npz):
    """A function: the images of a split of the data trained on."""
    return lambda split: load_outside({"dataset": f"npz:{tiny_npz}", "image_size": 32}, split).images


@pytest.fixture
def copied(trained, tmp_path):
    """The finished run in a place where it can be changed."""
    import shutil

    shutil.copytree(trained.path.parent, tmp_path / "runs" / "g")
    return Run(tmp_path / "runs" / "g" / trained.path.name)


def change(run, split, **columns):
    path = run.path / "predictions" / f"{split}.parquet"
    table = pd.read_parquet(path)
    pd.concat([table.drop(columns=list(columns)), pd.DataFrame(columns)], axis=1).to_parquet(path, index=False)


def counts(found: Overlap) -> list:
    return list(found.as_dict().values())


def test_each_split_is_found_by_its_pixels_and_patients(trained, own):
    # 15 patients of 2 images in train; 0-14 there, 100-114 in val, 200-214 in test
    assert counts(overlap(trained, own("train"))) == [30, 30, None, 0, 0, 30, 15]
    assert counts(overlap(trained, own("val"))) == [30, 0, None, 30, 0, 0, 0]
    assert counts(overlap(trained, own("test"))) == [30, 0, None, 0, 30, 0, 0]
    assert counts(overlap(trained, own("all"))) == [90, 30, None, 30, 30, 30, 15]
    assert list(overlap(trained, own("val")).as_dict())[:2] == ["images", "images_trained_on"]


def test_only_images_that_were_used_count_as_trained_on(copied, own):
    change(copied, "train", used=np.arange(30) < 7)
    assert counts(overlap(copied, own("train"))) == [30, 7, None, 0, 0, 8, 4]  # the fourth patient's second image too


def test_the_same_pixels_are_found_without_ids_and_one_other_pixel_is_another_image(trained, own):
    images = own("train").images.copy()
    images[0, 0, 0] ^= 1
    found = overlap(trained, Split(images, np.zeros(30, int), np.array([f"other {i}" for i in range(30)])))
    assert counts(found) == [30, 29, None, 0, 0, None, None]


def test_what_older_runs_did_not_keep_is_not_known(copied, own):
    for split in ("train", "val", "test"):
        path = copied.path / "predictions" / f"{split}.parquet"
        pd.read_parquet(path).drop(columns="checksum").to_parquet(path, index=False)
    assert counts(overlap(copied, own("train"))) == [30, None, None, None, None, 30, 15]
    (copied.path / "predictions" / "train.parquet").unlink()
    assert counts(overlap(copied, own("train"))) == [30, None, None, None, None, None, None]


def test_images_prepared_by_another_rule_are_not_compared(copied, own):
    path = copied.path / "config.json"
    document = read_json(path)
    write_json(path, document | {"resolved": document["resolved"] | {"preparation": "stretched"}})
    assert counts(overlap(Run(copied.path), own("train")))[:4] == [30, None, None, None]


PATIENTS = Split(np.zeros((1, 2, 2), np.uint8), np.zeros(1, int), np.array(["a"]), np.array(["p"]))
NONE = Overlap(64, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("changes", "selection", "said"),
    [
        ({}, "validation", []),
        (
            {"images_trained_on": 40, "images_of_patients_trained_on": 44, "images_in_validation": 1},
            "validation",
            [
                "40 of 64 images were trained on (the same pixels), and 44 are of patients the models were trained on "
                "(the same ids): these figures are no estimate for new scans or new patients.",
                "1 of 64 images are validation images of this group (the same pixels), which chose the epoch: the "
                "figures on them are optimistic.",
            ],
        ),
        (
            {"images_of_patients_trained_on": 2},
            "validation",
            [
                "2 of 64 images are of patients the models were trained on (the same ids): these figures are no "
                "estimate for new patients."
            ],
        ),
        (
            {"images_nearly_trained_on": 1},
            "validation",
            [
                "1 of 64 images is a near copy of an image trained on (stored anew, resized or a little changed): "
                "these figures are no estimate for new scans."
            ],
        ),
        ({"images_in_test": 5}, "validation", []),
        ({"images_in_validation": 5}, "paper", []),  # under that rule validation chose nothing
        (
            {"images_in_test": 5},
            "paper",
            [
                "5 of 64 images are test images of this group (the same pixels), which chose the epoch: the figures on "
                "them are optimistic."
            ],
        ),
        (
            {"images_trained_on": 64, "images_of_patients_trained_on": None},
            "validation",
            [
                "64 of 64 images were trained on (the same pixels): these figures are no estimate for new scans.",
                "Whether these patients were also in training is not known: the training images have none.",
            ],
        ),
        (
            {"images_trained_on": None, "images_in_validation": None},
            "validation",
            [
                "Whether these images were trained on is not known: the models' seeds kept no checksums of images as "
                "they are prepared now."
            ],
        ),
    ],
)
def test_what_it_means_is_said(changes, selection, said):
    assert list(overlap_warnings(replace(NONE, **changes), PATIENTS, selection)) == said


def test_a_picture_that_was_stored_anew_is_a_near_copy_and_another_eye_is_none():
    images = np.stack([draw("train", i, 64) for i in range(12)])
    trained = Split(images[:8], np.zeros(8, int), np.array([f"t{i}" for i in range(8)]))
    brighter = np.clip(images[:3].astype(int) + 12, 0, 255).astype(np.uint8)
    met = np.concatenate([brighter, images[3:4], images[8:]])  # near copies, the same, others
    split = Split(met, np.ones(len(met), int), np.array([f"m{i}" for i in range(len(met))]))
    assert near_copies(trained, split) == 3
    assert near_copies(trained, split.take(np.arange(3, 8))) == 0


def test_why_near_copies_are_not_known_is_said():
    (said,) = overlap_warnings(NONE, PATIENTS, "validation", why_not_near="There is no folder /gone.")
    assert said == "Whether they are near copies of images trained on is not known: There is no folder /gone."


def test_which_side_has_no_patients_is_said_with_a_way_out():
    unknown, alone = replace(NONE, images_of_patients_trained_on=None), replace(PATIENTS, patient_ids=None)
    assert list(overlap_warnings(unknown, alone, "validation", "; name them")) == [
        "Whether these patients were also in training is not known: the data have no patient ids; name them."
    ]
