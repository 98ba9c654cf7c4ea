"""How unsure models are of single images: pure functions of probabilities (seeds, N, classes).

A score of one model takes (N, C); one over the seeds of a group takes (S, N, C). Rows sum to 1; logarithms are natural.
Entropy of the mean softmax = mean entropy + mutual information (BALD): the second part is what the data leave open, the
third what the models disagree on, and which more training images could settle.
"""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from colora.metrics.classification import entropy


def least_confidence(p: np.ndarray) -> np.ndarray:
    """(N, C) -> (N,) in [0, 1 - 1/C]: 1 minus the largest probability."""
    return 1 - np.asarray(p, dtype=np.float64).max(axis=1)


def margin(p: np.ndarray) -> np.ndarray:
    """(N, C) -> (N,) in [0, 1]: largest minus second largest probability."""
    ascending = np.sort(np.asarray(p, dtype=np.float64), axis=1)
    return ascending[:, -1] - ascending[:, -2]


def self_confidence(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, C) and (N,) given labels -> (N,) in [0, 1]: the probability of the given label."""
    return np.asarray(p, dtype=np.float64)[np.arange(len(labels)), labels]


def mean_softmax_entropy(p: np.ndarray) -> np.ndarray:
    """(S, N, C) -> (N,) nats: entropy of the mean over seeds."""
    return entropy(np.mean(p, axis=0, dtype=np.float64))


def mean_entropy(p: np.ndarray) -> np.ndarray:
    """(S, N, C) -> (N,) nats: mean over seeds of each one's entropy."""
    return np.mean([entropy(one) for one in p], axis=0)


def mutual_information(p: np.ndarray) -> np.ndarray:
    """(S, N, C) -> (N,) nats, at least 0: entropy of the mean minus mean entropy (BALD)."""
    return np.maximum(mean_softmax_entropy(p) - mean_entropy(p), 0)  # rounding alone goes below 0


def vote_disagreement(p: np.ndarray) -> np.ndarray:
    """(S, N, C) -> (N,) in [0, 1 - 1/min(S, C)]: share of seeds outside the class with most votes."""
    votes = np.argmax(p, axis=2)  # (S, N)
    most = np.max([(votes == c).sum(axis=0) for c in range(p.shape[2])], axis=0)
    return (len(p) - most) / len(p)  # the nearest number to 1/5, where 1 - 4/5 is less


def rank_stability(p: np.ndarray) -> np.ndarray:
    """(S, N, C) -> (N,) in [0, 1]: 1 - 2 x standard deviation over seeds of the image's entropy rank.

    Ranks go from 0 to 1 over all N images, ties share their mean. 1: every seed gives it the same rank; 0: half of the
    seeds put it first, half last. NaN of one seed or one image.
    """
    seeds, images = p.shape[:2]
    if seeds < 2 or images < 2:
        return np.full(images, np.nan)
    ranks = np.stack([rankdata(entropy(one)) for one in p])  # (S, N), from 1
    return np.maximum(1 - 2 * np.std((ranks - 1) / (images - 1), axis=0), 0)


def rank_agreement(p: np.ndarray) -> float | None:
    """Mean Spearman correlation over pairs of seeds of the images' entropy ranks.

    None of fewer than two seeds or images, or where one seed is equally sure of every image.
    """
    if len(p) < 2 or p.shape[1] < 2:
        return None
    ranks = np.stack([rankdata(entropy(one)) for one in p])  # (S, N)
    if (ranks.std(axis=1) == 0).any():
        return None  # a seed is equally sure of every image: no correlation is defined
    return float(np.corrcoef(ranks)[np.triu_indices(len(p), k=1)].mean())


def model_scores(p: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """The scores of one model, (N, C), or of a mean over models."""
    own = entropy(p)
    return pd.DataFrame(
        {
            "entropy": own,
            "entropy_share": own / np.log(p.shape[1]),
            "least_confidence": least_confidence(p),
            "margin": margin(p),
            "self_confidence": self_confidence(p, labels),
        }
    )


def seed_scores(p: np.ndarray) -> pd.DataFrame:
    """The scores over seeds, (S, N, C), whichever model sorts; NaN where one seed cannot tell."""
    several, undefined = len(p) > 1, np.full(p.shape[1], np.nan)
    return pd.DataFrame(
        {
            "mean_softmax_entropy": mean_softmax_entropy(p),
            "mean_entropy": mean_entropy(p),
            "mutual_information": mutual_information(p) if several else undefined,
            "vote_disagreement": vote_disagreement(p) if several else undefined,
            "rank_stability": rank_stability(p),
        }
    )
