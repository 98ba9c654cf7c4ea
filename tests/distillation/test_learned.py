"""Which images a seed has learned from, also where they stand in another split or in other data."""

import numpy as np
import pandas as pd
from fabricate import fabricate, held_out

from colora.distillation.scores import read_predictions, score_images
from colora.runs.folder import Group


def stands_in_train_too(group: Group, split: str, images: int) -> None:
    """The first so many images of a split have the pixels of the first of train."""
    for run in group.runs:
        train, path = run.predictions("train"), run.predictions_file(split)
        table = pd.read_parquet(path)
        table.loc[: images - 1, "checksum"] = train["checksum"].to_numpy()[:images]
        table.to_parquet(path)


def test_an_image_of_another_split_that_was_trained_on_is_not_judged(tmp_path):
    group = fabricate(tmp_path, "g", ["done"] * 2)
    stands_in_train_too(group, "val", 7)
    found = read_predictions(group, "val")
    assert found.learned.sum(axis=1).tolist() == [7, 7] and found.learned[:, :7].all()
    assert (~found.label_doubt.judged).sum() == 7
    assert score_images(found)["label_doubt"].isna().sum() == 7


def test_of_a_cross_fitted_group_each_seed_has_learned_from_others(tmp_path):
    group = fabricate(tmp_path, "g", ["done"] * 3, {"folds": 3})
    stands_in_train_too(group, "test", 6)
    found = read_predictions(group, "test")
    expected = np.stack([~held_out(seed, 3)[:6] for seed in range(3)])
    assert (found.learned[:, :6] == expected).all() and not found.learned[:, 6:].any()
    assert found.label_doubt.judged.all()  # each by the seed that left it out


def test_without_checksums_nothing_is_known_and_with_a_torn_table_nothing_is_judged(tmp_path):
    group = fabricate(tmp_path, "g", ["done"])
    path = group.runs[0].predictions_file("train")
    whole = path.read_bytes()
    pd.read_parquet(path).drop(columns="checksum").to_parquet(path)
    assert not read_predictions(group, "val").learned.any()
    path.write_bytes(whole[:1000])
    assert not read_predictions(Group(group.path), "val").label_doubt.judged.any()
