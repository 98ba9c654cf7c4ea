"""The images of a group's data, opened once for all sessions, and each shown only as the one that was predicted.

What is kept of a source is kept by the place that its path leads to and by the state of the file there, so that a link
that is pointed elsewhere, or a file that is replaced, opens another source. Of a folder nothing is kept: its images are
read when they are shown.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import streamlit as st

from colora.data.medmnist import on_disk
from colora.data.prepare import Progress
from colora.data.sources import checksums_of_unchanged
from colora.data.thumbnails import Pictures, Predicted, check_source, open_pictures
from colora.runs.access import named_place
from colora.settings.config import RunConfig
from colora.settings.medmnist_info import SIZES, known
from colora.system.errors import UserError
from pages.components.runs import place_stamps

T = TypeVar("T")
KEPT_SOURCES = 16
ASK_AGAIN_SECONDS = 600.0  # after which older predictions' data are read again


def pictures_of(
    config: RunConfig, data_checksum: str, split: str, checksums: dict[str, np.ndarray] | None
) -> Pictures | UserError:
    """The images of a split as models of this config predicted them, or why they cannot be shown; nobody must judge
    another image than the one that a verdict names. A first look may unpack them.

    `checksums` are those kept with the predictions (`results.predictions.checksums_by_place`). Where a run of an older
    version kept none, all the data are compared once with what the run had.
    """
    splits = (split,) if checksums is None else tuple(checksums)
    bar = st.empty()  # also where nothing is to be unpacked: what follows keeps its place, and is not drawn anew
    try:
        source = _opened(config, splits, bar)
        check_source(source, data_checksum)
        if checksums is None and not known(config.dataset):  # the checksum of a public set tells all of its images
            checksums = {split: _of_older(config, data_checksum, split, bar)}
    except UserError as error:
        return error
    return source if checksums is None else Predicted(source, checksums)


def state_of(config: RunConfig) -> Any:
    """Where a data set's path leads, and the state of what is read there; of a folder only of its own entries."""
    kind, _, place = config.dataset.partition(":")
    if known(kind):
        return [place_stamps(on_disk(kind, size, config.data_dir).folder / "set.json") for size in SIZES]
    if not place:
        return kind
    return place_stamps(named_place(place, "dataset"))


def _opened(config: RunConfig, splits: tuple[str, ...], bar: Any) -> Pictures:
    if config.dataset.startswith("folder:"):
        return open_pictures(config, splits)
    sources, key = _sources(), (splits, config.image_size, repr(state_of(config)))
    if key not in sources:
        source = _with_bar(lambda tell: open_pictures(config, splits, tell), "Unpacking the images once", bar)
        while len(sources) >= KEPT_SOURCES:
            sources.pop(next(iter(sources)), None)
        sources[key] = source
    return sources[key]


def _of_older(config: RunConfig, data_checksum: str, split: str, bar: Any) -> np.ndarray:
    """`data.checksums_of_unchanged`, for a while. Raises what that raised."""
    known_answers, key = _answers(), (split, config.model_dump_json(), data_checksum, repr(state_of(config)))
    answered, answer = known_answers.get(key, (0.0, None))
    if answer is None or time.monotonic() - answered > ASK_AGAIN_SECONDS:
        doing = "Comparing the images with those that these models saw"
        try:
            answer = _with_bar(lambda tell: checksums_of_unchanged(config, data_checksum, split, tell), doing, bar)
        except UserError as error:
            answer = error
        known_answers.pop(key, None)
        while len(known_answers) >= KEPT_SOURCES:
            known_answers.pop(next(iter(known_answers)), None)
        known_answers[key] = time.monotonic(), answer
    if isinstance(answer, UserError):
        raise answer
    return answer


def _with_bar(work: Callable[[Progress], T], doing: str, bar: Any) -> T:
    def tell(done: int, total: int) -> None:
        if total:
            bar.progress(done / total, f"{doing}: {done:,} of {total:,}")

    try:
        return work(tell)
    finally:
        bar.empty()


@st.cache_resource(show_spinner=False)
def _sources() -> dict[Any, Pictures]:
    """Of all sessions; a cached function could not show its progress on the page."""
    return {}


@st.cache_resource(show_spinner=False)
def _answers() -> dict[Any, tuple[float, np.ndarray | UserError]]:
    """Each with the time it was given."""
    return {}
