"""What Monitor shows of a group's seeds, read, reckoned and drawn once for all who look at the same state of them.

A refresh itself reads little more than the times of change of the group's files.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from colora import plots
from colora.engines import view
from colora.results.summary import band, progress, run_summary, seconds_left, seconds_to_end
from colora.runs.folder import ACTIVE, Group, Run
from colora.system.duration import duration
from pages.components import show
from pages.components.runs import file_stamp

METRICS = ("accuracy", "loss", "auc")
KEPT_STATES, KEPT_DRAWINGS = 32, 16  # of all groups that are looked at; three figures take half a MB
FRESH_SECONDS = 1  # how old the order of the queue may be


@dataclass(frozen=True)
class Seen:
    """One state of a group's seeds. For all who see it, so nobody changes anything in it."""

    left: dict[int, float | None]  # seconds to each seed's end
    table: pd.DataFrame  # a row a seed
    epochs: list[int]  # that each seed has finished, of those whose figures count together
    merged: list[int]  # the epochs in which a seed's updates were merged into the kernels


def seen(group: Group) -> Seen:
    """The group as its files say now. Raises what reading damaged ones does."""
    return _seen(group, repr((str(group.path), *map(_standing, group.runs), _seeds_apart(group))))


def _standing(run: Run) -> tuple[Any, ...]:
    """All that decides what is shown of a seed; not its heartbeat."""
    status = run.status
    told = ("state", "epoch", "epochs", "step", "steps")
    return run.seed, *(status[key] for key in told), file_stamp(run.path / "metrics.jsonl")


def _seeds_apart(group: Group) -> list[int]:
    return [run.seed for run in group.apart]


@st.cache_resource(show_spinner=False, max_entries=KEPT_STATES)
def _seen(_group: Group, state: str) -> Seen:
    runs = _group.runs
    left = seconds_to_end(runs, seconds_left(runs))
    epochs = [len(run.metrics) for run in runs if run not in _group.apart]
    return Seen(left, seed_table(runs, left), epochs, merged_after(runs))


def seed_table(runs: list[Run], left: dict[int, float | None]) -> pd.DataFrame:
    """One row a seed: where it stands, and the figures of its selected epoch so far."""
    rows = []
    for run in runs:
        found, status, seconds = figures_of(run), run.status, left[run.seed]
        goes_on = status["state"] in (*ACTIVE, "queued")
        rows.append(
            {
                "Seed": run.seed,
                "State": [status["state"]],
                "Progress": 100 * progress(run),
                "Epoch": f"{status['epoch']} of {status['epochs']}",
                "Time left": duration(seconds) if goes_on and seconds is not None else None,
                "Images/s": found["images_per_s"],
                "Best epoch": found["summary"].get("selected_epoch"),
                "Validation accuracy": found["summary"].get("val", {}).get("accuracy"),
                "Test accuracy": found["summary"].get("test", {}).get("accuracy"),
            }
        )
    return pd.DataFrame(rows).astype({"Best epoch": "Int64"})


def figures_of(run: Run) -> dict[str, Any]:
    """`run_summary`, and the speed of the last epoch; computed once for each state of the run's metrics."""
    return _figures_of(run, str(run.path), file_stamp(run.path / "metrics.jsonl"), run.state == "damaged")


@st.cache_data(show_spinner=False, max_entries=512)
def _figures_of(_run: Run, path: str, stamp: Any, damaged: bool) -> dict[str, Any]:
    speeds = _run.metrics.get("images_per_s", pd.Series(dtype=float))
    return {"summary": run_summary(_run), "images_per_s": float(speeds.iloc[-1]) if len(speeds) else None}


def merged_after(runs: list[Run]) -> list[int]:
    """The epochs in which a seed's updates were merged into the kernels."""
    epochs: set[int] = set()
    for run in runs:
        if "merges" in run.metrics:
            new = run.metrics["merges"].diff().fillna(run.metrics["merges"]) > 0
            epochs |= set(run.metrics.loc[new, "epoch"].astype(int))
    return sorted(epochs)


def curves_of(group: Group, seeds: list[int], origin: str) -> dict[str, tuple[plots.Written, pd.DataFrame]]:
    """{metric: its figure and table} over the epochs, those of single `seeds` among them, as this page has them."""
    stamps = [(run.state == "damaged", file_stamp(run.path / "metrics.jsonl")) for run in group.runs]
    state = repr((str(group.path), stamps, _seeds_apart(group), sorted(seeds)))
    return _curves_of(group, state, seeds, origin, show.page_colour())


@st.cache_resource(show_spinner=False, max_entries=KEPT_DRAWINGS)
def _curves_of(
    _group: Group, state: str, _seeds: list[int], origin: str, paper: str
) -> dict[str, tuple[plots.Written, pd.DataFrame]]:
    drawn, merges = {}, merged_after(_group.runs)
    together = [run for run in _group.runs if run not in _group.apart]
    single = {run.seed: run.metrics for run in _group.runs if run.seed in _seeds and len(run.metrics)}
    for metric in METRICS:
        bands = {split: band(together, f"{split}_{metric}") for split in plots.SPLIT_NAMES}
        seeds = len(_group.runs)
        figure = plots.learning_curves(bands, metric, single, merges, seeds)
        drawn[metric] = plots.written(figure, origin, paper), plots.learning_table(bands, metric, single, seeds)
    return drawn


def waiting_rows(group: Group) -> list[dict[str, Any]]:
    """`view.rows` of what waits on this machine: read once for all, and anew where this group's own places change."""
    own = [file_stamp(run.path / "queue.json") for run in group.runs if run.state == "queued"]
    return _waiting_rows(group.path.parent, repr((str(group.path), own)))


@st.cache_resource(show_spinner=False, ttl=FRESH_SECONDS, max_entries=KEPT_STATES)
def _waiting_rows(runs_dir: Path, own: str) -> list[dict[str, Any]]:
    return [row for row in view.rows(runs_dir) if row["place"]]
