"""What a seed keeps of its predictions: probabilities of every epoch, of the selected one all that is asked later."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import save as save_arrays
from torch import nn

from colora.data.dataset import SPLITS, Dataset
from colora.metrics import classification
from colora.runs.documents import CALIBRATION
from colora.runs.features import write_features
from colora.runs.folder import Run, write_bytes, write_json
from colora.runs.prediction_table import made_table
from colora.training.checkpoint import saved_model_epoch
from colora.training.familiar import kept_of, maps_at
from colora.training.images import DeviceImages, eval_batch_size, outputs


@dataclass(frozen=True)
class Trained:
    """The group's training images: used (n,) positions in the train split, ascending; held_out (n,) bool, those among
    them that this seed leaves out (`data.folds`); labels (n,), as a cut corrected them, or None."""

    used: np.ndarray
    held_out: np.ndarray
    labels: np.ndarray | None


def save_epoch_outputs(run: Run, epoch: int, found: dict[str, np.ndarray]) -> None:
    """Probabilities (N, C) float32 of each split after this epoch; of train the images trained on."""
    folder = run.path / "predictions" / "epochs"
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / f"epoch-{epoch:02d}.safetensors", save_arrays(found, metadata={"epoch": str(epoch)}))


def save_predictions(
    run: Run,
    model: nn.Module,
    dataset: Dataset,
    images: Mapping[str, DeviceImages],
    trained: Trained,
    precision: str,
    before_batch: Callable[[], None],
) -> None:
    """The selected model on every image of every split, the whole train split included, and what its last layer
    reads."""
    config, used = run.config, trained.used
    own = used[~trained.held_out]
    found, at = {}, maps_at({name: len(split) for name, split in dataset.splits.items()}, own)
    for name in SPLITS:
        split, at_once = dataset.splits[name], eval_batch_size(config, images[name].device)
        found[name] = outputs(model, images[name], at_once, precision, before_batch, at[name])
        p = found[name].probabilities
        table = made_table(split.labels, p, split.image_ids, split.patient_ids, split.checksums())
        if name == "train":
            table["used"] = np.isin(np.arange(len(split)), used)
            if config.folds:
                table["held_out"] = np.isin(np.arange(len(split)), used[trained.held_out])
            if trained.labels is not None:
                table["trained_label"] = split.labels
                table.loc[used, "trained_label"] = trained.labels
        path = run.path / "predictions" / f"{name}.parquet"
        write_bytes(path, table.to_parquet(index=False))
        if name == "val":
            _save_temperature(run, split.labels, p)
    labels = dataset.splits["train"].labels.copy()
    if trained.labels is not None:
        labels[used] = trained.labels
    write_features(run, kept_of(found, labels[at["train"]]))


def _save_temperature(run: Run, labels: np.ndarray, p: np.ndarray) -> None:
    """Of the selected model, from its probabilities (N, C) of the validation images."""
    from colora.metrics import calibration  # scipy's optimizers take a quarter of a second, which no epoch waits for

    chosen = calibration.temperature(labels, p)
    losses = [classification.cross_entropy(labels, each) for each in (p, calibration.tempered(p, chosen))]
    found = {"epoch": saved_model_epoch(run), "images": len(labels), "temperature": chosen, "log_loss": losses}
    write_json(run.path / CALIBRATION, found)
