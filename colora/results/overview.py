"""One line a group, as the overview shows it: where it stands, what it is, and its figures so far.

Each part is read when it is asked for, so that a page of twenty lines reads twenty groups, however many there are.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from colora.metrics.over_seeds import Spread
from colora.results.summary import cut_summary, progress
from colora.runs.documents import contained, metrics_file, run_file
from colora.runs.finished import finished
from colora.runs.folder import Group
from colora.runs.listing import list_groups
from colora.runs.notes import read_notes
from colora.runs.siblings import apart_rows, says_apart
from colora.settings.catalog import BACKBONES, METHODS
from colora.system.errors import UserError

SORTS = {
    "newest": "newest first",
    "oldest": "oldest first",
    "name": "by name",
    "accuracy": "best test accuracy first",
    "auc": "best test AUC first",
}
UNFINISHED = ("failed", "lost", "damaged", "stopped", "stopping", "running", "starting", "queued")  # most urgent first


@dataclass(frozen=True)
class Line:
    """One group. Every property raises UserError where the group's folder is damaged."""

    group: Group

    @property
    def name(self) -> str:
        return self.group.name

    @cached_property
    def config(self) -> dict[str, Any]:
        """The settings as they stand in group.json."""
        return self.group.info["config"]

    @property
    def created(self) -> str:
        return self.group.info["created"]

    @property
    def launched_by(self) -> str:
        return self.group.info["launched_by"]

    @cached_property
    def state(self) -> str:
        return self.group.state

    @property
    def seeds(self) -> dict[str, list[int]]:
        """{state: the seeds in it}."""
        found: dict[str, list[int]] = {}
        for run in self.group.runs:
            found.setdefault(run.state, []).append(run.seed)
        return found

    def seeds_text(self) -> str:
        """`7 of 10 · failed: 1, 4 · running: 7`: how many count, and the others by their states and numbers; those
        `apart` are in no figure whatever their state."""
        found = self.seeds
        text = f"{len(finished(self.group))} of {len(self.group.runs)}"
        others = [f"{state}: {', '.join(map(str, found[state]))}" for state in UNFINISHED if state in found]
        apart = [f"apart: {', '.join(str(run.seed) for run in self.group.apart)}"] * bool(self.group.apart)
        return " · ".join([text, *others, *apart])

    @property
    def mixed(self) -> str | None:
        """A sentence on the seeds that were not trained on what the others were; None where all were."""
        return says_apart({"apart": apart_rows(self.group)})

    @property
    def silent(self) -> list[str]:
        """`seed 3 is silent for 75 s: ...` of each seed that lives and tells nothing of itself."""
        told = ((run.seed, run.status.get("silent_says")) for run in self.group.runs)
        return [f"seed {seed} is {says}" for seed, says in told if says]

    @property
    def progress(self) -> float:
        """Share of the work that is done, in [0, 1]."""
        runs = [run for run in self.group.runs if run.state != "damaged"]
        return sum(map(progress, runs)) / max(1, len(self.group.runs))

    @property
    def data(self) -> tuple[str, bool]:
        """The data's source as a run found it, or as it was asked for; and whether it is synthetic."""
        if self._resolved:
            return self._resolved["data_source"], self._resolved["synthetic"]
        dataset = self.config["dataset"]
        return dataset, dataset == "phantom"

    @property
    def test_images(self) -> int | None:
        """How many there are, as a run found them; None before one has."""
        return sum(self._resolved["class_counts"]["test"]) if self._resolved else None

    @cached_property
    def _resolved(self) -> dict[str, Any] | None:
        """What the first run that counts found its data to be; None before one has started."""
        for run in self.group.runs:
            if run in self.group.apart:
                continue
            try:
                resolved = run_file(run.path).get("resolved")
            except UserError:
                continue  # the seed's own line says what is wrong with it
            if resolved:
                return resolved
        return None

    @property
    def cut(self) -> dict[str, Any] | None:
        """The distilled cut that the group was trained on, as `cut_summary` tells it; None without one."""
        return cut_summary(self.group)

    @cached_property
    def notes(self) -> str:
        return read_notes(self.group)

    @cached_property
    def selected(self) -> list[dict[str, Any]]:
        """Each finished seed's metrics row of its selected epoch, by the rule of `runs.selection`."""
        split = "test" if self.config.get("selection") == "paper" else "val"
        rows = []
        for run in finished(self.group):
            lines = metrics_file(run.path)
            ranked = [(row[f"{split}_accuracy"], -row[f"{split}_loss"], -row["epoch"]) for row in lines]
            if ranked:
                rows.append(lines[ranked.index(max(ranked))])
        return rows

    def spread(self, metric: str) -> Spread | None:
        """Of a metric on test over the finished seeds; None before there is one."""
        return Spread.of([row.get(f"test_{metric}") for row in self.selected])

    @property
    def damage(self) -> str | None:
        """The first sentence about what cannot be read of it."""
        try:
            with contained(self.group.path):
                said = [self.data, self.created, self.launched_by, self.seeds_text(), self.selected]
                reasons = (run.status["reason"] for run in self.group.runs if run.state == "damaged")
                return next(reasons, None) if said else None
        except UserError as error:
            return str(error).splitlines()[0]

    def words(self) -> str:
        """What a search looks through, in lower case."""
        try:
            backbone = self.config["backbone"].partition(":")[0]
            known = (BACKBONES[backbone].title if backbone in BACKBONES else "", METHODS.get(self.config["method"], ""))
            told = (self.config["dataset"], self.config["backbone"], self.config["method"], self.launched_by, *known)
        except UserError:
            told = ()
        try:
            noted = self.notes
        except UserError:
            noted = ""
        return " ".join((self.name, *told, noted)).lower()


def lines(runs_dir: Path, search: str = "", states: list[str] | None = None, sort: str = "newest") -> list[Line]:
    """The groups that have every word of `search` and one of `states` (empty: any), in the order of `sort`.

    Newest and oldest first go by the launch, and read nothing that has been read before; the others read what they
    compare.
    """
    found = [Line(group) for group in list_groups(runs_dir)]
    if words := search.lower().split():
        found = [line for line in found if all(word in line.words() for word in words)]
    if states:
        found = [line for line in found if _state(line) in states]
    if sort == "oldest":
        found.reverse()
    elif sort == "name":
        found.sort(key=lambda line: line.name.lower())
    elif sort in ("accuracy", "auc"):
        found.sort(key=lambda line: _median(line, sort), reverse=True)
    return found


def _state(line: Line) -> str:
    try:
        return line.state
    except UserError:
        return "damaged"


def _median(line: Line, metric: str) -> float:
    """Groups without figures come last."""
    try:
        spread = line.spread(metric)
    except UserError:
        return -1.0
    return spread.median if spread else -1.0
