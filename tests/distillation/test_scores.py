"""The score table of a group: whose model sorts, and what cannot stand in one table."""

import numpy as np
import pandas as pd
import pytest
from fabricate import COUNTS, fabricate, labels_of, probabilities, train_on

from colora.distillation.scores import group_scores, read_predictions, score_images, whose_says
from colora.metrics.classification import entropy
from colora.results.summary import best_run
from colora.runs.folder import Group
from colora.runs.selection import selected_row
from colora.settings.catalog import SCORES
from colora.system.errors import UserError


@pytest.fixture
def group(tmp_path):
    return fabricate(tmp_path, "g", ["done", "done", "done"])


def test_a_row_an_image_with_every_score(group):
    table = group_scores(group, "train")
    best = best_run(group)
    p = probabilities("train", best.seed, selected_row(best.metrics, "validation") + 1)
    assert table["label"].tolist() == labels_of("train").tolist()
    assert table["image_id"][3] == "train-0003"
    assert table["used"].all()
    assert set(SCORES) < set(table)
    assert table["entropy"].to_numpy() == pytest.approx(entropy(p))
    assert table["predicted"].tolist() == p.argmax(1).tolist()
    assert table["right"].mean() == pytest.approx((p.argmax(1) == labels_of("train")).mean())


def test_whose_model_sorts_is_a_choice(group):
    predictions = read_predictions(group, "test")
    assert predictions.probabilities.shape == (3, sum(COUNTS["test"]), 4)
    assert not predictions.images["used"].any()
    mean = score_images(predictions, "mean")
    assert mean["entropy"].to_numpy() == pytest.approx(mean["mean_softmax_entropy"].to_numpy())
    seed = score_images(predictions, 1)
    assert seed["entropy"].to_numpy() == pytest.approx(entropy(predictions.probabilities[1]))
    assert whose_says(predictions, 1) == "seed 1"
    assert whose_says(predictions, "mean") == "the mean over 3 seeds"
    assert whose_says(predictions, "best") == f"seed {best_run(group).seed}, of 3 seeds the best on validation"
    with pytest.raises(UserError, match="Seed 7 of g has no predictions on test; seeds 0, 1, 2 have"):
        score_images(predictions, 7)


def test_the_papers_rule_is_marked_where_it_chooses_the_model(tmp_path):
    group = fabricate(tmp_path, "g", ["done", "done"], {"selection": "paper"})
    assert "best on TEST (the paper's rule, optimistic" in whose_says(read_predictions(group, "train"), "best")


def test_only_finished_seeds_count_and_that_is_said(tmp_path):
    predictions = read_predictions(fabricate(tmp_path, "g", ["done", "running", "done"]), "train")
    assert predictions.seeds == [0, 2]
    assert "of 2 finished of 3 seeds the best" in whose_says(predictions, "best")
    with pytest.raises(UserError, match=r"late has no predictions on train yet: .* the group is queued"):
        read_predictions(fabricate(tmp_path, "late", ["queued"]), "train")


@pytest.mark.parametrize("column", ["label", "image_id"])
def test_seeds_that_disagree_on_the_images_are_refused(group, column):
    path = group.runs[2].path / "predictions" / "train.parquet"
    table = pd.read_parquet(path)
    table[column] = np.roll(table[column], 1)
    table.to_parquet(path)
    with pytest.raises(UserError, match="Seeds 0 and 2 of g disagree on the images of train"):
        read_predictions(group, "train")


def test_of_a_mixed_group_the_seeds_that_belong_together_are_scored_and_that_is_said(group):
    alone = read_predictions(fabricate(group.path.parent, "two", ["done", "queued", "done"]), "train")
    train_on(group.runs[1], data_checksum="1" * 64)
    path = group.runs[1].path / "predictions" / "train.parquet"
    pd.read_parquet(path).iloc[::-1].to_parquet(path)  # other images, as other data have
    found = read_predictions(Group(group.path), "train")
    assert found.seeds == [0, 2] and found.data_checksum == "0" * 64
    assert np.array_equal(found.probabilities, alone.probabilities)
    assert whose_says(found, "mean") == "the mean over 2 of 3 seeds"
