"""Scores of single images against values worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from colora.metrics.uncertainty import (
    least_confidence,
    margin,
    mean_entropy,
    mean_softmax_entropy,
    model_scores,
    mutual_information,
    rank_agreement,
    rank_stability,
    seed_scores,
    self_confidence,
    vote_disagreement,
)
from colora.settings.catalog import SCORES

LN2 = np.log(2)
SURE, HALF, OTHER = [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]


def stack(*seeds) -> np.ndarray:
    return np.array(seeds, dtype=np.float32)  # (S, N, C)


def test_scores_of_one_model():
    p = np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25], [1.0, 0.0, 0.0]])
    assert least_confidence(p) == pytest.approx([0.3, 0.5, 0.0])
    assert margin(p) == pytest.approx([0.5, 0.25, 1.0])
    assert self_confidence(p, np.array([0, 2, 1])) == pytest.approx([0.7, 0.25, 0.0])


def test_entropy_over_seeds_is_what_the_data_leave_open_plus_what_the_models_disagree_on():
    agreeing, open_, disagreeing = stack([SURE], [SURE]), stack([HALF], [HALF]), stack([SURE], [OTHER])
    for p, total, mean in ((agreeing, 0, 0), (open_, LN2, LN2), (disagreeing, LN2, 0)):
        assert mean_softmax_entropy(p) == pytest.approx([total])
        assert mean_entropy(p) == pytest.approx([mean])
        assert mutual_information(p) == pytest.approx([total - mean])
    mixed = stack([SURE], [HALF])  # the mean is 3/4 and 1/4
    assert mutual_information(mixed)[0] == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)) - LN2 / 2)


def test_mutual_information_is_never_below_zero_by_rounding():
    p = np.random.default_rng(0).dirichlet(np.ones(4), (1, 500)).astype(np.float32).repeat(3, axis=0)
    assert (mutual_information(p) >= 0).all()
    assert mutual_information(p).max() < 1e-6


def test_votes_against_the_class_with_most():
    votes = [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 2, 2]]
    p = np.eye(3)[np.array(votes)].transpose(1, 0, 2)  # (4 seeds, 4 images, 3)
    assert vote_disagreement(p).tolist() == [0, 0.25, 0.5, 0.5]
    for seeds in (5, 10, 15):  # one in five is a limit somewhere: exactly so many count as so many
        others = np.eye(2)[(np.arange(seeds) < seeds // 5).astype(int)][:, None]
        assert vote_disagreement(others).tolist() == [0.2]


def test_rank_stability_is_one_where_seeds_agree_and_zero_where_they_are_opposed():
    easy, middle, hard = [1.0, 0.0], [0.9, 0.1], [0.5, 0.5]
    p = stack([easy, middle, hard], [hard, middle, easy])
    assert rank_stability(p) == pytest.approx([0, 1, 0])
    assert rank_agreement(p) == pytest.approx(-1)
    assert rank_stability(stack([easy, middle, hard], [easy, middle, hard])) == pytest.approx([1, 1, 1])
    moved = stack([easy, middle, hard], [easy, hard, middle])  # ranks 1, 2 and 2, 1 of 0 to 2: a quarter either way
    assert rank_stability(moved) == pytest.approx([1, 0.5, 0.5])
    assert rank_agreement(moved) == pytest.approx(0.5)


def test_what_one_seed_or_a_level_one_cannot_tell():
    one = stack([SURE, HALF])
    table = pd.concat([model_scores(one[0], np.array([0, 1])), seed_scores(one)], axis=1)
    assert list(table) == [name for name in SCORES if name != "label_doubt"]  # which is of all seeds and the labels
    lacking = [name for name in table if table[name].isna().all()]
    assert lacking == [name for name, score in SCORES.items() if score.over_seeds]
    assert rank_agreement(one) is None
    assert rank_agreement(stack([SURE, SURE], [HALF, SURE])) is None  # the first is equally sure of both


def test_the_sorting_model_decides_whose_confidence_is_meant():
    p = stack([[0.9, 0.1]], [[0.6, 0.4]])
    labels = np.array([1])
    for sorting, confidence in ((p[0], 0.1), (p[1], 0.4), (p.mean(0), 0.25)):
        row = model_scores(sorting, labels).iloc[0]
        assert row["self_confidence"] == pytest.approx(confidence)
        assert row["margin"] == pytest.approx(1 - 2 * confidence)
        assert row["entropy_share"] == pytest.approx(row["entropy"] / LN2)
    assert row["entropy"] == pytest.approx(mean_softmax_entropy(p)[0])
