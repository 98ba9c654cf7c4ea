"""Whether a model's probabilities mean what they say, and what makes them.

A model is calibrated where of the images it gives 0.8, eight of ten are right. Temperature scaling (Guo et al. 2017)
divides the logits by one number, chosen on validation; it changes no answer and no ranking of classes within an image.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from colora.metrics.classification import cross_entropy
from colora.metrics.estimates import wilson
from colora.metrics.figures import BINS, TINY, by_bin, once

COLDEST, HOTTEST = 0.05, 20.0  # between which a temperature is looked for


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """(N, C) float64 of probabilities (N, C): softmax(logits / temperature), for a temperature above 0."""
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    logits = np.log(np.clip(np.asarray(probabilities, dtype=np.float64), TINY, None)) / temperature
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The one of lowest log loss on these images (validation's), between 0.05 and 20: above 1 where the model is too
    sure. 20 or 0.05 itself says that there is none between, as with every image right or one class alone."""

    def loss(log_t: float) -> float:
        return cross_entropy(labels, tempered(probabilities, float(np.exp(log_t))))

    found = minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def reliability(labels: np.ndarray, probabilities: np.ndarray, c: int | None = None, bins: int = BINS) -> pd.DataFrame:
    """A row for each bin that has images: n, confidence (their mean), right (their share), low, high (Wilson).

    Of the most probable class and whether it is right, or of class `c` and whether the image is of it. Bins of equal
    numbers of images, as in ECE.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    confidence = p.max(1) if c is None else p[:, c]
    right = (p.argmax(1) == labels) if c is None else (np.asarray(labels) == c)
    inside = by_bin(confidence, np.ones(len(p)), bins)
    counts = inside.sum(0)
    rows = []
    for b in np.flatnonzero(counts):
        n, hits = int(counts[b]), float(inside[:, b] @ right)
        low, high = wilson(hits, n)
        mean = float(inside[:, b] @ confidence / n)
        rows.append({"n": n, "confidence": mean, "right": hits / n, "low": low, "high": high})
    return pd.DataFrame(rows, columns=["n", "confidence", "right", "low", "high"])


@dataclass(frozen=True)
class BrierParts:
    """Murphy 1973, summed over the classes, in equal-mass bins: brier = reliability - resolution + uncertainty +
    within_bins, where the last is what the bins hide (Stephenson et al. 2008). Lower reliability, higher resolution is
    better; uncertainty is the data's."""

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float


def brier_parts(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> BrierParts:
    p = np.asarray(probabilities, dtype=np.float64)
    brier = float(once(labels, p).overall["brier"][0])
    reliable = resolved = uncertain = 0.0
    for c in range(p.shape[1]):
        member = np.asarray(labels) == c
        base = float(member.mean())
        inside = by_bin(p[:, c], np.ones(len(p)), bins)
        n = inside.sum(0)
        has = n > 0
        share = (inside.T @ member)[has] / n[has]
        reliable += float((n[has] * ((inside.T @ p[:, c])[has] / n[has] - share) ** 2).sum() / len(p))
        resolved += float((n[has] * (share - base) ** 2).sum() / len(p))
        uncertain += base * (1 - base)
    return BrierParts(brier, reliable, resolved, uncertain, brier - (reliable - resolved + uncertain))


def ece_by_chance(probabilities: np.ndarray, draws: int = 200, seed: int = 0) -> float:
    """The ECE that a perfectly calibrated model with these probabilities (N, C) would show on as many images: never 0,
    because bins of few images stray. Labels are drawn from the probabilities."""
    p = np.asarray(probabilities, dtype=np.float64)
    generator = np.random.default_rng(seed)
    edges = np.cumsum(p, axis=1)
    edges /= edges[:, -1:]
    called, confidence = p.argmax(1), p.max(1)
    inside = by_bin(confidence, np.ones(len(p)))
    found = []
    for _ in range(draws):
        labels = (generator.random((len(p), 1)) > edges).sum(1)
        found.append(np.abs(inside.T @ (confidence - (labels == called))).sum() / len(p))
    return float(np.mean(found))


def before_and_after(labels: np.ndarray, probabilities: np.ndarray, at: float) -> dict[str, tuple[float, float]]:
    """{"ece", "brier", "log_loss": (before, after)} of a temperature that other images chose."""
    both = [once(labels, p).overall for p in (probabilities, tempered(probabilities, at))]
    return {name: (float(both[0][name][0]), float(both[1][name][0])) for name in ("ece", "brier", "log_loss")}
