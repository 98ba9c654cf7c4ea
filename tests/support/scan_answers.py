"""Answers to single images, as `colora predict --json` writes them, without models."""

import io
from typing import Any

import numpy as np
from PIL import Image

from colora.settings.catalog import NOTICE

NAMES = ["CNV", "DME", "DRUSEN", "NORMAL"]
PIXELS = (np.arange(40 * 50) % 251).astype(np.uint8).reshape(40, 50)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def told(p: list[float], names: list[str]) -> dict[str, Any]:
    return {"prediction": names[int(np.argmax(p))], "probabilities": dict(zip(names, p, strict=True)), "entropy": 0.391}


def documents(names: list[str] = NAMES, seeds: int = 5) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `colora predict --json` says of a group and of one image; the first class is the answer."""
    rng = np.random.default_rng(3)
    rest = np.full(len(names) - 2, 0.0012 / max(len(names) - 2, 1))
    mean = [0.8683, 0.1305, *rest]
    about = {
        "name": "a-group", "class_names": names, "data_trained_on": "npz:scans.npz", "split_rule": "by patient",
        "synthetic_training": False, "image_size": 64, "selection": {"rule": "validation", "says": "the best epoch"},
        "model": "ensemble", "best_seed": 2, "has_features": True, "finished": seeds, "under_way": [], "apart": [],
        "warnings": [], "notice": NOTICE,
        "operating_point": {
            "positives": names[:2], "says": "sensitivity of at least 0.95 on validation", "frozen": True,
            "changed": None, "threshold": 0.3124, "on": "test", "n": 116,
            "sensitivity": {"value": 0.948, "low": 0.86, "high": 0.982},
            "specificity": {"value": 0.914, "low": 0.814, "high": 0.963},
        },
    }  # fmt: skip
    image = {
        "path": "/scans/left eye.png", "conversions": ["colours were taken for grey"], "mean": told(mean, names),
        "calibrated": told([0.9118, 0.087, *rest], names) | {"temperature": 0.8079},
        "seeds": [{"seed": s, **told(list(rng.dirichlet(np.ones(len(names)))), names)} for s in range(seeds)],
        "agreement": {names[0]: seeds - 1, names[1]: 1}, "unsure": {"share": 0.638, "of": 116},
        "nearest": [{"index": i, "image_id": f"train/{i:06}", "label": names[0], "cosine": 0.99} for i in range(5)],
        "doubt": {
            "high": False, "says": None, "reasons": [],
            "disagreement": {"value": 0.15, "limit": 0.2, "share": 0.843, "high": False},
            "distance": {"value": 0.52, "limit": 1.2, "share": 0.147, "high": False},
            "blank": {"value": 46.0, "limit": 8.0, "high": False},
        },
        "met": None, "operating_point": {"positive": True, "score": 0.9988},
    }  # fmt: skip
    return about, image
