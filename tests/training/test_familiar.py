"""What is kept as familiar: of which images, with which labels, and how far the others lie from it."""

import numpy as np
import pytest

from colora.metrics.novelty import Familiar
from colora.runs.features import read_familiar, read_features, write_features
from colora.runs.folder import create_group
from colora.settings.config import make_config
from colora.training import familiar as module
from colora.training.familiar import kept_of, maps_at
from colora.training.images import Outputs

COUNTS = {"train": 43, "val": 12, "test": 7}
RNG = np.random.default_rng(6)
MAPS = {split: RNG.normal(size=(n, 5)).astype(np.float32) for split, n in COUNTS.items()}
FEATURES = {split: RNG.normal(size=(n, 3)).astype(np.float32) for split, n in COUNTS.items()}
LABELS = np.arange(43) % 3


@pytest.fixture
def run(tmp_path):
    run = create_group(tmp_path / "runs", "g", make_config({"dataset": "phantom"}), [0]).runs[0]
    (run.path / "predictions").mkdir()
    return run


USED = [np.arange(43), np.flatnonzero(RNG.random(43) < 0.5), np.array([3, 8, 41])]


@pytest.mark.parametrize("used", USED, ids=["all", "some", "few"])
@pytest.mark.parametrize("most", [50, 10])
def test_familiar_is_what_was_trained_on_with_the_labels_trained_with(run, monkeypatch, used, most):
    monkeypatch.setattr(module, "MOST_MAPS", most)
    at = maps_at(COUNTS, used)
    steps = {split: 1 if most == 50 else -(-n // 10) for split, n in (COUNTS | {"train": len(used)}).items()}
    assert at["train"].tolist() == used[:: steps["train"]].tolist()
    assert at["val"].tolist() == list(range(0, 12, steps["val"]))
    seen = {s: Outputs(np.ones((n, 2)), FEATURES[s], MAPS[s][at[s]]) for s, n in COUNTS.items()}
    write_features(run, kept_of(seen, LABELS[at["train"]]))
    taken = at["train"]
    expected = Familiar.of(MAPS["train"][taken], LABELS[taken])
    found, distances = read_familiar(run)
    assert found.means == pytest.approx(expected.means, rel=1e-6)
    assert found.whitening == pytest.approx(expected.whitening, rel=1e-6)
    for split in ("val", "test"):
        assert distances[split] == pytest.approx(expected.distance(MAPS[split][at[split]]), rel=1e-6)
    kept = read_features(run, COUNTS)  # these of every image
    assert all(np.array_equal(kept[split], FEATURES[split].astype(np.float16)) for split in COUNTS)
