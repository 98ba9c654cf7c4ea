"""What the files of a run folder may hold. Each is read and held against this in one place, once for each state of it.

A file that is missing, is no regular file, or holds anything else is a UserError that names it: that run or group is
damaged, and no other. What has passed is of the kinds, within the bounds, and in agreement with itself as readers count
on, so that none of them has to look again. Keys that only a newer version knows pass unread.

A listing asks this of thousands of runs at each refresh: paths are joined as text, in a fifth of the time of a Path.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Len
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from colora.settings.catalog import THRESHOLD_RULES
from colora.settings.resolved import Count, Resolved
from colora.system.errors import UserError
from colora.system.files import REMEMBERED_FILES, parsed_json, read_file, read_json_lines, read_remembered, why
from colora.system.process import is_identity
from colora.system.typed import shortened

State = Literal["queued", "starting", "running", "stopping", "stopped", "done", "failed", "lost", "damaged"]
MOST_SEEDS = 10_000
DATA, CALIBRATION, QUESTION, EXTERNAL = "data.json", "calibration.json", "question.json", "external.json"
STRICT = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)  # strict: True is no 1, "1" neither


def _moment(text: str) -> str:
    datetime.fromisoformat(text).timestamp()
    return text


def _distinct(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("one seed stands there twice")
    return seeds


def _process(value: Any) -> Any:
    if value is not None and not is_identity(value):
        raise ValueError("it is no process")
    return value


def _resolved(value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value is not None:
        try:
            Resolved(**value)
        except ValidationError as error:
            raise ValueError(sentence(error)) from error
    return value


def _answerable(found: dict[str, Any]) -> dict[str, Any]:
    """As `metrics.operating_point.Choice` takes it, which would bring numpy and pandas to all that read a document."""
    rule, value = found["rule"], found["value"]
    if rule not in THRESHOLD_RULES:
        raise ValueError(f"its rule is none of {', '.join(THRESHOLD_RULES)}")
    if (rule == "sensitivity" and not 0 < value <= 1) or (rule == "cost" and not value > 0):
        raise ValueError(f"the rule {rule} has no value {value:g}")
    return found


Seed = Annotated[int, Field(ge=0, lt=10**9)]
Seconds = Annotated[float, Field(ge=0, le=10**12)]
Tick = Annotated[float, Field(ge=-(10**12), le=10**12)]  # of the monotonic clock, whose zero may lie anywhere
Finite = Annotated[float, Field(ge=-1e300, le=1e300)]
Place = Annotated[float, Field(ge=-1e15, le=1e15)]
Text = Annotated[str, Field(max_length=100_000)]
Process = Annotated[Any, AfterValidator(_process)]
Moment = Annotated[str, AfterValidator(_moment)]


class Settings(TypedDict):
    """As they were launched, perhaps by a version that knew others; `RunConfig` reads the rest."""

    __pydantic_config__ = STRICT
    dataset: Text
    backbone: Text
    method: Text


class LimitsOfLaunch(TypedDict):
    """As `runs.limits.Limits` has them."""

    __pydantic_config__ = STRICT
    max_silence: NotRequired[Finite]
    max_hours: NotRequired[Finite]


class GroupFile(TypedDict):
    """group.json"""

    __pydantic_config__ = STRICT
    config: Settings
    seeds: Annotated[list[Seed], Len(1, MOST_SEEDS), AfterValidator(_distinct)]
    created: Annotated[str, AfterValidator(_moment)]
    launched_by: Text
    engine: NotRequired[Text]
    identity: NotRequired[Text]
    slurm: NotRequired[dict[str, Any] | None]
    limits: NotRequired[LimitsOfLaunch]


class RunFile(TypedDict):
    """config.json"""

    __pydantic_config__ = STRICT
    config: Settings
    seed: Seed
    resolved: NotRequired[Annotated[dict[str, Any] | None, AfterValidator(_resolved)]]


class Status(TypedDict):
    """status.json"""

    __pydantic_config__ = STRICT
    state: State
    epoch: Count
    epochs: Count
    step: Count
    steps: Count
    process: Process
    heartbeat: Seconds
    reason: Text | None
    beat: NotRequired[Tick]
    worked: NotRequired[Tick]
    started: NotRequired[Seconds | None]
    finished: NotRequired[Seconds | None]
    preparing: NotRequired[Annotated[list[Count | None], Len(2, 2)] | None]


class MetricsRow(TypedDict):
    """A line of metrics.jsonl: one epoch. An AUC is None where it is not defined."""

    __pydantic_config__ = STRICT
    epoch: Count
    train_loss: Finite
    train_accuracy: Finite
    train_auc: Finite | None
    val_loss: Finite
    val_accuracy: Finite
    val_auc: Finite | None
    test_loss: Finite
    test_accuracy: Finite
    test_auc: Finite | None
    seconds: Seconds
    eval_seconds: Seconds
    merges: NotRequired[Count]
    images_per_s: NotRequired[Finite | None]
    peak_memory_mib: NotRequired[Finite | None]


class CalibrationFile(TypedDict):
    """calibration.json: the temperature of the selected model, chosen on so many validation images for the lowest log
    loss, and that loss (nats) before and after."""

    __pydantic_config__ = STRICT
    epoch: Count
    images: Count
    temperature: Annotated[float, Field(gt=0, le=1e3)]
    log_loss: Annotated[list[Finite], Len(2, 2)]


class QuestionFile(TypedDict):
    """question.json of a group: which classes are asked for and how validation chose the threshold
    (`metrics.operating_point.Choice`); that threshold, a score above 1 where nobody is called; the seeds whose ensemble
    chose it, one of a single model; the checksum of what that model had predicted; when and by whom it was frozen."""

    __pydantic_config__ = STRICT
    positives: Annotated[list[Text], Len(1, 10_000)]
    rule: Text
    value: Finite
    threshold: Annotated[float, Field(ge=0, le=1.01)]
    seeds: Annotated[list[Seed], Len(1, MOST_SEEDS), AfterValidator(_distinct)]
    checksum: Text
    frozen: Annotated[str, AfterValidator(_moment)]
    frozen_by: Text


class ClassMet(TypedDict):
    """A class of other data: as the source calls it, as a person did, and which of the models' it is; None where there
    is none."""

    __pydantic_config__ = STRICT
    own: Text
    given: Text | None
    model: Text | None
    images: Count


class SeedTested(TypedDict):
    """A seed as it was then: its selected epoch, and when its training had ended (status.json's `finished`)."""

    __pydantic_config__ = STRICT
    seed: Seed
    epoch: Count
    finished: Seconds | None


class ExternalFile(TypedDict):
    """external/NAME/external.json of a group, by identity and name: the other data that its models were tested on, as
    `settings` of RunConfig name them, and their `split`; what these are (checksum: Dataset.checksum(); images_checksum:
    of the images that were taken, in their order, with the models' labels); how their classes were met, and what of
    them was in the training (`data.overlap.Overlap`); which seeds; when and by whom."""

    __pydantic_config__ = STRICT
    group: Text
    identity: Text
    settings: dict[Text, Any]
    split: Text
    source: Text
    synthetic: bool
    checksum: Text
    images_checksum: Text
    preparation: Text
    images: Count
    classes: list[ClassMet]
    absent: list[Text]
    left_out_unknown: dict[Text, Count]
    overlap: dict[Text, Count | None]
    warnings: list[Text]
    seeds: Annotated[list[SeedTested], Len(1, MOST_SEEDS)]
    tested: Annotated[str, AfterValidator(_moment)]
    tested_by: Text


class QueueFile(TypedDict):
    """queue.json"""

    __pydantic_config__ = STRICT
    order: Place
    priority: Place
    queued: NotRequired[Seconds | None]
    host: NotRequired[Text | None]
    user: NotRequired[Text | None]
    submission: NotRequired[Count | None]


Counts = dict[Text, Count]
PatientsFound = TypedDict(
    "PatientsFound", {"known": bool, "n": Count | None, "from": Text | None, "in_several_splits": Count}
)
"""How patients were recognised. `n` and `from` are None where they are unknown."""


class Duplicates(TypedDict):
    """Counted by pictures, as `data.leaks` does."""

    exact_across_splits: Count
    exact_across_classes: Count
    near_across_splits: Count


class NotRead(TypedDict):
    """Files that are no images of the set."""

    n: Count
    by_reason: Counts
    by_class: dict[Text, Counts]
    examples: dict[Text, list[Text]]


class DataCheck(TypedDict):
    """data.json of a group, and what `colora data check --json` prints: the data as they were before training."""

    __pydantic_config__ = STRICT
    source: Text
    classes: list[Text]
    counts: dict[Text, Counts]
    split_rule: Text
    patients: PatientsFound
    duplicates: Duplicates | None
    not_read: NotRead
    warnings: list[Text]
    doubts: NotRequired[list[dict[Text, Text]]]  # data.catalogue.Doubt; not of groups that are older
    checksum: NotRequired[Text | None]


@contextmanager
def contained(folder: Path) -> Iterator[None]:
    """Whatever goes wrong while a group's or a run's files are read becomes a UserError that names its folder, so that
    it is told there and stops nobody else. For those that go through many, and for pages."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # whatever it is, it is this folder's alone
        raise UserError(
            f"{folder} does not hold what this version writes ({type(error).__name__}: {shortened(why(error))}); the "
            "folder is damaged."
        ) from error


@cache
def _reader(kind: type) -> Callable[[str, Any], Any]:
    check = TypeAdapter(kind).validate_python

    @lru_cache(maxsize=REMEMBERED_FILES)
    def read(path: str, stamp: Any) -> Any:
        found = parsed_json(read_file(path))
        _hold(check, found, path)
        return found  # as it stands there: a whole number stays one

    return read


def document(kind: type, path: str | Path) -> Any:
    """The document of a file, to read and not to change, held against a TypedDict. Raises UserError that names the file
    where it is missing or damaged."""
    return read_remembered(_reader(kind), path)


def group_file(group: str | Path) -> dict[str, Any]:
    """group.json of a group's folder."""
    return document(GroupFile, os.path.join(group, "group.json"))


def run_file(run: str | Path) -> dict[str, Any]:
    """config.json of a run's folder."""
    return document(RunFile, os.path.join(run, "config.json"))


def data_file(group: str | Path) -> dict[str, Any]:
    """data.json of a group's folder."""
    return document(DataCheck, os.path.join(group, DATA))


def status_file(run: str | Path) -> dict[str, Any]:
    """status.json of a run's folder, a copy."""
    return dict(document(Status, os.path.join(run, "status.json")))


def queue_file(run: str | Path) -> dict[str, Any]:
    """queue.json of a run's folder."""
    return document(QueueFile, os.path.join(run, "queue.json"))


def calibration_file(run: str | Path) -> dict[str, Any] | None:
    """calibration.json of a run's folder; None before it has trained, and of older versions."""
    path = os.path.join(run, CALIBRATION)
    return document(CalibrationFile, path) if os.path.lexists(path) else None


def question_file(group: str | Path) -> dict[str, Any] | None:
    """question.json of a group's folder; None where nobody has frozen a question."""
    path = os.path.join(group, QUESTION)
    return document(_QUESTION, path) if os.path.lexists(path) else None


def external_file(folder: str | Path) -> dict[str, Any]:
    """external.json of a test on other data."""
    return document(ExternalFile, os.path.join(folder, EXTERNAL))


def metrics_file(run: str | Path) -> list[dict[str, Any]]:
    """metrics.jsonl of a run's folder, each epoch from the first once; none where there is no file, and without a last
    line that is still being written. Raises UserError where it is damaged."""
    path = os.path.join(run, "metrics.jsonl")
    return read_remembered(_metrics, path) if os.path.lexists(path) else []


@lru_cache(maxsize=REMEMBERED_FILES)
def _metrics(path: str, stamp: Any) -> list[dict[str, Any]]:
    rows = read_json_lines(path)
    _hold(_ROWS.validate_python, rows, path)
    if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
        raise UserError(f"{path} does not hold each epoch from the first one once; the run folder is damaged.")
    return rows


_ROWS = TypeAdapter(list[MetricsRow])
_QUESTION = Annotated[QuestionFile, AfterValidator(_answerable)]


def _hold(check: Callable[[Any], Any], found: Any, path: str) -> None:
    try:
        check(found)
    except ValidationError as error:
        raise UserError(f"{path} {sentence(error)}; the run folder is damaged.") from error


def sentence(error: ValidationError) -> str:
    """`lacks 'seeds'`, `says 'seeds.0' wrongly (input should be a valid integer)`: the first thing that is wrong."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = shortened(".".join(map(str, first["loc"])).encode(errors="replace").decode())
    if first["type"] == "missing":
        return f"lacks '{where}'"
    said = first["msg"].removeprefix("Value error, ")
    return f"says '{where}' wrongly ({said[0].lower()}{said[1:]})" if where else f"holds no such document ({said})"
