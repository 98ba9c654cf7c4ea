"""Where the models look on the hardest images of each class, side by side, each map with what it is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import streamlit as st

from colora.data.encoded import png
from colora.data.thumbnails import Pictures
from colora.distillation.scores import SeedPredictions
from colora.explanation.maps import few_places
from colora.explanation.methods import METHODS, NO_FINDING
from colora.explanation.overlay import drawn
from colora.runs.folder import Group
from colora.system.errors import UserError
from pages.components import address, show, sign_in
from pages.components.explain.explainer import explainers_of
from pages.components.explain.inquiries import POLL_SECONDS, Inquiry, inquiries, say_progress
from pages.components.explain.looking import Question, choose_method, refused
from pages.components.images import scored
from pages.components.images.in_address import open_image

EACH = (1, 2, 4)  # images of a class


@dataclass(frozen=True, eq=False)
class Shown:
    """An image: its row, its pixels (S, S) uint8 or why there are none, and what is asked about it. Its files are made
    once, however often the grid is drawn while others are awaited."""

    record: dict
    seen: np.ndarray | UserError
    map: Inquiry | None = None
    checks: Inquiry | None = None

    @cached_property
    def plain(self) -> bytes:
        return png(self.seen)

    @cached_property
    def covered(self) -> bytes:
        """Under its map, once that is there."""
        return png(drawn(self.seen, self.map.found.mean))


def hardest_looked_at(
    group: Group,
    found: SeedPredictions,
    table: pd.DataFrame,
    orders: Mapping[int, np.ndarray],
    split: str,
    source: Pictures,
) -> None:
    """For the class that each is predicted as. Of 4 images each of many classes the maps take minutes: each is drawn
    when it is there."""
    if not st.toggle("Where the models look on the hardest images", key=address.flag("look-hardest"), help=NO_FINDING):
        inquiries().want([])
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="look-hardest-choices"):
        method = choose_method()
        each = st.segmented_control("Of each class", EACH, required=True, key=address.one("look-each", EACH))
    st.caption(
        f"{METHODS[method].title}, mean of all seeds, for the class that each image is predicted as. {NO_FINDING}"
    )
    rows = table.iloc[[row for order in orders.values() for row in order[:each]]]
    images = source.read(scored.places(rows, split))
    try:
        shown = asked(group, method, rows.to_dict("records"), images)
    except UserError as error:
        show.say(error)
        return
    if few := few_places(group.config.image_size):
        st.warning(few, icon=":material/warning:")
    lacking = inquiries().lacking
    st.fragment(grid, run_every=POLL_SECONDS if lacking else None)(found, split, shown, lacking)


def asked(group: Group, method: str, records: Sequence[dict], images: Sequence[np.ndarray | UserError]) -> list[Shown]:
    shown, before = [], explainers_of(group)
    for record, image in zip(records, images, strict=True):
        if isinstance(image, UserError):
            shown.append(Shown(record, image))
            continue
        explainer = before(record["image_id"], image)
        question = Question(explainer, method, tuple(explainer.seeds), int(record["predicted"]))
        first = question.map()
        shown.append(Shown(record, image, first, question.checks(first)))
    known = {one.key: one for one in inquiries().want(questions(shown))}
    return [
        Shown(one.record, one.seen, known[one.map.key], known[one.checks.key]) if one.map else one for one in shown
    ]


def questions(shown: Sequence[Shown]) -> list[Inquiry]:
    return [inquiry for one in shown if one.map for inquiry in (one.map, one.checks)]


def grid(found: SeedPredictions, split: str, shown: Sequence[Shown], lacking: bool) -> None:
    """Runs alone while maps are awaited, since the sheets beside it take long."""
    sign_in.still()
    every = questions(shown)
    if lacking and inquiries().newer() and not inquiries().progress():
        st.rerun()  # nothing more is awaited
    say_progress()
    if any(one.error for one in every) and refused(every):
        st.rerun()
    cells = st.grid(4, min_column_width=160)
    for number, one in enumerate(shown):
        with cells.cell():
            picture(found, one)
            if st.button(
                "Open large",
                icon=":material/open_in_full:",
                type="tertiary",
                key=f"look-open-{number}",
                on_click=open_large,
                args=(found.data_checksum, one.record["image_id"], split),
            ):
                st.rerun()


def picture(found: SeedPredictions, one: Shown) -> None:
    if isinstance(one.seen, UserError):
        st.warning(show.literal(str(one.seen)), icon=":material/hide_image:")
        return
    names, true, predicted = found.class_names, int(one.record["label"]), int(one.record["predicted"])
    checks = one.checks.found
    worth = checks.brief if checks else "…" if one.checks.under_way else "not known"
    alt = f"Image {one.record['image_id']}, true class {names[true]}, predicted {names[predicted]}; its map: {worth}"
    caption = f"{'✓' if true == predicted else '✗'} {names[true]}, predicted {names[predicted]} · {worth}"
    file = one.plain if one.map.found is None else one.covered
    st.image(file, alt=alt, caption=show.literal(caption), width="stretch")


def open_large(data_checksum: str, image_id: str, split: str) -> None:
    """With the map on, in the view that shows one image large."""
    open_image(data_checksum, image_id)
    st.session_state["to-view"] = "browse", split
    address.put("look", "true")
    st.session_state["look"] = True  # where the switch was there before, and off
