"""Where hostile commands happen (fuzz): a small runs folder with one of everything, made once, and fresh copies."""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fabricate import fabricate
from PIL import Image
from small_data import write_folder, write_npz

from colora.cli.main import main
from colora.distillation.verdicts import current, judge
from colora.runs.folder import create_group
from colora.runs.trash import remove
from colora.settings.config import make_config

SMALL = {"backbone": "resnet18:layer1", "weights": "none", "image_size": 32, "batch_size": 8, "threads": 1, "epochs": 1}
NEIGHBOUR = "neighbour"  # a group and a reader that no case names: what becomes of them is looked at after each
DATA = "0" * 64


@dataclass(frozen=True)
class Place:
    """Where cases happen: a template, which is made once, and a fresh copy of it for each case."""

    template: Path
    at: Path

    @classmethod
    def make(cls, folder: Path) -> "Place":
        """Trains a network of one epoch, which takes some seconds."""
        place = cls(folder / "template", folder / "at")
        runs = place.template / "runs"
        npz = write_npz(place.template.parent / "tiny.npz", counts=(4, 4))
        write_folder(place.template / "folder", patients=6, scans=1)
        Image.new("L", (40, 40)).save(place.template / "a.png")
        config = make_config(SMALL | {"dataset": f"npz:{npz}"})
        from colora.training.run import train_run

        run = create_group(runs, "trained", config, [0]).runs[0].path
        with quiet():
            assert train_run(run) == 0
        for name, states in (("first", ["done", "done"]), ("failed", ["failed", "stopped"]), (NEIGHBOUR, ["done"])):
            fabricate(runs, name, states, {"dataset": "phantom", "epochs": 2})
        fabricate(runs, "waiting", ["queued"])
        remove(fabricate(runs, "old", ["failed"]))
        shutil.rmtree(run / "tensorboard")
        for reader in ("ann", NEIGHBOUR):
            judge(runs, reader, DATA, "train-0001", "wrong_label", label=1)
        with quiet():
            assert main(["distil", "first", "--keep", "5", "--name", "hard", "--runs-dir", str(runs)]) == 0
        return place

    @property
    def runs(self) -> Path:
        return self.at / "runs"

    def fresh(self) -> None:
        shutil.rmtree(self.at, ignore_errors=True)
        shutil.copytree(self.template, self.at, symlinks=True, copy_function=_linked)

    def write(self, name: str, content: bytes) -> str:
        (path := self.at / name).write_bytes(content)
        return str(path)

    def put(self, rng: Random, path: Path, content: bytes) -> None:
        """A file in place of what is there, or what is none: a folder, a pipe, a link to itself or to nothing."""
        what = rng.choice((None, None, None, None, None, None, "folder", "pipe", "loop", "nothing", "gone"))
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        if what is None:
            path.write_bytes(content)
        elif what == "folder":
            path.mkdir()
        elif what == "pipe":
            os.mkfifo(path)
        elif what != "gone":
            path.symlink_to(path if what == "loop" else "nowhere")

    def neighbour(self) -> tuple[Any, ...]:
        """All bytes of the group that no case names, and the verdicts of the reader whom none names."""
        group = self.runs / NEIGHBOUR
        files = {str(p.relative_to(group)): p.read_bytes() for p in sorted(group.rglob("*")) if p.is_file()}
        return files, current(self.runs, reader=NEIGHBOUR).astype(str).to_dict("records")


def _linked(source: str, target: str) -> None:
    """The same file under another name, which takes a fraction of a copy's time: whoever writes it anew puts another
    one in its place. Only what is added to is copied."""
    added_to = source.endswith((".jsonl", ".txt"))
    shutil.copy(source, target) if added_to else os.link(source, target, follow_symlinks=False)


@contextmanager
def quiet() -> Iterator[None]:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield
