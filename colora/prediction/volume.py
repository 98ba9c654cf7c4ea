"""A volume's own answer, made of those to its B-scans. No torch.

The rule is multiple-instance learning's: a volume has what its most suspicious B-scans have. The mean of the top k is
less at the mercy of one odd B-scan than their maximum, which is k = 1 (Ilse et al. 2018, section 2, call both fixed
pooling operators). It is no trained model of volumes, and a threshold that single images chose is not one of volumes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

TOP = 3


def volume_answer(frames: Sequence[dict[str, Any]], top: int = TOP) -> dict[str, Any]:
    """Of the answers to a volume's B-scans, in their order: the `rule` in words; by_class: {class: mean of its `top`
    largest probabilities}; called: {class: how many B-scans are called so}; doubted: how many are not to be relied on.
    Raises ValueError without a B-scan."""
    if not frames:
        raise ValueError("a volume without B-scans has no answer")
    names = list(frames[0]["mean"]["probabilities"])
    p = np.array([[frame["mean"]["probabilities"][name] for name in names] for frame in frames])  # (F, C)
    k = min(top, len(frames))
    highest = np.sort(p, axis=0)[-k:].mean(axis=0)
    calls = [frame["mean"]["prediction"] for frame in frames]
    return {
        "frames": len(frames),
        "top": k,
        "rule": f"of each class the mean of its {k} largest probabilities" if k > 1 else "of each class the largest",
        "by_class": {name: float(value) for name, value in zip(names, highest, strict=True)},
        "called": {name: calls.count(name) for name in names if name in calls},
        "doubted": sum(frame["doubt"]["high"] for frame in frames),
    }
