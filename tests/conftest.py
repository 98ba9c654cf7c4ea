"""Small data in the real formats, shared by the tests. Real images and weights are used where `../shared` has them."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}  # as the command line does, before torch loads

import numpy as np
import pytest
from cluster import Cluster, missing
from host import Host, write_package
from PIL import Image
from queueing import Lab

import colora.download
import colora.engines.local  # now: first imported while a test has patched what it imports, it would keep that
from colora import medmnist_info
from colora.cli import main
from colora.config import RunConfig
from colora.data import Dataset, load_dataset
from colora.data.dataset import SPLITS
from colora.files import read_json
from colora.process import send

pytest_plugins = ["browsing", "image_pages", "opened", "training"]  # their fixtures
SHARED = Path(__file__).parents[2] / "shared"
os.fsync = lambda handle: None  # no test sees the machine lose its power, and each file written waits for the disk

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for what it starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # so that a Ctrl-C of a test reaches what it starts


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch) -> Iterator[Path]:
    """No test reads or writes this user's cache and state, nor does a process that it starts."""
    monkeypatch.setenv("COLORA_CACHE", str(tmp_path / "colora-cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "colora-state"))
    yield tmp_path / "colora-cache"
    monkeypatch.undo()  # the file system may have been made to fail
    for path in tmp_path.glob("*/colora/locks/supervisor-*.json"):
        send(read_json(path)["process"], signal.SIGKILL)  # it would end by itself, a while after the test


def load(spec: str, **settings) -> Dataset:
    return load_dataset(RunConfig(dataset=spec, **{"image_size": 32, **settings}))


@pytest.fixture
def lab(tmp_path) -> Iterator[Lab]:
    """A runs folder with its queue; what it starts is ended with the test."""
    (tmp_path / "runs").mkdir()
    lab = Lab(tmp_path / "runs")
    yield lab
    lab.close()


@pytest.fixture
def site_file(tmp_path, monkeypatch):
    """A function that writes colora-slurm.toml."""
    path = tmp_path / "colora-slurm.toml"
    monkeypatch.setenv("COLORA_SLURM", str(path))

    def write(text: str) -> None:
        path.write_text(text)

    write("")
    return write


@pytest.fixture(scope="session")
def slurm(tmp_path_factory) -> Iterator[Cluster]:
    """A real SLURM of one node, for all tests; each leaves it empty."""
    if reason := missing():
        pytest.skip(reason)
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    yield cluster
    cluster.close()


def mistake(capsys, *arguments) -> str:
    """The one line on stderr of a command that must end with exit code 2."""
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


def document(capsys, *arguments, code: int = 0):
    """What a command prints with --json."""
    assert main([*map(str, arguments), "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real OCT images and genuine ImageNet weights beside the project."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real images and weights at {SHARED}")
    return SHARED


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


@pytest.fixture(scope="session")
def tiny_npz(tmp_path_factory) -> Path:
    """30 images of 32 px in three unequal classes (12, 10, 8), in each split."""
    return write_npz(tmp_path_factory.mktemp("npz") / "tiny.npz")


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


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    return write_folder(tmp_path_factory.mktemp("folder") / "oct")


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A host of files on this machine; locks and states of downloads go into the test's own folder."""
    served = Host()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(colora.download, "BACKOFF_SECONDS", 0.01)
    yield served
    served.close()


@pytest.fixture
def medmnist(host, monkeypatch, tmp_path):
    """Small sets in MedMNIST's format under its names, for this process and the ones it starts.

    octmnist (28 and 64 px) and colourmnist (28 px) have 30 images a split, of their first three classes; the folder
    `.root` stands for ~/.medmnist.
    """
    root, grey = tmp_path / "medmnist-root", write_npz(tmp_path / "grey.npz", 28, named=False)
    root.mkdir()
    with np.load(grey) as file:
        colour = {f"{s}_images": np.stack([file[f"{s}_images"] // k for k in (1, 2, 3)], -1) for s in SPLITS}
    host.files = {
        "octmnist.npz": grey.read_bytes(),
        "octmnist_64.npz": write_npz(tmp_path / "grey64.npz", 64, named=False).read_bytes(),
        "colourmnist.npz": write_npz(tmp_path / "colour.npz", 28, named=False, **colour).read_bytes(),
    }
    facts = {"n_channels": 1, "n_samples": dict.fromkeys(SPLITS, 30)}
    labels = {str(c): text for c, text in enumerate(("choroidal neovascularization", "oedema", "drusen", "normal"))}
    sets = {
        "octmnist": facts | {"label": labels},
        "colourmnist": facts | {"label": {"0": "a", "1": "b", "2": "c"}, "n_channels": 3},
        "chestmnist": facts | {"label": labels, "task": "multi-label, binary-class"},
        "organmnist3d": facts | {"label": labels},
    }
    package = tmp_path / "package"
    package.mkdir()
    write_package(package, host, sets, root)
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setenv("PYTHONPATH", str(package))
    monkeypatch.delitem(sys.modules, "medmnist", raising=False)
    medmnist_info._package.cache_clear()
    host.root = root
    yield host
    medmnist_info._package.cache_clear()
