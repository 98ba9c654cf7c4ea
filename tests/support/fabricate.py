"""Run folders as training writes them, made in milliseconds and without torch. TEST DATA, of no network.

The figures come from a simple learner: the logit of the true class grows with the epochs and every image has
its own fixed noise, so that loss, accuracy, AUC and predictions agree with each other, as after training.
"""

import json
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from colora.data import phantom
from colora.data.prepare import image_checksum
from colora.data.rules import make_rule
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.metrics.classification import accuracy, cross_entropy, entropy, macro_auc
from colora.metrics.novelty import Familiar
from colora.metrics.operating_point import Choice
from colora.queue import order
from colora.results.operating_point import Question
from colora.results.question import freeze
from colora.runs.documents import CALIBRATION
from colora.runs.external import keep_external, seed_tested
from colora.runs.features import Kept, write_features
from colora.runs.finished import finished
from colora.runs.folder import ACTIVE, Group, Run, create_group, own_process, read_json, write_json
from colora.runs.notes import write_notes
from colora.runs.prediction_table import made_table
from colora.runs.selection import selected_row
from colora.settings.config import RunConfig, make_config
from colora.settings.resolved import Resolved
from colora.system.files import append_bytes
from colora.system.process import identity

CLASS_NAMES = ["CNV", "DME", "DRUSEN", "NORMAL"]
COUNTS = {"train": [136, 40, 32, 192], "val": [34, 10, 8, 48], "test": [50, 50, 50, 50]}
PARAMETERS = {
    "features": 683_072,
    "head": 836_228,
    "adapter": 96_512,
    "adapted": 681_152,
    "trainable": 932_740,
    "deployed": 1_519_300,
    "layers": 10,
}
SECONDS_PER_EPOCH = 2.5  # two of training and half of one of evaluation
FOR_EVER = 1e9  # seconds, for which the heart of a run that is under way has beaten already
MOST_USED = 30  # images of a class that a balanced group is trained on

_trainers: list[subprocess.Popen] = []


def labels_of(split: str) -> np.ndarray:
    """(N,) int: the classes in order, as often as COUNTS says."""
    return np.repeat(np.arange(len(CLASS_NAMES)), COUNTS[split])


def used_images(train_set: str) -> np.ndarray:
    """(N,) bool: the train images that are trained on; of a balanced group the first MOST_USED of each class."""
    first = np.concatenate([np.arange(count) < MOST_USED for count in COUNTS["train"]])
    return first if train_set == "balanced" else np.ones(len(first), dtype=bool)


def held_out(seed: int, folds: int) -> np.ndarray:
    """(N,) bool: the train images that a cross-fitted seed leaves out."""
    return np.arange(sum(COUNTS["train"])) % folds == seed % folds


def mislabel(group: Group, every: int) -> None:
    """Gives each so many-th training image the label of the next class, in the tables of all seeds."""
    for run in group.runs:
        path = run.predictions_file("train")
        table = pd.read_parquet(path)
        table.loc[::every, "label"] = (table.loc[::every, "label"] + 1) % len(CLASS_NAMES)
        table.to_parquet(path)


def patients(split: str) -> list[str]:
    """(N,) of each two images in a row, as the data may name them."""
    return [f"{split}-eye-{i // 2}" for i in range(sum(COUNTS[split]))]


@cache
def probabilities(split: str, seed: int, epoch: int) -> np.ndarray:
    """(N, C) of a learner that knows more with each epoch, and a little more about its training images. Read-only."""
    labels = labels_of(split)
    rng = np.random.default_rng([seed, list(COUNTS).index(split)])
    noise = rng.normal(size=(len(labels), len(CLASS_NAMES)))
    talent = 2.8 + 0.3 * np.random.default_rng([seed, 9]).normal()
    knowledge = talent * (1 - np.exp(-epoch / 3)) * (1.25 if split == "train" else 1)
    logits = 1.5 * (noise + knowledge * np.eye(len(CLASS_NAMES))[labels])
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32)
    p.flags.writeable = False  # one array for all who ask
    return p


@cache
def metrics_row(seed: int, epoch: int) -> dict[str, Any]:
    """Read-only."""
    row: dict[str, Any] = {"epoch": epoch}
    for split in COUNTS:
        labels, p = labels_of(split), probabilities(split, seed, epoch)
        row |= {
            f"{split}_loss": cross_entropy(labels, p),
            f"{split}_accuracy": accuracy(labels, p),
            f"{split}_auc": macro_auc(labels, p),
        }
    times = {"seconds": 2.0, "eval_seconds": 0.5, "images_per_s": sum(COUNTS["train"]) / 2.0}
    return row | times | {"peak_memory_mib": 1000.0 + seed}


def resolved(config: RunConfig, warnings: list[str]) -> Resolved:
    synthetic = config.dataset == "phantom"
    return Resolved(
        device="cpu",
        precision="fp32",
        threads=2,
        torch="0.0 (test data)",
        class_names=CLASS_NAMES,
        class_names_given=True,
        data_source="phantom (synthetic)" if synthetic else f"npz:{Path(config.dataset).name}",
        data_checksum="0" * 64,
        synthetic=synthetic,
        preparation="grey, centre-crop, resize (test data)",
        split_rule="generated apart, no eye in two splits (test data)"
        if synthetic
        else "as the file has it (test data)",
        class_counts=COUNTS | {"used": np.bincount(labels_of("train")[used_images(config.train_set)]).tolist()},
        weights_checksum=None,
        random_layers=[],
        parameters=PARAMETERS,
        warnings=warnings,
    )


@cache
def drawn_checksums(split: str, image_size: int) -> np.ndarray:
    """(N,) uint64, as training keeps them of each image."""
    drawn = (phantom.draw(split, i, image_size) for i in range(sum(COUNTS[split])))
    return np.array([image_checksum(image) for image in drawn], dtype=np.uint64)


def write_predictions(run: Run, epoch: int, with_patients: bool) -> None:
    (run.path / "predictions").mkdir(exist_ok=True)
    drawn = run.config.image_size if run.config.dataset == "phantom" else None
    for split in COUNTS:
        config = run.config
        written = predictions(split, run.seed, epoch, with_patients, drawn, config.train_set, config.folds)
        (run.path / "predictions" / f"{split}.parquet").write_bytes(written)


@cache
def predictions(
    split: str, seed: int, epoch: int, with_patients: bool, drawn: int | None, train_set: str, folds: int | None = None
) -> bytes:
    """A table of predictions as a file has it; `drawn` is the size of generated images."""
    labels, p = labels_of(split), probabilities(split, seed, epoch)
    table = pd.DataFrame({"index": np.arange(len(labels)), "label": labels})
    for c in range(p.shape[1]):
        table[f"p_{c}"] = p[:, c]
    table["entropy"] = entropy(p)
    table["image_id"] = [f"{split}-{i:04d}" for i in range(len(labels))]
    table["patient_id"] = patients(split) if with_patients else None
    if drawn:
        table["checksum"] = drawn_checksums(split, drawn)
    if split == "train":
        table["used"] = used_images(train_set)
        if folds:
            table["held_out"] = table["used"] & held_out(seed, folds)
    return table.to_parquet()


def write_epoch_outputs(run: Run, epoch: int) -> None:
    folder = run.path / "predictions" / "epochs"
    folder.mkdir(parents=True, exist_ok=True)
    kept = {split: probabilities(split, run.seed, epoch) for split in COUNTS}
    learned = used_images(run.config.train_set)
    if run.config.folds:
        learned = learned & ~held_out(run.seed, run.config.folds)
    kept["train"] = kept["train"][learned]
    save_file(kept, folder / f"epoch-{epoch:02d}.safetensors")


def living_trainer(folder: Path) -> subprocess.Popen:
    """A process that does nothing and proves to be the training of a run folder, also to a server and to commands. It
    ends with the test that has asked for it, and with this process."""
    words = ["colora", "train", "--run-dir", str(folder)]
    trainer = subprocess.Popen(["sh", "-c", "read line", *words], stdin=subprocess.PIPE)
    _trainers.append(trainer)
    return trainer


def end_trainers(below: Path) -> None:
    """Those of the run folders below a folder."""
    for trainer in [one for one in _trainers if below in Path(one.args[-1]).parents]:
        _trainers.remove(trainer)
        trainer.kill()
        trainer.wait()
        trainer.stdin.close()


def gone_process() -> dict[str, Any]:
    """The identity of a process that no longer lives: this pid, started at another time."""
    return own_process() | {"started": 0.0}


def fill_run(
    run: Run,
    state: str,
    epochs_done: int,
    reason: str | None,
    living: dict[str, Any],
    warnings: list[str],
    with_patients: bool = False,
) -> None:
    """Bring a queued run to `state` with so many finished epochs; `lost` is `running` without a process."""
    epochs, now = run.config.epochs, time.time()
    if state != "queued":
        run.write_resolved(resolved(run.config, warnings))
        lines = [f"seed {run.seed} on cpu, fp32, 2 threads (test data)"]
        rows = []
        for epoch in range(1, epochs_done + 1):
            row = metrics_row(run.seed, epoch) | {"merges": epoch // run.config.merge_every}
            rows.append(json.dumps(row) + "\n")
            write_epoch_outputs(run, epoch)
            lines.append(f"epoch {epoch}/{epochs}  loss {row['train_loss']:.3f}  validation {row['val_accuracy']:.3f}")
        if rows:
            append_bytes(run.path / "metrics.jsonl", "".join(rows).encode())  # at once: each time it waits for the disk
        (run.path / "log.txt").write_text("\n".join(lines + ([reason] if reason else [])) + "\n")
    if state == "done":
        write_predictions(run, selected_row(run.metrics, run.config.selection) + 1, with_patients)
    process = {"running": living, "stopping": living, "starting": living, "lost": gone_process()}.get(state)
    write_json(
        run.path / "status.json",
        {
            "state": "running" if state == "lost" else state,
            "epoch": epochs_done,
            "epochs": epochs,
            "step": 5 if state == "running" else 0,
            "steps": 10 if state == "running" else 0,
            "process": process,
            "heartbeat": now,
            "beat": time.monotonic() + FOR_EVER,
            "started": None if state == "queued" else now - SECONDS_PER_EPOCH * epochs_done,
            "finished": now if state in ("done", "failed", "stopped") else None,
            "reason": reason,
        },
    )


def fabricate(
    runs_dir: Path,
    name: str,
    states: list[str],
    values: dict[str, Any] | None = None,
    epochs_done: int | None = None,
    reason: str = "The GPU ran out of memory at batch size 32: choose a smaller batch_size and resume.",
    warnings: list[str] | None = None,
    pid: int | None = None,
    with_patients: bool = False,
) -> Group:
    """A group whose seed i is in `states[i]`; a run under way has finished `epochs_done` (default: half).

    A running state has a process that lives: a `living_trainer`, or `pid`. With `train_set` balanced some train images
    are not trained on; `with_patients` each image has one.
    """
    config = make_config(
        {"backbone": "resnet18:layer2", "weights": "none", "image_size": 64, "epochs": 6, **(values or {})}
    )
    group = create_group(runs_dir, name, config, list(range(len(states))))
    time.sleep(0.001)  # the next one is launched in another millisecond, however fast the disk is
    for run, state in zip(group.runs, states, strict=True):
        under_way = config.epochs // 2 if epochs_done is None else epochs_done
        done = config.epochs if state == "done" else 0 if state in ("queued", "starting") else under_way
        living = identity(pid or living_trainer(run.path).pid) if state in ACTIVE else {}
        fill_run(run, state, done, reason if state == "failed" else None, living, warnings or [], with_patients)
    return Group(group.path)


def fabricate_external(group: Group, name: str = "clinic-b", **about: Any) -> str:
    """A test of the finished seeds on other data, named like a split: the generated test images, as models see them
    that have learnt little. With distances, of which a tenth are far; `about` is what external.json says otherwise."""
    labels, drawn = labels_of("test"), group.config.dataset == "phantom"
    ids = np.array([f"test-{i:04d}" for i in range(len(labels))])
    checksums = drawn_checksums("test", group.config.image_size) if drawn else np.arange(len(labels), dtype=np.uint64)
    tables = {}
    for run in finished(group):
        table = made_table(labels, probabilities("test", run.seed, 2), ids, np.array(patients("test")), checksums)
        table["source_split"] = "test"
        table["distance"] = np.linspace(1, 3.2, len(labels), dtype=np.float32)
        tables[run.seed] = table.to_parquet(index=False)
    classes = [{"own": c, "given": None, "model": c, "images": 50} for c in CLASS_NAMES]
    overlap = {"images": len(labels), "images_trained_on": 0, "images_of_patients_trained_on": 0}
    said = {
        "settings": {"dataset": "phantom"},
        "split": "test",
        "source": "phantom (synthetic)",
        "synthetic": True,
        "checksum": "e" * 64,
        "images_checksum": "d" * 64,
        "preparation": "grey, centre-crop, resize (test data)",
        "images": len(labels),
        "classes": classes,
        "absent": [],
        "left_out_unknown": {},
        "overlap": overlap,
        "warnings": [],
    }
    return keep_external(group, name, said | about, tables, [seed_tested(run) for run in finished(group)])


def group_that_was_tested(runs_dir: Path) -> Group:
    """Two finished seeds, whose images have patients, tested on other data."""
    group = fabricate(runs_dir, "g", ["done", "done"], with_patients=True)
    fabricate_external(group)
    return Group(group.path)


def write_seen(run: Run) -> None:
    """What a model sees in its images, as `runs.features` keeps it."""
    images = {split: sum(counts) for split, counts in COUNTS.items()}
    seen = {split: np.eye(count, 8) for split, count in images.items()}
    distances = {split: np.linspace(1, 3, images[split]) for split in ("val", "test")}
    write_features(run, Kept(seen, Familiar(np.eye(4, 8), np.eye(8)), distances))


def whole_run(runs_dir: Path, name: str = "g") -> Group:
    """Two finished seeds with every file that training, guard, queue and people write."""
    group = fabricate(runs_dir, name, ["done", "done"], {"cut": "mine"})
    cut = distil(read_predictions(group, "train"), "mine", make_rule(drop=1, keep=9))
    write_json(group.path / "cut.json", cut.model_dump())
    for run in group.runs:
        write_seen(run)
        write_json(run.path / "queue.json", order.last_place(runs_dir))
        write_json(run.path / "process.json", {"guard": gone_process(), "child": None})
        write_json(run.path / CALIBRATION, {"epoch": 6, "images": 100, "temperature": 1.2, "log_loss": [0.5, 0.4]})
        write_json(run.path / "exit.json", {"guard": None, "child": None, "code": 0, "signal": None, "oom_kills": 0})
        (run.path / "checkpoint").mkdir()
        for name in ("model.safetensors", "checkpoint/last.safetensors"):
            (run.path / name).write_bytes(b"no tensors" * 50)
    write_notes(group, "seen")
    freeze(group, Question(("CNV", "DME"), Choice("sensitivity", 0.9)))
    fabricate_external(group)
    return group


def train_on(run: Run, **other: Any) -> None:
    """Let a run that has started have been trained on something else: `data_checksum="1" * 64`."""
    path = run.path / "config.json"
    document = read_json(path)
    write_json(path, {**document, "resolved": {**document["resolved"], **other}})


def damage(group: Group) -> None:
    """Leave half of a status.json, as a full disk can."""
    (group.runs[0].path / "status.json").write_text('{"state": "run')
