"""What every test may ask for. Real images and weights are used where `../shared` has them."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}  # as the command line does, before torch loads
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every process that a test starts compiles torch anew, for seconds

import numpy as np
import pytest
from cluster import Cluster, missing
from fabricate import end_trainers
from host import Host, write_package
from hypothesis import settings
from queueing import Lab
from small_data import write_folder, write_npz

import colora.cli.main
import colora.engines.local  # now: first imported while a test has patched what it imports, it would keep that
import colora.queue.worked
import colora.runs.proof
import colora.system.busy
import colora.system.download
from colora.cli.arguments import Parser
from colora.data import phantom
from colora.data.dataset import SPLITS
from colora.runs import access
from colora.settings import medmnist_info
from colora.system.errors import UserError
from colora.system.files import read_json
from colora.system.process import send

# fixtures and options
pytest_plugins = [
    "browsing", "opened", "image_pages", "training", "answering", "second_try", "workers_of_tests", "predicting",
    "signing_in",
]  # fmt: skip
SHARED = Path(__file__).parents[2] / "shared"
settings.register_profile("patient", deadline=None)  # a busy machine may keep any example waiting
settings.load_profile("patient")
colora.system.busy.LEAST_SECONDS = 0.02  # of a rehearsal's steps; whoever looks at times asks for more

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for what it starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # so that a Ctrl-C of a test reaches what it starts


build_parser = colora.cli.main._parser


@cache
def parser_of(runs_dir: str | None, home: str | None) -> Parser:
    """The command line's parser, by what it reads of the environment: a command builds it once, which takes 25 ms, and
    a process of tests runs hundreds."""
    return build_parser()


colora.cli.main._parser = lambda: parser_of(os.environ.get("COLORA_RUNS_DIR"), os.environ.get("HOME"))


def pytest_collection_finish() -> None:
    """What was imported until now, half a million objects with torch, is no garbage: a collection, as Python makes now
    and then and every rehearsal twice, does not go through it, which takes a third of a second."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Or triton takes what is never collected for leaks, and says so."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch) -> Iterator[Path]:
    """No test reads or writes this user's cache and state, nor does a process that it starts."""
    monkeypatch.setenv("COLORA_CACHE", str(tmp_path / "colora-cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "colora-state"))
    monkeypatch.setattr(access, "acting", access.from_environment)  # app.py puts in its own: taken back with the test
    monkeypatch.setattr(access, "in_app", False)
    monkeypatch.setattr(access, "runs_dir", access.named_runs_dir)
    os.umask(umask := os.umask(0))
    yield tmp_path / "colora-cache"
    os.umask(umask)  # a command that was run in this process has set its own
    monkeypatch.undo()  # the file system may have been made to fail
    for path in tmp_path.glob("*/colora/locks/supervisor-*.json"):
        send(read_json(path)["process"], signal.SIGKILL)  # it would end by itself, a while after the test
    end_trainers(tmp_path)


@pytest.fixture(autouse=True)
def looking_starts_nothing(monkeypatch) -> None:
    """Pages and commands in this process find no supervisor for what waits, and say so; those that are asked to start
    one do. What looking starts is in queue/test_worked.py."""

    def refused(runs_dir, wait):
        raise UserError("No test starts a supervisor by looking.")

    monkeypatch.setattr(colora.queue.worked, "ensure_supervisor", refused)
    for name in ("watched", "begin"):  # and no thread outlives the test
        monkeypatch.setattr(colora.queue.worked, name, colora.queue.worked.see_to)


@pytest.fixture(autouse=True)
def this_process_trains(monkeypatch) -> None:
    """Tests name the process that runs them as that of a run, and some train in it: here it proves to be any run's.
    What really proves that is in runs/test_proof.py."""
    real = colora.runs.proof._told
    monkeypatch.setattr(colora.runs.proof, "_told", lambda known, run: known["pid"] == os.getpid() or real(known, run))


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


@pytest.fixture
def few_phantoms(monkeypatch) -> None:
    """The phantom data set with 24 images a split: all 2,960 take seconds to draw."""
    few = replace(phantom.SETTINGS, counts=(24, 24, 24))
    monkeypatch.setattr("colora.data.sources.generate", partial(phantom.generate, settings=few))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real OCT images and genuine ImageNet weights beside the project."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real images and weights at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def tiny_npz(tmp_path_factory) -> Path:
    """30 images of 32 px in three unequal classes (12, 10, 8), in each split."""
    return write_npz(tmp_path_factory.mktemp("npz") / "tiny.npz")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    return write_folder(tmp_path_factory.mktemp("folder") / "oct")


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A host of files on this machine; locks and states of downloads go into the test's own folder."""
    served = Host()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(colora.system.download, "BACKOFF_SECONDS", 0.01)
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
