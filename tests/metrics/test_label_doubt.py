"""Which labels are in doubt: the rule as the paper has it, and planted wrong labels."""

import numpy as np
import pytest

from colora.metrics.label_doubt import LabelDoubt, not_learned

CLASSES = 4


def planted(
    count: int, share: float, seed: int, skill: float = 3.0, shares: tuple[float, ...] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (N, C) of a model that knows the true labels more or less, the given ones, and which are wrong."""
    generator = np.random.default_rng(seed)
    true = generator.choice(CLASSES, count, p=shares)
    logits = generator.normal(size=(count, CLASSES)) + skill * np.eye(CLASSES)[true]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wrong = generator.random(count) < share
    given = np.where(wrong, (true + generator.integers(1, CLASSES, count)) % CLASSES, true)
    return p.astype(np.float32), given, wrong


def one(p, labels):
    return LabelDoubt.of(p[None], labels, np.zeros((1, len(labels)), dtype=bool))


def confident(p: np.ndarray, labels: np.ndarray) -> int:
    """Off the diagonal of the paper's confident joint (its equation 1): the likeliest of the classes that reach their
    threshold is another than the given one; without those that the model calls as given all the same."""
    thresholds = np.array([p[labels == c, c].mean() for c in range(p.shape[1])])
    reached = np.where(p >= thresholds - 1e-6, p, -1)
    other = (reached.max(1) > 0) & (reached.argmax(1) != labels)
    return int((other & (p.argmax(1) != labels)).sum())


@pytest.mark.parametrize("shares", [(0.25, 0.25, 0.25, 0.25), (0.6, 0.25, 0.1, 0.05)])
@pytest.mark.parametrize("seed", range(4))
def test_as_many_are_doubted_as_the_paper_counts(seed, shares):
    p, labels, _ = planted(600, 0.15, seed, skill=2.0, shares=shares)
    p = p.astype(np.float64)
    found = one(p, labels)
    assert found.doubted.sum() == confident(p, labels) > 0
    assert found.doubt == pytest.approx(1 - p[np.arange(600), labels], abs=1e-6)
    assert (p.argmax(1) != labels)[found.doubted].mean() > 0.97  # hardly one that the model calls as given


def test_planted_wrong_labels_are_found_and_counted():
    p, labels, wrong = planted(2000, 0.1, 0)
    found = one(p, labels)
    assert found.judged.all()
    assert 0.6 * wrong.sum() < found.doubted.sum() < 1.1 * wrong.sum()  # of a model that is right on 93 %
    assert (found.doubted & wrong).sum() > 0.9 * found.doubted.sum()
    assert found.doubt[found.doubted].min() >= found.doubt[~found.doubted].max()
    assert ((found.doubt >= 0) & (found.doubt <= 1)).all()
    clean, labels, _ = planted(2000, 0, 0)
    assert one(clean, labels).doubted.sum() < 0.03 * 2000


def test_only_models_that_have_not_learned_from_an_image_speak():
    p, labels, _ = planted(60, 0.2, 3)
    memory = np.eye(CLASSES, dtype=np.float32)[labels]  # repeats what it was given
    learned = np.stack([np.arange(60) % 2 == 0, np.arange(60) % 2 == 1])
    both = np.where(learned[..., None], memory, p)
    told = LabelDoubt.of(both, labels, learned)
    assert told.doubt == pytest.approx(one(p, labels).doubt)
    mean = LabelDoubt.of(np.stack([p, p[::-1]]), labels, np.zeros((2, 60), dtype=bool))
    assert mean.doubt == pytest.approx(one((p + p[::-1]) / 2, labels).doubt, abs=1e-6)


def test_an_image_that_every_model_has_learned_from_is_not_judged():
    p, labels, _ = planted(50, 0.2, 1)
    learned = np.zeros((2, 50), dtype=bool)
    learned[:, :10] = True
    found = LabelDoubt.of(np.stack([p, p]), labels, learned)
    assert np.isnan(found.doubt[:10]).all()
    assert not found.doubted[:10].any()
    assert found.judged.sum() == 40
    assert "of 40 labels" in found.says() and "10 cannot be judged: every model has learned from them." in found.says()
    assert found.doubt[10:] == pytest.approx(one(p[10:], labels[10:]).doubt)
    nothing = LabelDoubt.of(np.stack([p, p]), labels, np.ones((2, 50), dtype=bool))
    assert np.isnan(nothing.doubt).all()
    assert not nothing.doubted.any() and not nothing.judged.any()


def test_a_class_without_images_and_a_single_class():
    p, labels, _ = planted(80, 0.1, 2)
    some = labels != 2
    assert np.isfinite(one(p[some], labels[some]).doubt).all()
    alone = one(p[labels == 1], labels[labels == 1])
    assert not alone.doubted.any()
    assert np.isfinite(alone.doubt).all()


def test_equal_doubts_are_cut_at_the_count():
    p = np.tile([[0.9, 0.1], [0.1, 0.9]], (20, 1))
    labels = np.tile([0, 1], 20)
    labels[:4] = 1 - labels[:4]
    found = one(p, labels)
    assert found.doubted.sum() == 4
    assert found.doubted[:4].all()


def test_the_mean_is_over_models_that_have_not_learned():
    p = np.array([[[0.9, 0.1]], [[0.5, 0.5]], [[0.1, 0.9]]], dtype=np.float32)  # three models, one image
    for learned, mean in (((0, 0, 0), 0.5), ((1, 0, 0), 0.3), ((1, 1, 0), 0.1), ((1, 1, 1), np.nan)):
        found = not_learned(p, np.array(learned, dtype=bool)[:, None])
        assert found[0] == pytest.approx([mean, 1 - mean], nan_ok=True)


@pytest.mark.parametrize(
    ("doubted", "judged", "others", "said"),
    [
        (0, 1, 0, "None of 1 label is doubted."),
        (1, 20, 1, "1 of 20 labels is doubted, those of the highest doubt. 1 cannot be judged: every model has learned "
         "from it."),
        (48, 1482, 0, "48 of 1,482 labels are doubted, those of the highest doubt."),
    ],
)  # fmt: skip
def test_what_is_said(doubted, judged, others, said):
    p = np.full((judged + others, 2), 0.5)
    p[judged:] = np.nan
    found = LabelDoubt(p, np.zeros(len(p), dtype=int))
    found.__dict__["doubted"] = np.arange(len(p)) < doubted
    assert found.says() == said
