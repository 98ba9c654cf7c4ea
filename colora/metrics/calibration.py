"""Whether a model's probabilities mean what they say, and what makes them.

A model is calibrated where of the images it gives 0.8, eight of ten are right. Temperature scaling (Guo et al. 2017)
divides the logits by one number, chosen on validation; it changes no answer and no ranking of classes within an image.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from colora.metrics import bootstrap
from colora.metrics.bootstrap import DRAWS, Sample
from colora.metrics.classification import cross_entropy
from colora.metrics.estimates import Estimate, of_draws, wilson
from colora.metrics.figures import BINS, TINY, Predicted, by_bin, once

ERRORS = ("ece", "brier", "log_loss")  # what a temperature can lower
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


@dataclass(frozen=True)
class Calibration:
    """What a `temperature` that other images chose does to a model: each of ERRORS {name: Estimate} and Brier's parts
    before and after. `by_chance` is the ECE that a calibrated model would show, with the tempered probabilities."""

    temperature: float
    before: dict[str, Estimate]
    after: dict[str, Estimate]
    parts_before: BrierParts
    parts_after: BrierParts
    by_chance: float

    def as_dict(self) -> dict[str, Any]:
        def told(errors: dict[str, Estimate], parts: BrierParts) -> dict[str, Any]:
            return {**{name: each.as_dict() for name, each in errors.items()}, "brier_parts": asdict(parts)}

        return {
            "temperature": self.temperature,
            "before": told(self.before, self.parts_before),
            "after": told(self.after, self.parts_after),
            "ece_by_chance": self.by_chance,
        }


def calibrations(
    labels: np.ndarray,
    probabilities: Sequence[np.ndarray],
    temperatures: Sequence[float],
    sample: Sample,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Calibration]:
    """Of M models' `probabilities`, each (N, C), with a temperature each; the intervals' draws are those of
    `statistics`."""
    pairs = [(np.asarray(p), tempered(p, t)) for p, t in zip(probabilities, temperatures, strict=True)]
    models = [Predicted(labels, p) for pair in pairs for p in pair]
    drawn = bootstrap.drawn_figures(models, sample, draws, seed, Predicted.sums_under)
    every = np.ones((1, len(labels)))
    errors = []
    for model, draw in zip(models, drawn, strict=True):
        values = model.sums_under(every).overall
        errors.append({name: of_draws(float(values[name][0]), draw.overall[name], sample) for name in ERRORS})
    return [
        Calibration(t, before, after, brier_parts(labels, p), brier_parts(labels, q), ece_by_chance(q))
        for t, (p, q), before, after in zip(temperatures, pairs, errors[::2], errors[1::2], strict=True)
    ]
