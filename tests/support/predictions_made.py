"""Labels and probabilities as a classifier would give them, seeded, with patients where a test asks for them."""

import numpy as np


def predictions(
    images: int, classes: int = 4, seed: int = 0, skill: float = 2.0, digits: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(labels (N,), probabilities (N, C)), rows sum to 1, every class in it; rounded to `digits` many images have equal
    scores. A softmax of normal logits that are `skill` higher in the image's own class."""
    generator = np.random.default_rng([seed, images, classes])
    labels = generator.permutation(np.arange(images) % classes if images < 8 * classes else _uneven(images, classes))
    return labels, scored(labels, classes, generator, skill, digits)


def _uneven(images: int, classes: int) -> np.ndarray:
    """Labels of classes of which each is half as common again as the next."""
    shares = 1.5 ** -np.arange(classes)
    edges = np.round(np.cumsum(shares / shares.sum()) * images)
    return np.searchsorted(edges, np.arange(images), side="right")


def scored(
    labels: np.ndarray, classes: int, generator: np.random.Generator, skill: float = 2.0, digits: int | None = None,
    shift: np.ndarray | float = 0.0,
) -> np.ndarray:  # fmt: skip
    """(N, C) probabilities; `shift` (N, C) moves the logits, such as those of all images of a patient."""
    logits = generator.normal(size=(len(labels), classes)) + skill * np.eye(classes)[labels] + shift
    return rounded(softmax(logits), digits)


def softmax(logits: np.ndarray) -> np.ndarray:
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def rounded(p: np.ndarray, digits: int | None) -> np.ndarray:
    """To `digits`, the first column as what is left, so that rows still sum to 1."""
    if digits is None:
        return p
    units = 10**digits
    counts = np.floor(p * units)
    counts[:, 0] += units - counts.sum(1)
    return counts / units


def patients_of(images: int, seed: int = 0, most: int = 6) -> np.ndarray:
    """(N,) names of patients with 1 to `most` images each, in an order that is not that of the names."""
    generator = np.random.default_rng([seed, images, most])
    sizes = generator.integers(1, most + 1, images)
    place = np.repeat(np.arange(images), sizes)[:images]
    names = np.array([f"patient {k:04d}" for k in generator.permutation(images)])
    return names[place]
