"""The map of a split's images as the page reads it: made once for each state of its files, and shared by all."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from colora.distillation.scores import SeedPredictions, Whose
from colora.results.image_map import ImageMap, image_map, most_alike, without_map
from colora.runs.documents import contained
from colora.runs.features import features_path
from colora.runs.folder import Group, Run
from colora.runs.names import is_external
from colora.system.errors import UserError
from pages.components import show
from pages.components.images import scored
from pages.components.images.in_address import meant
from pages.components.runs import file_stamp

KEPT_MAPS = 12  # of 97,477 images: 0.8 MB each
KEPT_LIKE = 64
MOST_LIKE = 500  # images like one


@dataclass(frozen=True, eq=False)
class Ground:
    """The images on a map, and the seed whose features place them."""

    found: SeedPredictions
    run: Run
    map: ImageMap
    stamps: Any

    def like(self, asked: str, count: int) -> tuple[str, np.ndarray] | None:
        """The image that an address means by `asked`, and the positions of the `count` images most like it, itself
        first; None where the split has no such image."""
        found = _like(self.found, self.run, str(self.run.path), self.found.split, asked, self.stamps)
        return None if found is None else (found[0], found[1][:count])


def run_of(found: SeedPredictions, whose: Whose) -> Run:
    """The seed whose map is shown: the one that sorts, and the best one where their mean does."""
    seed = whose if isinstance(whose, int) else found.best_seed
    return next(run for run in found.group.runs if run.seed == seed)


def has_map(found: SeedPredictions, whose: Whose) -> bool:
    return without_map(run_of(found, whose), found.split) is None


def ground(group: Group, found: SeedPredictions, whose: Whose) -> Ground | None:
    """None where there is no map; the page then says why, and what helps."""
    run = run_of(found, whose)
    try:
        with contained(group.path):
            if why := without_map(run, found.split):
                say_what_helps(group, found.split, why)
                return None
            stamps = [file_stamp(features_path(run)), *(scored.stamps_of(group, s) for s in ("train", found.split))]
            train = scored.predictions(group, "train")
            learned = train.learned[train.seeds.index(run.seed)]
            return Ground(found, run, _map(run, learned, str(run.path), found.split, len(found.images), stamps), stamps)
    except UserError as error:
        show.say(error)
        return None


def say_what_helps(group: Group, split: str, why: str) -> None:
    if is_external(split):
        st.info(f"{show.literal(why)} Choose Train, Validation or Test.", icon=":material/explore_off:")
        return
    st.info(f"{show.literal(why)} *Make it known* on Predict mends that.", icon=":material/explore_off:")
    st.page_link("pages/predict.py", label="Predict", icon=":material/explore:", query_params={"group": group.name})


@st.cache_resource(show_spinner="Placing the images …", max_entries=KEPT_MAPS)
def _map(_run: Run, _learned: np.ndarray, path: str, split: str, images: int, stamps: Any) -> ImageMap:
    return image_map(_run, _learned, split, images)


@st.cache_resource(show_spinner="Looking for images like it …", max_entries=KEPT_LIKE)
def _like(
    _found: SeedPredictions, _run: Run, path: str, split: str, asked: str, stamps: Any
) -> tuple[str, np.ndarray] | None:
    ids = _found.images["image_id"]
    image_id = meant(_found.data_checksum, ids, asked)
    if image_id is None:
        return None
    row = int(np.flatnonzero((ids == image_id).to_numpy())[0])
    return image_id, most_alike(_run, split, len(ids), row, MOST_LIKE)
