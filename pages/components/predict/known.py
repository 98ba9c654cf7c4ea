"""What a group knows of its own images, read once for each state of its files and shared by all sessions."""

from typing import Any

import streamlit as st

from colora.prediction.answer import about
from colora.prediction.known import Known
from colora.runs.documents import QUESTION, contained
from colora.runs.features import features_path
from colora.runs.finished import finished
from colora.runs.folder import Group
from pages.components.runs import file_stamp

KEPT = 3  # of 97,477 training images and features of 128 numbers: about 150 MB each
FILES = ("metrics.jsonl", "config.json", "calibration.json", "predictions/val.parquet", "predictions/test.parquet")


def stamps_of(group: Group) -> Any:
    """What the answers hang on: the group, its question, the seeds that count, and what is read of each."""
    with contained(group.path):
        own = file_stamp(group.path / "group.json"), file_stamp(group.path / QUESTION)
        runs = finished(group)
        seeds = [
            (run.seed, file_stamp(features_path(run)), *(file_stamp(run.path / name) for name in FILES)) for run in runs
        ]
        return group.identity, own, seeds


def known_of(group: Group) -> Known:
    """Raises UserError where no seed is finished, or a file is damaged."""
    with contained(group.path):
        return _known(group, str(group.path), repr(stamps_of(group)))


def about_of(group: Group) -> dict[str, Any]:
    """`answer.about`. Raises UserError as `known_of`."""
    return about(known_of(group), group)


@st.cache_resource(show_spinner=False, max_entries=KEPT)
def _known(_group: Group, path: str, stamps: str) -> Known:
    return Known.of(_group)
