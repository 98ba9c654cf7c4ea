"""The run folder: the only truth about a run. What is not in it did not happen.

    runs/GROUP/group.json            config, seeds, created, by whom, engine (colora.engines.engine), its own identity,
                                     limits (colora.runs.limits)
    runs/GROUP/cut.json              of a group trained on a cut: the cut as it was at the launch (colora.data.cuts)
    runs/GROUP/question.json         exists: the yes-or-no question that people froze, its threshold, who and when
    runs/GROUP/external/NAME/        exists: what the seeds predicted of other data (colora.runs.external)
    runs/GROUP/seed-03/config.json   settings of this run, and what they resolved to
                       status.json   state, epoch, step, heartbeat, process identity, reason
                       queue.json    its place: order, priority, since when, whose (colora.queue.order)
                       stop          exists: a person wants this run to stop, or a limit, which it names
                       process.json, exit.json     its guard, and how its process ended (colora.queue.guard)
                       job.json      what SLURM said of it (colora.engines.slurm.records, also of runs/GROUP/slurm/)
                       environment.json, metrics.jsonl, log.txt, tensorboard/
                       data-problems.txt   exists: images that did not open and were left out, one a line
                       checkpoint/last.safetensors, history/epoch-01.safetensors ..., model.safetensors
                       predictions/train.parquet, val.parquet, test.parquet, epochs/epoch-01.safetensors ...
                       predictions/features.safetensors   (colora.runs.features)
                       calibration.json   the selected model's temperature, chosen on validation
    runs/.colora/                    audit.jsonl, trash/, cuts/NAME.json, verdicts/READER.jsonl: of no group
    runs/.colora/uploads/NAME/       images that came in through the browser, and upload.json (colora.data.uploads)

status.json has one writer: the run while its process lives, the supervisor before and after. What readers see is
derived where that process is gone: `failed`, `lost` or `stopped` with the reason; `damaged` where a file is.
A file is complete or absent: written beside, synced, renamed. Imports no torch, so that pages can read.
"""

import os
import shutil
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from colora.runs import verdict
from colora.runs.audit import acting_user, this_moment
from colora.runs.documents import contained, group_file, metrics_file, run_file, status_file
from colora.runs.ground import Ground, apart, ground
from colora.runs.names import check_file_name, external_folder, is_external
from colora.runs.proof import is_own
from colora.runs.silence import silence
from colora.runs.status import ACTIVE, ENDED_EARLY, STATES, check_epochs, queued_status
from colora.settings.config import SCHEMA_VERSION, RunConfig
from colora.settings.resolved import Resolved
from colora.system.beside import FOLDER, beside, sweep
from colora.system.errors import UserError
from colora.system.files import (
    append_json,
    read_json,
    read_json_lines,
    sync_folder,
    write_bytes,
    write_json,
)
from colora.system.process import is_visible, own_process
from colora.system.typed import exists, is_dir, is_file

if TYPE_CHECKING:
    import pandas as pd

__all__ = [  # with what a run folder's readers and writers need of files, run_status and process
    "ACTIVE", "ENDED_EARLY", "STATES", "Group", "Run", "append_json", "check_name", "create_group",
    "create_run", "open_group", "own_process", "queued_status", "read_json",
    "read_json_lines", "run_folder", "same_group", "write_bytes", "write_json",
]  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One seed's folder, read when asked. Raises UserError where a file is damaged."""

    path: Path

    @property
    def seed(self) -> int:
        return int(self.path.name.removeprefix("seed-"))

    @property
    def engine(self) -> str:
        """Who starts this run, as its group.json says: a name in colora.engines.engine.ENGINES."""
        try:
            return group_file(self.path.parent).get("engine", "local")
        except UserError:  # the group is damaged, or just being made: only this machine's processes can be judged
            return "local"

    @cached_property
    def _config_file(self) -> dict[str, Any]:
        return run_file(self.path)

    @cached_property
    def config(self) -> RunConfig:
        try:
            return RunConfig(**self._config_file["config"])
        except ValidationError as error:
            raise UserError(f"{self.path / 'config.json'} does not hold this version's settings: {error}") from error

    @cached_property
    def resolved(self) -> Resolved | None:
        """None until the run has started once."""
        values = self._config_file.get("resolved")
        return Resolved(**values) if values else None

    @property
    def ground(self) -> Ground | None:
        """What it shares with its `siblings`; None until it has started, or where it is damaged."""
        try:
            return ground(self._config_file)
        except UserError:
            return None

    def write_resolved(self, resolved: Resolved) -> None:
        write_json(self.path / "config.json", {**self._config_file, "resolved": resolved.model_dump()})

    @cached_property
    def status(self) -> dict[str, Any]:
        """status.json, with the state that follows from the process that it names and from damage to the folder."""
        try:
            with contained(self.path):
                status = self.written_status()
                _ = self._config_file
                check_epochs(self.path, status)
                if status["state"] == "stopped" and verdict.guard_lives(self.path):
                    return status | {"state": "stopping"}  # its last word is written, its processes are not all gone
                return self._followed(status) if status["state"] in ACTIVE else status
        except UserError as error:
            return queued_status(0) | {"state": "damaged", "reason": str(error)}

    def written_status(self) -> dict[str, Any]:
        """status.json as it stands. Raises UserError where it is missing or damaged."""
        return status_file(self.path)

    def _followed(self, status: dict[str, Any]) -> dict[str, Any]:
        """An active run's status, by what has become of its process."""
        process = status["process"]
        if process and (self.engine != "local" or not is_visible(process)):  # a cluster starts its runs again by itself
            gone = verdict.fallen_silent(self.path, status["heartbeat"]) and not verdict.may_be_silent(self.path)
            status |= verdict.silent(status) if gone else {}
        elif not is_own(process, self.path) and not verdict.processes_live(self.path):
            status = self.written_status()  # its last word may have been written after the first look
            if verdict.never_named(self.path, status):
                status |= {"state": "queued", "process": None}
            elif status["state"] in ACTIVE and status["process"] == process:
                ended = verdict.verdict(self.path, status)
                # Where another process has written its verdict meanwhile, and taken the wish to stop away, that counts.
                now = self.written_status()
                status = status | ended if now["state"] in ACTIVE and now["process"] == process else now
        else:
            status |= silence(self.path, status)
        if status["state"] in ACTIVE and self.stop_requested:
            status["state"] = "stopping"
        return status

    @property
    def state(self) -> str:
        return self.status["state"]

    @cached_property
    def metrics(self) -> "pd.DataFrame":
        """One row a finished epoch: epoch, {train,val,test}_{loss,accuracy,auc}, seconds, images_per_s, ...

        None of a damaged run.
        """
        import pandas as pd  # here, since the supervisor and most commands do without

        if self.state == "damaged":
            return pd.DataFrame()
        return pd.DataFrame(metrics_file(self.path))

    def predictions(self, split: str) -> "pd.DataFrame":
        """Predictions of the selected model, one row an image.

        Columns: index, label, p_0 ... p_{C-1} (float32, rows sum to 1), entropy (nats), image_id, patient_id (or null),
        checksum (uint64, `prepare.image_checksum` of the pixels that were predicted; not of older versions); in the
        train split `used` (bool: trained on by the group), in a cross-fitted group `held_out` (bool: those of them that
        this seed left out) and, where a cut corrected labels, trained_label (what was trained with; label is as in the
        data); of other data source_split, in which `index` counts, and distance (float32, at least
        0, from what is familiar to the model; NaN where it was not asked for). Raises UserError while the run has not
        written them, or where they are damaged.
        """
        if not self.has_predictions(split):
            raise UserError(f"{self.path.parent.name}, seed {self.seed}, has no predictions on {split} yet.")
        from colora.runs.prediction_table import read_table

        classes = len(self.resolved.class_names) if self.resolved else None
        return read_table(self.predictions_file(split), classes, split)

    def has_predictions(self, split: str) -> bool:
        return exists(self.predictions_file(split))  # what is there and is no file is a sentence

    def predictions_file(self, split: str) -> Path:
        """The table of the selected model's predictions, whether or not it is there; of "external/NAME" it lies beside
        the group's seeds (colora.runs.external)."""
        if is_external(split):
            return external_folder(self.path.parent, split) / f"{self.path.name}.parquet"
        return self.path / "predictions" / f"{split}.parquet"

    def log_tail(self, lines: int = 40) -> str:
        return verdict.log_tail(self.path, lines)

    @property
    def stop_requested(self) -> bool:
        return exists(self.path / "stop")


@dataclass(frozen=True)
class Group:
    """One config over n seeds."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def info(self) -> dict[str, Any]:
        """group.json: schema_version, config, seeds, created (ISO 8601, UTC, milliseconds: a series is launched within
        one second), launched_by, engine, identity; what this launch asked of SLURM, if anything, as "slurm"."""
        return group_file(self.path)

    @cached_property
    def identity(self) -> str:
        """Of this very group: the same when it was in the trash or has another name, another one when a group is made
        anew under its name. Empty where there is no folder.

        Of a group that was made without one, or whose group.json cannot be read, the folder tells it.
        """
        try:
            folder = self.path.stat().st_ino
        except OSError:
            return ""
        try:
            info = self.info
        except UserError:
            info = {}
        return str(info.get("identity") or f"{info.get('created')}.{folder}")

    @cached_property
    def config(self) -> RunConfig:
        try:
            return RunConfig(**self.info["config"])
        except ValidationError as error:
            raise UserError(f"{self.path / 'group.json'} does not hold this version's settings: {error}") from error

    @property
    def engine(self) -> str:
        """Who starts its runs: a name in colora.engines.engine.ENGINES."""
        return self.info.get("engine", "local")

    @cached_property
    def runs(self) -> list[Run]:
        return [Run(self.path / run_folder(seed)) for seed in self.info["seeds"]]

    @cached_property
    def state(self) -> str:
        """One word for the whole: the most urgent of its runs' states, and running while one seed follows another."""
        states = {run.state for run in self.runs}
        for state in ("running", "stopping", "starting", "damaged", "failed", "lost", "queued", "stopped"):
            if state in states:
                return "running" if state in ("starting", "queued") and "done" in states else state
        return "done"

    @cached_property
    def apart(self) -> list[Run]:
        """The seeds that were not trained on what the others were (`siblings`): they count in no figure."""
        return apart(self.runs)

    @property
    def active(self) -> bool:
        """Something still changes in this folder."""
        return any(run.state in (*ACTIVE, "queued") for run in self.runs)


def run_folder(seed: int) -> str:
    return f"seed-{seed:02d}"


def check_name(runs_dir: Path, name: str) -> None:
    """Raises UserError for a name that is bad, or that a group has already."""
    check_file_name(name, "a group")
    if os.path.lexists(Path(runs_dir) / name):  # also a link to nothing, which a new group would replace
        raise UserError(f"A group named '{name}' exists already in {runs_dir}: choose another name.", field="name")


def create_group(
    runs_dir: Path,
    name: str,
    config: RunConfig,
    seeds: list[int],
    place: dict[str, Any] | None = None,
    documents: dict[str, Any] | None = None,
    engine: str = "local",
    asked: dict[str, Any] | None = None,
    limits: dict[str, float] | None = None,
) -> Group:
    """A new group with every seed queued, at `place` of the queue. It is there once it is complete.

    `documents`: JSON documents by file name, in the group's folder before any seed can start. `engine` is to start
    them; `asked` is what this launch asks of it beyond the site's settings. `limits`: `runs.limits.Limits.as_dict`.
    Raises UserError for a bad or taken name, or a folder that cannot be written.
    """
    check_name(runs_dir, name)
    path = Path(runs_dir) / name
    staging = beside(path, FOLDER)
    info = {
        "schema_version": SCHEMA_VERSION,
        "config": config.model_dump(),
        "seeds": seeds,
        "created": this_moment(),
        "launched_by": acting_user(),
        "engine": engine,
        "identity": uuid.uuid4().hex,
    }
    sweep(path.parent, unmarked=True)  # of launches that were killed, under whatever name; one that is at work stays
    try:
        staging.mkdir(parents=True)
        for file, document in (documents or {}).items():
            write_json(staging / file, document)
        for seed in seeds:
            create_run(staging, seed, config, place)
        more = ({engine: asked} if asked else {}) | ({"limits": limits} if limits else {})
        write_json(staging / "group.json", info | more)
        staging.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        check_name(runs_dir, name)  # taken meanwhile
        raise UserError(f"{path} cannot be made: {error.strerror}.") from error
    return Group(path)


def create_run(group: Path, seed: int, config: RunConfig, place: dict[str, Any] | None) -> Run:
    """One seed's folder, queued at `place`; status.json comes last, and makes it a run."""
    folder = group / run_folder(seed)
    folder.mkdir()
    values = {"schema_version": SCHEMA_VERSION, "seed": seed, "config": config.model_dump(), "resolved": None}
    write_json(folder / "config.json", values)
    if place:
        write_json(folder / "queue.json", place)
    write_json(folder / "status.json", queued_status(config.epochs))
    return Run(folder)


def open_group(path: Path) -> Group:
    """Raises UserError where `path` is no group."""
    if not is_file(Path(path) / "group.json"):
        lacks = "it has no group.json" if is_dir(path) else "there is none; colora trash lists what was removed"
        raise UserError(f"{path} is not a group of runs: {lacks}.")
    return Group(Path(path))


def same_group(path: Path, identity: str) -> Group:
    """The group at `path`, read anew. Raises UserError where it is not the one of this identity any more."""
    group = Group(Path(path))
    if not group.identity:
        raise UserError(f"{group.name} was removed elsewhere meanwhile; nothing was done.")
    if group.identity != identity:
        _ = group.info  # where it cannot be read any more, that is said
        raise UserError(
            f"{group.name} was removed elsewhere meanwhile, and another group has its name now; nothing was done."
        )
    return group
