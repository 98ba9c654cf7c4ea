"""Which labels are in doubt: confident learning (Northcutt, Jiang and Chuang, JAIR 70, 2021), as cleanlab has it.

It rests on probabilities of models that have not learned from the images: a model that was trained long enough repeats
the label it was given, right or wrong. Of validation, test and other data that is every model, but for images that were
trained on too; of the training images those that left them out (`data.folds`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class LabelDoubt:
    """Of N images with given labels (N,): p (N, C), the mean of the models that have not learned from the image, NaN
    where every model has."""

    p: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, p: np.ndarray, labels: np.ndarray, learned: np.ndarray) -> "LabelDoubt":
        """p (S, N, C) of S models, rows sum to 1; learned (S, N) bool, which image each has learned from."""
        return cls(not_learned(p, learned), np.asarray(labels))

    @cached_property
    def doubt(self) -> np.ndarray:
        """(N,) in [0, 1]: 1 - the probability of the given label; NaN of an image that cannot be judged."""
        return 1 - self.p[np.arange(len(self.labels)), self.labels]

    @cached_property
    def judged(self) -> np.ndarray:
        """(N,) bool: whether some model has not learned from the image."""
        return np.isfinite(self.doubt)

    @cached_property
    def doubted(self) -> np.ndarray:
        """(N,) bool: as many images as have a wrong label by the estimate, those of the highest doubt.

        cleanlab's `low_self_confidence`. The estimate counts the images that the models place confidently, by each
        class's own threshold, in another class than the given one; of two or three classes it rather finds too few.
        None where all judged labels are the same.
        """
        from cleanlab.filter import find_label_issues  # with scikit-learn half a second, which few visits wait for

        found, labels = np.zeros(len(self.labels), dtype=bool), self.labels[self.judged]
        if len(np.unique(labels)) > 1:
            found[self.judged] = find_label_issues(
                labels, self.p[self.judged], filter_by="low_self_confidence", n_jobs=1
            )
        return found

    def says(self) -> str:
        """A sentence for people."""
        judged, doubted = int(self.judged.sum()), int(self.doubted.sum())
        labels = f"{judged:,} label{'' if judged == 1 else 's'}"
        told = f"None of {labels} is doubted."
        if doubted:
            told = f"{doubted:,} of {labels} {'is' if doubted == 1 else 'are'} doubted, those of the highest doubt."
        if others := len(self.labels) - judged:
            told += f" {others:,} cannot be judged: every model has learned from {'it' if others == 1 else 'them'}."
        return told


def not_learned(p: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """(S, N, C) and (S, N) bool -> (N, C) float64: the mean over the models that have not learned from the image, NaN
    where every model has."""
    counts = (~learned).sum(axis=0)  # (N,)
    total = np.einsum("sn,snc->nc", ~learned, p, dtype=np.float64)
    total /= np.where(counts, total.sum(axis=1), np.nan)[:, None]
    return total
