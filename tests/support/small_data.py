"""Small data in the real formats: a file like MedMNIST's, a folder like Kermany's. A small network learns them fast."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colora.data.cuts import Cut, cut_hash
from colora.data.dataset import Dataset
from colora.data.rules import make_rule
from colora.data.sources import load_dataset, outline
from colora.distillation.distil import FATES
from colora.settings.config import RunConfig
from colora.system.errors import UserError


def load(spec: str, **settings) -> Dataset:
    return load_dataset(RunConfig(dataset=spec, **{"image_size": 32, **settings}))


def cut_of(dataset: Dataset, ids: list[str], image_size: int = 32, labels: dict[str, int] | None = None) -> Cut:
    """A cut of these train images, made by hand."""
    train, classes = dataset.splits["train"], len(dataset.class_names)
    known = dict(zip(train.image_ids.tolist(), train.labels.tolist(), strict=True)) | (labels or {})
    kept = np.bincount([known.get(i, 0) for i in ids], minlength=classes).tolist()
    checksum = dataset.checksum()
    return Cut(
        name="hand", created="2026-01-01T00:00:00Z", user="ann", rule=make_rule(keep=1), pool="run",
        source={"group": "g", "seeds": [0], "whose": "best", "whose_says": "seed 0", "selection": "validation"},
        data_source=dataset.source, data_checksum=checksum, image_size=image_size, synthetic=False,
        class_names=list(dataset.class_names), image_ids=sorted(ids), labels=labels or {},
        counts=dict.fromkeys(("pool", *FATES), kept),
        hash=cut_hash(checksum, ids, labels),
    )  # fmt: skip


def striped_images(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """(N, size, size) uint8: class c has c + 1 bright stripes under noise, so that a small network learns it fast."""
    rng = np.random.default_rng(seed)
    rows = np.arange(size)
    images = np.empty((len(labels), size, size))
    for i, label in enumerate(labels):
        phase = rng.uniform(0, 2 * np.pi)
        images[i] = 110 + 70 * np.sin(2 * np.pi * (label + 1) * rows / size + phase)[:, None]
    return np.clip(images + rng.normal(0, 20, images.shape), 0, 255).astype(np.uint8)


def write_npz(
    path: Path, size: int = 32, counts: tuple[int, ...] = (12, 10, 8), named: bool = True, **replaced
) -> Path:
    """A file in MedMNIST's format; `replaced` overrides keys, a value of None removes one."""
    content = {}
    for k, split in enumerate(("train", "val", "test")):
        labels = np.repeat(np.arange(len(counts)), counts)
        labels = np.random.default_rng(k).permutation(labels)
        content[f"{split}_images"] = striped_images(labels, size, seed=k)
        content[f"{split}_labels"] = labels[:, None].astype(np.uint8)
        content[f"{split}_patients"] = np.arange(len(labels)) // 2 + 100 * k
    if named:
        content["class_names"] = np.array(["ONE", "TWO", "THREE", "FOUR"][: len(counts)])
    content |= replaced
    np.savez(path, **{name: value for name, value in content.items() if value is not None})
    return path


def write_folder(root: Path, patients: int = 12, scans: int = 2, size: tuple[int, int] = (48, 32)) -> Path:
    """Class sub-folders ONE, TWO, THREE with files named as Kermany's, CLASS-PATIENT-N.png."""
    for c, name in enumerate(("ONE", "TWO", "THREE")):
        (root / name).mkdir(parents=True)
        for patient in range(patients):
            for n in range(scans):
                image = striped_images(np.array([c]), max(size), seed=1000 * c + 10 * patient + n)[0]
                Image.fromarray(image[: size[1], : size[0]]).save(
                    root / name / f"{name}-{100 * c + patient}-{n + 1}.png"
                )
    return root


def write_leaky(root: Path) -> Path:
    """`write_folder` of four patients a class, and one picture of class ONE in class TWO too."""
    write_folder(root, patients=4, scans=1)
    shutil.copy(root / "ONE" / "ONE-0-1.png", root / "TWO" / "TWO-900-1.png")
    return root


def check(path: Path) -> None:
    """What a launch looks at."""
    outline(RunConfig(dataset=f"npz:{path}"))


def refused(path: Path, sentence: str, also_before_launch: bool = True) -> None:
    """Both the run and the check before it say the same sentence."""
    with pytest.raises(UserError, match=sentence) as error:
        load(f"npz:{path}")
    assert error.value.field == "dataset"
    if also_before_launch:
        with pytest.raises(UserError, match=sentence):
            check(path)


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The archive's members, as {name: bytes} after `change(content)`, stored without compression."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    change(content)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path
