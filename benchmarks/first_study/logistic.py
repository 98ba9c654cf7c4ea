"""Logistic regression on mean-pooled frozen features: what the pretrained backbone gives without any fine-tuning."""

from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from colora.data.sources import SPLITS, load_dataset
from colora.metrics import classification
from colora.networks.backbones import build, load_weights
from colora.settings.config import make_config
from colora.training.images import DeviceImages

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100, 1000)  # scikit-learn's C: eight settings, as for the other methods


def logistic_cell(backbone: str, data: str, weights: str) -> dict[str, Any]:
    """As `Study.cell`: the grid over C on validation and the test figures at the best. It has no seeds."""
    config = make_config({"dataset": f"npz:{data}", "weights": weights, "backbone": backbone, "image_size": 128})
    dataset = load_dataset(config)
    model = build(backbone, dataset.classes, 128)
    load_weights(model, backbone, weights)
    features = model[:-1].eval()
    x = {name: _pooled(features, dataset.splits[name].images) for name in SPLITS}
    y = {name: dataset.splits[name].labels for name in SPLITS}
    grid, fitted = [], {}
    for strength in STRENGTHS:
        fitted[strength] = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=5000))
        fitted[strength].fit(x["train"], y["train"])
        val = _figures(fitted[strength], x["val"], y["val"])
        grid.append({"settings": {"C": strength}} | {f"val_{k}": [v] for k, v in val.items()})
    best = max(grid, key=lambda row: (row["val_accuracy"][0], -row["val_loss"][0]))
    model = fitted[best["settings"]["C"]]
    row = {"seed": None, "val": _figures(model, x["val"], y["val"]), "test": _figures(model, x["test"], y["test"])}
    row |= {"trainable": model[-1].coef_.size + model[-1].intercept_.size, "seconds_per_epoch": None}
    return {
        "backbone": backbone,
        "method": "logistic regression",
        "chosen": best["settings"],
        "seeds": [row],
        "grid": grid,
    }


@torch.inference_mode()
def _pooled(features: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    """(N, C): the mean over the map of the features of each image."""
    ready = DeviceImages(images, np.zeros(len(images), dtype=np.int64), torch.device("cpu"))
    parts = [features(inputs).mean((2, 3)) for inputs, _ in ready.batches(torch.arange(len(images)), 64)]
    return torch.cat(parts).numpy()


def _figures(model: Any, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    p = model.predict_proba(x)
    return {
        "accuracy": classification.accuracy(y, p),
        "loss": classification.cross_entropy(y, p),
        "auc": classification.macro_auc(y, p),
    }
