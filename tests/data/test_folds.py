"""The parts of the training images that seeds leave out: whole patients, each class near its share, each image once."""

import numpy as np
import pytest

from colora.data.dataset import Dataset, Split
from colora.data.folds import check_folds, check_seeds, held_out, parts
from colora.settings.config import make_config
from colora.system.errors import UserError

LABELS = np.repeat(np.arange(3), (60, 30, 20))


def dataset(labels=LABELS, patients=None) -> Dataset:
    train = Split(np.zeros((len(labels), 0, 0), np.uint8), labels, np.arange(len(labels)).astype(str), patients)
    return Dataset({"train": train, "val": train, "test": train}, ("A", "B", "C"), True, "here", "as given")


def left_out(data: Dataset, folds: int, seeds, used=None, labels=None) -> np.ndarray:
    """(seeds, n)"""
    used = np.arange(len(data.splits["train"])) if used is None else used
    labels = data.splits["train"].labels[used] if labels is None else labels
    config = make_config({"folds": folds})
    return np.stack([held_out(data, config, used, labels, seed) for seed in seeds])


def test_each_image_is_left_out_by_one_seed_in_five():
    out = left_out(dataset(), 5, range(5))
    assert (out.sum(0) == 1).all()
    for c, count in enumerate((60, 30, 20)):
        assert out[:, c == LABELS].sum(1).tolist() == [count // 5] * 5
    assert (left_out(dataset(), 5, range(5, 10)) == out).all()  # another start, the same parts
    mixed = np.random.default_rng(1).permutation(LABELS)
    assert out.tolist() != left_out(dataset(mixed), 5, range(5)).tolist()


def test_without_folds_nothing_is_left_out():
    data, used = dataset(), np.arange(110)
    assert not held_out(data, make_config({}), used, LABELS, seed=3).any()


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_a_patient_is_in_one_part(folds):
    patients = np.array([f"p{i // 4}" for i in range(len(LABELS))])
    part = parts(LABELS, patients, folds)
    assert all(len(np.unique(part[patients == patient])) == 1 for patient in np.unique(patients))
    assert set(part) == set(range(folds))
    sizes = np.bincount(part)
    assert sizes.max() - sizes.min() <= 8  # two patients


def test_the_parts_are_those_of_the_images_that_are_trained_on():
    used = np.flatnonzero(LABELS != 1)
    out = left_out(dataset(), 4, range(4), used)
    assert out.shape == (4, 80)
    assert (out.sum(0) == 1).all()


def test_a_class_that_one_seed_would_leave_out_whole():
    few = np.repeat(np.arange(3), (40, 40, 1))
    with pytest.raises(UserError, match=r"With 4 folds some seed would leave out every .* of C, which has 1 image"):
        left_out(dataset(few), 4, [0])
    of_one = np.array([f"p{i}" for i in range(80)] + ["last"] * 10)
    labels = np.repeat(np.arange(3), (40, 40, 10))
    with pytest.raises(UserError, match=r"of C, which has 10 images \(of 1 patient\): choose fewer folds") as raised:
        check_folds(dataset(labels, of_one), make_config({"folds": 3}))
    assert raised.value.field == "folds"
    left_out(dataset(few), 4, [0], labels=np.repeat(np.arange(2), (41, 40)))  # as a cut may have corrected it


def test_seeds_have_to_leave_out_every_part():
    for seeds in ([0, 1, 2], [5, 3, 7], list(range(10))):
        check_seeds(3, seeds)
    check_seeds(None, [4])
    with pytest.raises(UserError, match=r"one of the 5 folds, and seeds 0-3,5 do not .* such as 0-4") as raised:
        check_seeds(5, [0, 1, 2, 3, 5])
    assert raised.value.field == "folds"
