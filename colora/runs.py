"""The run folder: the only truth about a run. What is not in it did not happen.

    runs/GROUP/group.json            config, seeds, created, by whom
    runs/GROUP/worker.json           the process that runs the seeds one after another
    runs/GROUP/worker.log            what that process printed
    runs/GROUP/seed-03/config.json   settings of this run, and what they resolved to
                       status.json   state, epoch, step, heartbeat, process identity, reason
                       stop          exists: a person wants this run to stop
                       environment.json, metrics.jsonl, log.txt, tensorboard/
                       data-problems.txt   exists: images that did not open and were left out, one a line
                       checkpoint/last.safetensors, history/epoch-01.safetensors ..., model.safetensors
                       predictions/train.parquet, val.parquet, test.parquet, epochs/epoch-01.safetensors ...

A file is complete or absent: written beside, synced, renamed. Imports no torch, so that pages can read.
"""

import getpass
import json
import os
import re
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from colora.config import SCHEMA_VERSION, Resolved, RunConfig
from colora.errors import UserError
from colora.process import identity, is_alive

ACTIVE = ("starting", "running", "stopping")
STATES = ("queued", *ACTIVE, "stopped", "done", "failed", "lost")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def write_bytes(path: Path, data: bytes) -> None:
    """Atomic: after a crash the file holds the old or the new content, never a part."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # Windows cannot open a folder; its rename is durable enough
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Raises UserError that names the file if it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist.") from error
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}); the run folder is damaged.") from error


def append_json(path: Path, value: Any) -> None:
    """Adds one line of JSON and syncs it."""
    with open(path, "a") as file:
        file.write(json.dumps(value, allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines of an appended file; a last line still being written is left out."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    try:
        return [json.loads(line) for line in lines[:-1]]
    except ValueError as error:
        raise UserError(f"{path} holds a line that is not JSON ({error}); the run folder is damaged.") from error


@dataclass(frozen=True)
class Run:
    """One seed's folder, read when asked. Raises UserError where a file is damaged."""

    path: Path

    @property
    def seed(self) -> int:
        return int(self.path.name.removeprefix("seed-"))

    @cached_property
    def _config_file(self) -> dict[str, Any]:
        return read_json(self.path / "config.json")

    @cached_property
    def config(self) -> RunConfig:
        try:
            return RunConfig(**self._config_file["config"])
        except (ValidationError, KeyError) as error:
            raise UserError(f"{self.path / 'config.json'} does not hold this version's settings: {error}") from error

    @cached_property
    def resolved(self) -> Resolved | None:
        """None until the run has started once."""
        values = self._config_file.get("resolved")
        return Resolved(**values) if values else None

    def write_resolved(self, resolved: Resolved) -> None:
        write_json(self.path / "config.json", {**self._config_file, "resolved": resolved.model_dump()})

    @cached_property
    def status(self) -> dict[str, Any]:
        """status.json, with `lost` derived where the process it names is gone."""
        status = read_json(self.path / "status.json")
        if status["state"] in ACTIVE and not is_alive(status["process"]):
            status |= {
                "state": "lost",
                "reason": "The process of this run is gone without a word (killed, or the machine restarted). "
                f"Resume continues after epoch {status['epoch']}.",
            }
        elif status["state"] == "queued" and not worker_alive(self.path.parent):
            status |= {"state": "lost", "reason": "The process that was to start this run is gone. Resume starts it."}
        return status

    @property
    def state(self) -> str:
        return self.status["state"]

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row a finished epoch: epoch, {train,val,test}_{loss,accuracy,auc}, seconds, images_per_s, ..."""
        return pd.DataFrame(read_json_lines(self.path / "metrics.jsonl"))

    def predictions(self, split: str) -> pd.DataFrame:
        """Predictions of the selected model, one row an image.

        Columns: index, label, p_0 ... p_{C-1} (float32, rows sum to 1), entropy (nats), image_id, patient_id (or null);
        `used` (bool: trained on) in the train split. Raises UserError while the run has not written them.
        """
        path = self.path / "predictions" / f"{split}.parquet"
        if not path.exists():
            raise UserError(f"{self.path.parent.name}, seed {self.seed}, has no predictions on {split} yet.")
        return pd.read_parquet(path)

    def log_tail(self, lines: int = 40) -> str:
        path = self.path / "log.txt"
        if not path.exists():
            return ""
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 32_768))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    @property
    def stop_requested(self) -> bool:
        return (self.path / "stop").exists()


@dataclass(frozen=True)
class Group:
    """One config over n seeds."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def info(self) -> dict[str, Any]:
        """group.json: schema_version, config, seeds, created (ISO 8601, UTC), launched_by."""
        return read_json(self.path / "group.json")

    @cached_property
    def config(self) -> RunConfig:
        try:
            return RunConfig(**self.info["config"])
        except ValidationError as error:
            raise UserError(f"{self.path / 'group.json'} does not hold this version's settings: {error}") from error

    @cached_property
    def runs(self) -> list[Run]:
        return [Run(self.path / run_folder(seed)) for seed in self.info["seeds"]]

    @cached_property
    def state(self) -> str:
        """One word for the whole: the most urgent of its runs' states."""
        states = {run.state for run in self.runs}
        for state in ("running", "stopping", "starting", "failed", "lost", "queued", "stopped"):
            if state in states:
                return "running" if state == "queued" and "done" in states else state
        return "done"

    @property
    def active(self) -> bool:
        """Something still changes in this folder."""
        return any(run.state in (*ACTIVE, "queued") for run in self.runs)


def run_folder(seed: int) -> str:
    return f"seed-{seed:02d}"


def worker_alive(group: Path) -> bool:
    path = group / "worker.json"
    return path.exists() and is_alive(read_json(path))


def create_group(runs_dir: Path, name: str, config: RunConfig, seeds: list[int]) -> Group:
    """A new group with every seed queued. Raises UserError for a bad or taken name, or a folder that cannot be
    written."""
    if not NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot name a group: use up to 80 letters, digits, dots, dashes and underscores, "
            "beginning with a letter or a digit.",
            field="name",
        )
    path = Path(runs_dir) / name
    try:
        Path(runs_dir).mkdir(parents=True, exist_ok=True)
        path.mkdir()
    except FileExistsError as error:
        raise UserError(
            f"A group named '{name}' exists already in {runs_dir}: choose another name.", field="name"
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be made: {error.strerror}.") from error
    for seed in seeds:
        run = path / run_folder(seed)
        run.mkdir()
        write_json(
            run / "config.json",
            {"schema_version": SCHEMA_VERSION, "seed": seed, "config": config.model_dump(), "resolved": None},
        )
        write_json(run / "status.json", queued_status(config.epochs))
    info = {
        "schema_version": SCHEMA_VERSION,
        "config": config.model_dump(),
        "seeds": seeds,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "launched_by": getpass.getuser(),
    }
    write_json(path / "group.json", info)
    return Group(path)


def queued_status(epochs: int, epoch: int = 0) -> dict[str, Any]:
    return {
        "state": "queued",
        "epoch": epoch,
        "epochs": epochs,
        "step": 0,
        "steps": 0,
        "process": None,
        "heartbeat": time.time(),
        "started": None,
        "finished": None,
        "reason": None,
    }


def list_groups(runs_dir: Path) -> list[Group]:
    """Every group, newest first. A folder without group.json, or with a name that starts with a dot, is no group."""
    if not Path(runs_dir).is_dir():
        return []
    found = [p for p in Path(runs_dir).iterdir() if not p.name.startswith(".") and (p / "group.json").exists()]
    return [Group(p) for p in sorted(found, key=lambda p: (p / "group.json").stat().st_mtime, reverse=True)]


def open_group(path: Path) -> Group:
    """Raises UserError where `path` is no group."""
    if not (Path(path) / "group.json").is_file():
        raise UserError(f"{path} is not a group of runs: it has no group.json.")
    return Group(Path(path))


def own_process() -> dict[str, Any]:
    """This process's identity, as status.json and worker.json keep it."""
    return identity(os.getpid())
