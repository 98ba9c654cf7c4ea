"""colora-slurm.toml: how a cluster is reached, and what each task asks of it. Checked before anything is submitted.

Looked for in this order: the file that COLORA_SLURM names, beside app.py, ~/.config/colora/, /etc/colora/. Without one,
and with sbatch on the PATH, the defaults below count.
"""

import os
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from colora.settings.catalog import nearest
from colora.system.errors import UserError
from colora.system.installation import ROOT, settings_places

FILE = "colora-slurm.toml"
TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<parts>\d+(?::\d{1,2}){0,2})")
OWN_OPTIONS = (
    "array", "output", "error", "open-mode", "job-name", "signal", "requeue", "no-requeue", "wrap", "parsable",
    "test-only", "hold", "chdir", "nodes", "ntasks", "input",
)  # fmt: skip

Word = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_.,:=+/@*()\[\]-]+$")]
Line = Annotated[str, Field(min_length=1, pattern=r"^[^\n\r\x00]+$")]


class Site(BaseModel):
    """One cluster. A launch may change the first eight for itself."""

    model_config = ConfigDict(extra="forbid")

    partition: Word | None = Field(None, description="Partition; empty: the cluster's default.")
    account: Word | None = Field(None, description="Account that is charged; empty: your default.")
    time: str = Field("24:00:00", description="Time limit of one seed's job, as D-HH:MM:SS; it goes on in a new one.")
    gres: Word | None = Field(None, description="GPU of each seed: 'gpu:1', 'gpu:a100:1', 'shard:4'; empty: none.")
    cpus: int = Field(4, description="CPU cores of each seed.", ge=1, le=1024)
    memory: str = Field("16G", description="Memory of each seed, such as 16G.", pattern=r"^[1-9]\d*[KMGT]?$")
    parallel: int | None = Field(None, description="At most so many seeds of a group at a time.", ge=1, le=1000)
    extra: list[Line] = Field([], description="Further options of sbatch, such as '--constraint=a100'.")

    signal_seconds: int = Field(
        120, description="So long before the time limit a seed stops and queues again.", ge=10, le=3600
    )
    requeue: bool = Field(True, description="Whether SLURM may queue a task again: preempted, or its time is over.")
    setup: list[Line] = Field([], description="Shell lines before training: 'module load cuda', 'source .../activate'.")
    python: str = Field(sys.executable, description="The Python of the nodes that has CoLoRA's requirements.")
    directory: str = Field(str(ROOT), description="CoLoRA Studio's folder as the nodes see it.")
    ssh: list[Line] = Field([], description='Prefix to reach SLURM from here: ["ssh", "login.example.org"].')

    @field_validator("time")
    @classmethod
    def _known_time(cls, value: str) -> str:
        if seconds_of(value) < 60:
            raise ValueError("must be a minute or more")
        return value

    @field_validator("extra")
    @classmethod
    def _foreign_options(cls, value: list[str]) -> list[str]:
        for line in value:
            name = re.match(r"--([a-z][a-z-]*)(=|$| )", line)
            if not name:
                raise ValueError(f"'{line}' is not a long option of sbatch, such as --constraint=a100")
            if name[1] in OWN_OPTIONS or name[1] in FIELD_OPTIONS:
                raise ValueError(f"'--{name[1]}' is set by CoLoRA itself{FIELD_OPTIONS.get(name[1], '')}")
        return value

    @field_validator("python", "directory")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.strip() or "\n" in value or value.startswith(("~", "./", "../")):
            raise ValueError("must be an absolute path")
        return value

    @model_validator(mode="after")
    def _signal_before_the_end(self) -> "Site":
        if self.signal_seconds >= seconds_of(self.time):
            raise ValueError(f"signal_seconds ({self.signal_seconds}) must be less than the time limit, {self.time}")
        return self


FIELD_OPTIONS = {
    option: f": set {field} instead"
    for option, field in (
        ("partition", "partition"), ("account", "account"), ("time", "time"), ("gres", "gres"),
        ("cpus-per-task", "cpus"), ("mem", "memory"),
    )
}  # fmt: skip
ASKED = ("partition", "account", "time", "gres", "cpus", "memory", "parallel", "extra")  # what a launch may change


def seconds_of(time: str) -> int:
    """SLURM's time: M, M:S, H:M:S, D-H, D-H:M or D-H:M:S. Raises ValueError for anything else."""
    found = TIME.fullmatch(time.strip())
    if not found:
        raise ValueError(f"'{time}' is no time limit: write HH:MM:SS or D-HH:MM:SS")
    parts = [int(part) for part in found["parts"].split(":")]
    if found["days"] is not None:
        hours, minutes, seconds = [*parts, 0, 0][:3]
        return 86_400 * int(found["days"]) + 3600 * hours + 60 * minutes + seconds
    hours, minutes, seconds = {1: [0, *parts, 0], 2: [0, *parts], 3: parts}[len(parts)]
    return 3600 * hours + 60 * minutes + seconds


def places() -> list[Path]:
    """Where the site file may be, in the order in which it is looked for."""
    return settings_places(FILE, "COLORA_SLURM")


def site_file() -> Path | None:
    return next((path for path in places() if path.is_file()), None)


def load_site(asked: dict[str, Any] | None = None) -> Site:
    """The site, with what one launch asks for in place of the file's. Raises UserError that names file and setting."""
    path, values = site_file(), {}
    if path is None and os.environ.get("COLORA_SLURM"):
        raise UserError(f"COLORA_SLURM names {os.environ['COLORA_SLURM']}, which does not exist.", field="engine")
    if path is not None:
        try:
            values = tomllib.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}.", field="engine") from error
    foreign = sorted(set(asked or {}) - set(ASKED))
    if foreign:
        raise UserError(f"A launch cannot set '{foreign[0]}' for SLURM: {nearest(foreign[0], ASKED)}", field="engine")
    _checked(values, str(path))
    merged = values | (asked or {})
    return _checked({k: v for k, v in merged.items() if v is not None}, "The settings for SLURM")


def _checked(values: dict[str, Any], whose: str) -> Site:
    try:
        return Site(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            raise UserError(f"{whose}: there is no setting '{field}': {nearest(field, Site.model_fields)}") from error
        message = first["msg"].removeprefix("Value error, ")
        found = f", but is {first['input']!r}" if field and first["type"] != "value_error" else ""
        raise UserError(f"{whose}: {field + ': ' if field else ''}{message}{found}.", field="engine") from error


def asked_from(texts: list[str]) -> dict[str, Any]:
    """`["time=2:00:00", "cpus=8"]` -> {"time": "2:00:00", "cpus": 8}; an empty value takes the site file's away."""
    asked: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--slurm takes NAME=VALUE, such as time=2:00:00; got '{text}'.", field="engine")
        if name in asked and name != "extra":
            raise UserError(f"--slurm {name} is given twice: leave one out.", field="engine")
        if name == "extra":
            asked[name] = [*(asked.get(name) or []), value] if value else []
        else:
            asked[name] = value or None
    return asked


def available() -> bool:
    """Whether there is a SLURM to submit to: sbatch on the PATH, or a site file with an ssh prefix."""
    try:
        return bool(load_site().ssh) or shutil.which("sbatch") is not None
    except UserError:
        return True  # the form says what is wrong with the file
