"""What Evaluate and Compare compute from run folders, once for each state (size and time) of their files."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora.data.medmnist import on_disk
from colora.errors import UserError
from colora.finished import counted, finished
from colora.medmnist_info import stored_size
from colora.over_seeds import Outcome, outcome
from colora.predictions import COLUMNS, image_table, mistakes, predicted, source_file, table_file
from colora.results import band, best_run
from colora.runs import Group, Run
from colora.siblings import alike
from colora.thumbnails import Place, open_pictures, same_images, tile
from pages.components.runs import file_stamp, reading


@dataclass(frozen=True)
class View:
    """The models that Evaluate shows: of one split, these seeds' at their selected epoch (None) or at one epoch."""

    group: Group
    split: str
    runs: tuple[Run, ...]
    epoch: int | None
    class_names: tuple[str, ...]

    @cached_property
    def one(self) -> int | None:
        """Position in `runs` of the model whose whole numbers stand for them (`over_seeds.one_model`): the paper's rule
        takes one of all seeds; with any other, and at an epoch that a person chose, it is their ensemble (None)."""
        if self.epoch is not None or len(self.runs) == 1 or self.group.config.selection != "paper":
            return None
        best = best_run(self.group, list(self.runs))
        return None if best is None else self.runs.index(best)

    @property
    def several(self) -> bool:
        return len(self.runs) > 1

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
        tables = [table_file(run, self.split) for run in alike(self.group, self.runs[0])]
        stamps = tuple((str(file), file and file_stamp(file)) for file in files)
        return self.split, self.epoch, self.one, stamps, tuple((str(table), file_stamp(table)) for table in tables)

    @cached_property
    def outcome(self) -> Outcome:
        """Everything that is said about these models. Raises UserError where a file is damaged."""
        with reading(self.group):
            return _outcome(self, self.key, self.class_names)


def seeds_with_predictions(group: Group, split: str, epoch: int | None) -> list[Run]:
    """The seeds of which there is something to evaluate; none before a seed with the same images is done, since labels
    come with that."""
    with reading(group):
        labelled = [run.ground for run in group.runs if table_file(run, split).exists()]
        there = [run for run in group.runs if run.state != "damaged" and run.ground in labelled]
        return [run for run in there if source_file(run, split, epoch)]


def shown_images(view: View) -> pd.DataFrame:
    """`predictions.image_table`. Raises UserError where it is damaged."""
    with reading(view.group):
        return _images(view, view.key[-1], view.split)


@st.cache_data(show_spinner=False, max_entries=8)
def _images(_view: View, tables: Any, split: str) -> pd.DataFrame:
    return image_table(_view.group, _view.split, _view.runs[0])


def predictions(view: View) -> list[tuple[np.ndarray, np.ndarray]]:
    """(labels, probabilities) of each seed. Raises UserError where a file is damaged."""
    with reading(view.group):
        return _predictions(view, view.key)


@st.cache_data(show_spinner=False, max_entries=8)
def _predictions(_view: View, key: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    labels = shown_images(_view)["target"].to_numpy()
    return [predicted(run, _view.split, _view.epoch, labels) for run in _view.runs]


@st.cache_data(show_spinner=False, max_entries=32)
def _outcome(_view: View, key: Any, class_names: tuple[str, ...]) -> Outcome:
    return outcome(predictions(_view), list(class_names), _view.one)


def found_images(view: View, cell: tuple[int, int] | None) -> pd.DataFrame:
    """`predictions.mistakes` with the images' index, label (as in the data), image_id and patient_id beside."""
    with reading(view.group):
        return _found_images(view, view.key, cell)


@st.cache_data(show_spinner=False, max_entries=32)
def _found_images(_view: View, key: Any, cell: tuple[int, int] | None) -> pd.DataFrame:
    seeds = predictions(_view)
    found = mistakes(seeds[0][0], [p for _, p in seeds], cell, _view.one)
    identity = shown_images(_view).loc[found["position"], COLUMNS]
    return pd.concat([found, identity.reset_index(drop=True)], axis=1)


def epoch_band(group: Group, column: str) -> pd.DataFrame:
    """`results.band` of the finished seeds. Raises UserError where a file is damaged."""
    with reading(group):
        stamps = [(run.seed, file_stamp(run.path / "metrics.jsonl")) for run in finished(group)]
        return _epoch_band(group, str(group.path), stamps, column)


@st.cache_data(show_spinner=False, max_entries=256)
def _epoch_band(_group: Group, path: str, stamps: Any, column: str) -> pd.DataFrame:
    return band(finished(_group), column)


@dataclass(frozen=True)
class Picture:
    """An image as the page shows it, a data URI; or a sentence why it cannot."""

    uri: str | None
    problem: str | None


def pictures(run: Run, places: list[Place], labels: list[int]) -> list[Picture]:
    """The images at these places, as the run's network read them. Raises UserError where their source is not there, or
    shows by its checksum or its labels that it is not what the run had.

    They travel inside the page's messages: a file of its own is gone when the next run of the page shows others.
    """
    config = run.config
    kind, _, path = config.dataset.partition(":")
    if not path and kind != "phantom":
        found = on_disk(kind, stored_size(config.image_size), config.data_dir)
        if found.state != "unpacked":  # which would take minutes here
            raise UserError(f"They are not unpacked in {found.folder.parent}: press 'Check and unpack' on Data.")
    source = file_stamp(Path(path).expanduser()) if path else None
    which = config.dataset, config.image_size, config.data_dir, run.resolved and run.resolved.data_checksum
    return _pictures(run, which, source, [(p.split, p.index, p.image_id) for p in places], labels)


@st.cache_data(show_spinner="Reading the images …", max_entries=64)
def _pictures(_run: Run, which: Any, source: Any, places: Any, labels: list[int]) -> list[Picture]:
    wanted = [Place(*place) for place in places]
    opened_splits = sorted({place.split for place in wanted})
    opened = open_pictures(_run.config, opened_splits)
    checksum = _run.resolved.data_checksum if _run.resolved else opened.checksum
    for split in opened_splits:
        there = [(place.index, label) for place, label in zip(wanted, labels, strict=True) if place.split == split]
        same_images(_run.config, opened, checksum, split, *np.array(there).T)
    return [
        Picture(None, str(image)) if isinstance(image, UserError) else Picture(tile(image), None)
        for image in opened.read(wanted)
    ]
