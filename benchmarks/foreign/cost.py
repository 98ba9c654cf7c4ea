"""What the distance takes with many training images: time and memory of its making, and of one new image.

python benchmarks/foreign/cost.py
"""

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from colora.metrics.novelty import Familiar
from colora.system.environment import environment
from colora.training.images import choose_device

HERE = Path(__file__).parent
IMAGES, WIDTHS, ROUNDS = 100_000, (128, 512, 1280), 21


def main() -> None:
    rows = [_row(width) for width in WIDTHS]
    result = {
        "about": " ".join(__doc__.split()),
        "rows": rows,
        "environment": environment(choose_device("cpu")) | {"command": "python benchmarks/foreign/cost.py"},
    }
    (HERE / "cost.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


def _row(width: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    features, labels = rng.random((IMAGES, width), dtype=np.float32), np.arange(IMAGES) % 4
    start = time.perf_counter()
    known = Familiar.of(features, labels)
    making = time.perf_counter() - start
    times = []
    for i in range(ROUNDS):
        start = time.perf_counter()
        known.distance(features[i : i + 1])
        times.append(time.perf_counter() - start)
    return {
        "images": IMAGES,
        "features": width,
        "features_mb": features.nbytes / 1e6,
        "making_seconds": round(making, 2),
        "making_peak_mb": round(_peak_mb(lambda: Familiar.of(features, labels)), 1),
        "kept_mb": round((known.means.nbytes + known.whitening.nbytes) / 1e6, 2),
        "one_image_ms": round(1000 * float(np.median(times)), 3),
        "one_image_peak_mb": round(_peak_mb(lambda: known.distance(features[:1])), 3),
    }


def _peak_mb(work: Callable[[], object]) -> float:
    """Beside what was there before."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


if __name__ == "__main__":
    main()
