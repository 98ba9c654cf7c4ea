"""What Evaluate and Compare compute from run folders, once for each state (size and time) of their files."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora.data.medmnist import on_disk
from colora.data.thumbnails import Place
from colora.metrics.over_seeds import Outcome, outcome
from colora.results.judged import Judged, figures_of_seeds, judged
from colora.results.predictions import (
    COLUMNS,
    SOURCE,
    image_checksums,
    mistakes,
    source_file,
)
from colora.results.summary import band, taken_run
from colora.runs.documents import contained
from colora.runs.external import counting, data_of
from colora.runs.finished import counted, finished
from colora.runs.folder import Group, Run
from colora.runs.names import is_external
from colora.runs.siblings import alike
from colora.settings.medmnist_info import known, stored_size
from colora.system.errors import UserError
from pages.components import show
from pages.components.images.pictures import pictures_of
from pages.components.runs import file_stamp


@dataclass(frozen=True)
class View:
    """The models that Evaluate shows: of one split, these seeds' at their selected epoch (None) or at one epoch.

    `over_images`: each figure is that of one model with its interval over images; else of several seeds the spread of
    the seeds' own.
    """

    group: Group
    split: str
    runs: tuple[Run, ...]
    epoch: int | None
    class_names: tuple[str, ...]
    over_images: bool = False

    @cached_property
    def one(self) -> int | None:
        """Position in `runs` of the model whose whole numbers stand for them (`over_seeds.one_model`): the paper's rule
        takes one of all seeds; with any other, and at an epoch that a person chose, it is their ensemble (None)."""
        if self.epoch is not None or len(self.runs) == 1:
            return None
        taken = taken_run(self.group, list(self.runs))
        return None if taken is None else self.runs.index(taken)

    @property
    def several(self) -> bool:
        return len(self.runs) > 1

    @property
    def name(self) -> str:
        """For the files that people save: group, seeds, epoch and split."""
        whose = f"{len(self.runs)}-seeds" if self.several else f"seed-{self.runs[0].seed}"
        at = "selected" if self.epoch is None else f"epoch-{self.epoch}"
        return f"{self.group.name}-{whose}-{at}-{show.split_in_file(self.split)}"

    def counted(self) -> str:
        """`3 seeds`, or of how many of the group."""
        return counted(len(self.runs), len(self.group.runs))

    def model(self) -> str:
        """Whose whole numbers are shown, in words."""
        if not self.several:
            return f"seed {self.runs[0].seed}"
        if self.one is None:
            return f"the ensemble of {self.counted()}"
        return f"seed {self.runs[self.one].seed}, the one model that the rule takes"

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What the figures depend on: the files of the predictions, and of the labels."""
        files = [source_file(run, self.split, self.epoch) for run in self.runs]
        tables = [run.predictions_file(self.split) for run in alike(self.group, self.runs[0])]
        stamps = tuple((str(file), file and file_stamp(file)) for file in files)
        return self.split, self.epoch, self.one, stamps, tuple((str(table), file_stamp(table)) for table in tables)

    @cached_property
    def outcome(self) -> Outcome:
        """Everything that is said about these models. Raises UserError where a file is damaged."""
        with contained(self.group.path):
            return _outcome(self, self.key, self.class_names)


def seeds_with_predictions(group: Group, split: str, epoch: int | None) -> list[Run]:
    """The seeds of which there is something to evaluate; none before a seed with the same images is done, since labels
    come with that. Of other data those that were tested as they are. Raises UserError where a file is damaged."""
    with contained(group.path):
        if is_external(split):
            return counting(group, split) if epoch is None else []
        labelled = [run.ground for run in group.runs if run.predictions_file(split).exists()]
        there = [run for run in group.runs if run.state != "damaged" and run.ground in labelled]
        return [run for run in there if source_file(run, split, epoch)]


def seen(view: View) -> Judged:
    """What the view's seeds predicted, with the images' table and patients. Raises UserError where a file is
    damaged."""
    with contained(view.group.path):
        return _seen(view, view.key)


@st.cache_resource(show_spinner=False, max_entries=16)
def _seen(_view: View, key: Any) -> Judged:
    return judged(_view.group, _view.split, _view.runs, _view.epoch)


@st.cache_data(show_spinner=False, max_entries=32)
def _outcome(_view: View, key: Any, class_names: tuple[str, ...]) -> Outcome:
    found = seen(_view)
    return outcome([(found.labels, p) for p in found.probabilities], list(class_names), _view.one)


def found_images(view: View, cell: tuple[int, int] | None) -> pd.DataFrame:
    """`predictions.mistakes` with the images' index, label (as in the data), image_id and patient_id beside."""
    with contained(view.group.path):
        return _found_images(view, view.key, cell)


@st.cache_data(show_spinner=False, max_entries=32)
def _found_images(_view: View, key: Any, cell: tuple[int, int] | None) -> pd.DataFrame:
    everything = seen(_view)
    found = mistakes(everything.labels, everything.probabilities, cell, _view.one)
    columns = [*COLUMNS, *([SOURCE] if SOURCE in everything.table else [])]
    identity = everything.table.loc[found["position"], columns]
    return pd.concat([found, identity.reset_index(drop=True)], axis=1)


def figures_on(group: Group, split: str) -> dict[int, dict[str, float | None]]:
    """`results.judged.figures_of_seeds` of the seeds that count on other data; none where it was not tested on them, or
    their file is damaged."""
    try:
        with contained(group.path):
            runs = tuple(counting(group, split))
        view = View(group, split, runs, None, ())
        return figures_of_seeds(seen(view)) if runs else {}
    except UserError:  # which Compare says of every group that it leaves out
        return {}


def epoch_band(group: Group, column: str) -> pd.DataFrame:
    """`results.summary.band` of the finished seeds. Raises UserError where a file is damaged."""
    with contained(group.path):
        stamps = [(run.seed, file_stamp(run.path / "metrics.jsonl")) for run in finished(group)]
        return _epoch_band(group, str(group.path), stamps, column)


@st.cache_data(show_spinner=False, max_entries=256)
def _epoch_band(_group: Group, path: str, stamps: Any, column: str) -> pd.DataFrame:
    return band(finished(_group), column)


def pictures(view: View, places: list[Place]) -> list[np.ndarray | UserError]:
    """The images at these places, (S, S) uint8 as the models read them, or why one cannot be shown. Raises UserError
    where their source is not there, or is not what the models saw."""
    runs, split = (*view.runs, *alike(view.group, view.runs[0])), view.split
    run = next((run for run in runs if run.predictions_file(split).exists()), runs[0])
    data = data_of(run, split)
    config = data.config
    kind = config.dataset.partition(":")[0]
    if known(kind):
        found = on_disk(kind, stored_size(config.image_size), config.data_dir)
        if found.state != "unpacked":  # which would take minutes here
            raise UserError(f"They are not unpacked in {found.folder.parent}: press 'Check and unpack' on Data.")
    with contained(view.group.path):
        checksums = _checksums(run, split, str(run.path), file_stamp(run.predictions_file(split)))
    source = pictures_of(config, data.checksum, split, checksums)
    if isinstance(source, UserError):
        raise source
    return source.read(places)


@st.cache_resource(show_spinner=False, max_entries=8)
def _checksums(_run: Run, split: str, path: str, stamp: Any) -> dict[str, np.ndarray] | None:
    return image_checksums(_run, split)
