"""What the image pages read of a group: its scored images, and the images themselves, each once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from colora.data.encoded import tile
from colora.data.thumbnails import Pictures, Place
from colora.distillation.scores import SeedPredictions, Whose, read_predictions, score_images
from colora.distillation.verdicts import current, verdicts_folder
from colora.plots import class_colour, split_title
from colora.results.predictions import SOURCE, checksums_by_place, place_of
from colora.runs.documents import EXTERNAL, contained
from colora.runs.finished import finished, is_finished
from colora.runs.folder import Group
from colora.runs.names import external_folder, is_external
from colora.settings.catalog import SCORES, VERDICTS
from colora.system.errors import UserError
from pages.components import show
from pages.components.elements.gallery import tile_of
from pages.components.images import pictures
from pages.components.images.listed import sorted_rows
from pages.components.runs import file_stamp, runs_dir

KEPT_PREDICTIONS = 4  # of 97,477 images and 10 seeds: about 30 MB each
KEPT_TABLES = 6  # about 25 MB each
KEPT_ORDERS = 32


def predictions(group: Group, split: str) -> SeedPredictions:
    """`scores.read_predictions`, read once for each state of the files. Raises UserError where there are none yet."""
    with contained(group.path):
        return _predictions(group, split, str(group.path), stamps_of(group, split))


def say_why_not(group: Group, about: dict[str, Any], split: str, error: UserError) -> None:
    """No seed has written predictions yet, or they cannot be put side by side."""
    if any(run.has_predictions(split) for run in group.runs if is_finished(run) or run.state == "damaged"):
        show.say(error)
        return
    st.info(
        f"The images can be sorted as soon as a seed of this group is done; the group is {about['state']}.",
        icon=":material/hourglass:",
    )
    st.page_link("pages/monitor.py", label="Watch it", icon=":material/monitoring:", query_params={"group": group.name})


def scores(group: Group, split: str, whose: Whose | None) -> pd.DataFrame:
    """`scores.score_images`, computed once; shared by all sessions, so never to be changed."""
    found = predictions(group, split)
    with contained(group.path):
        return _scores(found, str(group.path), split, whose, stamps_of(group, split))


def stamps_of(group: Group, split: str) -> list[Any]:
    """What everything here that is kept is keyed by: how many seeds the group has, and of the finished ones, which
    alone count, the state of the files that a split's scores are made from."""
    files = ("metrics.jsonl", "config.json", "status.json")
    stamps = [
        (run.seed, file_stamp(run.predictions_file(split)), *(file_stamp(run.path / name) for name in files))
        for run in finished(group)
    ]
    about = file_stamp(external_folder(group.path, split) / EXTERNAL) if is_external(split) else None
    return [len(group.runs), stamps, about]


@st.cache_resource(show_spinner="Reading the predictions …", max_entries=KEPT_PREDICTIONS)
def _predictions(_group: Group, split: str, path: str, stamps: Any) -> SeedPredictions:
    return read_predictions(_group, split)


@st.cache_resource(show_spinner="Scoring the images …", max_entries=KEPT_TABLES)
def _scores(_predictions: SeedPredictions, path: str, split: str, whose: Whose | None, stamps: Any) -> pd.DataFrame:
    return score_images(_predictions, whose)


def order_of(group: Group, split: str, whose: Whose, score: str, order: str) -> np.ndarray:
    """`listed.sorted_rows` of the scored images, sorted once."""
    table = scores(group, split, whose)
    return _order(table, str(group.path), split, whose, score, order, stamps_of(group, split))


@st.cache_resource(show_spinner=False, max_entries=KEPT_ORDERS)
def _order(
    _table: pd.DataFrame, path: str, split: str, whose: Whose, score: str, order: str, stamps: Any
) -> np.ndarray:
    return sorted_rows(_table, score, order)


def pictures_of(found: SeedPredictions) -> Pictures | UserError:
    """The images that these predictions are of, or why they cannot be shown."""
    try:
        data = found.data
    except UserError as error:
        return error
    kept = None if found.checksums is None else checksums_by_place(found.images, found.checksums, found.split)
    return pictures.pictures_of(data.config, data.checksum, found.split, kept)


def places(table: pd.DataFrame, split: str) -> list[Place]:
    """Where the images of some rows stand in the data."""
    return [place_of(row, split) for row in table[["index", "image_id", *({SOURCE} & {*table})]].to_dict("records")]


def verdicts(checksum: str) -> pd.DataFrame:
    """Every reader's standing verdicts on these data, read anew when a reader's file has changed."""
    folder = verdicts_folder(runs_dir())
    files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    return _verdicts(checksum, [(str(file), file_stamp(file)) for file in files])


@st.cache_resource(show_spinner=False, max_entries=8)
def _verdicts(checksum: str, stamps: Any) -> pd.DataFrame:
    return current(runs_dir(), checksum)


def tiles(
    table: pd.DataFrame,
    split: str,
    source: Pictures | UserError,
    class_names: Sequence[str],
    score: str,
    ranks: Sequence[int] | None = None,
    judged: pd.DataFrame | None = None,
) -> list[dict[str, Any]]:
    """What the gallery shows of these rows; an image that cannot be read says why.

    `judged` are verdicts of these data; `ranks` stand in the corners.
    """
    wanted = places(table, split)
    images = [source] * len(wanted) if isinstance(source, UserError) else source.read(wanted)
    marks = marks_of(judged, [place.image_id for place in wanted])
    found = []
    columns = [f"p_{c}" for c in range(len(class_names))]
    for row, (image, record) in enumerate(zip(images, table.to_dict("records"), strict=True)):
        true, predicted = int(record["label"]), int(record["predicted"])
        value = f"{record[score]:.3f}"
        where = f"{split_title(split)} image {record['image_id']}"
        result = "right" if true == predicted else "wrong"
        found.append(
            tile_of(
                record["image_id"],
                class_names[true],
                class_colour(true),
                image if isinstance(image, UserError) else tile(image),
                f"{where}: true class {class_names[true]}, predicted {class_names[predicted]} ({result}), "
                f"{SCORES[score].title.lower()} {value}",
                predicted={"name": class_names[predicted], "colour": class_colour(predicted)},
                right=true == predicted,
                score=value,
                rank=f"{ranks[row]:,}" if ranks is not None else "",
                bar=[
                    {"name": name, "share": float(record[column]), "colour": class_colour(c)}
                    for c, (name, column) in enumerate(zip(class_names, columns, strict=True))
                ],
                marks=marks.get(record["image_id"], []),
            )
        )
    return found


def marks_of(judged: pd.DataFrame | None, image_ids: list[str]) -> dict[str, list[str]]:
    """{image id: the verdicts on it, in words}."""
    if judged is None or judged.empty:
        return {}
    here = judged[judged["image_id"].isin(image_ids)]
    return {
        image_id: [VERDICTS[verdict] for verdict in dict.fromkeys(rows["verdict"])]
        for image_id, rows in here.groupby("image_id")
    }
