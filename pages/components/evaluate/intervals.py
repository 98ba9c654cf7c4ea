"""What other images could have given, on Evaluate: 95 % intervals of the model that stands for the seeds, and of each.

Computed from run folders once for each state of their files, as in `readers`. What is a formula is there in
milliseconds; what has to be drawn two thousand times is asked for after the page stands.
"""

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import streamlit as st

from colora.metrics import statistics
from colora.metrics.calibration import Calibration
from colora.metrics.curve_bands import ClassBands, class_bands
from colora.metrics.estimates import Estimate
from colora.metrics.figures import Predicted
from colora.metrics.over_seeds import Outcome, one_model, outcome
from colora.metrics.statistics import ModelFigures, Statistics
from colora.results.calibration import calibrated
from colora.results.judged import Judged
from colora.results.operating_point import OperatingPoint, Question, points
from colora.results.statistics import optimism_of
from colora.runs.documents import contained
from colora.runs.names import is_external
from colora.runs.selection import selected_epoch
from colora.settings.medmnist_info import in_order
from pages.components.evaluate.readers import View, seeds_with_predictions, seen
from pages.components.runs import file_stamp

T = TypeVar("T")
DRAWING = "Drawing the images two thousand times ..."
JUDGING = ("val", "test")  # of images that a model learnt from an interval says nothing of others


def validation(view: View) -> Judged:
    """The same of the validation images."""
    return seen(replace(view, split="val"))


def model(view: View) -> Predicted:
    """The one model that stands for the seeds."""
    found = seen(view)
    return Predicted(found.labels, one_model(found.probabilities, view.one))


def model_figures(view: View) -> ModelFigures:
    """Those of the one model that are a formula."""
    return _closed(view, view.key)


@st.cache_resource(show_spinner=False, max_entries=32)
def _closed(_view: View, key: Any) -> ModelFigures:
    return statistics.closed_forms(model(_view), _view.class_names, seen(_view).sample)


def model_outcome(view: View) -> Outcome:
    """Curves and table of the one model."""
    return _outcome(view, view.key)


@st.cache_data(show_spinner=False, max_entries=32)
def _outcome(_view: View, key: Any) -> Outcome:
    found = model(_view)
    return outcome([(found.labels, found.probabilities)], list(_view.class_names))


def cell_intervals(view: View) -> np.ndarray:
    """`statistics.confusion_intervals` of the one model."""
    return _cells(view, view.key)


@st.cache_data(show_spinner=False, max_entries=32)
def _cells(_view: View, key: Any) -> np.ndarray:
    return statistics.confusion_intervals(model(_view), seen(_view).sample)


def bands(view: View) -> list[ClassBands]:
    """Of the one model's curves."""
    return _bands(view, view.key)


@st.cache_resource(show_spinner=False, max_entries=16)
def _bands(_view: View, key: Any) -> list[ClassBands]:
    return class_bands(model(_view), seen(_view).sample)


def model_statistics(view: View) -> ModelFigures:
    """Every figure of the one model."""
    return _model_statistics(view, view.key)


@st.cache_resource(show_spinner=False, max_entries=16)
def _model_statistics(_view: View, key: Any) -> ModelFigures:
    return _statistics([np.asarray(model(_view).probabilities)], _view).seeds[0]


def seeds_statistics(view: View) -> Statistics:
    """Every figure of each seed, of the ensemble, and over seeds."""
    return _seeds_statistics(view, view.key)


@st.cache_resource(show_spinner=False, max_entries=8)
def _seeds_statistics(_view: View, key: Any) -> Statistics:
    return _statistics(seen(_view).probabilities, _view)


def _statistics(probabilities: list[np.ndarray], view: View) -> Statistics:
    found = seen(view)
    ordinal = in_order(view.group.config.dataset)
    return statistics.statistics(found.labels, probabilities, view.class_names, found.patients, ordinal)


def with_intervals(table: pd.DataFrame, view: View) -> pd.DataFrame:
    """A table of a row a seed with {split}_{metric}_low and _high of validation and test, and of other data where the
    view is of some; NaN where there is none."""
    columns: dict[str, list[float]] = {}
    for split in dict.fromkeys((*JUDGING, *([view.split] if is_external(view.split) else []))):
        known = every_seed(replace(view, split=split))
        for metric in ("accuracy", "auc"):
            found = [known[seed][metric] if seed in known else Estimate(None) for seed in table["seed"]]
            columns[f"{split}_{metric}_low"] = [np.nan if each.low is None else each.low for each in found]
            columns[f"{split}_{metric}_high"] = [np.nan if each.high is None else each.high for each in found]
    return table.assign(**columns)


def every_seed(view: View) -> dict[int, dict[str, Estimate]]:
    """{seed: its accuracy and AUC} on the view's split, of those that have kept their predictions there."""
    there = seeds_with_predictions(view.group, view.split, view.epoch)
    kept = tuple(run for run in view.runs if run in there)
    if not kept:
        return {}
    view = replace(view, runs=kept)
    return _every_seed(view, view.key)


@st.cache_resource(show_spinner=False, max_entries=32)
def _every_seed(_view: View, key: Any) -> dict[int, dict[str, Estimate]]:
    found = seen(_view)
    sample = found.sample
    models = (Predicted(found.labels, p) for p in found.probabilities)
    return {seed: statistics.headlines(model, sample) for seed, model in zip(found.seeds, models, strict=True)}


def calibrations(view: View) -> tuple[list[Calibration], Calibration]:
    """Of each seed, and of the one model that stands for them."""
    seeds, joint = _calibrations(view, view.key, validation_key(view))
    return seeds, _standing(view, seeds, joint)


@st.cache_resource(show_spinner=False, max_entries=16)
def _calibrations(_view: View, key: Any, other: Any) -> tuple[list[Calibration], Calibration | None]:
    return calibrated(seen(_view), validation(_view))


def operating_points(view: View, question: Question) -> tuple[list[OperatingPoint], OperatingPoint]:
    """Of each seed at its own threshold, and of the one model that stands for them."""
    seeds, joint = _points(view, view.key, validation_key(view), question)
    return seeds, _standing(view, seeds, joint)


@st.cache_resource(show_spinner=False, max_entries=64)
def _points(
    _view: View, key: Any, other: Any, question: Question
) -> tuple[list[OperatingPoint], OperatingPoint | None]:
    return points(seen(_view), validation(_view), question)


def _standing(view: View, seeds: list[T], joint: T | None) -> T:
    """Of the one model that stands for the seeds."""
    return seeds[view.one or 0] if view.one is not None or joint is None else joint


def validation_key(view: View) -> Any:
    return replace(view, split="val").key


def optimism(view: View) -> dict[str, Any] | None:
    """What the paper's rule gains by choosing on test (`results.statistics.optimism_of`)."""
    stamps = [file_stamp(run.path / "metrics.jsonl") for run in view.runs]
    return _optimism(view, view.key, stamps, [selected_epoch(run) for run in view.runs])


@st.cache_data(show_spinner=False, max_entries=16)
def _optimism(_view: View, key: Any, stamps: Any, epochs: Any) -> dict[str, Any] | None:
    with contained(_view.group.path):
        return optimism_of(seen(_view))
